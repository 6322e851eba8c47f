//! The lifecycle of versions: events are handled, steps are taken, and the next snapshot is published.

use std::sync::Arc;

use super::task::{Event, Writer};
use crate::control::clock::Moment;
use crate::control::load_request::{LoadRequest, LoaderRequest, VerifyRequest};
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
                    let digests = self.stored_digests.remove(model).unwrap_or_default();
                    let choice = self.choice(model);
                    let state = ModelState::new(model.clone(), choice, digests, meters);
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
            LoadEvent::Verified(compared) => self.finish_comparison(model, version, compared),
        }
    }

    fn enter_phase(&mut self, model: ModelName, version: VersionNumber, phase: State) {
        let now = self.clock.now();
        let entry = self.entry(&model, version);
        // What replaces a READY version is loaded beside it.
        if let Some(entry) = entry.filter(|entry| entry.state() != State::Ready) {
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
        if self.is_ready(&model, version) {
            return self.finish_reload(model, version, result);
        }
        let now = self.now();
        let traffic = self
            .models
            .get(&model)
            .map_or("none", |state| state.traffic_of_new(version));
        if let Some(entry) = self.entry(&model, version) {
            match result {
                Ok(new) => {
                    tracing::info!(%model, %version, traffic, "version is ready");
                    let digest = new.version.model().manifest().digest;
                    entry.set_ready(new, now.wall);
                    if let Some(state) = self.models.get_mut(&model) {
                        state.digests.note_ready(version, digest);
                    }
                }
                Err(faults) => {
                    tracing::error!(%model, %version, %faults, "version failed to load");
                    entry.set_failed(faults, now);
                }
            }
        }
        self.unpublished.insert(model);
    }

    fn is_ready(&self, model: &ModelName, version: VersionNumber) -> bool {
        let state = self.models.get(model);
        let entry = state.and_then(|state| state.versions.get(&version));
        entry.is_some_and(|entry| entry.state() == State::Ready)
    }

    /// What an operator accepted takes the place of a READY version, or cannot be loaded.
    fn finish_reload(
        &mut self,
        model: ModelName,
        version: VersionNumber,
        result: Result<Arc<VersionRuntime>, Faults>,
    ) {
        let Some(entry) = self.entry(&model, version) else {
            return;
        };
        match result {
            Ok(new) => {
                tracing::info!(%model, %version, "the accepted files are in force");
                if let Some(serving) = entry.replace_ready(new) {
                    self.replaced.push(RetiredVersion {
                        model: model.clone(),
                        version,
                        serving,
                        report: false,
                    });
                }
            }
            Err(faults) => {
                tracing::error!(%model, %version, %faults, "the accepted files cannot be loaded");
                entry.set_reload_failed(faults);
            }
        }
        self.unpublished.insert(model);
    }

    fn finish_comparison(
        &mut self,
        model: ModelName,
        version: VersionNumber,
        compared: Result<(), Faults>,
    ) {
        self.loading = None;
        if let Err(faults) = &compared {
            tracing::error!(%model, %version, %faults, "the files of a READY version were replaced; it answers as it was loaded");
        }
        if let Some(entry) = self.entry(&model, version) {
            entry.set_compared(compared);
            self.unpublished.insert(model);
        }
    }

    /// Compares a READY version with its folder, which has changed.
    fn compare(&mut self, model: ModelName, version: VersionNumber) {
        let options = self.load_options();
        let Some((dir, digest)) = self
            .entry(&model, version)
            .and_then(VersionEntry::begin_comparison)
        else {
            return;
        };
        let request = LoaderRequest::Verify(VerifyRequest {
            model: model.clone(),
            version,
            dir,
            options,
            digest,
        });
        if self.loader.submit(request) {
            self.loading = Some((model, version));
        }
    }

    /// Begins what the loader's thread does next, if it is free: a load, what an operator accepted, or a comparison.
    fn use_loader(&mut self, loads: Vec<(ModelName, VersionNumber)>, now: Moment) {
        if self.loading.is_some() {
            return;
        }
        let find = |next: fn(&ModelState) -> Option<VersionNumber>| {
            let mut models = self.models.values();
            models.find_map(|model| Some((model.name.clone(), next(model)?)))
        };
        let load = loads.into_iter().next();
        if let Some((model, version)) = load.or_else(|| find(ModelState::next_reload)) {
            self.load(model, version, now);
        } else if let Some((model, version)) = find(ModelState::next_comparison) {
            self.compare(model, version);
        }
    }

    fn load_options(&self) -> LoadOptions {
        LoadOptions {
            pace: if self.serving {
                Pace::Shared
            } else {
                Pace::Full
            },
            stores: self.settings.content_stores.clone(),
        }
    }

    /// Takes all steps that are possible now and publishes the result. Returns whether a version is being loaded.
    pub(super) fn reconcile_and_publish(&mut self) -> bool {
        let now = self.now();
        let (retired, loads) = self.take_steps(now);
        self.use_loader(loads, now);
        self.publish(now);
        // Only after publishing can no new request reach them.
        let replaced = std::mem::take(&mut self.replaced);
        for retired in retired.into_iter().chain(replaced) {
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
                    Step::Forget(version) => {
                        model.versions.remove(&version);
                        model.digests.forget(version);
                    }
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
        let options = self.load_options();
        let state = self.models.get(&model);
        let expected = state.and_then(|state| state.expected_digest(version));
        let Some(entry) = self.entry(&model, version) else {
            return;
        };
        let Some(folder) = entry.folder.clone() else {
            return;
        };
        entry.begin_load(now.wall);
        let settings = self.settings.models.get(&model);
        let request = LoadRequest {
            model: model.clone(),
            version,
            dir: folder.dir.clone(),
            options,
            expected,
            room,
            batching: settings.map_or_else(BatchingHints::default, |of| of.batching),
        };
        if self.loader.submit(LoaderRequest::Load(request)) {
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
                // A forgotten model keeps its history, so that it can be brought back.
                if state.record.is_none() {
                    self.models.remove(&name);
                }
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
