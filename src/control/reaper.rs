//! Freeing the weights of versions that nobody wants any more, on a thread of its own.
//!
//! A retired version is dropped here and nowhere else. The reaper keeps an `Arc` of its own until it is the only holder, so
//! no request and no snapshot ever drops the last one, and hundreds of megabytes are never freed on a thread that serves.
//! It finds out by looking again and again: nothing tells a holder of an `Arc` that the others have gone, and a signal from
//! them would be work on the threads that serve. A look is one comparison, and a second too late hurts nobody.
//! Not here: when a version is retired (the writer), and what its gauges say ([`Weights`](crate::insight::metrics::Weights)).

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
use crate::priority::step_back;
use crate::serving::live::ServingVersion;

/// First pause between two looks. A request takes about as long.
const FIRST_LOOK: Duration = Duration::from_millis(1);
/// Longest pause between two looks.
const LAST_LOOK: Duration = Duration::from_millis(50);
/// Memory goes back to the system once in this time at most.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(1);

/// A version that no snapshot holds from now on.
#[derive(Debug)]
pub struct Retired {
    /// Its model.
    pub model: ModelName,
    /// Its number.
    pub version: VersionNumber,
    /// The version; requests may still hold it.
    pub last: Arc<ServingVersion>,
    /// Whether [`Freed`] is told of it. Not for a version that was loaded and then refused: it never served.
    pub tells: bool,
}

/// A version whose weights are no longer in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freed {
    /// Its model.
    pub model: ModelName,
    /// Its number.
    pub version: VersionNumber,
}

/// Frees versions. When it is dropped, its thread ends at once: what requests still hold is then freed by them.
#[derive(Debug)]
pub struct Reaper {
    /// Unbounded, since a full queue would leave the last holder with whoever retires. What waits is one pointer for each
    /// version in memory, and how many those are is the memory budget's business.
    retired: Option<Sender<Retired>>,
    thread: Option<JoinHandle<()>>,
}

impl Reaper {
    /// Starts the thread. `give_back` hands freed memory to the system; `freed` is called on the reaper's thread after each
    /// version, and must not wait for whoever drops the reaper.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(give_back: fn(), freed: impl FnMut(Freed) + Send + 'static) -> io::Result<Self> {
        let (retired, inbox) = mpsc::channel();
        let mut freed = freed;
        let thread = Builder::new().name("taper-reap".into()).spawn(move || {
            // Handing back hundreds of megabytes takes milliseconds, in which no request should wait.
            step_back();
            run(&inbox, give_back, &mut freed);
        })?;
        Ok(Self {
            retired: Some(retired),
            thread: Some(thread),
        })
    }

    /// Frees a version once its last request has ended. Whoever calls this has published a snapshot without it, and keeps
    /// no `Arc` of it.
    pub fn retire(&self, retired: Retired) {
        retired.last.draining();
        let Some(sender) = &self.retired else { return };
        if let Err(mpsc::SendError(retired)) = sender.send(retired) {
            let (model, version) = (retired.model, retired.version);
            tracing::error!(%model, %version, "the reaper has ended: weights are freed by whoever drops them last");
        }
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.retired = None;
        // A panic in it was told on its own thread.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn run(inbox: &Receiver<Retired>, give_back: fn(), freed: &mut dyn FnMut(Freed)) {
    let mut held: Vec<Retired> = Vec::new();
    let mut look = FIRST_LOOK;
    let (mut owed, mut given) = (false, None::<Instant>);
    let mut ended = false;
    while !ended {
        let due = until_due(owed, given.map(|given| given.elapsed()));
        let looks = (!held.is_empty()).then_some(look);
        let received = match [due, looks].into_iter().flatten().min() {
            Some(pause) => inbox.recv_timeout(pause),
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match received {
            Ok(retired) => {
                held.push(retired);
                look = FIRST_LOOK;
            }
            Err(RecvTimeoutError::Timeout) => look = LAST_LOOK.min(look * 2),
            Err(RecvTimeoutError::Disconnected) => ended = true,
        }
        let gone = free(&mut held);
        owed |= !gone.is_empty();
        let due = until_due(owed, given.map(|given| given.elapsed()));
        if due == Some(Duration::ZERO) || (owed && ended) {
            give_back();
            (owed, given) = (false, Some(Instant::now()));
        }
        gone.into_iter().flatten().for_each(&mut *freed);
    }
}

/// Drops every version that nobody else holds. An item for each; `None` for one that nobody is told of.
fn free(held: &mut Vec<Retired>) -> Vec<Option<Freed>> {
    let mut gone = Vec::new();
    for retired in std::mem::take(held) {
        let Retired {
            model,
            version,
            last,
            tells,
        } = retired;
        // Only a holder can make another holder, so who is the only one stays that.
        match Arc::try_unwrap(last) {
            Ok(serving) => {
                drop(serving);
                tracing::info!(%model, %version, "version is freed");
                gone.push(tells.then_some(Freed { model, version }));
            }
            Err(last) => held.push(Retired {
                model,
                version,
                last,
                tells,
            }),
        }
    }
    gone
}

/// How long until freed memory goes back to the system; `None`: there is none. Versions that go one right after the other
/// share one return, at the end of the second that began with the last.
fn until_due(owed: bool, since_last: Option<Duration>) -> Option<Duration> {
    let wait = |since| GIVE_BACK_EVERY.saturating_sub(since);
    owed.then(|| since_last.map_or(Duration::ZERO, wait))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;
    use crate::error::ForwardError;
    use crate::insight::metrics::{Telemetry, VersionMeters};
    use crate::model::{Model, Rows, Scores, Version, samples};

    /// Says on which thread it is dropped.
    struct Tells(Sender<String>);

    impl Model for Tells {
        fn cost_per_row(&self) -> usize {
            1
        }

        fn forward(&self, _: &Rows) -> Result<Scores, ForwardError> {
            Scores::new(vec![0.5], 1)
        }
    }

    impl Drop for Tells {
        fn drop(&mut self) {
            let name = thread::current().name().unwrap_or_default().to_owned();
            let _ = self.0.send(name);
        }
    }

    fn version(number: u64, telemetry: &Telemetry, tells: &Sender<String>) -> Retired {
        let manifest = samples::manifest(samples::document("m", number));
        let meters = VersionMeters::new(telemetry, &manifest).unwrap();
        let version = Version::new(manifest, Box::new(Tells(tells.clone())));
        let weights = telemetry.weights(version.weight_bytes());
        Retired {
            model: "m".parse().unwrap(),
            version: number.try_into().unwrap(),
            last: Arc::new(ServingVersion::new(version, meters, weights)),
            tells: true,
        }
    }

    fn has(telemetry: &Telemetry, line: &str) -> bool {
        telemetry.render().lines().any(|have| have == line)
    }

    const SOON: Duration = Duration::from_secs(60);

    #[test]
    fn weights_are_freed_after_their_last_holder_and_on_the_reapers_thread() {
        let telemetry = Telemetry::new().unwrap();
        let ((tells, told), (freed, seen)) = (mpsc::channel(), mpsc::channel());
        let reaper = Reaper::start(|| {}, move |f| freed.send(f.version.get()).unwrap()).unwrap();
        let slow = version(1, &telemetry, &tells);
        let request = Arc::clone(&slow.last);
        reaper.retire(slow);
        reaper.retire(version(2, &telemetry, &tells));
        assert_eq!(
            seen.recv_timeout(SOON),
            Ok(2),
            "it does not wait for the other"
        );
        assert_eq!(told.try_iter().collect::<Vec<_>>(), ["taper-reap"]);
        assert!(has(&telemetry, "taper_draining_versions 1"));

        drop(request);
        assert_eq!(seen.recv_timeout(SOON), Ok(1));
        assert_eq!(told.try_iter().collect::<Vec<_>>(), ["taper-reap"]);
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
    fn a_refused_version_is_freed_on_the_reapers_thread_and_nobody_is_told() {
        let telemetry = Telemetry::new().unwrap();
        let ((tells, told), (freed, seen)) = (mpsc::channel(), mpsc::channel());
        let reaper = Reaper::start(|| {}, move |f| freed.send(f.version.get()).unwrap()).unwrap();
        reaper.retire(Retired {
            tells: false,
            ..version(1, &telemetry, &tells)
        });
        reaper.retire(version(2, &telemetry, &tells));
        assert_eq!(told.recv_timeout(SOON).unwrap(), "taper-reap");
        assert_eq!(told.recv_timeout(SOON).unwrap(), "taper-reap");
        drop(reaper);
        assert_eq!(seen.iter().collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn what_a_request_holds_at_the_end_does_not_hold_up_the_end() {
        let telemetry = Telemetry::new().unwrap();
        let ((tells, told), (freed, seen)) = (mpsc::channel(), mpsc::channel());
        let reaper = Reaper::start(|| {}, move |f| freed.send(f.version.get()).unwrap()).unwrap();
        let slow = version(1, &telemetry, &tells);
        let request = Arc::clone(&slow.last);
        reaper.retire(slow);
        reaper.retire(version(2, &telemetry, &tells));
        drop(reaper);
        assert_eq!(seen.iter().collect::<Vec<_>>(), [2]);
        drop(request);
        assert_eq!(told.try_iter().count(), 2);
    }

    #[test]
    fn many_versions_give_their_memory_back_at_once() {
        static GIVEN: AtomicUsize = AtomicUsize::new(0);
        let telemetry = Telemetry::new().unwrap();
        let (tells, _told) = mpsc::channel();
        let (freed, seen) = mpsc::channel();
        let give = || _ = GIVEN.fetch_add(1, Ordering::SeqCst);
        let reaper = Reaper::start(give, move |_| freed.send(()).unwrap()).unwrap();
        for number in 1..=100 {
            reaper.retire(version(number, &telemetry, &tells));
        }
        (0..100).for_each(|_| seen.recv_timeout(SOON).unwrap());
        let during = GIVEN.load(Ordering::SeqCst);
        assert!((1..50).contains(&during), "{during} times for 100 versions");
        drop(reaper);
        assert!(
            GIVEN.load(Ordering::SeqCst) <= during + 1,
            "and once in the end"
        );
    }

    #[test]
    fn memory_goes_back_at_once_or_when_a_second_is_over() {
        let ms = Duration::from_millis;
        for (owed, since, want) in [
            (false, None, None),
            (false, Some(ms(5000)), None),
            (true, None, Some(ms(0))),
            (true, Some(ms(300)), Some(ms(700))),
            (true, Some(ms(1000)), Some(ms(0))),
            (true, Some(ms(9000)), Some(ms(0))),
        ] {
            assert_eq!(until_due(owed, since), want, "{owed} after {since:?}");
        }
    }
}
