//! The data port on threads of its own: one for each core, each with a runtime of its own and the connections it was given.
//!
//! On a runtime that several threads share, a task that is woken runs next. So after each answer the connection wrote that answer
//! before the next request was looked at: one system call each. On a runtime of one thread it waits for its turn, and what
//! came together is answered together with one. `benches/load` tells how much that is.
//! A connection stays on its thread. What is dear is computed in the pool, so that a connection never holds up its neighbours
//! for long; and where there is one core for both, a thread that wakes up to answer goes before one that computes. A thread
//! ends with the task that stands for it.

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Builder};

use tokio::runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};

use super::accept::{Admitted, Connection, Ends, until_cut};
use super::connections::{self, ServedConnection};
use crate::priority::{set_background, set_latency_sensitive};

/// Connections on their way to a thread that has not taken them yet.
const ON_THE_WAY: usize = 64;

/// Serves each connection as `serve` says until `closing`, on as many threads as there are cores, and ends what is left when `cut`
/// says so. Each thread stands in `tasks` under `name`, and so does who gives them their connections.
///
/// # Errors
/// The system gives no thread.
pub(super) fn spread<C: ServedConnection>(
    name: &'static str,
    serve: &(impl Fn(Connection) -> C + Clone + Send + 'static),
    incoming: impl Stream<Item = Admitted> + Send + 'static,
    closing: &watch::Receiver<bool>,
    cut: &watch::Receiver<bool>,
    tasks: &mut JoinSet<&'static str>,
) -> io::Result<()> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let mut crew = Vec::with_capacity(threads);
    for at in 0..threads {
        let (to, from) = mpsc::channel(ON_THE_WAY);
        let (serve, closing, cut) = (serve.clone(), closing.clone(), cut.clone());
        let (hold, held) = oneshot::channel::<()>();
        let (tell, ended) = oneshot::channel::<()>();
        // The threads that it makes compute what could hang beside a fallback.
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .on_thread_start(set_background)
            .build()?;
        Builder::new()
            .name(format!("taper-{name}-{at}"))
            .spawn(move || {
                set_latency_sensitive();
                let opened = ReceiverStream::new(from).filter_map(opened);
                let served = connections::serve_until(name, opened, serve, closing);
                runtime.block_on(async {
                    tokio::select! {
                        _ = served => {}
                        () = until_cut(cut) => {}
                        // Whoever stands for this thread is gone: what is left is cut off.
                        _ = held => {}
                    }
                });
                drop(runtime);
                // Nobody may wait any more.
                let _ = tell.send(());
            })?;
        tasks.spawn(async move {
            let _hold = hold;
            // An error means that the thread panicked, which is an end too.
            let _ = ended.await;
            name
        });
        crew.push(Worker {
            to,
            connections: Arc::default(),
        });
    }
    tasks.spawn(give_out(name, crew, incoming, closing.clone()));
    Ok(())
}

/// A thread, as seen by who gives out connections.
struct Worker {
    to: mpsc::Sender<(Admitted, Place)>,
    /// Those that it was given and that have not ended.
    connections: Arc<AtomicUsize>,
}

/// A connection of a thread; counted until this is dropped.
pub(super) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Gives each connection to the thread that has the fewest.
async fn give_out(
    name: &'static str,
    crew: Vec<Worker>,
    incoming: impl Stream<Item = Admitted>,
    mut closing: watch::Receiver<bool>,
) -> &'static str {
    let given = async {
        let mut incoming = std::pin::pin!(incoming);
        while let Some(admitted) = incoming.next().await {
            let fewest = crew
                .iter()
                .min_by_key(|worker| worker.connections.load(Ordering::Relaxed));
            let Some(worker) = fewest else { return };
            worker.connections.fetch_add(1, Ordering::Relaxed);
            let place = Place(Arc::clone(&worker.connections));
            // A thread that has ended takes none; its task tells so.
            let _ = worker.to.send((admitted, place)).await;
        }
    };
    tokio::select! {
        () = given => {}
        // An error means that the gateway itself is gone, which is a reason to stop too.
        _ = closing.wait_for(|closing| *closing) => {}
    }
    name
}

/// On the thread that serves it.
fn opened((admitted, place): (Admitted, Place)) -> Option<Connection> {
    let opened = admitted.open(Ends::Thread { _place: place });
    opened
        .inspect_err(|error| tracing::warn!(%error, "cannot serve a connection"))
        .ok()
}
