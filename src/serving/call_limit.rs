//! Limits how many calls of services without admission control are open at one time: health, reflection, and the admin port.
//!
//! These calls must work while admission control refuses predictions, so they have limits of their own, which bound what a client can
//! make the gateway hold by calls that it does not finish or whose responses it does not read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::insight::metrics::{CallScope, LimitedService, Telemetry};

/// Health calls of one connection that are admitted although the gateway is at its limit: a probe, and a client that watches. So other
/// clients cannot make health checks fail.
const RESERVED_HEALTH_CALLS: usize = 2;

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
}

impl CallLimits {
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
}

impl Drop for CallPermit {
    fn drop(&mut self) {
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
    fn every_connection_can_check_health_at_the_limit_of_the_gateway() {
        let limiter = limiter();
        let open: Vec<_> = (0..10)
            .map(|_| limiter.enter(LimitedService::Health, Arc::default()))
            .collect();
        assert!(open.iter().all(Result::is_ok), "{open:?}");
    }
}
