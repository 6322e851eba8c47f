//! What there is and how it stands, for protocols whose clients ask before they predict.

use std::sync::Arc;

use tokio::sync::watch;

use crate::control::View;
use crate::error::PredictError;
use crate::serving::live::{Live, ServingModel, Snapshot};
use crate::serving::version::VersionRuntime;
use crate::serving::{Pin, pinned};

/// Where a gateway stands between its start and its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// It takes new work.
    #[default]
    Serving,
    /// It finishes what it has.
    Draining,
    /// Nobody needs to know more: who watches can go.
    Gone,
}

/// Reads what is served and what is known.
#[derive(Clone, Debug)]
pub struct Catalog {
    live: Arc<Live>,
    views: watch::Receiver<Arc<View>>,
    stage: watch::Receiver<Stage>,
}

impl Catalog {
    /// What is served, what there is, and where the gateway stands.
    #[must_use]
    pub fn new(
        live: Arc<Live>,
        views: watch::Receiver<Arc<View>>,
        stage: watch::Receiver<Stage>,
    ) -> Self {
        Self { live, views, stage }
    }

    /// Where the gateway stands now.
    pub(super) fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Waits until something else is known, or the gateway stands elsewhere. `false`: nothing will ever change again.
    pub(super) async fn changed(&mut self) -> bool {
        tokio::select! {
            changed = self.views.changed() => changed.is_ok(),
            changed = self.stage.changed() => changed.is_ok(),
        }
    }

    /// Everything that is known now.
    pub(super) fn view(&self) -> Arc<View> {
        Arc::clone(&self.views.borrow())
    }

    /// Everything that is served now.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.live.snapshot()
    }

    /// Why not every model can answer as it is wanted, in order; empty: the gateway is ready.
    #[must_use]
    pub fn unready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.stage() != Stage::Serving {
            reasons.push("going down: no new work is taken".to_owned());
        }
        let view = self.view();
        if view.models.is_empty() {
            reasons.push("the registry holds no model".to_owned());
        }
        let models = view.models.values();
        reasons.extend(models.filter_map(|model| model.problem_line()));
        reasons.sort();
        reasons
    }

    /// A version of `model`: the one that `pin` names, else the highest that the split sends to.
    ///
    /// # Errors
    /// There is no such model, version or label, or it cannot answer.
    pub(super) fn version(
        &self,
        model: &str,
        pin: Option<&Pin>,
    ) -> Result<Arc<VersionRuntime>, PredictError> {
        self.found(model, pin).map(|(_, version)| version)
    }

    /// The same, with its model as it stood then.
    ///
    /// # Errors
    /// As [`version`](Self::version).
    pub(super) fn found(
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
        let sent = shares.iter().filter(|(_, share)| share.basis_points() > 0);
        let highest = sent.map(|(version, _)| version).next_back();
        let version = highest.and_then(|version| serving.ready.get(version));
        let version = version.ok_or_else(|| serving.not_ready())?;
        Ok((Arc::clone(serving), Arc::clone(version)))
    }
}
