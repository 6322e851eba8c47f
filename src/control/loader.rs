//! Loading versions beside the ones that serve, on one thread of the lowest priority.
//!
//! One order after the other, so that two loads never take memory and time at once. Whatever comes of an order is reported:
//! a version that can answer, or all that is wrong with it; a panic is one of the things that can be wrong.
//! Not here: what is loaded and when, and how much memory there is for it (the writer).

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, SyncSender},
    },
    thread::{Builder, JoinHandle},
};

use super::load::load_version;
use crate::faults::Faults;
use crate::ident::{ModelName, VersionNumber};
use crate::insight::metrics::Telemetry;
use crate::insight::stats;
use crate::model::{Pace, Phase};
use crate::priority::set_idle_priority;
use crate::serving::batch::BatchingHints;
use crate::serving::version::VersionRuntime;

/// Orders that may wait for the one before them.
const WAITING: usize = 16;

/// A version to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its model.
    pub model: ModelName,
    /// Its number.
    pub version: VersionNumber,
    /// Its folder.
    pub dir: PathBuf,
    /// How much of the machine loading may take.
    pub pace: Pace,
    /// Bytes of memory that there are for it; `None`: no limit.
    pub room: Option<u64>,
    /// How its requests are put together, before what its manifest hints at.
    pub batching: BatchingHints,
}

/// How an order is getting on.
#[derive(Debug)]
pub struct Report {
    /// The model of the order.
    pub model: ModelName,
    /// The version of the order.
    pub version: VersionNumber,
    /// What happened.
    pub event: LoadEvent,
}

/// What happens to an order, in this order; the last is `Ready` or `Failed`, which every order gets that was begun.
#[derive(Debug)]
pub enum LoadEvent {
    /// The files hold and the network is built; now it answers the golden requests.
    Verifying,
    /// It answered them; now it scores batches of every size.
    Warming,
    /// It can answer.
    Ready(Arc<VersionRuntime>),
    /// It cannot be loaded, and why.
    Failed(Faults),
}

/// Loads what is ordered. When it is dropped, orders that wait are forgotten, and a load in progress goes on by itself until
/// it ends or the process does: nothing waits for it.
#[derive(Debug)]
pub struct Loader {
    orders: Option<SyncSender<Order>>,
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread and the handle tell each other. Behind one lock, so that none begins while the other ends.
#[derive(Debug, Default)]
struct State {
    busy: bool,
    ended: bool,
}

/// Carries out an order, telling each phase as it begins.
type Load = Box<dyn Fn(&Order, &mut dyn FnMut(Phase)) -> Loaded + Send>;
type Loaded = Result<Arc<VersionRuntime>, Faults>;

impl Loader {
    /// Starts the thread. Loaded versions keep statistics as `stats` says. `report` is called on the thread, and must not wait
    /// for the owner of the loader to drop it.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        telemetry: Arc<Telemetry>,
        stats: stats::Settings,
        report: impl FnMut(Report) + Send + 'static,
    ) -> io::Result<Self> {
        let load = move |order: &Order, phase: &mut dyn FnMut(Phase)| {
            load_version(order, &telemetry, stats, phase).map(Arc::new)
        };
        Self::with(Box::new(load), report)
    }

    fn with(load: Load, report: impl FnMut(Report) + Send + 'static) -> io::Result<Self> {
        let (orders, inbox) = mpsc::sync_channel(WAITING);
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, mut report) = (Arc::clone(&state), report);
        let thread = Builder::new().name("taper-load".into()).spawn(move || {
            set_idle_priority();
            run(&inbox, &shared, &load, &mut report);
        })?;
        Ok(Self {
            orders: Some(orders),
            state,
            thread: Some(thread),
        })
    }

    /// Orders a load. `false`: too many wait, or the thread has ended; nothing will be reported then.
    #[must_use]
    pub fn order(&self, order: Order) -> bool {
        let orders = self.orders.as_ref();
        orders.is_some_and(|orders| orders.try_send(order).is_ok())
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        let busy = {
            let mut state = lock(&self.state);
            state.ended = true;
            state.busy
        };
        self.orders = None;
        if !busy {
            // It has nothing to do but to end. A panic in it was told on its own thread.
            let _ = self.thread.take().map(JoinHandle::join);
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(inbox: &Receiver<Order>, state: &Mutex<State>, load: &Load, report: &mut dyn FnMut(Report)) {
    for order in inbox {
        {
            let mut state = lock(state);
            if state.ended {
                return;
            }
            state.busy = true;
        }
        let mut tell = |event| {
            report(Report {
                model: order.model.clone(),
                version: order.version,
                event,
            });
        };
        let loaded = load(&order, &mut |phase| {
            tell(match phase {
                Phase::Verifying => LoadEvent::Verifying,
                Phase::Warming => LoadEvent::Warming,
            });
        });
        tell(loaded.map_or_else(LoadEvent::Failed, LoadEvent::Ready));
        lock(state).busy = false;
    }
}

#[cfg(test)]
mod tests;
