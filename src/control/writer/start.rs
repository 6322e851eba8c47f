//! The first snapshot: the stored desired state of each model, or the initial one of the configuration before the first
//! change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::follow::Committed;
use super::task::{Event, Writer};
use crate::control::clock::unix_ms;
use crate::control::model_state::ModelState;
use crate::control::store::{Author, Draft, Origin, StoreError};
use crate::control::wanted::Wanted;
use crate::error::AdminError;
use crate::faults::Faults;
use crate::ident::{ModelName, Revision};
use crate::registry::Listing;

/// In place of a file name in faults of the configuration, which may come from a file, from flags or from both.
const CONFIGURATION: &str = "configuration";

/// How a writer starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartMode {
    /// Stores the initial desired state, and reverts what is due.
    Serve,
    /// Only checks that it could serve.
    Check,
}

impl Writer {
    /// Loads what is wanted of `listing` and publishes the first snapshot.
    ///
    /// A stored desired state that the registry cannot honour does not prevent the start. `/readyz` reports it, and the model
    /// does not answer until it can be honoured; all other models serve.
    ///
    /// # Errors
    /// Returns all faults in the configuration's initial desired states, each with its path, or an error if the store cannot
    /// be read.
    pub async fn start(&mut self, listing: &Listing, mode: StartMode) -> Result<(), Faults> {
        // Read before the records: a change that is stored meanwhile is followed again later.
        let newest = *self.stored.borrow_and_update();
        let records = self.store.all().await.map_err(state_fault)?;
        self.check_audit_log(newest)?;
        self.read_digests().await.map_err(state_fault)?;
        self.apply_listing(listing);
        let stored: BTreeSet<ModelName> =
            records.iter().map(|record| record.model.clone()).collect();
        let decided: BTreeSet<ModelName> = records
            .iter()
            .filter(|record| !record.is_first_version())
            .map(|record| record.model.clone())
            .collect();
        for record in records {
            self.follow(record).await.map_err(state_fault)?;
        }
        self.followed = newest;
        let initial = self.initial_states(&decided);
        let mut faults = self.unknown_models(&stored, listing);
        // In force from now on, so that the right versions are loaded. Stored after they are checked.
        for (name, wanted) in &initial {
            if let Some(model) = self.models.get_mut(name) {
                let mut wanted = Wanted::clone(wanted);
                if wanted.policy.is_none() {
                    // The first version keeps its traffic.
                    wanted.policy.clone_from(&model.wanted.policy);
                }
                model.wanted = Arc::new(wanted);
            }
        }
        self.load_all().await;
        for name in initial.keys() {
            self.check_initial(name, &mut faults);
        }
        faults.into_result()?;
        self.log_ignored_settings(&decided);
        if mode == StartMode::Serve {
            self.complete_audit_log().await;
            for name in initial.into_keys() {
                self.store_initial(&name).await?;
            }
            self.revert_due_changes().await;
            self.make_automatic_changes().await;
            self.store_digests_if_due().await;
        } else {
            self.models
                .values_mut()
                .for_each(ModelState::use_first_version);
        }
        self.reconcile_and_publish();
        Ok(())
    }

    /// Checks that the audit log has no later revision than the store. It is written after the store, so a later revision
    /// means that the store is an old copy or has lost changes, and that revisions would be assigned twice.
    fn check_audit_log(&self, newest: Revision) -> Result<(), Faults> {
        if self.audited <= newest {
            return Ok(());
        }
        let message = format!(
            "the audit log ends with revision {}, and the store with revision {newest}: the store was replaced by an older \
             one or has lost changes. Put the right one back, or move the files audit*.jsonl elsewhere to go on from here",
            self.audited
        );
        Err(Faults::one("state", message))
    }

    /// Returns the initial desired states of models that are not in `decided`, whose stored state comes first.
    fn initial_states(&self, decided: &BTreeSet<ModelName>) -> BTreeMap<ModelName, Arc<Wanted>> {
        let models = self.settings.models.iter();
        models
            .filter(|(name, _)| !decided.contains(*name))
            .filter_map(|(name, settings)| Some((name.clone(), Arc::new(settings.initial()?))))
            .collect()
    }

    /// Returns a fault for each model of the configuration that is neither stored nor in the registry.
    fn unknown_models(&self, stored: &BTreeSet<ModelName>, listing: &Listing) -> Faults {
        let mut faults = Faults::default();
        for name in self.settings.models.keys() {
            if !stored.contains(name) && !listing.versions.contains_key(name) {
                let message = "the registry holds no model of this name";
                faults.add(CONFIGURATION, format!("$.models.{name}"), message);
            }
        }
        faults
    }

    fn log_ignored_settings(&self, decided: &BTreeSet<ModelName>) {
        for name in decided {
            let settings = self.settings.models.get(name);
            if settings.is_some_and(|settings| settings.initial().is_some()) {
                tracing::info!(model = %name, "its policy and labels come from the state folder, not from the configuration");
            }
        }
    }

    /// Loads until nothing is left to load.
    pub(super) async fn load_all(&mut self) {
        while self.reconcile_and_publish() {
            match self.events.recv().await {
                // The start uses the listing that it was given.
                Some(Event::Listed(_)) => {}
                Some(event) => self.handle_event(event),
                None => return,
            }
        }
    }

    /// Checks that the initial desired state of `name` can be honoured.
    fn check_initial(&self, name: &ModelName, faults: &mut Faults) {
        let Some(model) = self.models.get(name) else {
            return;
        };
        let ready = model.ready();
        let mut is_label_reported = false;
        for (label, version) in &model.wanted.labels {
            if !ready.contains_key(version) {
                let path = format!("$.models.{name}.labels.{label}");
                let (label, version) = (label.clone(), *version);
                let error = AdminError::LabelNotReady { label, version };
                faults.add(CONFIGURATION, path, error.to_string());
                is_label_reported = true;
            }
        }
        let has_policy = model.wanted.policy.is_some();
        match model.check_admissible(&model.wanted) {
            Err(AdminError::NotReady(_)) if is_label_reported && !has_policy => {}
            Err(error) if has_policy => {
                let path = format!("$.models.{name}.split");
                faults.add(CONFIGURATION, path, error.to_string());
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Stores the initial desired state of a model. If another writer has stored one meanwhile, that one is followed.
    async fn store_initial(&mut self, name: &ModelName) -> Result<(), Faults> {
        let Some(model) = self.models.get_mut(name) else {
            return Ok(());
        };
        model.use_first_version();
        let (replaces, mut wanted) = (model.revision(), Wanted::clone(&model.wanted));
        wanted.record_latest(model.highest());
        let draft = Draft {
            at_ms: unix_ms(self.clock.now()),
            author: Author {
                actor: CONFIGURATION.into(),
                reason: "first start".into(),
            },
            action: "configure".into(),
            base: replaces,
            wanted,
            origin: Origin::Configuration,
            writer: self.name.clone(),
        };
        match self.commit(name, replaces, draft).await {
            Ok(Committed { record, .. }) => {
                let before = Arc::default();
                self.audit_change(&Committed { record, before }).await;
                Ok(())
            }
            Err(StoreError::Conflict { .. }) => self.follow_store().await.map_err(state_fault),
            Err(error) => Err(state_fault(error)),
        }
    }
}

fn state_fault(error: impl ToString) -> Faults {
    Faults::one("state", error.to_string())
}
