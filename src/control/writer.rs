//! The one task that changes what is live. Changes come one after the other, so none can be lost between a read and a
//! write, and no lock is needed.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::admit::admit;
use super::store::{Store, StoreError};
use crate::error::AdminError;
use crate::ident::{ModelName, Revision};
use crate::insight::metrics::{ModelMeters, STATES, Telemetry};
use crate::serving::live::{Live, Routing, ServingModel, Snapshot};
use crate::serving::route::{Policy, RawPolicy};

/// Changes that may wait for the writer.
const WAITING: usize = 64;

/// A new policy for one model.
#[derive(Debug)]
pub struct PolicyChange {
    /// The model, as the caller spelt it.
    pub model: String,
    /// What is wanted, not yet checked.
    pub policy: RawPolicy,
    /// The revision that the caller has seen.
    pub expected: Revision,
}

type Reply = oneshot::Sender<Result<Revision, AdminError>>;

/// Sends changes to the writer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Control(mpsc::Sender<(PolicyChange, Reply)>);

impl Control {
    /// Changes a policy; answers once the change is stored and live.
    ///
    /// # Errors
    /// See [`AdminError`]; nothing was changed then.
    pub async fn set_policy(&self, change: PolicyChange) -> Result<Revision, AdminError> {
        let (reply, answer) = oneshot::channel();
        self.0
            .try_send((change, reply))
            .map_err(|refused| match refused {
                TrySendError::Full(_) => AdminError::Busy { limit: WAITING },
                TrySendError::Closed(_) => AdminError::Draining,
            })?;
        answer.await.map_err(|_| AdminError::Draining)?
    }
}

/// Makes changes, one at a time.
#[derive(Debug)]
pub struct Writer<S> {
    live: Arc<Live>,
    store: S,
    /// Of every model in the first snapshot. Their series go with the writer.
    meters: HashMap<ModelName, ModelMeters>,
    inbox: mpsc::Receiver<(PolicyChange, Reply)>,
}

impl<S: Store> Writer<S> {
    /// A writer and the handle that reaches it. It does nothing until [`run`](Self::run).
    #[must_use]
    pub fn new(live: Arc<Live>, store: S, telemetry: &Telemetry) -> (Control, Self) {
        let meters = meters(&live.snapshot(), telemetry);
        let (sender, inbox) = mpsc::channel(WAITING);
        (
            Control(sender),
            Self {
                live,
                store,
                meters,
                inbox,
            },
        )
    }

    /// Runs until the last [`Control`] is gone; changes that were already sent are still made.
    pub async fn run(mut self) {
        while let Some((change, reply)) = self.inbox.recv().await {
            let outcome = self.set_policy(change).await;
            // Who went away meanwhile reads the policy again and sees what happened.
            let _ = reply.send(outcome);
        }
    }

    async fn set_policy(&self, change: PolicyChange) -> Result<Revision, AdminError> {
        let snapshot = self.live.snapshot();
        let model = snapshot
            .models
            .get(change.model.as_str())
            .ok_or_else(|| AdminError::UnknownModel(change.model.chars().take(128).collect()))?;
        let policy =
            Policy::check(change.policy, &model.name).map_err(AdminError::InvalidPolicy)?;
        admit(&policy, model)?;
        let revision = self
            .store
            .compare_and_set(&model.name, change.expected, policy.clone())
            .await
            .map_err(
                |StoreError::Conflict { current }| AdminError::RevisionConflict {
                    expected: change.expected,
                    current,
                },
            )?;
        let next = routed(model, revision, policy);
        tracing::info!(model = %model.name, %revision, "traffic policy changed");
        if let Some(meters) = self.meters.get(&model.name) {
            meters.revision(revision);
        }
        next.report_target_shares();
        self.live.publish(snapshot.with(next));
        Ok(revision)
    }
}

/// The series of every model, which tell what `snapshot` serves.
fn meters(snapshot: &Snapshot, telemetry: &Telemetry) -> HashMap<ModelName, ModelMeters> {
    let mut all = HashMap::new();
    for (name, model) in &snapshot.models {
        match telemetry.model(name) {
            Ok(meters) => {
                let counts = STATES.map(|state| match state {
                    "READY" => model.ready.len(),
                    "FAILED" => model.failed.len(),
                    _ => 0,
                });
                meters.versions(&counts);
                let routing = model.routing.as_ref();
                meters.revision(routing.map_or(Revision::default(), |routing| routing.revision));
                all.insert(name.clone(), meters);
            }
            Err(error) => tracing::error!(model = %name, %error, "model has no series"),
        }
    }
    all
}

/// `model` under another policy, which [`admit`] has let in.
pub(super) fn routed(model: &ServingModel, revision: Revision, policy: Policy) -> ServingModel {
    let routing = Routing::resolve(revision, policy, &model.ready).map(Arc::new);
    debug_assert!(routing.is_some(), "admit has checked every version");
    ServingModel {
        routing,
        ..model.clone()
    }
}
