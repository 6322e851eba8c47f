//! The first snapshot: what the registry holds under what the configuration wants.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::admit::admit;
use super::load::LoadedModel;
use super::store::Store;
use super::writer::routed;
use crate::error::AdminError;
use crate::faults::Faults;
use crate::ident::{Label, ModelName, Revision, Share, VersionNumber};
use crate::serving::live::{ServingModel, Snapshot};
use crate::serving::route::{Policy, RawPolicy};

/// What faults of the configuration are filed under: it may come from a file, from flags or from both.
const CONFIGURATION: &str = "configuration";

/// What the configuration wants for one model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelSettings {
    /// Labels and the versions they name.
    pub labels: BTreeMap<Label, VersionNumber>,
    /// The policy to begin with; `None`: everything to `latest`.
    pub policy: Option<Policy>,
}

/// Builds the first snapshot and stores the first policies.
///
/// # Errors
/// Everything that cannot be honoured, at once, by path in the configuration: a model that the registry does not hold,
/// a label or a policy that names a version which is not READY. Nothing is changed silently to make it fit.
pub async fn boot<S: Store>(
    loaded: Vec<LoadedModel>,
    mut settings: BTreeMap<ModelName, ModelSettings>,
    store: &S,
) -> Result<Snapshot, Faults> {
    let mut faults = Faults::default();
    let mut models = HashMap::new();
    for LoadedModel {
        name,
        ready,
        failed,
    } in loaded
    {
        let wanted = settings.remove(&name).unwrap_or_default();
        let mut labels = wanted.labels;
        for (label, version) in &labels {
            if !ready.contains_key(version) {
                let error = AdminError::LabelNotReady {
                    label: label.clone(),
                    version: *version,
                };
                faults.add(
                    CONFIGURATION,
                    format!("$.models.{name}.labels.{label}"),
                    error.to_string(),
                );
            }
        }
        let latest = ready.keys().next_back().copied();
        if let (Some(latest), Ok(label)) = (latest, Label::LATEST.parse()) {
            labels.insert(label, latest);
        }
        let model = ServingModel {
            name: name.clone(),
            ready,
            failed,
            labels,
            routing: None,
        };
        let stored = store.get(&name).await;
        let kept = stored.as_ref().map(|stored| stored.policy.clone());
        let first = || latest.and_then(|latest| all_to(latest, &name));
        let Some(policy) = kept.or(wanted.policy).or_else(first) else {
            tracing::warn!(model = %name, "no version is ready: the model cannot answer");
            models.insert(name, Arc::new(model));
            continue;
        };
        if let Err(error) = admit(&policy, &model) {
            faults.add(
                CONFIGURATION,
                format!("$.models.{name}.split"),
                error.to_string(),
            );
            continue;
        }
        let revision = match stored {
            Some(stored) => stored.revision,
            None => match store
                .compare_and_set(&name, Revision::default(), policy.clone())
                .await
            {
                Ok(revision) => revision,
                Err(error) => {
                    faults.add(CONFIGURATION, format!("$.models.{name}"), error.to_string());
                    continue;
                }
            },
        };
        let model = routed(&model, revision, policy);
        model.report_target_shares();
        models.insert(name, Arc::new(model));
    }
    for name in settings.keys() {
        let message = "the registry holds no model of this name";
        faults.add(CONFIGURATION, format!("$.models.{name}"), message);
    }
    faults.into_result()?;
    Ok(Snapshot { models })
}

fn all_to(version: VersionNumber, model: &ModelName) -> Option<Policy> {
    let split = vec![(version.get(), Share::FULL.basis_points())];
    Policy::check(
        RawPolicy {
            split,
            ..RawPolicy::default()
        },
        model,
    )
    .ok()
}
