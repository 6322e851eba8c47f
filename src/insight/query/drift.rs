//! Drift: whether the inputs and predictions of a version differ from those of a baseline.

use super::observed::{ObservedVersion, Sample};
use crate::ident::{Role, VersionNumber};
use crate::insight::drift::{ColumnPair, Columns, DriftReport, Finding, Rule, assess};
use crate::insight::stats::{Snapshot, Window};

/// The sample of a version whose drift is assessed if a query names no role or window: the last hour as primary.
const DEFAULT: Sample = Sample {
    role: Role::Primary,
    window: Window::Hour,
};

/// Which requests of some versions to compare, and with what.
#[derive(Clone, Debug)]
pub struct DriftQuery<'a> {
    sample: Sample,
    baseline: Baseline<'a>,
}

/// The baseline that a sample is compared with.
#[derive(Clone, Debug)]
enum Baseline<'a> {
    /// The reference profile in the version's own manifest.
    Profile,
    /// A sample of a version, of another one or of the same.
    Version(ObservedVersion<'a>, Sample),
    /// The same version in the same role, from the beginning of this longer window to the beginning of the sample's window.
    Before(Window),
}

/// The earlier window of a comparison does not begin before the window that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the earlier window is not longer than the window that is compared")]
pub struct NotEarlier {
    /// The window that was given as the earlier one.
    pub longer: Window,
}

impl<'a> DriftQuery<'a> {
    /// Compares a sample of each version with the reference profile in its own manifest.
    #[must_use]
    pub fn against_profile(sample: Sample) -> Self {
        let baseline = Baseline::Profile;
        Self { sample, baseline }
    }

    /// Compares a sample of each version with a sample of `other`. The role and the window of the latter are those of `sample`
    /// if they are not given.
    ///
    /// All windows end now. Two windows of one version in one role overlap, so tests between them say less than they seem to:
    /// prefer [`against_earlier`](Self::against_earlier).
    #[must_use]
    pub fn against_version(
        sample: Sample,
        other: ObservedVersion<'a>,
        role: Option<Role>,
        window: Option<Window>,
    ) -> Self {
        let others = Sample {
            role: role.unwrap_or(sample.role),
            window: window.unwrap_or(sample.window),
        };
        let baseline = Baseline::Version(other, others);
        Self { sample, baseline }
    }

    /// Compares a sample of each version with the same version in the same role, from the beginning of the window `longer` (by
    /// default, since loading) to the beginning of the sample's window. No request is on both sides.
    ///
    /// # Errors
    /// Returns an error if `longer` is not longer than the window of `sample`.
    pub fn against_earlier(sample: Sample, longer: Option<Window>) -> Result<Self, NotEarlier> {
        let longer = longer.unwrap_or(Window::SinceLoad);
        if place(longer) <= place(sample.window) {
            return Err(NotEarlier { longer });
        }
        let baseline = Baseline::Before(longer);
        Ok(Self { sample, baseline })
    }

    /// Returns the sample to compare, with the defaults for what is not given: primary, an hour.
    #[must_use]
    pub fn sample(role: Option<Role>, window: Option<Window>) -> Sample {
        Sample {
            role: role.unwrap_or(DEFAULT.role),
            window: window.unwrap_or(DEFAULT.window),
        }
    }
}

/// Returns the place of `window` among all windows, the shortest first.
fn place(window: Window) -> Option<usize> {
    Window::ALL.iter().position(|one| *one == window)
}

/// The drift of some versions.
#[derive(Clone, Debug, PartialEq)]
pub struct DriftAnswer {
    /// When a difference counts as drift.
    pub rule: Rule,
    /// One per version, in their order.
    pub versions: Vec<VersionDrift>,
}

/// The drift of one version.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionDrift {
    /// The version.
    pub version: VersionNumber,
    /// The sample that was compared.
    pub sample: Sample,
    /// The assessment of each column, or why there is none.
    pub outcome: Result<Assessment, NotCompared>,
}

/// The columns of one version, compared and judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// The columns that were compared.
    pub columns: Columns,
    /// The findings about `columns`, in their order.
    pub report: DriftReport,
}

/// Why a version is not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCompared {
    /// There is no profile to compare with.
    #[error("its manifest has no reference profile")]
    NoProfile,
    /// One of the two sides has never answered in its role.
    #[error("version {version} has answered nothing in role {}", role.as_str())]
    NeverPlayed {
        /// The version.
        version: VersionNumber,
        /// The role.
        role: Role,
    },
}

impl Assessment {
    fn of(columns: Columns, rule: Rule) -> Self {
        let report = assess(&columns.features, &columns.predictions, rule);
        Self { columns, report }
    }

    /// Returns each input with the finding about it.
    pub fn features(&self) -> impl Iterator<Item = (&ColumnPair, &Finding)> {
        self.columns.features.iter().zip(&self.report.features)
    }

    /// Returns each output with the finding about it; against a window, the classes too.
    pub fn predictions(&self) -> impl Iterator<Item = (&ColumnPair, &Finding)> {
        let findings = self.report.predictions.iter();
        self.columns.predictions.iter().zip(findings)
    }
}

/// Compares each of `versions` with the baseline of `query` and judges the differences by the default rule.
#[must_use]
pub fn assess_versions(versions: &[ObservedVersion<'_>], query: &DriftQuery<'_>) -> DriftAnswer {
    let rule = Rule::default();
    let assessed = versions.iter().map(|version| VersionDrift {
        version: version.number(),
        sample: query.sample,
        outcome: columns(*version, query).map(|columns| Assessment::of(columns, rule)),
    });
    DriftAnswer {
        rule,
        versions: assessed.collect(),
    }
}

/// Compares the last hour of a version as primary with its own reference profile, as the gauges of drift show it. A version that
/// has answered nothing has too few rows in every column. `None` if its manifest has no profile.
#[must_use]
pub fn assess_for_gauges(version: ObservedVersion<'_>) -> Option<Assessment> {
    let stats = &version.insight.stats;
    let read = stats.read(DEFAULT.role, DEFAULT.window);
    let read = read.unwrap_or_else(|| stats.empty_snapshot());
    let reference = version.manifest.about.reference.as_ref()?;
    let columns = Columns::against_profile(&version.manifest.signature, reference, &read);
    Some(Assessment::of(columns, Rule::default()))
}

/// Returns the columns of `version` that can be compared with the baseline.
fn columns(version: ObservedVersion<'_>, query: &DriftQuery<'_>) -> Result<Columns, NotCompared> {
    let DriftQuery { sample, baseline } = query;
    let signature = &version.manifest.signature;
    match baseline {
        Baseline::Profile => {
            let reference = version.manifest.about.reference.as_ref();
            let reference = reference.ok_or(NotCompared::NoProfile)?;
            let now = read(version, *sample)?;
            Ok(Columns::against_profile(signature, reference, &now))
        }
        Baseline::Version(other, others) => {
            let before = read(*other, *others)?;
            let now = read(version, *sample)?;
            Ok(Columns::between(signature, &before, &now))
        }
        Baseline::Before(longer) => {
            let stats = &version.insight.stats;
            let parts = stats.read_and_before(sample.role, sample.window, *longer);
            let [now, before] = parts.ok_or_else(|| never_played(version, sample.role))?;
            Ok(Columns::between(signature, &before, &now))
        }
    }
}

fn read(version: ObservedVersion<'_>, sample: Sample) -> Result<Snapshot, NotCompared> {
    let read = version.insight.stats.read(sample.role, sample.window);
    read.ok_or_else(|| never_played(version, sample.role))
}

fn never_played(version: ObservedVersion<'_>, role: Role) -> NotCompared {
    let version = version.number();
    NotCompared::NeverPlayed { version, role }
}
