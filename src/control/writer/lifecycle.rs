//! The lifecycle of versions: events are handled, steps are taken, and the next snapshot is published.

use std::sync::Arc;

use super::task::{Event, Writer};
use crate::control::clock::Moment;
use crate::control::load_request::LoadRequest;
use crate::control::loader::{LoadEvent, LoadReport};
use crate::control::model_state::ModelState;
use crate::control::reaper::{FreedVersion, RetiredVersion};
use crate::control::reconcile::Step;
use crate::control::state::State;
use crate::control::version_entry::VersionEntry;
use crate::control::view::View;
use crate::faults::Faults;
use crate::ident::{ModelName, VersionNumber};
use crate::model::{LoadOptions, Pace};
use crate::registry::Listing;
use crate::serving::batch::BatchingHints;
use crate::serving::version::VersionRuntime;

impl Writer {
    pub(super) fn handle_event(&mut self, event: Event) {
        match event {
            Event::Listed(listing) => self.apply_listing(&listing),
            Event::Loaded(report) => self.handle_load_report(report),
            Event::Freed(FreedVersion { model, version }) => {
                let now = self.clock.now();
                if let Some(entry) = self.entry(&model, version) {
                    entry.set_retired(now);
                    tracing::info!(%model, %version, "version is retired, its memory given back");
                    self.unpublished.insert(model);
                }
            }
        }
    }

    /// Updates the folders of all models.
    pub(super) fn apply_listing(&mut self, listing: &Listing) {
        for fault in listing.refused.iter() {
            tracing::error!(%fault, "a folder in the registry cannot be used");
        }
        for model in listing.versions.keys() {
            self.model_state(model);
        }
        let now = self.clock.now();
        for (name, model) in &mut self.models {
            if model.update_folders(listing.versions.get(name), now) {
                self.unpublished.insert(name.clone());
            }
        }
    }

    /// Returns the state of `model`, which is created if the model is not known yet. Returns `None` if the metrics refuse the
    /// model, which is logged.
    pub(super) fn model_state(&mut self, model: &ModelName) -> Option<&mut ModelState> {
        if !self.models.contains_key(model) {
            match self.telemetry.model(model) {
                Ok(meters) => {
                    let state = ModelState::new(model.clone(), self.choice(model), meters);
                    self.models.insert(model.clone(), state);
                    self.unpublished.insert(model.clone());
                }
                Err(error) => tracing::error!(%model, %error, "model cannot be served"),
            }
        }
        self.models.get_mut(model)
    }

    fn entry(&mut self, model: &ModelName, version: VersionNumber) -> Option<&mut VersionEntry> {
        self.models.get_mut(model)?.versions.get_mut(&version)
    }

    fn handle_load_report(&mut self, report: LoadReport) {
        let LoadReport {
            model,
            version,
            event,
        } = report;
        match event {
            LoadEvent::Verifying => self.enter_phase(model, version, State::Verifying),
            LoadEvent::Warming => self.enter_phase(model, version, State::Warming),
            LoadEvent::Ready(new) => {
                let result = self.check_loaded(&model, new);
                self.finish_load(model, version, result);
            }
            LoadEvent::Failed(faults) => self.finish_load(model, version, Err(faults)),
        }
    }

    fn enter_phase(&mut self, model: ModelName, version: VersionNumber, phase: State) {
        let now = self.clock.now();
        if let Some(entry) = self.entry(&model, version) {
            entry.move_to(phase, now);
            self.unpublished.insert(model);
        }
    }

    /// Checks a loaded version against the other versions of its model. A refused version goes to the reaper: freeing it takes
    /// time, which this task must not spend.
    fn check_loaded(
        &self,
        model: &ModelName,
        new: Arc<VersionRuntime>,
    ) -> Result<Arc<VersionRuntime>, Faults> {
        let checked = match self.models.get(model) {
            Some(state) => state.check_signature(&new),
            None => Ok(()),
        };
        match checked {
            Ok(()) => Ok(new),
            Err(faults) => {
                self.reaper.retire(RetiredVersion {
                    model: model.clone(),
                    version: new.number(),
                    serving: new,
                    report: false,
                });
                Err(faults)
            }
        }
    }

    fn finish_load(
        &mut self,
        model: ModelName,
        version: VersionNumber,
        result: Result<Arc<VersionRuntime>, Faults>,
    ) {
        self.loading = None;
        let now = self.now();
        if let Some(entry) = self.entry(&model, version) {
            match result {
                Ok(new) => {
                    tracing::info!(%model, %version, "version is ready");
                    entry.set_ready(new, now.wall);
                }
                Err(faults) => {
                    tracing::error!(%model, %version, %faults, "version failed to load");
                    entry.set_failed(faults, now);
                }
            }
        }
        self.unpublished.insert(model);
    }

    /// Takes all steps that are possible now and publishes the result. Returns whether a version is being loaded.
    pub(super) fn reconcile_and_publish(&mut self) -> bool {
        let now = self.now();
        let (retired, loads) = self.take_steps(now);
        if self.loading.is_none()
            && let Some((model, version)) = loads.into_iter().next()
        {
            self.load(model, version, now);
        }
        self.publish(now);
        // Only after publishing can no new request reach them.
        for retired in retired {
            self.reaper.retire(retired);
        }
        self.loading.is_some()
    }

    /// Takes all steps except loads. Returns the versions to retire after the next snapshot is published, and the versions to
    /// load, the most urgent first.
    fn take_steps(
        &mut self,
        now: Moment,
    ) -> (Vec<RetiredVersion>, Vec<(ModelName, VersionNumber)>) {
        let mut retired = Vec::new();
        let mut loads: Vec<(bool, ModelName, VersionNumber)> = Vec::new();
        for (name, model) in &mut self.models {
            // Before the gateway serves, retries of a failed version must not delay the other versions.
            for step in model.steps_with(now.monotonic, self.serving) {
                match step {
                    Step::Load(version) => {
                        let is_held = model.holders().contains_key(&version);
                        loads.push((!is_held, name.clone(), version));
                        continue;
                    }
                    Step::Retire(version) => {
                        let entry = model.versions.get_mut(&version);
                        if let Some(serving) = entry.and_then(|entry| entry.set_draining(now.wall))
                        {
                            tracing::info!(model = %name, %version, "version is draining");
                            retired.push(RetiredVersion {
                                model: name.clone(),
                                version,
                                serving,
                                report: true,
                            });
                        }
                    }
                    Step::Forget(version) => drop(model.versions.remove(&version)),
                }
                self.unpublished.insert(name.clone());
            }
        }
        // Held versions come first, of whichever model. Within a model the order of the steps stays.
        loads.sort_by_key(|(is_not_held, _, _)| *is_not_held);
        let loads = loads.into_iter();
        (
            retired,
            loads.map(|(_, model, version)| (model, version)).collect(),
        )
    }

    fn load(&mut self, model: ModelName, version: VersionNumber, now: Moment) {
        let room = self.room();
        let pace = if self.serving {
            Pace::Shared
        } else {
            Pace::Full
        };
        let Some(entry) = self.entry(&model, version) else {
            return;
        };
        let Some(folder) = entry.folder.clone() else {
            return;
        };
        entry.move_to(State::Loading, now.wall);
        let settings = self.settings.models.get(&model);
        let request = LoadRequest {
            model: model.clone(),
            version,
            dir: folder.dir.clone(),
            options: LoadOptions {
                pace,
                stores: self.settings.content_stores.clone(),
            },
            room,
            batching: settings.map_or_else(BatchingHints::default, |of| of.batching),
        };
        if self.loader.submit(request) {
            self.loading = Some((model.clone(), version));
        } else if let Some(entry) = self.entry(&model, version) {
            entry.set_failed(
                Faults::one(folder.dir, "the loader's thread has ended"),
                now,
            );
        }
        self.unpublished.insert(model);
    }

    /// Returns the bytes of weights that may still be loaded; `None`: no limit.
    fn room(&self) -> Option<u64> {
        let versions = self
            .models
            .values()
            .flat_map(|model| model.versions.values());
        let in_memory: u64 = versions.map(VersionEntry::weight_bytes).sum();
        let most = self.settings.max_weight_bytes?;
        Some(most.saturating_sub(in_memory))
    }

    /// Publishes what differs: a snapshot for requests, and a view for readers.
    fn publish(&mut self, now: Moment) {
        let unpublished = std::mem::take(&mut self.unpublished);
        if unpublished.is_empty() {
            return;
        }
        let mut snapshot = (*self.live.snapshot()).clone();
        let mut view = View::clone(&self.views.borrow());
        for name in unpublished {
            let Some(state) = self.models.get_mut(&name) else {
                continue;
            };
            if state.is_gone() {
                self.models.remove(&name);
                snapshot.models.remove(&name);
                view.models.remove(&name);
                continue;
            }
            let (model, problem) = state.serving();
            model.report_target_shares();
            view.models
                .insert(name.clone(), Arc::new(state.view(problem, now)));
            snapshot.models.insert(name, Arc::new(model));
        }
        self.live.publish(snapshot);
        self.views.send_replace(Arc::new(view));
    }
}
