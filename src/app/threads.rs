//! Serves the data port on threads of its own: one for each core, each with its own runtime and its own connections.
//!
//! On a runtime that several threads share, a task that is woken runs next. A connection then writes each response before it reads the next
//! request, with one system call for each response. On a single-threaded runtime a woken task waits for its turn, and requests that arrived
//! together are answered with one system call. `benches/load` measures the difference. A connection stays on its thread. Expensive forward
//! passes run in the thread pool, so a connection never delays the others of its thread for long. If both kinds of threads share a core, a
//! thread that wakes up to answer has priority over one that computes. A thread ends with the task that represents it.

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Builder};

use tokio::runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};

use super::connection_table::{ConnectionTable, Ticket};
use super::connections::{self, ServedConnection};
use super::socket::{AcceptedSocket, ClientSocket, Closer, ConnectionCount};
use crate::api::{Stage, StageWatch};
use crate::priority::{set_background, set_latency_sensitive};

/// Capacity of the channel to a thread, in connections.
const CHANNEL_CAPACITY: usize = 64;

/// Serves each connection by `serve` until [`Stage::Draining`], on as many threads as there are cores, and cuts the rest at [`Stage::Cut`].
/// Adds a task called `name` to `tasks` for each thread, and one that distributes the connections.
///
/// # Errors
/// Returns an error if the system cannot start a thread.
pub(super) fn spread<C>(
    name: &'static str,
    serve: &(impl Fn(ClientSocket, &Ticket) -> C + Clone + Send + 'static),
    incoming: impl Stream<Item = AcceptedSocket> + Send + 'static,
    table: &Arc<ConnectionTable>,
    stage: &StageWatch,
    tasks: &mut JoinSet<&'static str>,
) -> io::Result<()>
where
    C: ServedConnection,
{
    let count = thread::available_parallelism().map_or(1, NonZero::get);
    let mut threads = Vec::with_capacity(count);
    for index in 0..count {
        let (thread, ended) =
            start_thread(name, index, serve.clone(), Arc::clone(table), stage.clone())?;
        threads.push(thread);
        tasks.spawn(ended);
    }
    tasks.spawn(distribute(name, threads, incoming, stage.clone()));
    Ok(())
}

/// Starts a thread, and returns it with the task that represents it: the task ends with the thread, and if the task is dropped, the thread
/// ends.
fn start_thread<C>(
    name: &'static str,
    index: usize,
    serve: impl Fn(ClientSocket, &Ticket) -> C + Send + 'static,
    table: Arc<ConnectionTable>,
    stage: StageWatch,
) -> io::Result<(ServingThread, impl Future<Output = &'static str> + Send)>
where
    C: ServedConnection,
{
    let (connections, received) = mpsc::channel(CHANNEL_CAPACITY);
    let (task, task_dropped) = oneshot::channel::<()>();
    let (thread, thread_ended) = oneshot::channel::<()>();
    // Its blocking threads run forward passes that have a fallback and may hang.
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_start(set_background)
        .build()?;
    Builder::new()
        .name(format!("taper-{name}-{index}"))
        .spawn(move || {
            set_latency_sensitive();
            let opened = ReceiverStream::new(received).filter_map(open);
            let mut cut = stage.clone();
            let served =
                connections::serve_until(name, opened, serve, table, stage, Stage::Draining);
            runtime.block_on(async {
                tokio::select! {
                    _ = served => {}
                    () = cut.reached(Stage::Cut) => {}
                    _ = task_dropped => {}
                }
            });
            // Closes connections that are still open.
            drop(runtime);
            // An error means that the task is gone already.
            let _ = thread.send(());
        })?;
    let ended = async move {
        let _task = task;
        // An error means that the thread panicked, which is an end too.
        let _ = thread_ended.await;
        name
    };
    let open_connections = Arc::default();
    Ok((
        ServingThread {
            connections,
            open_connections,
        },
        ended,
    ))
}

/// A thread, as the task that distributes connections sees it.
struct ServingThread {
    connections: mpsc::Sender<(AcceptedSocket, ConnectionCount)>,
    /// Number of connections that it was given and that have not ended.
    open_connections: Arc<AtomicUsize>,
}

/// Gives each connection to the thread that has the fewest.
async fn distribute(
    name: &'static str,
    threads: Vec<ServingThread>,
    incoming: impl Stream<Item = AcceptedSocket>,
    mut stage: StageWatch,
) -> &'static str {
    let distributed = async {
        let mut incoming = std::pin::pin!(incoming);
        while let Some(accepted) = incoming.next().await {
            let fewest = threads
                .iter()
                .min_by_key(|thread| thread.open_connections.load(Ordering::Relaxed));
            let Some(thread) = fewest else { return };
            let count = ConnectionCount::new(&thread.open_connections);
            // An error means that the thread has ended, which its task reports.
            let _ = thread.connections.send((accepted, count)).await;
        }
    };
    tokio::select! {
        () = distributed => {}
        () = stage.reached(Stage::Draining) => {}
    }
    name
}

/// Opens a connection on the thread that serves it.
fn open((accepted, count): (AcceptedSocket, ConnectionCount)) -> Option<(ClientSocket, Ticket)> {
    let opened = accepted.open(Closer::Thread { _count: count });
    opened
        .inspect_err(|error| tracing::warn!(%error, "failed to open a connection"))
        .ok()
}
