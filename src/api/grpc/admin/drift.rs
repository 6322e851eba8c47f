//! Whether versions drift, on its way to the wire.

use super::stats::{ROLES, version, wire_window};
use crate::api::grpc::convert;
use crate::control::ModelView;
use crate::error::{AdminError, InputFaults};
use crate::ident::Role;
use crate::insight::drift::{
    Columns, FeaturePair, Finding, Measured, Outcome, Pair, Rule, Severity, Statistics, assess,
};
use crate::insight::stats::Window;
use crate::proto::v1;
use crate::proto::v1::get_drift_request::Against;
use crate::serving::live::{self, ServingVersion};

/// A version, and what it is compared by.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seen {
    role: Role,
    window: Window,
}

/// What it is compared with.
enum Beside<'a> {
    Profile,
    Version(&'a ServingVersion, Seen),
    Before(Window),
}

/// The drift of the versions that `request` names, of all that are READY where it names none.
///
/// # Errors
/// A version that is not known or not READY, a role or window that does not exist, a window that is not earlier.
pub(super) fn get(
    live: &live::Snapshot,
    model: &ModelView,
    request: &v1::GetDriftRequest,
) -> Result<v1::GetDriftResponse, AdminError> {
    let mut faults = InputFaults::default();
    let seen = Seen {
        role: role("role", request.role, Role::Primary, &mut faults),
        window: window("window", request.window, Window::Hour, &mut faults),
    };
    let serving = live.models.get(model.name.as_str());
    let beside = match &request.against {
        None => Beside::Profile,
        Some(Against::Other(other)) => {
            let theirs = Seen {
                role: role("other.role", other.role, seen.role, &mut faults),
                window: window("other.window", other.window, seen.window, &mut faults),
            };
            Beside::Version(version(serving, model, other.version)?, theirs)
        }
        Some(Against::Earlier(longer)) => {
            let found = window("earlier", *longer, Window::SinceLoad, &mut faults);
            if place(found) <= place(seen.window) && faults.is_empty() {
                let got = wire_window(found).as_str_name();
                faults.add("earlier", got, "a longer window than `window`");
            }
            Beside::Before(found)
        }
    };
    faults.into_result().map_err(AdminError::InvalidChange)?;
    let mut versions = Vec::new();
    for number in &request.versions {
        versions.push(version(serving, model, *number)?);
    }
    if versions.is_empty() {
        versions.extend(serving.iter().flat_map(|serving| serving.ready.values()));
    }
    versions.sort_by_key(|version| version.number());
    versions.dedup_by_key(|version| version.number());
    let rule = Rule::default();
    let told = versions.into_iter().map(|version| {
        let mut told = match columns(version, seen, &beside) {
            Ok(columns) => judged(&columns, rule),
            Err(why) => v1::VersionDrift {
                not_compared: why,
                ..Default::default()
            },
        };
        told.version = version.number().get();
        told.set_role(convert::role(seen.role));
        told.set_window(wire_window(seen.window));
        told
    });
    Ok(v1::GetDriftResponse {
        model: model.name.to_string(),
        versions: told.collect(),
        rule: Some(v1::DriftRule {
            alpha: rule.alpha,
            min_rows: rule.min_rows,
            psi: rule.psi,
            ks: rule.ks,
        }),
    })
}

/// What can be compared, or why nothing can.
fn columns(version: &ServingVersion, seen: Seen, beside: &Beside<'_>) -> Result<Columns, String> {
    let manifest = version.version.manifest();
    let stats = &version.insight.stats;
    let nothing = |number: u64, role: Role| {
        let role = role.as_str();
        format!("version {number} has answered nothing in role {role}")
    };
    let unseen = || nothing(manifest.version.get(), seen.role);
    let read = || stats.read(seen.role, seen.window).ok_or_else(unseen);
    let signature = &manifest.signature;
    match beside {
        Beside::Profile => {
            let reference = manifest.about.reference.as_ref();
            let reference = reference.ok_or("its manifest has no reference profile")?;
            Ok(Columns::beside_profile(signature, reference, &read()?))
        }
        Beside::Version(other, theirs) => {
            let before = other.insight.stats.read(theirs.role, theirs.window);
            let before = before.ok_or_else(|| nothing(other.number().get(), theirs.role))?;
            Ok(Columns::between(signature, &before, &read()?))
        }
        Beside::Before(longer) => {
            let read = stats.read_and_before(seen.role, seen.window, *longer);
            let [now, before] = read.ok_or_else(unseen)?;
            Ok(Columns::between(signature, &before, &now))
        }
    }
}

/// The role of this number; 0: `absent`.
fn role(field: &str, number: i32, absent: Role, faults: &mut InputFaults) -> Role {
    let all = ROLES.map(|role| (role, convert::role(role).into()));
    chosen(field, number, absent, &all, faults)
}

/// The window of this number; 0: `absent`.
fn window(field: &str, number: i32, absent: Window, faults: &mut InputFaults) -> Window {
    let all = Window::ALL.map(|window| (window, wire_window(window).into()));
    chosen(field, number, absent, &all, faults)
}

fn chosen<T: Copy>(
    field: &str,
    number: i32,
    absent: T,
    all: &[(T, i32)],
    faults: &mut InputFaults,
) -> T {
    let found = all.iter().find(|(_, wire)| *wire == number);
    if found.is_none() && number != 0 {
        faults.add(field, number.to_string(), "one of its names");
    }
    found.map_or(absent, |(one, _)| *one)
}

/// Among the windows, the shortest first.
fn place(window: Window) -> Option<usize> {
    Window::ALL.iter().position(|one| *one == window)
}

fn judged(columns: &Columns, rule: Rule) -> v1::VersionDrift {
    let report = assess(&columns.features, &columns.predictions, rule);
    let told = |pairs: &[FeaturePair], findings: &[Finding]| {
        let told = pairs.iter().zip(findings);
        told.map(|(column, finding)| told_column(&column.pair, finding))
            .collect()
    };
    v1::VersionDrift {
        features: told(&columns.features, &report.features),
        predictions: told(&columns.predictions, &report.predictions),
        features_sensitive: columns.sensitive as u64,
        features_left_out: columns.left_out as u64,
        ..Default::default()
    }
}

fn told_column(pair: &Pair, finding: &Finding) -> v1::ColumnDrift {
    let kind = match pair {
        Pair::Numbers { .. } => v1::ColumnKind::Numbers,
        Pair::Categories { .. } => v1::ColumnKind::Categories,
    };
    let [reference_rows, rows] = finding.rows;
    let [reference_missing, missing] = finding.missing;
    let about = v1::ColumnDrift {
        name: finding.name.clone(),
        kind: kind.into(),
        reference_rows,
        rows,
        reference_missing,
        missing,
        ..Default::default()
    };
    match &finding.outcome {
        Outcome::TooFew(_) => v1::ColumnDrift {
            verdict: v1::DriftVerdict::TooFewRows.into(),
            ..about
        },
        Outcome::Measured(statistics) => measured(statistics, about),
    }
}

fn measured(statistics: &Statistics, about: v1::ColumnDrift) -> v1::ColumnDrift {
    let ends = |one: Measured| v1::MeasuredStatistic {
        value: one.value,
        low: one.low,
        high: one.high,
    };
    let verdict = match statistics.severity {
        Severity::None => v1::DriftVerdict::Stable,
        Severity::Moderate => v1::DriftVerdict::Moderate,
        Severity::Severe => v1::DriftVerdict::Severe,
    };
    v1::ColumnDrift {
        verdict: verdict.into(),
        kolmogorov_smirnov: statistics.ks.map(ends),
        wasserstein: statistics.wasserstein.map(ends),
        chi_squared: statistics.chi_squared.map(|test| v1::ChiSquaredTest {
            statistic: test.statistic,
            dof: test.dof,
            p: test.p,
        }),
        psi: Some(ends(statistics.psi)),
        jensen_shannon: Some(ends(statistics.js)),
        p: Some(statistics.p),
        p_corrected: Some(statistics.p_corrected),
        ..about
    }
}
