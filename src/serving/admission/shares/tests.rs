use std::sync::Arc;

use futures_util::FutureExt as _;

use super::*;

const LIMIT: usize = 12;

/// Opens a connection from `address` that holds `held` requests.
fn connection(all: &Connections, address: &str, held: usize) -> Arc<ConnectionUsage> {
    let usage = all.open(Some(address.parse().unwrap()));
    usage.add(Resource::Requests, held);
    usage
}

/// Lets a connection ask for one more request when all are held.
fn ask(all: &Connections, usage: &Arc<ConnectionUsage>) -> Grant {
    let before = usage.add(Resource::Requests, 1);
    all.grant(usage, Resource::Requests, before, LIMIT)
}

#[test]
fn a_newcomer_gets_a_place_from_the_connection_that_holds_most() {
    let all = Connections::default();
    let [small, large] = [4, 8].map(|held| connection(&all, "192.0.2.1", held));
    let newcomer = connection(&all, "192.0.2.1", 0);
    assert_eq!(ask(&all, &newcomer), Grant::Yes);
    assert!(!small.claim_debt() && large.claim_debt());
    assert!(!large.claim_debt(), "one place for one request");
    assert_eq!(ask(&all, &large), Grant::ShareHeld);
}

#[test]
fn nothing_is_taken_from_connections_within_their_share() {
    let all = Connections::default();
    let first = connection(&all, "192.0.2.1", 6);
    let second = connection(&all, "192.0.2.1", 6);
    let newcomer = connection(&all, "192.0.2.1", 0);
    for _ in 0..4 {
        assert_eq!(ask(&all, &newcomer), Grant::Yes);
    }
    assert_eq!(ask(&all, &newcomer), Grant::ShareHeld);
    let paid = [&first, &second].map(|usage| (0..6).filter(|_| usage.claim_debt()).count());
    assert_eq!(paid, [2, 2], "each keeps its share");
}

#[test]
fn many_connections_of_one_address_have_one_share_together() {
    let all = Connections::default();
    let hostile: Vec<_> = (0..12).map(|_| connection(&all, "192.0.2.1", 1)).collect();
    let sibling = connection(&all, "192.0.2.1", 0);
    assert_eq!(ask(&all, &sibling), Grant::AllHeld, "each has its share");
    sibling.subtract(Resource::Requests, 1);
    let other = connection(&all, "192.0.2.2", 0);
    for _ in 0..6 {
        assert_eq!(ask(&all, &other), Grant::Yes);
    }
    assert_eq!(ask(&all, &other), Grant::ShareHeld);
    let ended = hostile.iter().filter(|usage| usage.claim_debt()).count();
    assert_eq!(ended, 6);
}

#[test]
fn a_connection_below_its_share_gets_bytes_while_others_have_to_release_theirs() {
    let all = Connections::default();
    let hostile = connection(&all, "192.0.2.1", 2);
    hostile.add(Resource::Bytes, 2 * LIMIT);
    let good = connection(&all, "192.0.2.2", 1);
    let ask = || {
        let before = good.add(Resource::Bytes, 1);
        all.grant(&good, Resource::Bytes, before, LIMIT)
    };
    for _ in 0..4 {
        assert_eq!(ask(), Grant::Yes);
    }
    let ended = (0..4).filter(|_| hostile.claim_debt()).count();
    assert_eq!(ended, 2, "no more than the requests that hold them");
}

#[test]
fn addresses_of_one_network_of_ipv6_are_one_peer() {
    let all = Connections::default();
    let one = connection(&all, "2001:db8::1", 0);
    let same = connection(&all, "2001:db8::2:1", 0);
    let other = connection(&all, "2001:db8:0:1::1", 0);
    assert!(Arc::ptr_eq(&one.peer, &same.peer));
    assert!(!Arc::ptr_eq(&one.peer, &other.peer));
    let mapped = connection(&all, "::ffff:192.0.2.1", 0);
    let plain = connection(&all, "192.0.2.1", 0);
    assert!(Arc::ptr_eq(&mapped.peer, &plain.peer));
}

#[test]
fn the_request_that_waited_longest_is_woken_first() {
    let all = Connections::default();
    let usage = connection(&all, "192.0.2.1", 12);
    let mut oldest = Box::pin(usage.woken());
    let mut newest = Box::pin(usage.woken());
    assert!((&mut oldest).now_or_never().is_none());
    assert!((&mut newest).now_or_never().is_none());
    let newcomer = connection(&all, "192.0.2.1", 0);
    assert_eq!(ask(&all, &newcomer), Grant::Yes);
    assert!((&mut newest).now_or_never().is_none());
    assert!((&mut oldest).now_or_never().is_some());
}

#[test]
fn closed_connections_are_forgotten() {
    let all = Connections::default();
    drop(connection(&all, "192.0.2.1", 12));
    let newcomer = connection(&all, "192.0.2.1", 0);
    assert_eq!(sync::lock(&all.0).len(), 1);
    assert_eq!(ask(&all, &newcomer), Grant::Yes, "nothing is held");
}
