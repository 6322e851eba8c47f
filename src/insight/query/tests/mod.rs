//! Questions asked of versions whose requests are recorded by hand.

mod compare;
mod drift;
mod kinds;
mod outcomes;
mod stats;

use std::time::Duration;

use super::*;
use crate::error::Code;
use crate::ident::Role;
use crate::insight::VersionInsight;
use crate::insight::metrics::Telemetry;
use crate::insight::stats::{Scoring, Settings, Window};
use crate::model::{Manifest, Observe as _, Observed, Scores, TopClass, samples};

/// A version of two numeric inputs, `a` and `b`, that predicts the probability of `yes`.
struct Loaded {
    manifest: Manifest,
    insight: VersionInsight,
}

impl Loaded {
    fn new(number: u64) -> Self {
        Self::of(samples::manifest(samples::document("m", number)))
    }

    fn of(manifest: Manifest) -> Self {
        let telemetry = Telemetry::new().unwrap();
        let insight = VersionInsight::new(&telemetry, &manifest, Settings::default()).unwrap();
        Self { manifest, insight }
    }

    fn observed(&self) -> ObservedVersion<'_> {
        ObservedVersion {
            manifest: &self.manifest,
            insight: &self.insight,
        }
    }

    /// Records a request of one row whose `a` is `a` and whose `score` is the probability of `yes`.
    fn answer(&self, role: Role, a: f64, score: f32) {
        let mut observer = self.insight.stats.observe_inputs();
        observer.cell(0, Observed::Number(a));
        let is_yes = score >= 0.5;
        let top = [TopClass {
            index: usize::from(is_yes),
            probability: if is_yes { score } else { 1.0 - score },
        }];
        let scoring = Scoring {
            queue: Duration::from_millis(1),
            inference: Duration::from_millis(2),
            scores: &Scores::new(vec![score], 1).unwrap(),
            top: &top,
            is_first: true,
        };
        self.insight.stats.scored(role, &observer, scoring);
        self.end(role, Code::Ok);
    }

    fn end(&self, role: Role, code: Code) {
        let total = Duration::from_millis(4);
        self.insight.stats.ended(role, code, total);
    }
}

#[test]
fn versions_are_selected_once_and_in_ascending_order() {
    let [one, two, three] = [1, 2, 3].map(Loaded::new);
    let ready = || [&three, &one, &two].map(Loaded::observed);
    let numbers = |chosen: &[u64]| -> Vec<u64> {
        let chosen: Vec<_> = chosen.iter().map(|n| (*n).try_into().unwrap()).collect();
        let selected = select(ready(), &chosen);
        selected.iter().map(|one| one.number().get()).collect()
    };
    assert_eq!(numbers(&[]), [1, 2, 3], "none named: all");
    assert_eq!(numbers(&[3, 1, 3]), [1, 3]);
}
