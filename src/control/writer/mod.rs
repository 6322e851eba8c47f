//! The one task that changes what is live. Whatever happens (a command, a look at the registry, a version that came up or
//! was freed, a time that is due) is taken in one after the other, so none is lost between a read and a write, and no lock
//! is needed. After each, [`reconcile`](super::reconcile::reconcile) says what to do, and the next snapshot is published with one store.

mod begin;
mod change;
mod lifecycle;
mod records;
mod revert;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::handle::{Command, Control, WAITING};
use super::loader::{Loader, Report};
use super::model_state::ModelState;
use super::reaper::{Freed, Reaper};
use super::reconcile::VersionChoice;
use super::settings::Settings;
use super::store::Store;
use super::view::View;
use crate::audit;
use crate::ident::{ModelName, Revision, VersionNumber};
use crate::insight::metrics::Telemetry;
use crate::registry::Listing;
use crate::serving::live::{Live, Snapshot};

pub use begin::Beginning;

/// The longest sleep: the wall clock, by which changes revert, may be set while nobody looks.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// How long until a revert that failed is tried again.
const REVERT_AGAIN: Duration = Duration::from_secs(1);
/// How long until lines that could not be written into the audit log are tried again.
const AUDIT_AGAIN: Duration = Duration::from_secs(5);

/// What happens by itself.
#[derive(Debug)]
pub enum Event {
    /// Somebody has looked at the registry: the whole list.
    Listed(Listing),
    /// The loader is further.
    Loaded(Report),
    /// A version's memory was given back.
    Freed(Freed),
}

/// What a writer works with.
#[derive(Debug)]
pub struct Tools<S> {
    /// Where changes are kept.
    pub store: Arc<S>,
    /// Where they are told, refused ones too; `None` where nothing is changed at all.
    pub audit: Option<audit::Log>,
    /// Loads versions.
    pub loader: Loader,
    /// Frees them.
    pub reaper: Reaper,
    /// What happens by itself.
    pub events: mpsc::Receiver<Event>,
    /// Counts all of it.
    pub telemetry: Arc<Telemetry>,
    /// What the configuration says.
    pub settings: Settings,
}

/// Makes changes, one at a time.
#[derive(Debug)]
pub struct Writer<S> {
    live: Arc<Live>,
    store: Arc<S>,
    audit: Option<Arc<Mutex<audit::Log>>>,
    /// The newest revision that stands in the audit log.
    audited: Revision,
    /// Before the threads that send into it: dropped first, so that none of them waits for a place in it while it is joined.
    events: mpsc::Receiver<Event>,
    loader: Loader,
    reaper: Reaper,
    commands: mpsc::Receiver<Command>,
    views: watch::Sender<Arc<View>>,
    telemetry: Arc<Telemetry>,
    settings: Settings,
    models: BTreeMap<ModelName, ModelState>,
    /// Models that differ from what was last published.
    moved: BTreeSet<ModelName>,
    /// What the loader is at.
    loading: Option<(ModelName, VersionNumber)>,
    /// Whether requests are served beside the loading.
    serving: bool,
    /// When a revert that failed is tried again.
    revert_again: Option<Instant>,
    /// When lines that the audit log lacks are tried again.
    audit_again: Option<Instant>,
}

impl<S: Store> Writer<S> {
    /// A writer over nothing, and the handle that reaches it. [`begin`](Self::begin) comes first, then [`run`](Self::run).
    #[must_use]
    pub fn new(tools: Tools<S>) -> (Control<S>, Self) {
        let Tools {
            store,
            audit,
            loader,
            reaper,
            events,
            telemetry,
            settings,
        } = tools;
        let (sender, commands) = mpsc::channel(WAITING);
        let (views, view) = watch::channel(Arc::default());
        let control = Control {
            commands: sender,
            views: view,
            store: Arc::clone(&store),
        };
        let audited = audit
            .as_ref()
            .map_or(Revision::default(), |log| Revision(log.last_revision()));
        let writer = Self {
            live: Arc::new(Live::new(Snapshot::default())),
            store,
            audit: audit.map(|log| Arc::new(Mutex::new(log))),
            audited,
            loader,
            reaper,
            events,
            commands,
            views,
            telemetry,
            settings,
            models: BTreeMap::new(),
            moved: BTreeSet::new(),
            loading: None,
            serving: false,
            revert_again: None,
            audit_again: None,
        };
        (control, writer)
    }

    /// What is served.
    #[must_use]
    pub fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live)
    }

    /// Runs until the last [`Control`] is gone; changes that were already sent are still made.
    pub async fn run(mut self) {
        self.serving = true;
        loop {
            let wake = self.next_wake();
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                Some(event) = self.events.recv() => self.take_in(event),
                () = tokio::time::sleep_until(wake) => {}
            }
            self.revert_what_is_due().await;
            if self
                .audit_again
                .is_some_and(|again| again <= Instant::now())
            {
                self.catch_up().await;
            }
            self.reconcile_and_publish();
        }
    }

    /// When something is due by itself.
    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let retry = self
            .models
            .values()
            .filter_map(ModelState::next_retry)
            .min();
        let revert = self
            .models
            .values()
            .filter_map(|state| state.wanted.pending)
            .map(|pending| {
                let wait = pending.until().duration_since(SystemTime::now());
                now + wait.unwrap_or_default()
            });
        // One that is due and failed waits its time.
        let revert = revert
            .min()
            .map(|due| self.revert_again.map_or(due, |again| due.max(again)));
        let due = [retry, revert, self.audit_again]
            .into_iter()
            .flatten()
            .min();
        due.map_or(now + LONGEST_SLEEP, |due| due.min(now + LONGEST_SLEEP))
    }

    fn choice(&self, model: &ModelName) -> VersionChoice {
        let own = self
            .settings
            .models
            .get(model)
            .and_then(|settings| settings.versions.clone());
        own.unwrap_or_else(|| self.settings.versions.clone())
    }
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
