//! Versions come and go: events in, steps out, the next snapshot published.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Event, Writer};
use crate::control::loader::{LoadEvent, Order, Report};
use crate::control::model_state::ModelState;
use crate::control::reaper::{Freed, Retired};
use crate::control::reconcile::Step;
use crate::control::state::State;
use crate::control::store::Store;
use crate::control::view::View;
use crate::error::AdminError;
use crate::faults::Faults;
use crate::ident::{ModelName, VersionNumber};
use crate::model::Pace;
use crate::registry::Listing;
use crate::serving::batch::BatchingHints;
use crate::serving::version::VersionRuntime;

impl<S: Store> Writer<S> {
    pub(super) fn take_in(&mut self, event: Event) {
        match event {
            Event::Listed(listing) => self.see(&listing),
            Event::Loaded(report) => self.hear(report),
            Event::Freed(Freed { model, version }) => {
                if let Some(member) = self.member(&model, version) {
                    member.freed();
                    tracing::info!(%model, %version, "version is retired, its memory given back");
                    self.moved.insert(model);
                }
            }
        }
    }

    pub(super) fn see(&mut self, listing: &Listing) {
        for fault in listing.refused.iter() {
            tracing::error!(%fault, "folder in the registry is passed over");
        }
        for model in listing.versions.keys() {
            self.state(model);
        }
        for (name, state) in &mut self.models {
            if state.see(listing.versions.get(name)) {
                self.moved.insert(name.clone());
            }
        }
    }

    /// The state of `model`, made if it is not known yet. `None` where the metrics refuse it, which is logged.
    pub(super) fn state(&mut self, model: &ModelName) -> Option<&mut ModelState> {
        if !self.models.contains_key(model) {
            match self.telemetry.model(model) {
                Ok(meters) => {
                    let state = ModelState::new(model.clone(), self.choice(model), meters);
                    self.models.insert(model.clone(), state);
                    self.moved.insert(model.clone());
                }
                Err(error) => tracing::error!(%model, %error, "model cannot be served"),
            }
        }
        self.models.get_mut(model)
    }

    fn member(
        &mut self,
        model: &ModelName,
        version: VersionNumber,
    ) -> Option<&mut crate::control::version_entry::VersionEntry> {
        self.models.get_mut(model)?.versions.get_mut(&version)
    }

    fn hear(&mut self, report: Report) {
        let Report {
            model,
            version,
            event,
        } = report;
        let Some(state) = self.models.get_mut(&model) else {
            return;
        };
        let outcome = match event {
            LoadEvent::Ready(new) => match state.fits(&new) {
                Ok(()) => Ok(new),
                Err(faults) => {
                    // Freeing it takes time as well, and this task has none to spare.
                    self.reaper.retire(Retired {
                        model: model.clone(),
                        version,
                        last: new,
                        tells: false,
                    });
                    Err(faults)
                }
            },
            LoadEvent::Failed(faults) => Err(faults),
            LoadEvent::Verifying | LoadEvent::Warming => {
                if let Some(member) = state.versions.get_mut(&version) {
                    let next = match event {
                        LoadEvent::Verifying => State::Verifying,
                        _ => State::Warming,
                    };
                    member.move_to(next);
                    self.moved.insert(model);
                }
                return;
            }
        };
        self.loading = None;
        if let Some(member) = state.versions.get_mut(&version) {
            match outcome {
                Ok(new) => {
                    tracing::info!(%model, %version, "version is ready");
                    member.came_up(new);
                }
                Err(faults) => {
                    tracing::error!(%model, %version, %faults, "version failed to load");
                    member.fail(faults, Instant::now());
                }
            }
        }
        self.moved.insert(model);
    }

    /// Takes every step that can be taken now and publishes what follows. Tells whether a version is being loaded.
    pub(super) fn reconcile_and_publish(&mut self) -> bool {
        let now = Instant::now();
        let mut retired = Vec::new();
        let mut loads: Vec<(bool, ModelName, VersionNumber)> = Vec::new();
        for (name, state) in &mut self.models {
            // Before anybody is served, a version that failed must not hold up the others again and again.
            for step in state.steps_with(now, self.serving) {
                match step {
                    Step::Load(version) => {
                        let held = state.holders().contains_key(&version);
                        loads.push((!held, name.clone(), version));
                        continue;
                    }
                    Step::Retire(version) => {
                        let member = state.versions.get_mut(&version);
                        if let Some(last) = member.and_then(|member| member.retire()) {
                            tracing::info!(model = %name, %version, "version is draining");
                            retired.push(Retired {
                                model: name.clone(),
                                version,
                                last,
                                tells: true,
                            });
                        }
                    }
                    Step::Forget(version) => drop(state.versions.remove(&version)),
                }
                self.moved.insert(name.clone());
            }
        }
        // Who is held comes first, whichever model it is of; within a model the order is that of the steps.
        loads.sort_by_key(|(not_held, _, _)| *not_held);
        if self.loading.is_none()
            && let Some((_, model, version)) = loads.into_iter().next()
        {
            self.load(model, version, now);
        }
        self.publish(now);
        // Only now no new request can reach them.
        for retired in retired {
            self.reaper.retire(retired);
        }
        self.loading.is_some()
    }

    fn load(&mut self, model: ModelName, version: VersionNumber, now: Instant) {
        let in_memory = self
            .models
            .values()
            .flat_map(|state| state.versions.values());
        let in_memory: u64 = in_memory.map(|member| member.weight_bytes()).sum();
        let room = self
            .settings
            .max_weight_bytes
            .map(|most| most.saturating_sub(in_memory));
        let pace = if self.serving {
            Pace::Shared
        } else {
            Pace::Full
        };
        let Some(member) = self.member(&model, version) else {
            return;
        };
        let Some(seen) = member.seen.clone() else {
            return;
        };
        member.move_to(State::Loading);
        let batching = self.settings.models.get(&model);
        let batching = batching.map_or_else(BatchingHints::default, |of| of.batching);
        let order = Order {
            model: model.clone(),
            version,
            dir: seen.dir.clone(),
            pace,
            room,
            batching,
        };
        if self.loader.order(order) {
            self.loading = Some((model.clone(), version));
        } else if let Some(member) = self.member(&model, version) {
            member.fail(Faults::one(seen.dir, "the loader's thread has ended"), now);
        }
        self.moved.insert(model);
    }

    /// Publishes what differs: one store for requests, one for whoever watches.
    pub(super) fn publish(&mut self, now: Instant) {
        let moved = std::mem::take(&mut self.moved);
        if moved.is_empty() {
            return;
        }
        let mut snapshot = (*self.live.snapshot()).clone();
        let mut view = View::clone(&self.views.borrow());
        for name in moved {
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

impl ModelState {
    /// Whether `new` may come up: where a policy names `latest` beside other versions, it must share their signature.
    fn fits(&self, new: &Arc<VersionRuntime>) -> Result<(), Faults> {
        if self.admits(&self.wanted).is_err() {
            return Ok(());
        }
        match self.admits_with(&self.wanted, Some(new)) {
            Err(AdminError::SignatureMismatch(lines)) => {
                let mut faults = Faults::default();
                let file = self
                    .versions
                    .get(&new.number())
                    .and_then(|member| member.seen.clone());
                let file = file.map_or_else(Default::default, |seen| seen.dir);
                for line in lines {
                    faults.add(
                        &file,
                        "",
                        format!("would share the split through `latest`, and {line}"),
                    );
                }
                Err(faults)
            }
            _ => Ok(()),
        }
    }
}
