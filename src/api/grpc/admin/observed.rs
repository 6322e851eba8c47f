//! The parts of a question about what was observed that several RPCs share: versions, roles, windows, distributions.

use crate::api::grpc::convert;
use crate::control::ModelView;
use crate::error::{AdminError, InputFaults};
use crate::ident::{Role, VersionNumber};
use crate::insight::query::{DistributionSummary, ObservedVersion, select};
use crate::insight::stats::Window;
use crate::proto::v1;
use crate::serving::live;

/// What a fault says about an enum value that the protocol does not define.
const WANTED: &str = "one of its names";

/// The versions of one model, as the registry and the gateway know them.
#[derive(Clone, Copy)]
pub(super) struct Versions<'a> {
    live: &'a live::Snapshot,
    model: &'a ModelView,
}

impl<'a> Versions<'a> {
    pub(super) fn new(live: &'a live::Snapshot, model: &'a ModelView) -> Self {
        Self { live, model }
    }

    /// Returns the version of this number.
    ///
    /// # Errors
    /// Returns an error if the model has no such version, or if the version is not READY.
    pub(super) fn one(self, number: u64) -> Result<ObservedVersion<'a>, AdminError> {
        let known = VersionNumber::try_from(number).ok();
        let known = known.filter(|number| self.model.versions.contains_key(number));
        let known = known.ok_or_else(|| AdminError::UnknownVersion {
            model: self.model.name.to_string(),
            version: number,
        })?;
        let serving = self.live.models.get(self.model.name.as_str());
        let ready = serving.and_then(|serving| serving.ready.get(&known));
        ready.map(|version| version.observed()).ok_or_else(|| {
            let why = "it is not READY; statistics exist only for READY versions".to_owned();
            AdminError::NotReady(vec![(known, why)])
        })
    }

    /// Returns the versions of these numbers, ascending, each once; all READY versions if there are no numbers.
    ///
    /// # Errors
    /// As [`one`](Self::one).
    pub(super) fn chosen(self, numbers: &[u64]) -> Result<Vec<ObservedVersion<'a>>, AdminError> {
        let chosen = numbers.iter().map(|number| self.one(*number));
        let chosen = chosen.map(|version| version.map(|version| version.number()));
        let chosen = chosen.collect::<Result<Vec<_>, _>>()?;
        let serving = self.live.models.get(self.model.name.as_str());
        let ready = serving
            .into_iter()
            .flat_map(|serving| serving.ready.values());
        Ok(select(ready.map(|version| version.observed()), &chosen))
    }
}

/// Reads a role; `None` if it is not given. One that the protocol does not define is a fault.
pub(super) fn role(field: &str, number: i32, faults: &mut InputFaults) -> Option<Role> {
    let wire = |role| convert::role(role).into();
    value(field, number, &Role::ALL, wire, faults)
}

/// Reads a window; `None` if it is not given. One that the protocol does not define is a fault.
pub(super) fn window(field: &str, number: i32, faults: &mut InputFaults) -> Option<Window> {
    let wire = |window| wire_window(window).into();
    value(field, number, &Window::ALL, wire, faults)
}

fn value<T: Copy>(
    field: &str,
    number: i32,
    all: &[T],
    wire: impl Fn(T) -> i32,
    faults: &mut InputFaults,
) -> Option<T> {
    let found = all.iter().copied().find(|one| wire(*one) == number);
    if found.is_none() && number != 0 {
        faults.add(field, number.to_string(), WANTED);
    }
    found
}

/// Reads roles. One that is not given or that the protocol does not define is a fault.
pub(super) fn roles(field: &str, numbers: &[i32], faults: &mut InputFaults) -> Vec<Role> {
    let wire = |role| convert::role(role).into();
    values(field, numbers, &Role::ALL, wire, faults)
}

/// Reads windows. One that is not given or that the protocol does not define is a fault.
pub(super) fn windows(field: &str, numbers: &[i32], faults: &mut InputFaults) -> Vec<Window> {
    let wire = |window| wire_window(window).into();
    values(field, numbers, &Window::ALL, wire, faults)
}

fn values<T: Copy>(
    field: &str,
    numbers: &[i32],
    all: &[T],
    wire: impl Fn(T) -> i32,
    faults: &mut InputFaults,
) -> Vec<T> {
    let mut values = Vec::with_capacity(numbers.len());
    for (at, number) in numbers.iter().enumerate() {
        match all.iter().find(|one| wire(**one) == *number) {
            Some(one) => values.push(*one),
            None => faults.add(format!("{field}[{at}]"), number.to_string(), WANTED),
        }
    }
    values
}

pub(super) fn wire_window(window: Window) -> v1::StatsWindow {
    match window {
        Window::Minute => v1::StatsWindow::Minute,
        Window::FiveMinutes => v1::StatsWindow::FiveMinutes,
        Window::Hour => v1::StatsWindow::Hour,
        Window::SinceLoad => v1::StatsWindow::SinceLoad,
    }
}

pub(super) fn distribution(summary: DistributionSummary) -> v1::Distribution {
    let bars = summary.bars.into_iter().map(|bar| v1::Bar {
        low: bar.low,
        high: bar.high,
        count: bar.count,
    });
    v1::Distribution {
        count: summary.count,
        mean: summary.mean,
        std: summary.std,
        min: summary.min,
        max: summary.max,
        p50: summary.p50,
        p90: summary.p90,
        p95: summary.p95,
        p99: summary.p99,
        p999: summary.p999,
        bars: bars.collect(),
        relative_error: summary.relative_error,
        beyond: summary.beyond,
    }
}
