//! Everything of a gateway that is there before a port is bound.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::{StartError, memory};
use crate::audit::{self, LogSettings};
use crate::config::Config;
use crate::control::{
    Control, EmbeddedStore, Event, Loader, MemoryStore, Reaper, StartMode, Store, SystemClock,
    Writer, WriterParts,
};
use crate::insight::metrics::Telemetry;
use crate::registry;

/// Events that may wait for the writer. Whoever has one more waits: the loader, the reaper and the watch can.
const EVENTS: usize = 64;
/// Old files of the audit log that are kept.
const AUDIT_FILES: usize = 8;

/// What a gateway is made of before it listens anywhere.
pub(super) struct Prepared {
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) control: Control,
    pub(super) writer: Writer,
    pub(super) events: mpsc::Sender<Event>,
}

/// Loads every version that is wanted and checks that the configuration can be honoured, without listening anywhere. What
/// the state folder holds counts, and stays as it is, also where a gateway is using it.
///
/// # Errors
/// As [`Gateway::start`](super::Gateway::start), but for the addresses; and every fault of a version that was loaded.
pub async fn rehearse(config: &Config) -> Result<(), StartError> {
    let dir = config.state.clone();
    let records = spawn_blocking(move || EmbeddedStore::read_only_records(&dir)).await??;
    let store = Arc::new(MemoryStore::from_records(records));
    prepare(config, store, None, StartMode::Rehearse)
        .await
        .map(drop)
}

/// Opens what is kept in the state folder.
pub(super) async fn open(config: &Config) -> Result<(EmbeddedStore, audit::Log), StartError> {
    let dir = config.state.clone();
    let settings = LogSettings {
        max_bytes: config.max_audit_bytes,
        keep: AUDIT_FILES,
    };
    let opened = spawn_blocking(move || {
        // The store first: its lock is the folder's.
        let store = EmbeddedStore::open(&dir)?;
        Ok::<_, StartError>((store, audit::Log::open(&dir, settings)?))
    });
    opened.await?
}

pub(super) async fn prepare(
    config: &Config,
    store: Arc<dyn Store>,
    audit: Option<audit::Log>,
    mode: StartMode,
) -> Result<Prepared, StartError> {
    let telemetry = Telemetry::new()?;
    let root = config.registry.clone();
    let listing = spawn_blocking(move || registry::look(&root)).await??;
    let (sender, events) = mpsc::channel(EVENTS);
    let (loaded, freed) = (sender.clone(), sender.clone());
    // An error means that the writer has ended, and then nobody wants to know.
    let loader = Loader::start(Arc::clone(&telemetry), config.insight, move |report| {
        let _ = loaded.blocking_send(Event::Loaded(report));
    })?;
    let reaper = Reaper::start(memory::give_back, move |gone| {
        let _ = freed.blocking_send(Event::Freed(gone));
    })?;
    let mut settings = config.control.clone();
    let budget = settings.max_weight_bytes.or_else(memory::budget);
    settings.max_weight_bytes = budget;
    let (control, mut writer) = Writer::new(WriterParts {
        name: String::new(),
        store,
        audit,
        loader,
        reaper,
        events,
        telemetry: Arc::clone(&telemetry),
        settings,
        clock: Arc::new(SystemClock),
    });
    writer.start(&listing, mode).await?;
    Ok(Prepared {
        telemetry,
        control,
        writer,
        events: sender,
    })
}
