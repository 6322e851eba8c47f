//! The writer and its loop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::audit;
use crate::control::clock::{Clock, Moment};
use crate::control::digests::KnownDigests;
use crate::control::handle::{Command, Control, QUEUE_CAPACITY};
use crate::control::loader::{LoadReport, Loader};
use crate::control::model_state::ModelState;
use crate::control::reaper::{FreedVersion, Reaper, RetiredVersion};
use crate::control::reconcile::VersionChoice;
use crate::control::settings::Settings;
use crate::control::store::Store;
use crate::control::view::View;
use crate::ident::{ModelName, Revision, VersionNumber};
use crate::insight::metrics::Telemetry;
use crate::registry::Listing;
use crate::serving::live::{Live, Snapshot};

/// Longest sleep.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// An event that no caller waits for.
#[derive(Debug)]
pub enum Event {
    /// The registry was scanned: the complete list.
    Listed(Listing),
    /// A load made progress.
    Loaded(LoadReport),
    /// The memory of a version was released.
    Freed(FreedVersion),
}

/// What a writer is built from.
#[derive(Debug)]
pub struct WriterParts {
    /// Name of this writer among those that share the store; empty for an only writer. A writer keeps its name over restarts.
    pub name: String,
    /// Where changes are stored.
    pub store: Arc<dyn Store>,
    /// Where changes and refused changes are recorded; `None` if the writer makes no changes.
    pub audit: Option<audit::Log>,
    /// Loads versions.
    pub loader: Loader,
    /// Frees versions.
    pub reaper: Reaper,
    /// Events from other threads.
    pub events: mpsc::Receiver<Event>,
    /// Metrics.
    pub telemetry: Arc<Telemetry>,
    /// Settings from the configuration.
    pub settings: Settings,
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
}

/// Makes changes and follows the store, one step at a time.
#[derive(Debug)]
pub struct Writer {
    pub(super) live: Arc<Live>,
    pub(super) name: String,
    pub(super) store: Arc<dyn Store>,
    /// The newest revision in the store.
    pub(super) stored: watch::Receiver<Revision>,
    /// All records up to this revision have been followed.
    pub(super) followed: Revision,
    /// Time at which the store is read again after a failure.
    pub(super) follow_again: Option<Instant>,
    pub(super) audit: Option<Arc<Mutex<audit::Log>>>,
    /// All own changes up to this revision are in the audit log.
    pub(super) audited: Revision,
    /// Time at which missing lines of the audit log are written again.
    pub(super) audit_again: Option<Instant>,
    /// Declared before the loader and the reaper, whose threads send into it: dropped first, so that no thread blocks in a send
    /// while it is joined.
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) loader: Loader,
    pub(super) reaper: Reaper,
    commands: mpsc::Receiver<Command>,
    pub(super) views: watch::Sender<Arc<View>>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) settings: Settings,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) models: BTreeMap<ModelName, ModelState>,
    /// Stored digests of models that are not known yet.
    pub(super) stored_digests: BTreeMap<ModelName, KnownDigests>,
    /// Time at which digests are stored again after a failure.
    pub(super) digests_again: Option<Instant>,
    /// Versions that another content of the same number replaces in the next snapshot.
    pub(super) replaced: Vec<RetiredVersion>,
    /// Models that differ from what was last published.
    pub(super) unpublished: BTreeSet<ModelName>,
    /// The version that the loader is loading.
    pub(super) loading: Option<(ModelName, VersionNumber)>,
    /// Whether requests are served while versions are loaded.
    pub(super) serving: bool,
    /// Why no change can be stored, if it is known.
    pub(super) store_problem: Option<String>,
    /// Time at which failed reverts are tried again.
    pub(super) revert_again: Option<Instant>,
    /// Time at which other changes that taper makes itself are tried again.
    pub(super) automatic_again: Option<Instant>,
}

impl Writer {
    /// Creates a writer without models, and the handle for it. Call [`start`](Self::start) next, then [`run`](Self::run).
    #[must_use]
    pub fn new(parts: WriterParts) -> (Control, Self) {
        let (sender, commands) = mpsc::channel(QUEUE_CAPACITY);
        let (views, view) = watch::channel(Arc::default());
        let control = Control {
            commands: sender,
            views: view,
            store: Arc::clone(&parts.store),
        };
        let audited = parts
            .audit
            .as_ref()
            .map_or(Revision::default(), |log| Revision(log.last_revision()));
        let writer = Self {
            live: Arc::new(Live::new(Snapshot::default())),
            name: parts.name,
            stored: parts.store.watch(),
            store: parts.store,
            followed: Revision::default(),
            follow_again: None,
            audit: parts.audit.map(|log| Arc::new(Mutex::new(log))),
            audited,
            audit_again: None,
            events: parts.events,
            loader: parts.loader,
            reaper: parts.reaper,
            commands,
            views,
            telemetry: parts.telemetry,
            settings: parts.settings,
            clock: parts.clock,
            models: BTreeMap::new(),
            stored_digests: BTreeMap::new(),
            digests_again: None,
            replaced: Vec::new(),
            unpublished: BTreeSet::new(),
            loading: None,
            serving: false,
            store_problem: None,
            revert_again: None,
            automatic_again: None,
        };
        (control, writer)
    }

    /// Returns what is served.
    #[must_use]
    pub fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live)
    }

    /// Runs until the last [`Control`] is dropped. Commands that were already sent are still executed.
    pub async fn run(mut self) {
        self.serving = true;
        self.loader.give_way();
        loop {
            let wake = self.next_wake();
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.execute(command).await,
                    None => return,
                },
                Some(event) = self.events.recv() => self.handle_event(event),
                // The pattern always matches: the store outlives its receivers.
                Ok(()) = self.stored.changed() => {}
                () = tokio::time::sleep_until(wake) => {}
            }
            self.check_store().await;
            self.follow_store_if_due().await;
            self.revert_due_changes().await;
            self.make_automatic_changes().await;
            self.store_digests_if_due().await;
            self.complete_audit_log_if_due().await;
            self.reconcile_and_publish();
        }
    }

    /// Returns the time of the next step that no command or event triggers.
    fn next_wake(&self) -> Instant {
        let retry = self
            .models
            .values()
            .filter_map(ModelState::next_retry)
            .min();
        let revert = self
            .models
            .values()
            .filter_map(ModelState::reverts_at)
            .min();
        // A revert that is due and failed waits for its next attempt.
        let revert = revert.map(|due| self.revert_again.map_or(due, |again| due.max(again)));
        let latest = Instant::now() + LONGEST_SLEEP;
        [
            retry,
            revert,
            self.automatic_again,
            self.follow_again,
            self.audit_again,
            self.digests_again,
        ]
        .into_iter()
        .flatten()
        .fold(latest, Instant::min)
    }

    pub(super) fn now(&self) -> Moment {
        Moment::now(&*self.clock)
    }

    /// Returns the version policy of a model.
    pub(super) fn choice(&self, model: &ModelName) -> VersionChoice {
        let own = self
            .settings
            .models
            .get(model)
            .and_then(|settings| settings.versions.clone());
        own.unwrap_or_else(|| self.settings.versions.clone())
    }
}
