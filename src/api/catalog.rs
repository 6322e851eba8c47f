//! Which models and versions there are and their states, for requests that read before they predict.

use std::sync::Arc;

use tokio::sync::watch;

use super::lifecycle::{Stage, StageWatch};
use crate::control::View;
use crate::error::PredictError;
use crate::serving::live::{Live, ServingModel, Snapshot};
use crate::serving::version::VersionRuntime;
use crate::serving::{Pin, pinned};

/// Reads what is served and what control has published.
#[derive(Clone, Debug)]
pub struct Catalog {
    live: Arc<Live>,
    views: watch::Receiver<Arc<View>>,
    stage: StageWatch,
    rule: ReadinessRule,
}

/// When a gateway that does not drain is ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadinessRule {
    /// While a model answers: the problem of one model must not take the gateway away from the clients of the others.
    #[default]
    AnyModel,
    /// While every model can do what its policy wants.
    EveryModel,
}

/// Whether the gateway takes requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Whether it is ready.
    pub is_ready: bool,
    /// What is wrong: with the gateway first, then one line for each model with a problem. A gateway with problems may be ready.
    pub problems: Vec<String>,
}

impl Catalog {
    /// Creates a catalog of what `live` serves and control publishes in `views`, for a gateway in this `stage`.
    #[must_use]
    pub fn new(live: Arc<Live>, views: watch::Receiver<Arc<View>>, stage: StageWatch) -> Self {
        Self {
            live,
            views,
            stage,
            rule: ReadinessRule::default(),
        }
    }

    /// Sets when the gateway is ready.
    #[must_use]
    pub fn with_readiness_rule(self, rule: ReadinessRule) -> Self {
        Self { rule, ..self }
    }

    /// Returns whether the gateway has reached `stage`.
    pub(super) fn has_reached(&self, stage: Stage) -> bool {
        self.stage.has_reached(stage)
    }

    /// Waits until the published state or the stage changes. Returns `false` if neither will ever change again.
    pub(super) async fn changed(&mut self) -> bool {
        tokio::select! {
            changed = self.views.changed() => changed.is_ok(),
            changed = self.stage.changed() => changed,
        }
    }

    /// Returns the state that control has published.
    pub(super) fn view(&self) -> Arc<View> {
        Arc::clone(&self.views.borrow())
    }

    /// Returns what is served now.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.live.snapshot()
    }

    /// Returns whether the gateway takes requests, and what is wrong.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let view = self.view();
        let models = view.models.values();
        let mut problems: Vec<_> = models.filter_map(|model| model.problem_line()).collect();
        problems.sort();
        let drains = self.has_reached(Stage::Draining);
        let is_ready = match self.rule {
            ReadinessRule::AnyModel => {
                let snapshot = self.snapshot();
                let mut models = snapshot.models.values();
                models.any(|model| model.routing.is_some())
            }
            ReadinessRule::EveryModel => {
                problems.is_empty() && !view.models.is_empty() && view.store_problem.is_none()
            }
        };
        if view.models.is_empty() {
            problems.insert(0, "the registry holds no model".to_owned());
        }
        if let Some(problem) = &view.store_problem {
            problems.insert(0, problem.clone());
        }
        if drains {
            let text = "the gateway is shutting down and takes no new work";
            problems.insert(0, text.to_owned());
        }
        Readiness {
            is_ready: is_ready && !drains,
            problems,
        }
    }

    /// Returns a version of `model`: the one that `pin` names, otherwise the highest one that has a share in the split.
    ///
    /// # Errors
    /// Returns an error if the model, version or label does not exist or cannot answer.
    pub(super) fn version(
        &self,
        model: &str,
        pin: Option<&Pin>,
    ) -> Result<Arc<VersionRuntime>, PredictError> {
        self.find(model, pin).map(|(_, version)| version)
    }

    /// Returns a version as [`version`](Self::version) does, with its model from the same snapshot.
    ///
    /// # Errors
    /// As [`version`](Self::version).
    pub(super) fn find(
        &self,
        model: &str,
        pin: Option<&Pin>,
    ) -> Result<(Arc<ServingModel>, Arc<VersionRuntime>), PredictError> {
        let snapshot = self.snapshot();
        let serving = snapshot.model(model)?;
        if let Some(pin) = pin {
            let version = pinned(serving, pin)?;
            return Ok((Arc::clone(serving), Arc::clone(version)));
        }
        let shares = serving.routing()?.shares();
        let with_share = shares.iter().filter(|(_, share)| share.basis_points() > 0);
        let highest = with_share.map(|(version, _)| version).next_back();
        let version = highest.and_then(|version| serving.ready.get(version));
        let version = version.ok_or_else(|| serving.not_ready())?;
        Ok((Arc::clone(serving), Arc::clone(version)))
    }
}
