//! The first part of a start: opening the state folder, loading versions, and publishing the first snapshot.

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

/// Capacity of the writer's event channel. If it is full, the loader, the reaper and the registry watch block, which their threads may.
const EVENT_CAPACITY: usize = 64;
/// Number of rotated files of the audit log to keep.
const AUDIT_FILES: usize = 8;

/// The parts of a gateway that exist before a port is bound.
pub(super) struct Prepared {
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) control: Control,
    pub(super) writer: Writer,
    pub(super) events: mpsc::Sender<Event>,
}

/// Loads every wanted version and checks that the configuration can be satisfied, without binding a port. Reads the state folder, but does
/// not change it, even if a running gateway uses it.
///
/// # Errors
/// Returns the errors of [`Gateway::start`](super::Gateway::start) except those of addresses, and every fault of a version that was loaded.
pub async fn check_start(config: &Config) -> Result<(), StartError> {
    let dir = config.state.clone();
    let records = spawn_blocking(move || EmbeddedStore::read_only_records(&dir)).await??;
    let store = Arc::new(MemoryStore::from_records(records));
    prepare(config, store, None, StartMode::Check)
        .await
        .map(drop)
}

/// Opens the store and the audit log in the state folder.
pub(super) async fn open(config: &Config) -> Result<(EmbeddedStore, audit::Log), StartError> {
    let dir = config.state.clone();
    let settings = LogSettings {
        max_bytes: config.max_audit_bytes,
        keep: AUDIT_FILES,
    };
    let opened = spawn_blocking(move || {
        // The store first, because its lock protects the folder.
        let store = EmbeddedStore::open(&dir)?;
        Ok::<_, StartError>((store, audit::Log::open(&dir, settings)?))
    });
    opened.await?
}

/// Loads the versions that `store` and the registry want, and publishes the first snapshot.
///
/// # Errors
/// Returns an error if the registry cannot be read, a thread cannot be started, or the configuration cannot be satisfied.
pub(super) async fn prepare(
    config: &Config,
    store: Arc<dyn Store>,
    audit: Option<audit::Log>,
    mode: StartMode,
) -> Result<Prepared, StartError> {
    memory::return_soon();
    let telemetry = Telemetry::new()?;
    let root = config.registry.clone();
    let listing = spawn_blocking(move || {
        if mode == StartMode::Serve {
            registry::sweep(&root);
        }
        registry::list(&root)
    });
    let listing = listing.await??;
    let (sender, events) = mpsc::channel(EVENT_CAPACITY);
    let (loaded, freed) = (sender.clone(), sender.clone());
    // An error means that the writer has ended, which then needs no events.
    let loader = Loader::start(Arc::clone(&telemetry), config.insight, move |report| {
        let _ = loaded.blocking_send(Event::Loaded(report));
    })?;
    let reaper = Reaper::start(memory::release_unused, move |gone| {
        let _ = freed.blocking_send(Event::Freed(gone));
    })?;
    let mut settings = config.control.clone();
    settings.max_weight_bytes = settings
        .max_weight_bytes
        .or_else(memory::default_weight_budget);
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
