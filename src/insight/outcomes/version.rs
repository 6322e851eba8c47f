//! How good one version was, in each role.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::time::Instant;

use super::quality::{Quality, Sums};
use super::report::{Misfit, Truth, shortened};
use super::window::{Reading, Windows};
use crate::ident::Role;
use crate::insight::metrics::{JoinedCounter, QualityMeters};
use crate::model::Signature;

/// Classes that a refusal names.
const CLASSES_IN_TEXT: usize = 8;

/// What a version answers, as far as a truth can be held against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The probability of the second of two classes.
    OneColumn,
    /// A probability for each class.
    Columns,
    /// One number.
    Value,
    /// Several numbers, against which nothing is held.
    Values,
}

/// The truths about what one version answered. It goes with the version; what still waits for a truth then finds it gone.
#[derive(Debug)]
pub struct VersionQuality {
    kind: Kind,
    classes: Vec<String>,
    begin: Instant,
    meters: QualityMeters,
    roles: [OnceLock<Box<OfRole>>; Role::COUNT],
}

#[derive(Debug)]
struct OfRole {
    windows: Mutex<Windows>,
    joined: JoinedCounter,
}

impl VersionQuality {
    /// No truth yet about what a version with this signature answers.
    pub(in crate::insight) fn new(signature: &Signature, meters: QualityMeters) -> Arc<Self> {
        let kind = match (signature.classes.len(), signature.output.columns) {
            (0, 1) => Kind::Value,
            (0, _) => Kind::Values,
            (_, 1) => Kind::OneColumn,
            _ => Kind::Columns,
        };
        Arc::new(Self {
            kind,
            classes: signature.classes.clone(),
            begin: Instant::now(),
            meters,
            roles: Default::default(),
        })
    }

    /// Whether anything can be held against its answers.
    pub(super) fn takes_truths(&self) -> bool {
        self.kind != Kind::Values
    }

    /// Finds out what `truth` means to this version.
    pub(super) fn meaning(&self, truth: &Truth) -> Result<Meaning, Misfit> {
        let misfit = |got: String, wanted: String| Misfit {
            field: "truth",
            got,
            wanted,
            malformed: false,
        };
        let is_class = matches!(self.kind, Kind::OneColumn | Kind::Columns);
        match truth {
            _ if !self.takes_truths() => {
                let told = "an answer of one number: outcomes of several are not kept";
                Err(misfit("an answer of several numbers".into(), told.into()))
            }
            Truth::Number(number) if is_class => Err(misfit(number.to_string(), self.named())),
            Truth::Number(number) => Ok(Meaning::Number(*number)),
            Truth::Class(class) if is_class => {
                let at = self.classes.iter().position(|known| known == class);
                at.map(Meaning::Class)
                    .ok_or_else(|| misfit(format!("{:?}", shortened(class)), self.named()))
            }
            Truth::Class(class) => {
                let got = format!("{:?}", shortened(class));
                Err(misfit(got, "a number: the version has no classes".into()))
            }
        }
    }

    fn named(&self) -> String {
        let mut classes: Vec<_> = self
            .classes
            .iter()
            .take(CLASSES_IN_TEXT)
            .collect::<Vec<_>>();
        let more = self.classes.len() - classes.len();
        let rest = format!("{more} more");
        if more > 0 {
            classes.push(&rest);
        }
        format!("one of {classes:?}")
    }

    /// Counts that what was answered in `row` turned out so.
    pub(super) fn count(&self, role: Role, row: &[f32], meaning: Meaning) {
        let of_role = self.roles[role as usize].get_or_init(|| {
            Box::new(OfRole {
                windows: Mutex::default(),
                joined: self.meters.joined(role),
            })
        });
        of_role.joined.increment();
        let score = row.first().map_or(0.0, |score| f64::from(*score));
        let add = |sums: &mut Sums| match meaning {
            Meaning::Class(class) if self.kind == Kind::OneColumn => {
                sums.add_two(score, class == 1);
            }
            Meaning::Class(class) => sums.add_many(row, class),
            Meaning::Number(truth) => sums.add_value(score, truth),
        };
        lock(&of_role.windows).add(self.begin.elapsed(), add);
    }

    /// What is known now of this role; `None` where no truth came about it.
    #[must_use]
    pub fn read(&self, role: Role) -> Option<Reading> {
        let of_role = self.roles[role as usize].get()?;
        Some(lock(&of_role.windows).read(self.begin.elapsed()))
    }

    /// The measures that these sums make for this version; `None` without rows.
    #[must_use]
    pub fn measure(&self, sums: &Sums) -> Option<Quality> {
        match self.kind {
            Kind::OneColumn | Kind::Columns => sums.of_classes(),
            Kind::Value => sums.of_values(),
            Kind::Values => None,
        }
    }

    /// Brings the gauges up to date.
    pub fn tell(&self) {
        for role in Role::ALL {
            let quality = self.read(role).and_then(|read| self.measure(&read.all));
            for (measure, value) in quality.iter().flat_map(Quality::by_name) {
                self.meters.quality(role, measure, value);
            }
        }
    }
}

/// A truth in the terms of a version.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Meaning {
    /// The class in this place.
    Class(usize),
    /// This number.
    Number(f64),
}

fn lock(windows: &Mutex<Windows>) -> MutexGuard<'_, Windows> {
    windows.lock().unwrap_or_else(PoisonError::into_inner)
}
