//! The first snapshot: what the store wants of what the registry holds; before anybody has changed anything, what the
//! configuration wants.

use std::collections::BTreeSet;

use super::{Event, Writer, now_ms};
use crate::control::store::{Author, Draft, Record, Store};
use crate::control::wanted::Wanted;
use crate::error::AdminError;
use crate::faults::Faults;
use crate::ident::{Label, ModelName, Revision};
use crate::registry::Listing;

/// What faults of the configuration are filed under: it may come from a file, from flags or from both.
const CONFIGURATION: &str = "configuration";

/// How far beginning goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// Stores the first wishes, and reverts what is due.
    ForGood,
    /// Only checks that it could.
    Rehearsal,
}

impl<S: Store> Writer<S> {
    /// Loads what is wanted of `listing` and publishes the first snapshot.
    ///
    /// What the store holds and the registry cannot honour keeps nothing from starting: the model says so under `/readyz`
    /// and does not answer until it can be honoured, and every other model serves.
    ///
    /// # Errors
    /// Everything in the configuration that is used for the first time and cannot be honoured, at once, by its path. Or
    /// that the store cannot be read.
    pub async fn begin(&mut self, listing: &Listing, how: Beginning) -> Result<(), Faults> {
        let records = self.store.all().await;
        let records = records.map_err(|error| Faults::one("state", error.to_string()))?;
        self.hold_to_the_audit_log()?;
        let stored: BTreeSet<ModelName> =
            records.iter().map(|record| record.model.clone()).collect();
        let mut faults = Faults::default();
        self.see(listing);
        for record in records {
            self.remember(record).await;
        }
        let first: Vec<_> = self
            .settings
            .models
            .iter()
            .filter(|(name, _)| !stored.contains(*name))
            .filter_map(|(name, settings)| Some((name.clone(), settings.first()?)))
            .collect();
        for name in self.settings.models.keys() {
            if !stored.contains(name) && !listing.versions.contains_key(name) {
                let message = "the registry holds no model of this name";
                faults.add(CONFIGURATION, format!("$.models.{name}"), message);
            }
        }
        // Wanted from now on, so that the right versions are loaded; stored once it can be honoured.
        for (name, wanted) in &first {
            if let Some(state) = self.models.get_mut(name) {
                state.wanted = std::sync::Arc::new(wanted.clone());
            }
        }
        self.load_all().await;
        for (name, _) in &first {
            self.check_first(name, &mut faults);
        }
        faults.into_result()?;
        for name in stored.iter().filter(|name| {
            self.settings
                .models
                .get(*name)
                .is_some_and(|s| s.first().is_some())
        }) {
            tracing::info!(model = %name, "its policy and labels come from the state folder, not from the configuration");
        }
        if how == Beginning::ForGood {
            for (name, _) in first {
                self.store_first(&name).await?;
            }
            self.revert_what_is_due().await;
            self.catch_up().await;
        }
        self.reconcile_and_publish();
        Ok(())
    }

    /// The audit log is written after the store. Where it knows a later revision, the store is an old copy, or was damaged:
    /// going on from there would give revisions out twice.
    fn hold_to_the_audit_log(&self) -> Result<(), Faults> {
        let newest = *self.store.watch().borrow();
        if self.audited <= newest {
            return Ok(());
        }
        let told = format!(
            "the audit log ends with revision {}, and the store with revision {newest}: the store was replaced by an older \
             one or has lost changes. Put the right one back, or move the files audit*.jsonl elsewhere to go on from here",
            self.audited
        );
        Err(Faults::one("state", told))
    }

    /// Takes over what the store holds of one model.
    async fn remember(&mut self, record: Record) {
        let name = record.model.clone();
        let comes_back = match record.wanted.pending {
            Some(pending) => match self.record_of(&name, pending.restores).await {
                Ok(before) => Some(before.map(|before| before.wanted).unwrap_or_default()),
                Err(error) => {
                    tracing::error!(model = %name, %error, "what an unconfirmed change would revert to is not kept");
                    None
                }
            },
            None => None,
        };
        if let Some(state) = self.state(&name) {
            state.follow(record, comes_back);
        }
    }

    /// Loads until nothing is left to load.
    async fn load_all(&mut self) {
        while self.reconcile_and_publish() {
            match self.events.recv().await {
                // The list that was given is the one to begin with.
                Some(Event::Listed(_)) => {}
                Some(event) => self.take_in(event),
                None => return,
            }
        }
    }

    /// Whether the first wishes of `name` can be honoured.
    fn check_first(&self, name: &ModelName, faults: &mut Faults) {
        let Some(state) = self.models.get(name) else {
            return;
        };
        let ready = state.ready();
        let mut by_label = false;
        for (label, version) in &state.wanted.labels {
            if !ready.contains_key(version) {
                let (label, version): (Label, _) = (label.clone(), *version);
                let path = format!("$.models.{name}.labels.{label}");
                faults.add(
                    CONFIGURATION,
                    path,
                    AdminError::LabelNotReady { label, version }.to_string(),
                );
                by_label = true;
            }
        }
        match state.admits(&state.wanted) {
            // The labels have been told.
            Err(AdminError::NotReady(_)) if by_label && state.wanted.policy.is_none() => {}
            Err(error) if state.wanted.policy.is_some() => {
                faults.add(
                    CONFIGURATION,
                    format!("$.models.{name}.split"),
                    error.to_string(),
                );
            }
            Ok(()) | Err(_) => {}
        }
    }

    async fn store_first(&mut self, name: &ModelName) -> Result<(), Faults> {
        let Some(state) = self.models.get_mut(name) else {
            return Ok(());
        };
        let draft = Draft {
            at_ms: now_ms(),
            author: Author {
                actor: CONFIGURATION.into(),
                reason: "first start".into(),
            },
            action: "configure".into(),
            base: Revision::default(),
            wanted: (*state.wanted).clone(),
        };
        let stored = self
            .store
            .compare_and_set(name, Revision::default(), draft)
            .await;
        let record = stored.map_err(|error| Faults::one("state", error.to_string()))?;
        state.follow(record.clone(), None);
        self.moved.insert(name.clone());
        self.tell(&record, &Wanted::default()).await;
        Ok(())
    }
}
