//! Frees the weights of retired versions on a thread of its own.
//!
//! A retired version is dropped here and nowhere else. The reaper keeps an `Arc` of it until no other holder is left, so no
//! request and no snapshot drops the last `Arc`, and hundreds of megabytes are never freed on a thread that serves.
//! The reaper polls: the holder of an `Arc` gets no signal when the other holders drop it, and sending one would be work on
//! the threads that serve. One poll is one comparison, and freeing a second later does no harm.
//!
//! Not here: when a version is retired (the writer), and its gauges ([`Weights`](crate::insight::metrics::Weights)).

use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{Builder, JoinHandle},
    time::Duration,
};

use tokio::time::Instant;

use crate::ident::{ModelName, VersionNumber};
use crate::priority::set_idle_priority;
use crate::serving::version::VersionRuntime;

/// First interval between two polls: about the duration of a request.
const FIRST_POLL: Duration = Duration::from_millis(1);
/// Longest interval between two polls.
const LAST_POLL: Duration = Duration::from_millis(50);
/// Shortest interval between two returns of memory to the system.
const RELEASE_INTERVAL: Duration = Duration::from_secs(1);

/// A version that no current snapshot contains.
#[derive(Debug)]
pub struct RetiredVersion {
    /// Its model.
    pub model: ModelName,
    /// Its number.
    pub version: VersionNumber,
    /// The version; requests may still hold it.
    pub serving: Arc<VersionRuntime>,
    /// Whether a [`FreedVersion`] is reported. Not for a version that was loaded and then refused: it never served.
    pub report: bool,
}

/// A version whose weights are no longer in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreedVersion {
    /// Its model.
    pub model: ModelName,
    /// Its number.
    pub version: VersionNumber,
}

/// Frees versions. When it is dropped, its thread ends at once; versions that requests still hold are then freed by those
/// requests.
#[derive(Debug)]
pub struct Reaper {
    /// Unbounded: a full queue would leave the last `Arc` with the writer. It contains one pointer for each version in
    /// memory, whose number the memory budget limits.
    retired: Option<Sender<RetiredVersion>>,
    thread: Option<JoinHandle<()>>,
}

impl Reaper {
    /// Starts the thread. `release_memory` returns freed memory to the system. `freed` is called on the reaper's thread after
    /// each version, and must not wait for the task that drops the reaper.
    ///
    /// # Errors
    /// Returns an error if the thread cannot be started.
    pub fn start(
        release_memory: fn(),
        freed: impl FnMut(FreedVersion) + Send + 'static,
    ) -> io::Result<Self> {
        let (retired, inbox) = mpsc::channel();
        let mut freed = freed;
        let thread = Builder::new().name("taper-reap".into()).spawn(move || {
            // Returning hundreds of megabytes takes milliseconds, during which no request should wait.
            set_idle_priority();
            run(&inbox, release_memory, &mut freed);
        })?;
        Ok(Self {
            retired: Some(retired),
            thread: Some(thread),
        })
    }

    /// Frees a version after its last request has ended. Before the call, publish a snapshot without it; after the call, keep
    /// no `Arc` of it.
    pub fn retire(&self, retired: RetiredVersion) {
        retired.serving.version.mark_draining();
        let Some(sender) = &self.retired else { return };
        if let Err(mpsc::SendError(retired)) = sender.send(retired) {
            let (model, version) = (retired.model, retired.version);
            tracing::error!(%model, %version, "the reaper has ended: the last request of this version frees its weights");
        }
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.retired = None;
        // A panic in it was reported on that thread.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn run(
    inbox: &Receiver<RetiredVersion>,
    release_memory: fn(),
    freed: &mut dyn FnMut(FreedVersion),
) {
    let mut held: Vec<RetiredVersion> = Vec::new();
    let mut interval = FIRST_POLL;
    let (mut unreleased, mut released_at) = (false, None::<Instant>);
    let mut ended = false;
    while !ended {
        let due = until_release(unreleased, released_at.map(|at| at.elapsed()));
        let poll = (!held.is_empty()).then_some(interval);
        let received = match [due, poll].into_iter().flatten().min() {
            Some(pause) => inbox.recv_timeout(pause),
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match received {
            Ok(retired) => {
                held.push(retired);
                interval = FIRST_POLL;
            }
            Err(RecvTimeoutError::Timeout) => interval = LAST_POLL.min(interval * 2),
            Err(RecvTimeoutError::Disconnected) => ended = true,
        }
        let freed_now = free(&mut held);
        unreleased |= !freed_now.is_empty();
        let due = until_release(unreleased, released_at.map(|at| at.elapsed()));
        if due == Some(Duration::ZERO) || (unreleased && ended) {
            release_memory();
            (unreleased, released_at) = (false, Some(Instant::now()));
        }
        freed_now.into_iter().flatten().for_each(&mut *freed);
    }
}

/// Drops every version without another holder. Returns one item for each; `None` for a version that is not reported.
fn free(held: &mut Vec<RetiredVersion>) -> Vec<Option<FreedVersion>> {
    let mut freed = Vec::new();
    for retired in std::mem::take(held) {
        let RetiredVersion {
            model,
            version,
            serving,
            report,
        } = retired;
        // Only a holder can create another holder, so an only holder stays the only one.
        match Arc::try_unwrap(serving) {
            Ok(serving) => {
                drop(serving);
                tracing::info!(%model, %version, "version is freed");
                freed.push(report.then_some(FreedVersion { model, version }));
            }
            Err(serving) => held.push(RetiredVersion {
                model,
                version,
                serving,
                report,
            }),
        }
    }
    freed
}

/// Returns the time until freed memory is returned to the system; `None` if none was freed. Versions that are freed shortly
/// after each other share one return, at the end of the second that began with the previous return.
fn until_release(unreleased: bool, since_last: Option<Duration>) -> Option<Duration> {
    let wait = |since| RELEASE_INTERVAL.saturating_sub(since);
    unreleased.then(|| since_last.map_or(Duration::ZERO, wait))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;
    use crate::error::ForwardError;
    use crate::insight::{VersionInsight, metrics::Telemetry, stats};
    use crate::model::{Batch, Model, Outputs, Version, samples};
    use crate::serving::version::ServingVersion;

    /// Sends the name of the thread on which it is dropped.
    struct DropProbe(Sender<String>);

    impl Model for DropProbe {
        fn cost_per_row(&self) -> usize {
            1
        }

        fn forward(&self, _: &Batch) -> Result<Outputs, ForwardError> {
            Outputs::scores(vec![0.5], 1)
        }
    }

    impl Drop for DropProbe {
        fn drop(&mut self) {
            let name = thread::current().name().unwrap_or_default().to_owned();
            let _ = self.0.send(name);
        }
    }

    fn version(number: u64, telemetry: &Telemetry, dropped: &Sender<String>) -> RetiredVersion {
        let manifest = samples::manifest(samples::document("m", number));
        let insight =
            VersionInsight::new(telemetry, &manifest, stats::Settings::default()).unwrap();
        let version = Version::new(manifest, Box::new(DropProbe(dropped.clone())));
        let weights = telemetry.weights(version.weight_bytes());
        RetiredVersion {
            model: "m".parse().unwrap(),
            version: number.try_into().unwrap(),
            serving: Arc::new(VersionRuntime::new(
                ServingVersion::new(version, weights),
                insight,
            )),
            report: true,
        }
    }

    fn has(telemetry: &Telemetry, line: &str) -> bool {
        telemetry.render().lines().any(|have| have == line)
    }

    const SOON: Duration = Duration::from_secs(60);

    #[test]
    fn weights_are_freed_after_their_last_holder_and_on_the_reaper_thread() {
        let telemetry = Telemetry::new().unwrap();
        let ((dropped, threads), (freed, seen)) = (mpsc::channel(), mpsc::channel());
        let reaper = Reaper::start(|| {}, move |f| freed.send(f.version.get()).unwrap()).unwrap();
        let slow = version(1, &telemetry, &dropped);
        let request = Arc::clone(&slow.serving);
        reaper.retire(slow);
        reaper.retire(version(2, &telemetry, &dropped));
        assert_eq!(
            seen.recv_timeout(SOON),
            Ok(2),
            "the second version does not wait for the first"
        );
        assert_eq!(threads.try_iter().collect::<Vec<_>>(), ["taper-reap"]);
        assert!(has(&telemetry, "taper_draining_versions 1"));

        drop(request);
        assert_eq!(seen.recv_timeout(SOON), Ok(1));
        assert_eq!(threads.try_iter().collect::<Vec<_>>(), ["taper-reap"]);
        for gauge in [
            "taper_draining_versions 0",
            "taper_draining_weights_bytes 0",
            "taper_weights_bytes 0",
        ] {
            assert!(has(&telemetry, gauge), "{gauge}");
        }
        let text = telemetry.render();
        assert!(!text.contains("model=\"m\""), "its series are gone: {text}");
    }

    #[test]
    fn a_refused_version_is_freed_on_the_reaper_thread_and_not_reported() {
        let telemetry = Telemetry::new().unwrap();
        let ((dropped, threads), (freed, seen)) = (mpsc::channel(), mpsc::channel());
        let reaper = Reaper::start(|| {}, move |f| freed.send(f.version.get()).unwrap()).unwrap();
        reaper.retire(RetiredVersion {
            report: false,
            ..version(1, &telemetry, &dropped)
        });
        reaper.retire(version(2, &telemetry, &dropped));
        assert_eq!(threads.recv_timeout(SOON).unwrap(), "taper-reap");
        assert_eq!(threads.recv_timeout(SOON).unwrap(), "taper-reap");
        drop(reaper);
        assert_eq!(seen.iter().collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn dropping_the_reaper_does_not_wait_for_requests() {
        let telemetry = Telemetry::new().unwrap();
        let ((dropped, threads), (freed, seen)) = (mpsc::channel(), mpsc::channel());
        let reaper = Reaper::start(|| {}, move |f| freed.send(f.version.get()).unwrap()).unwrap();
        let slow = version(1, &telemetry, &dropped);
        let request = Arc::clone(&slow.serving);
        reaper.retire(slow);
        reaper.retire(version(2, &telemetry, &dropped));
        drop(reaper);
        assert_eq!(seen.iter().collect::<Vec<_>>(), [2]);
        drop(request);
        assert_eq!(threads.try_iter().count(), 2);
    }

    #[test]
    fn versions_freed_together_share_returns_of_memory() {
        static RELEASES: AtomicUsize = AtomicUsize::new(0);
        let telemetry = Telemetry::new().unwrap();
        let (dropped, _threads) = mpsc::channel();
        let (freed, seen) = mpsc::channel();
        let release = || _ = RELEASES.fetch_add(1, Ordering::SeqCst);
        let reaper = Reaper::start(release, move |_| freed.send(()).unwrap()).unwrap();
        for number in 1..=100 {
            reaper.retire(version(number, &telemetry, &dropped));
        }
        (0..100).for_each(|_| seen.recv_timeout(SOON).unwrap());
        let during = RELEASES.load(Ordering::SeqCst);
        assert!(
            (1..50).contains(&during),
            "{during} returns for 100 versions"
        );
        drop(reaper);
        assert!(
            RELEASES.load(Ordering::SeqCst) <= during + 1,
            "and at most once at the end"
        );
    }

    #[test]
    fn memory_is_returned_at_once_or_one_second_after_the_previous_return() {
        let ms = Duration::from_millis;
        for (unreleased, since, want) in [
            (false, None, None),
            (false, Some(ms(5000)), None),
            (true, None, Some(ms(0))),
            (true, Some(ms(300)), Some(ms(700))),
            (true, Some(ms(1000)), Some(ms(0))),
            (true, Some(ms(9000)), Some(ms(0))),
        ] {
            assert_eq!(
                until_release(unreleased, since),
                want,
                "{unreleased} after {since:?}"
            );
        }
    }
}
