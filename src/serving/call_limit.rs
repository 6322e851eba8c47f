//! Limits how many calls of services without admission control are open at one time: health, reflection, and the admin port.
//!
//! These calls must work while admission control refuses predictions, so they have limits of their own, which bound what a client can
//! make the gateway hold by calls that it does not finish or whose responses it does not read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::insight::metrics::{CallScope, LimitedService, Telemetry, UnsentReason};

/// Health calls of one connection that are admitted although the gateway is at its limit: a probe, and a client that watches. So other
/// clients cannot make health checks fail.
const RESERVED_HEALTH_CALLS: usize = 2;

/// The most bytes of a message for health or reflection. Such messages are short, and that of a watcher stays in memory.
pub const MAX_SHORT_BYTES: usize = 4096;

/// Bytes of the messages of each call that are always admitted. All messages but those with files are far shorter.
const RESERVED_BYTES: usize = 64 << 10;
/// How many messages of the largest size all calls may hold together beyond that: as many as there are uploads at a time.
const LARGE_MESSAGES: usize = 2;

/// The limit on the concurrent calls of one group of services.
#[derive(Clone, Copy, Debug)]
pub struct CallLimit {
    /// The most calls of all connections.
    pub total: usize,
    /// The most calls of one connection.
    pub per_connection: usize,
}

/// The limits of one gateway.
#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    /// `grpc.health.v1.Health`.
    pub health: CallLimit,
    /// Reflection, in all versions and on both ports.
    pub reflection: CallLimit,
    /// The services of the admin port.
    pub admin: CallLimit,
    /// The most bytes of a message. All calls together may hold the bytes of two such messages, besides 64 KiB of each call.
    pub max_message_bytes: usize,
}

impl CallLimits {
    /// Returns how many bytes of a call that has sent `arrived` count against the limit. A call with several messages holds one at a
    /// time.
    fn counted(&self, arrived: usize) -> usize {
        arrived
            .min(self.max_message_bytes)
            .saturating_sub(RESERVED_BYTES)
    }

    fn of(&self, service: LimitedService) -> CallLimit {
        match service {
            LimitedService::Health => self.health,
            LimitedService::Reflection => self.reflection,
            LimitedService::Admin => self.admin,
        }
    }
}

/// Counts the open calls by service.
#[derive(Debug, Default)]
struct Counts([AtomicUsize; LimitedService::ALL.len()]);

impl Counts {
    /// Adds a call, and returns how many were open before.
    fn add(&self, service: LimitedService) -> usize {
        self.0[service as usize].fetch_add(1, Ordering::Relaxed)
    }

    fn subtract(&self, service: LimitedService) {
        self.0[service as usize].fetch_sub(1, Ordering::Relaxed);
    }
}

/// The open calls of one connection.
#[derive(Debug, Default)]
pub struct ConnectionCalls(Counts);

/// Counts the open calls, and refuses calls above the limits.
#[derive(Debug)]
pub struct CallLimiter {
    limits: CallLimits,
    telemetry: Arc<Telemetry>,
    open: Counts,
    /// Bytes that all open calls hold, as far as they [count](CallLimits::counted).
    bytes: AtomicUsize,
}

/// A call that was refused because too many are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.message())]
pub struct TooManyCalls {
    service: LimitedService,
    scope: CallScope,
    limit: usize,
}

impl TooManyCalls {
    fn message(&self) -> String {
        let service = self.service.as_str();
        let (place, setting) = match self.scope {
            CallScope::Connection => ("this connection", "_per_connection"),
            CallScope::Gateway => ("all connections", ""),
        };
        let limit = self.limit;
        format!(
            "{limit} {service} calls of {place} are open, which is the limit \
             (limits.max_{service}_calls{setting}); try again when some have ended"
        )
    }
}

impl CallLimiter {
    /// Creates a limiter without open calls. `telemetry` counts refusals.
    #[must_use]
    pub fn new(limits: CallLimits, telemetry: Arc<Telemetry>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            telemetry,
            open: Counts::default(),
            bytes: AtomicUsize::new(0),
        })
    }

    /// Admits a call of `service` on `connection`.
    ///
    /// # Errors
    /// Returns an error if the connection or the gateway is at its limit.
    pub fn enter(
        self: &Arc<Self>,
        service: LimitedService,
        connection: Arc<ConnectionCalls>,
    ) -> Result<CallPermit, TooManyCalls> {
        let limit = self.limits.of(service);
        let of_connection = connection.0.add(service);
        let of_all = self.open.add(service);
        // Created first: if the call is refused, dropping the permit subtracts it again.
        let permit = CallPermit {
            limiter: Arc::clone(self),
            service,
            connection,
            arrived: AtomicUsize::new(0),
        };
        let is_reserved =
            service == LimitedService::Health && of_connection < RESERVED_HEALTH_CALLS;
        let (scope, limit) = if of_connection >= limit.per_connection {
            (CallScope::Connection, limit.per_connection)
        } else if of_all >= limit.total && !is_reserved {
            (CallScope::Gateway, limit.total)
        } else {
            return Ok(permit);
        };
        self.telemetry.refused_call(service, scope);
        Err(TooManyCalls {
            service,
            scope,
            limit,
        })
    }
}

/// The right of one call to be open; returned when dropped.
#[derive(Debug)]
pub struct CallPermit {
    limiter: Arc<CallLimiter>,
    service: LimitedService,
    connection: Arc<ConnectionCalls>,
    /// Bytes of its messages.
    arrived: AtomicUsize,
}

/// A call that was refused because the messages of all calls hold too many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "messages to the admin port hold more than {limit} bytes, which is the limit (twice limits.max_message_bytes); try \
     again when some have ended"
)]
pub struct TooManyBytes {
    limit: usize,
}

impl CallPermit {
    /// Returns the most bytes of a message of the call. Those of health and reflection are short.
    #[must_use]
    pub fn max_message_bytes(&self) -> usize {
        let most = self.limiter.limits.max_message_bytes;
        match self.service {
            LimitedService::Admin => most,
            LimitedService::Health | LimitedService::Reflection => most.min(MAX_SHORT_BYTES),
        }
    }

    /// Counts an answer that the client did not read.
    pub fn count_unsent(&self) {
        self.limiter.telemetry.unsent(UnsentReason::Unread);
    }

    /// Adds `more` bytes of the call's messages, which have arrived. Messages of health and reflection are short.
    ///
    /// # Errors
    /// Returns an error if all calls together hold too many bytes.
    pub fn hold(&self, more: usize) -> Result<(), TooManyBytes> {
        let CallLimiter {
            limits,
            telemetry,
            bytes,
            ..
        } = &*self.limiter;
        let before = self.arrived.fetch_add(more, Ordering::Relaxed);
        let counted = limits.counted(before.saturating_add(more)) - limits.counted(before);
        if counted == 0 || self.service != LimitedService::Admin {
            return Ok(());
        }
        let limit = limits.max_message_bytes.saturating_mul(LARGE_MESSAGES);
        if bytes.fetch_add(counted, Ordering::Relaxed) + counted <= limit {
            return Ok(());
        }
        // They are dropped with the error.
        bytes.fetch_sub(counted, Ordering::Relaxed);
        self.arrived.fetch_sub(more, Ordering::Relaxed);
        telemetry.refused_call(self.service, CallScope::Gateway);
        Err(TooManyBytes { limit })
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        if self.service == LimitedService::Admin {
            let counted = self.limiter.limits.counted(*self.arrived.get_mut());
            self.limiter.bytes.fetch_sub(counted, Ordering::Relaxed);
        }
        self.connection.0.subtract(self.service);
        self.limiter.open.subtract(self.service);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter() -> Arc<CallLimiter> {
        let limit = CallLimit {
            total: 3,
            per_connection: 2,
        };
        let limits = CallLimits {
            health: limit,
            reflection: limit,
            admin: limit,
            max_message_bytes: 1_000_000,
        };
        CallLimiter::new(limits, Telemetry::new().unwrap())
    }

    #[test]
    fn calls_are_limited_by_connection_and_in_total_until_others_end() {
        let limiter = limiter();
        let [one, other] = [(); 2].map(|()| Arc::<ConnectionCalls>::default());
        let enter = |connection: &Arc<ConnectionCalls>| {
            limiter.enter(LimitedService::Reflection, Arc::clone(connection))
        };
        let first = enter(&one).unwrap();
        let _second = enter(&one).unwrap();
        let refused = enter(&one).unwrap_err();
        assert_eq!(refused.scope, CallScope::Connection);
        assert!(
            refused
                .to_string()
                .contains("limits.max_reflection_calls_per_connection"),
            "{refused}"
        );
        let _third = enter(&other).unwrap();
        let refused = enter(&other).unwrap_err();
        assert_eq!(refused.scope, CallScope::Gateway);
        let admin = limiter.enter(LimitedService::Admin, Arc::clone(&other));
        admin.expect("services do not share a limit");
        drop(first);
        enter(&other).expect("the first call has ended");
        let text = limiter.telemetry.render();
        for scope in ["connection", "gateway"] {
            let line =
                format!(r#"taper_refused_calls_total{{service="reflection",scope="{scope}"}} 1"#);
            assert!(text.lines().any(|have| have == line), "{line}\n{text}");
        }
    }

    #[test]
    fn large_messages_are_limited_together_and_small_ones_are_not() {
        let limiter = limiter();
        let enter = || limiter.enter(LimitedService::Admin, Arc::default());
        let [upload, other, third] = [(); 3].map(|()| enter().unwrap());
        // Of a call with many messages, one counts.
        for _ in 0..10 {
            upload.hold(900_000).unwrap();
        }
        other.hold(1_000_000).unwrap();
        third.hold(RESERVED_BYTES).unwrap();
        let error = third.hold(1_000_000).unwrap_err();
        assert!(error.to_string().contains("2000000 bytes"), "{error}");
        // What was refused is not held.
        upload.hold(1_000_000).unwrap();
        third.hold(1).unwrap();
        let reflection = limiter.enter(LimitedService::Reflection, Arc::default());
        let reflection = reflection.unwrap();
        for _ in 0..10 {
            reflection.hold(1_000_000).unwrap();
        }
        drop((upload, third, reflection));
        enter().unwrap().hold(1_000_000).unwrap();
        drop(other);
        assert_eq!(limiter.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn every_connection_can_check_health_at_the_limit_of_the_gateway() {
        let limiter = limiter();
        let open: Vec<_> = (0..10)
            .map(|_| limiter.enter(LimitedService::Health, Arc::default()))
            .collect();
        assert!(open.iter().all(Result::is_ok), "{open:?}");
    }
}
