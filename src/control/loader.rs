//! Loads versions beside those that serve, and checks their files again, on one thread: of the lowest priority once requests are served, and
//! of the normal one before, when nothing waits behind it.
//!
//! Requests are processed one after the other, so that two loads never compete for memory and time. Every request that was
//! begun is reported: with a version that can answer, or with all its faults. A panic is a fault.
//!
//! Not here: which versions are loaded and when, and how much memory each may use (the writer).

use std::{
    io,
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, SyncSender},
    },
    thread::{Builder, JoinHandle},
};

use super::load::load_version;
use super::load_request::{LoadRequest, LoaderRequest, VerifyRequest};
use crate::faults::Faults;
use crate::ident::{ModelName, VersionNumber};
use crate::insight::metrics::Telemetry;
use crate::insight::stats;
use crate::model::{self, Phase};
use crate::priority::set_idle_priority;
use crate::serving::version::VersionRuntime;
use crate::sync::lock;

/// Maximum number of queued requests.
const QUEUE_CAPACITY: usize = 16;

/// Progress of a request.
#[derive(Debug)]
pub struct LoadReport {
    /// Model of the request.
    pub model: ModelName,
    /// Version of the request.
    pub version: VersionNumber,
    /// What happened.
    pub event: LoadEvent,
}

/// The events of a request. Of a load, in this order; the last one is `Ready` or `Failed`, and every request that was begun gets it.
#[derive(Debug)]
pub enum LoadEvent {
    /// The files are valid and the network is built. The golden requests are next.
    Verifying,
    /// The golden requests succeeded. Scoring batches of every size is next.
    Warming,
    /// The version can answer.
    Ready(Arc<VersionRuntime>),
    /// The version cannot be loaded, for these reasons.
    Failed(Faults),
    /// The files of a version in memory were checked: how they differ from it, if they do. The only event of such a request.
    Verified(Result<(), Faults>),
}

/// Loads versions on request. When it is dropped, queued requests are discarded. A load in progress continues until it ends or
/// the process does; nothing waits for it.
#[derive(Debug)]
pub struct Loader {
    requests: Option<SyncSender<LoaderRequest>>,
    activity: Arc<Mutex<Activity>>,
    thread: Option<JoinHandle<()>>,
}

/// Shared by the handle and the thread. One lock covers all flags, so that no load begins while the loader is dropped.
#[derive(Debug, Default)]
struct Activity {
    busy: bool,
    ended: bool,
    gives_way: bool,
}

/// Processes a request and calls the closure as each phase begins.
type Load = Box<dyn Fn(&LoadRequest, &mut dyn FnMut(Phase)) -> LoadResult + Send>;
type LoadResult = Result<Arc<VersionRuntime>, Faults>;

impl Loader {
    /// Starts the thread. `report` is called on it and must not wait for the task that drops the loader.
    ///
    /// # Errors
    /// Returns an error if the thread cannot be started.
    pub fn start(
        telemetry: Arc<Telemetry>,
        stats: stats::Settings,
        report: impl FnMut(LoadReport) + Send + 'static,
    ) -> io::Result<Self> {
        let load = move |request: &LoadRequest, phase: &mut dyn FnMut(Phase)| {
            load_version(request, &telemetry, stats, phase).map(Arc::new)
        };
        Self::with(Box::new(load), report)
    }

    fn with(load: Load, report: impl FnMut(LoadReport) + Send + 'static) -> io::Result<Self> {
        let (requests, inbox) = mpsc::sync_channel(QUEUE_CAPACITY);
        let activity = Arc::new(Mutex::new(Activity::default()));
        let (shared, mut report) = (Arc::clone(&activity), report);
        let thread = Builder::new().name("taper-load".into()).spawn(move || {
            run(&inbox, &shared, &load, &mut report);
        })?;
        Ok(Self {
            requests: Some(requests),
            activity,
            thread: Some(thread),
        })
    }

    /// Lets requests that are served go first, from the next load on. Until then a machine whose cores are all busy starts as fast as it can.
    pub fn give_way(&self) {
        lock(&self.activity).gives_way = true;
    }

    /// Queues a request. Returns `false` if the queue is full or the thread has ended; nothing is reported then.
    #[must_use]
    pub fn submit(&self, request: LoaderRequest) -> bool {
        let requests = self.requests.as_ref();
        requests.is_some_and(|requests| requests.try_send(request).is_ok())
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        let busy = {
            let mut activity = lock(&self.activity);
            activity.ended = true;
            activity.busy
        };
        self.requests = None;
        if !busy {
            // The thread ends at once. A panic in it was reported on that thread.
            let _ = self.thread.take().map(JoinHandle::join);
        }
    }
}

fn run(
    inbox: &Receiver<LoaderRequest>,
    activity: &Mutex<Activity>,
    load: &Load,
    report: &mut dyn FnMut(LoadReport),
) {
    let mut is_idle_priority = false;
    for request in inbox {
        let gives_way = {
            let mut activity = lock(activity);
            if activity.ended {
                return;
            }
            activity.busy = true;
            activity.gives_way
        };
        if gives_way && !is_idle_priority {
            set_idle_priority();
            is_idle_priority = true;
        }
        let (model, version) = request.target();
        let mut report_event = |event| {
            report(LoadReport {
                model: model.clone(),
                version,
                event,
            });
        };
        let last = match &request {
            LoaderRequest::Load(request) => {
                let loaded = load(request, &mut |phase| {
                    report_event(match phase {
                        Phase::Verifying => LoadEvent::Verifying,
                        Phase::Warming => LoadEvent::Warming,
                    });
                });
                loaded.map_or_else(LoadEvent::Failed, LoadEvent::Ready)
            }
            LoaderRequest::Verify(request) => LoadEvent::Verified(verify(request)),
        };
        report_event(last);
        lock(activity).busy = false;
    }
}

/// Compares the files of a version in memory with it.
fn verify(request: &VerifyRequest) -> Result<(), Faults> {
    model::verify_files(&request.dir, request.digest, &request.options)
}

#[cfg(test)]
mod tests;
