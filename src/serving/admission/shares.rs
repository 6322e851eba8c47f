//! What each connection holds of a limited resource, and which connection must give something up when all of it is held.
//!
//! Clients that share an address are one peer. Peers have equal shares of a resource, and so have the connections of one peer. A share
//! matters only once the resource is scarce: a connection that holds less than its share then gets its part at once, and one that holds
//! more owes it. It pays with the next request that ends. To that end, the oldest of its requests that wait for the client is ended:
//! their message is incomplete, or their answer is not read. Until it has paid, more than the limit is held, by at most what connections
//! hold above their shares.
//!
//! A request updates the counters of its connection, which belong to one thread. The list of connections is locked when a connection
//! opens and when a resource is scarce, never otherwise.

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::sync;

/// A resource that connections share.
#[derive(Clone, Copy, Debug)]
pub(super) enum Resource {
    /// Requests in flight.
    Requests,
    /// Bytes of their messages.
    Bytes,
}

/// The requests of one client address.
#[derive(Debug, Default)]
struct Peer {
    /// What its connections hold. Valid only while the list of connections is locked, by the function that computed it.
    held: AtomicUsize,
}

/// What one connection holds.
#[derive(Debug)]
pub struct ConnectionUsage {
    address: Option<IpAddr>,
    peer: Arc<Peer>,
    /// Indexed by `Resource as usize`.
    held: [AtomicUsize; 2],
    /// Requests that must end.
    debt: AtomicUsize,
    /// Wakes the request that has waited longest.
    wake: Notify,
}

impl ConnectionUsage {
    fn new(address: Option<IpAddr>, peer: Arc<Peer>) -> Self {
        Self {
            address,
            peer,
            held: Default::default(),
            debt: AtomicUsize::new(0),
            wake: Notify::new(),
        }
    }

    /// Returns how much of `resource` the connection holds.
    pub(super) fn held(&self, resource: Resource) -> usize {
        self.held[resource as usize].load(Ordering::Relaxed)
    }

    /// Adds `amount` and returns how much the connection held before.
    pub(super) fn add(&self, resource: Resource, amount: usize) -> usize {
        self.held[resource as usize].fetch_add(amount, Ordering::Relaxed)
    }

    /// Subtracts `amount`.
    pub(super) fn subtract(&self, resource: Resource, amount: usize) {
        self.held[resource as usize].fetch_sub(amount, Ordering::Relaxed);
    }

    /// Waits until one request of the connection must end. The request that has waited longest is woken first.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Wakes the request that has waited longest.
    pub(super) fn wake_next(&self) {
        self.wake.notify_one();
    }

    /// Takes over the obligation to end, if there is one.
    pub(super) fn claim_debt(&self) -> bool {
        self.debt.load(Ordering::Relaxed) > 0
            && self
                .debt
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |debt| {
                    debt.checked_sub(1)
                })
                .is_ok()
    }

    /// Returns how much of `resource` the connection holds without the requests that must end.
    fn kept(&self, resource: Resource) -> usize {
        let debt = self.debt.load(Ordering::Relaxed);
        match resource {
            Resource::Requests => self.held(resource).saturating_sub(debt),
            // It is not known how many bytes these requests hold.
            Resource::Bytes if self.held(Resource::Requests) <= debt => 0,
            Resource::Bytes => self.held(resource),
        }
    }

    /// Demands that a request ends, the one that has waited longest if any waits.
    fn give_up_one(&self) {
        self.debt.fetch_add(1, Ordering::Relaxed);
        self.wake_next();
    }
}

/// Whether a connection gets something of a resource, all of which is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    /// It gets it, and another connection must end a request, or has to already.
    Yes,
    /// It holds its share already.
    ShareHeld,
    /// No other connection holds more than its share.
    AllHeld,
}

/// All open connections.
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<Vec<Arc<ConnectionUsage>>>);

impl Connections {
    /// Adds a connection from `address`. It is removed after the returned value and all its copies are dropped.
    pub(super) fn open(&self, address: Option<IpAddr>) -> Arc<ConnectionUsage> {
        let address = address.map(network);
        let mut connections = sync::lock(&self.0);
        connections.retain(|connection| Arc::strong_count(connection) > 1);
        let same = connections
            .iter()
            .find(|connection| address.is_some() && connection.address == address);
        let peer = same.map_or_else(Arc::default, |connection| Arc::clone(&connection.peer));
        let usage = Arc::new(ConnectionUsage::new(address, peer));
        connections.push(Arc::clone(&usage));
        usage
    }

    /// Decides whether `connection`, which held `before` of `limit`, gets more of `resource`, all of which is held. If so, another
    /// connection that holds more than its share must end a request, unless those that must end already make room for it.
    pub(super) fn grant(
        &self,
        connection: &Arc<ConnectionUsage>,
        resource: Resource,
        before: usize,
        limit: usize,
    ) -> Grant {
        let connections = sync::lock(&self.0);
        let is_sibling = |other: &ConnectionUsage| Arc::ptr_eq(&other.peer, &connection.peer);
        for other in connections.iter() {
            other.peer.held.store(0, Ordering::Relaxed);
        }
        let (mut peers, mut siblings, mut all_kept) = (0_usize, 0_usize, 0_usize);
        for other in connections.iter() {
            let held = other.kept(resource);
            all_kept = all_kept.saturating_add(held);
            if held > 0 {
                let is_first = other.peer.held.fetch_add(held, Ordering::Relaxed) == 0;
                peers += usize::from(is_first);
                siblings += usize::from(is_sibling(other));
            }
        }
        let peer_share = limit / peers.max(1);
        let share = (peer_share / siblings.max(1)).max(1);
        if before >= share {
            return Grant::ShareHeld;
        }
        if all_kept <= limit {
            // Requests that must end will make room.
            return Grant::Yes;
        }
        let peer_held = |usage: &ConnectionUsage| usage.peer.held.load(Ordering::Relaxed);
        let may_take_from_peers = peer_held(connection) <= peer_share;
        let holds_too_much = |other: &ConnectionUsage| {
            if is_sibling(other) {
                other.kept(resource) > share
            } else {
                may_take_from_peers && other.kept(resource) > 0 && peer_held(other) > peer_share
            }
        };
        let others = connections
            .iter()
            .filter(|other| !Arc::ptr_eq(other, connection) && holds_too_much(other));
        // Of equal ones the oldest connection.
        match others.min_by_key(|other| Reverse(other.kept(resource))) {
            Some(other) => {
                other.give_up_one();
                Grant::Yes
            }
            None => Grant::AllHeld,
        }
    }
}

/// Returns what counts as one client: an address of IPv4, or the first 64 bits of an address of IPv6, of which a client has all.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests;
