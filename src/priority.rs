//! Which threads go first where there are more of them than cores: those that answer before those that compute, and both
//! before those that have all the time in the world; and what a thread got. On systems other than Linux all are equal.

#[cfg(target_os = "linux")]
use std::io;
use std::time::Duration;

/// A turn of a thread that answers, in nanoseconds: the shortest that Linux gives.
#[cfg(target_os = "linux")]
const SHORT_TURN: u64 = 100_000;

/// By so much nicer is a thread that computes. With 10 it has a tenth of the core where both want all of it.
#[cfg(target_os = "linux")]
const NICER: i32 = 10;

/// Makes the calling thread one that runs only where no other thread wants to: on Linux, the scheduling policy `SCHED_IDLE`.
/// The lowest nice value is not enough: since Linux 6.6 a thread that wakes up waits until the running one has had its slice,
/// some milliseconds, however nice that is; only a thread of this policy is put aside at once. On a machine whose cores are
/// all busy it gets a few parts in a thousand of one, so loading takes long there, and requests do not notice.
///
/// Anybody may take this policy, but not everybody may leave it again:
/// <https://man7.org/linux/man-pages/man7/sched.7.html>
pub fn set_idle_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = to_idle() {
        tracing::warn!(%error, "a thread in the background runs at the priority of everything else");
    }
}

/// Makes the calling thread one that need not wait until another one has had its turn: it asks for short turns, and a thread
/// that wakes up and wants less than the one that runs goes first. It gets no more of the core for that. Threads that it makes
/// are like it.
/// Before Linux 6.12 there are no turns of different length, and this does nothing.
pub fn set_latency_sensitive() {
    #[cfg(target_os = "linux")]
    if let Err(error) = to_short_turns() {
        tracing::debug!(%error, "a thread that answers waits for its turn like everybody else");
    }
}

/// Makes the calling thread one that lets those that answer go first, and still gets its part where they want all there is: a
/// tenth of a core. A thread that has just run and is woken again waits until the running one has had its part; where that has the
/// same right to the core this lasts up to the next tick of the clock, four milliseconds. `benches/calm` tells what comes of it.
/// Threads of other programs on the same cores go first as well.
pub fn set_background() {
    #[cfg(target_os = "linux")]
    if let Err(error) = to_nicer() {
        tracing::warn!(%error, "a thread that computes runs at the priority of those that answer");
    }
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "only the C library has this call")]
fn to_idle() -> io::Result<()> {
    let none = libc::sched_param { sched_priority: 0 };
    // SAFETY: 0 is the calling thread, and the parameters are read during the call only.
    let failed = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const none) } != 0;
    if failed {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn to_short_turns() -> io::Result<()> {
    let mut attributes = attributes()?;
    attributes.sched_runtime = SHORT_TURN;
    set_attributes(&attributes)
}

#[cfg(target_os = "linux")]
fn to_nicer() -> io::Result<()> {
    let mut attributes = attributes()?;
    attributes.sched_nice = (attributes.sched_nice + NICER).min(19);
    // Turns as everybody has them, also where the thread was made by one that answers.
    attributes.sched_runtime = 0;
    set_attributes(&attributes)
}

/// How the system runs the calling thread. `sched_runtime` is the length of its turns, or 0 where all are alike.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the C library has no name for this call")]
fn attributes() -> io::Result<libc::sched_attr> {
    // The first version of the structure, which every Linux since 3.14 knows.
    let size = 48;
    // SAFETY: it is plain numbers, for all of which 0 is a value.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    // SAFETY: 0 is the calling thread; up to `size` bytes are written to a structure that has as many.
    let failed = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    if failed != 0 {
        return Err(io::Error::last_os_error());
    }
    attributes.size = size;
    Ok(attributes)
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the C library has no name for this call")]
fn set_attributes(attributes: &libc::sched_attr) -> io::Result<()> {
    let attributes: *const libc::sched_attr = attributes;
    // SAFETY: 0 is the calling thread; the structure is read during the call only, as far as its `size` says.
    if unsafe { libc::syscall(libc::SYS_sched_setattr, 0, attributes, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// How long the calling thread has computed; waiting does not count.
#[cfg(target_os = "linux")]
#[must_use]
pub fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    // Never negative.
    Duration::try_from(time).unwrap_or_default()
}

/// How long the process has run, where the system does not tell more: waiting counts, too.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn cpu_time() -> Duration {
    use std::sync::OnceLock;
    static BEGIN: OnceLock<tokio::time::Instant> = OnceLock::new();
    BEGIN.get_or_init(tokio::time::Instant::now).elapsed()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::thread;

    use super::{NICER, SHORT_TURN, attributes, set_background, set_latency_sensitive};

    #[test]
    fn a_thread_that_answers_has_short_turns_and_is_else_as_before() {
        let told = thread::spawn(|| {
            let before = attributes().expect("told");
            set_latency_sensitive();
            (before, attributes().expect("told"))
        });
        let (before, after) = told.join().expect("joins");
        // A system that does not know turns of different length says 0 for all.
        let turns = if before.sched_runtime == 0 {
            0
        } else {
            SHORT_TURN
        };
        assert_eq!(after.sched_runtime, turns);
        assert_ne!(before.sched_runtime, SHORT_TURN, "it was not so before");
        let rest = |of: &libc::sched_attr| (of.sched_policy, of.sched_nice, of.sched_flags);
        assert_eq!(rest(&after), rest(&before));
    }

    #[test]
    fn a_thread_that_computes_is_nicer_and_has_turns_as_before_whoever_made_it() {
        let told = thread::spawn(|| {
            let before = attributes().expect("told");
            set_latency_sensitive();
            let made = thread::spawn(|| {
                set_background();
                attributes().expect("told")
            });
            (before, made.join().expect("joins"))
        });
        let (before, after) = told.join().expect("joins");
        assert_eq!(after.sched_nice, (before.sched_nice + NICER).min(19));
        let rest = |of: &libc::sched_attr| (of.sched_policy, of.sched_runtime);
        assert_eq!(rest(&after), rest(&before));
    }
}
