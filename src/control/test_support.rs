//! Shared by the unit tests of this room: small versions, a wall clock for paused time, a store that can be made slow or
//! broken, and a writer over them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::clock::{Clock, from_unix_ms};
use super::edit::{ChangeOptions, Edit};
use super::handle::Control;
use super::load::load_version;
use super::load_request::LoadRequest;
use super::loader::Loader;
use super::reaper::Reaper;
use super::settings::Settings;
use super::store::{
    DocumentContent, DocumentId, DocumentWatch, Draft, MemoryStore, RawDocument, Record,
    RevisionRange, Store, StoreError, StoreFuture,
};
use super::writer::{Event, StartMode, Writer, WriterParts};
use crate::audit;
use crate::ident::{ModelName, Revision, VersionNumber};
use crate::insight::metrics::Telemetry;
use crate::insight::stats;
use crate::model::{LoadOptions, samples};
use crate::registry::{self, Listing};
use crate::serving::batch::BatchingHints;
use crate::serving::version::VersionRuntime;

pub(super) fn v(number: u64) -> VersionNumber {
    number.try_into().unwrap()
}

pub(super) fn model(name: &str) -> ModelName {
    name.parse().unwrap()
}

/// The wall-clock time at which every [`TestClock`] starts.
pub(super) const START_MS: u64 = 1_700_000_000_000;

/// A wall clock that advances with tokio's clock, which tests pause.
#[derive(Debug)]
pub(super) struct TestClock {
    start: Instant,
    /// Milliseconds since 1970 at the start.
    start_ms: AtomicU64,
}

impl TestClock {
    pub(super) fn start() -> Self {
        Self {
            start: Instant::now(),
            start_ms: START_MS.into(),
        }
    }

    /// Sets the clock by this many seconds, forward or back.
    pub(super) fn set_by(&self, seconds: i64) {
        let ms = START_MS.saturating_add_signed(seconds * 1000);
        self.start_ms.store(ms, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        from_unix_ms(self.start_ms.load(Ordering::Relaxed)) + self.start.elapsed()
    }
}

/// The sample document with other classes, so that its signature differs.
pub(super) fn with_other_classes(mut document: Value) -> Value {
    document["classes"] = serde_json::json!(["no", "maybe"]);
    document
}

/// A registry in a temporary folder.
#[derive(Debug)]
pub(super) struct TestRegistry(TempDir);

impl TestRegistry {
    /// Creates a registry with these versions of model `m`.
    pub(super) fn of_m(versions: &[u64]) -> Self {
        let registry = Self(tempfile::tempdir().unwrap());
        for version in versions {
            registry.add(*version, &samples::document("m", *version));
        }
        registry
    }

    /// Writes a version of model `m`.
    pub(super) fn add(&self, version: u64, document: &Value) {
        samples::write(&self.dir(version), document);
    }

    pub(super) fn remove(&self, version: u64) {
        std::fs::remove_dir_all(self.dir(version)).unwrap();
    }

    fn dir(&self, version: u64) -> std::path::PathBuf {
        self.0.path().join("m").join(version.to_string())
    }

    pub(super) fn listing(&self) -> Listing {
        registry::list(self.0.path()).unwrap()
    }

    /// Loads a version of model `m`.
    pub(super) fn load(&self, version: u64, telemetry: &Telemetry) -> Arc<VersionRuntime> {
        let request = LoadRequest {
            model: model("m"),
            version: v(version),
            dir: self.dir(version),
            options: LoadOptions::default(),
            expected: None,
            room: None,
            batching: BatchingHints::default(),
        };
        Arc::new(
            load_version(&request, telemetry, stats::Settings::default(), &mut |_| {}).unwrap(),
        )
    }

    /// Loads several versions of model `m`.
    pub(super) fn load_all(
        &self,
        versions: &[u64],
    ) -> BTreeMap<VersionNumber, Arc<VersionRuntime>> {
        let telemetry = Telemetry::new().unwrap();
        let versions = versions.iter();
        versions
            .map(|version| (v(*version), self.load(*version, &telemetry)))
            .collect()
    }
}

/// A memory store whose writes let other tasks run first, as those of a remote store do. Reads and writes can be made to fail.
#[derive(Debug, Default)]
pub(super) struct RemoteStore {
    inner: MemoryStore,
    reads_fail: AtomicBool,
    writes_fail: AtomicBool,
}

impl RemoteStore {
    pub(super) fn set_writes_fail(&self, fail: bool) {
        self.writes_fail.store(fail, Ordering::Relaxed);
    }

    pub(super) fn set_reads_fail(&self, fail: bool) {
        self.reads_fail.store(fail, Ordering::Relaxed);
    }
}

impl Store for RemoteStore {
    fn all(&self) -> StoreFuture<'_, Vec<Record>> {
        self.inner.all()
    }

    fn at(&self, revision: Revision) -> StoreFuture<'_, Option<Record>> {
        self.inner.at(revision)
    }

    fn compare_and_set<'a>(
        &'a self,
        model: &'a ModelName,
        expected: Revision,
        draft: Draft,
    ) -> StoreFuture<'a, Record> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            if self.writes_fail.load(Ordering::Relaxed) {
                return Err(StoreError::Failed("the test breaks writes".into()));
            }
            self.inner.compare_and_set(model, expected, draft).await
        })
    }

    fn history<'a>(&'a self, range: RevisionRange<'a>) -> StoreFuture<'a, Vec<Record>> {
        Box::pin(async move {
            if self.reads_fail.load(Ordering::Relaxed) {
                return Err(StoreError::Failed("the test breaks reads".into()));
            }
            self.inner.history(range).await
        })
    }

    fn compacted(&self) -> StoreFuture<'_, Revision> {
        self.inner.compacted()
    }

    fn watch(&self) -> watch::Receiver<Revision> {
        self.inner.watch()
    }

    fn check(&self) -> StoreFuture<'_, ()> {
        self.inner.check()
    }

    fn document<'a>(&'a self, id: DocumentId<'a>) -> StoreFuture<'a, Option<RawDocument>> {
        self.inner.document(id)
    }

    fn documents<'a>(&'a self, kind: &'a str) -> StoreFuture<'a, Vec<RawDocument>> {
        self.inner.documents(kind)
    }

    fn set_document<'a>(
        &'a self,
        id: DocumentId<'a>,
        expected: Revision,
        content: Option<DocumentContent>,
    ) -> StoreFuture<'a, Revision> {
        self.inner.set_document(id, expected, content)
    }

    fn watch_documents(&self, kind: &str) -> DocumentWatch {
        self.inner.watch_documents(kind)
    }
}

/// What a test writer is built from.
pub(super) struct TestWriter {
    pub(super) name: &'static str,
    pub(super) store: Arc<dyn Store>,
    /// The folder of its audit log.
    pub(super) audit: Option<std::path::PathBuf>,
    pub(super) settings: Settings,
}

impl TestWriter {
    /// An unnamed writer without an audit log and with default settings.
    pub(super) fn over(store: Arc<dyn Store>) -> Self {
        Self {
            name: "",
            store,
            audit: None,
            settings: Settings::default(),
        }
    }

    /// Builds the writer. Events can be sent to it as well.
    pub(super) fn build(self) -> (Control, Writer, mpsc::Sender<Event>) {
        let telemetry = Telemetry::new().unwrap();
        let (sender, events) = mpsc::channel(64);
        let (loaded, freed) = (sender.clone(), sender.clone());
        let loader = Loader::start(
            Arc::clone(&telemetry),
            stats::Settings::default(),
            move |report| {
                let _ = loaded.blocking_send(Event::Loaded(report));
            },
        );
        let reaper = Reaper::start(
            || {},
            move |version| {
                let _ = freed.blocking_send(Event::Freed(version));
            },
        );
        let (control, writer) = Writer::new(WriterParts {
            name: self.name.to_owned(),
            store: self.store,
            audit: self.audit.as_deref().map(open_audit_log),
            loader: loader.unwrap(),
            reaper: reaper.unwrap(),
            events,
            telemetry,
            settings: self.settings,
            clock: Arc::new(TestClock::start()),
        });
        (control, writer, sender)
    }

    /// Builds the writer and starts it on `registry`.
    pub(super) async fn start(
        self,
        registry: &TestRegistry,
    ) -> (Control, Writer, mpsc::Sender<Event>) {
        let (control, mut writer, events) = self.build();
        let started = writer.start(&registry.listing(), StartMode::Serve).await;
        started.unwrap();
        (control, writer, events)
    }
}

fn open_audit_log(dir: &Path) -> audit::Log {
    let settings = audit::LogSettings {
        max_bytes: 1 << 20,
        keep: 1,
    };
    audit::Log::open(dir, settings).unwrap()
}

/// The revisions and outcomes in the audit log of `dir`.
pub(super) fn audit_lines(dir: &Path) -> Vec<(Option<u64>, String)> {
    let files = audit::files(dir).unwrap();
    let mut lines = Vec::new();
    audit::verify_each(&files, |line| {
        lines.push((line.revision, line.outcome));
    })
    .unwrap();
    lines
}

/// An edit that moves a label.
pub(super) fn move_label(label: &str, version: u64) -> Edit {
    Edit::SetLabel {
        label: label.into(),
        version,
    }
}

/// Options with an author and, if it is given, an expected revision.
pub(super) fn options(expected: Option<u64>) -> ChangeOptions {
    ChangeOptions {
        expected: expected.map(Revision),
        actor: "ada".into(),
        ..ChangeOptions::default()
    }
}

/// Waits until the view of model `m` fulfils `condition`, for up to an hour. In paused time, this must not
/// depend on another thread: the clock advances while that thread works.
pub(super) async fn wait_for(
    control: &Control,
    what: &str,
    condition: impl Fn(&super::view::ModelView) -> bool,
) {
    let mut views = control.views();
    let fulfilled = views.wait_for(|view| view.models.get("m").is_some_and(|m| condition(m)));
    let waited = tokio::time::timeout(Duration::from_secs(3600), fulfilled).await;
    waited
        .unwrap_or_else(|_| panic!("{what} never came"))
        .unwrap();
}
