//! Scheduling priority of threads, for when there are more runnable threads than cores: threads that handle requests come first,
//! then threads that compute, then background work. Also the CPU time of a thread. On systems other than Linux, all threads have the
//! same priority.

#[cfg(target_os = "linux")]
use std::io;
use std::time::Duration;

/// Time slice of a latency-sensitive thread, in nanoseconds: the shortest that Linux allows.
#[cfg(target_os = "linux")]
const SHORT_SLICE: u64 = 100_000;

/// Added to the nice value of a background thread. With 10, it gets a tenth of a core for which a thread of normal priority competes.
#[cfg(target_os = "linux")]
const BACKGROUND_NICE: i32 = 10;

/// Lets the calling thread run only while no other thread needs the core. On Linux, this is the scheduling policy `SCHED_IDLE`.
///
/// The lowest nice value is not enough: since Linux 6.6, a thread that wakes up waits until the running thread has used its slice,
/// some milliseconds, whatever its nice value. Only a thread with this policy is preempted at once. If all cores are busy, the thread
/// gets a few thousandths of one core, so loading takes long, but requests are not delayed.
///
/// Every thread may enter this policy; leaving it again takes privileges: <https://man7.org/linux/man-pages/man7/sched.7.html>
pub fn set_idle_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = try_set_idle_priority() {
        tracing::warn!(%error, "cannot lower the priority of a background thread");
    }
}

/// Lets the calling thread preempt threads with longer time slices: it requests short slices, and a thread that wakes up with a
/// shorter slice than the running thread runs first. Its share of the core does not grow. Threads that it spawns inherit this.
///
/// Does nothing before Linux 6.12, where all slices have the same length.
pub fn set_latency_sensitive() {
    #[cfg(target_os = "linux")]
    if let Err(error) = try_set_latency_sensitive() {
        tracing::debug!(%error, "cannot shorten the time slice of a latency-sensitive thread");
    }
}

/// Lets the calling thread run after threads of normal priority, with a tenth of a core if they need all of it.
///
/// Without this, a thread that has just handled a request and wakes up again waits until the running thread has used its share; at
/// equal priority this takes until the next clock tick, up to four milliseconds. `benches/calm` measures the effect. Threads of other
/// programs on the same cores also run before background threads.
pub fn set_background() {
    #[cfg(target_os = "linux")]
    if let Err(error) = try_set_background() {
        tracing::warn!(%error, "cannot lower the priority of a thread that computes");
    }
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "only the C library has this call")]
fn try_set_idle_priority() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: 0 is the calling thread, and the parameters are read only during the call.
    let failed =
        unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) } != 0;
    if failed {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn try_set_latency_sensitive() -> io::Result<()> {
    let mut attributes = attributes()?;
    attributes.sched_runtime = SHORT_SLICE;
    set_attributes(&attributes)
}

#[cfg(target_os = "linux")]
fn try_set_background() -> io::Result<()> {
    let mut attributes = attributes()?;
    attributes.sched_nice = (attributes.sched_nice + BACKGROUND_NICE).min(19);
    // Resets the slice to the default: the thread may have been spawned by a latency-sensitive one.
    attributes.sched_runtime = 0;
    set_attributes(&attributes)
}

/// Returns the scheduling attributes of the calling thread. `sched_runtime` is its time slice; 0 if the system has only one length.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the C library has no wrapper for this call")]
fn attributes() -> io::Result<libc::sched_attr> {
    // Size of the first version of the structure, which every Linux since 3.14 accepts.
    let size = 48;
    // SAFETY: the structure consists of integers, for which all zeros are valid.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    // SAFETY: 0 is the calling thread; the call writes at most `size` bytes to a structure of at least that size.
    let failed = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    if failed != 0 {
        return Err(io::Error::last_os_error());
    }
    attributes.size = size;
    Ok(attributes)
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the C library has no wrapper for this call")]
fn set_attributes(attributes: &libc::sched_attr) -> io::Result<()> {
    let attributes: *const libc::sched_attr = attributes;
    // SAFETY: 0 is the calling thread; the call reads the structure up to its `size`, and not after the call.
    if unsafe { libc::syscall(libc::SYS_sched_setattr, 0, attributes, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Returns the CPU time that the calling thread has used. Waiting does not count.
#[cfg(target_os = "linux")]
#[must_use]
pub fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    // Never negative.
    Duration::try_from(time).unwrap_or_default()
}

/// Returns the time since the first call: other systems offer no CPU time per thread here, so waiting counts.
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

    use super::{BACKGROUND_NICE, SHORT_SLICE, attributes, set_background, set_latency_sensitive};

    #[test]
    fn a_latency_sensitive_thread_has_a_short_slice_and_no_other_change() {
        let thread = thread::spawn(|| {
            let before = attributes().expect("attributes");
            set_latency_sensitive();
            (before, attributes().expect("attributes"))
        });
        let (before, after) = thread.join().expect("joins");
        // A system with only one slice length reports 0.
        let slice = if before.sched_runtime == 0 {
            0
        } else {
            SHORT_SLICE
        };
        assert_eq!(after.sched_runtime, slice);
        assert_ne!(before.sched_runtime, SHORT_SLICE, "the default is longer");
        let rest = |of: &libc::sched_attr| (of.sched_policy, of.sched_nice, of.sched_flags);
        assert_eq!(rest(&after), rest(&before));
    }

    #[test]
    fn a_background_thread_has_a_higher_nice_value_and_the_default_slice() {
        let thread = thread::spawn(|| {
            let before = attributes().expect("attributes");
            set_latency_sensitive();
            let child = thread::spawn(|| {
                set_background();
                attributes().expect("attributes")
            });
            (before, child.join().expect("joins"))
        });
        let (before, after) = thread.join().expect("joins");
        let nice = (before.sched_nice + BACKGROUND_NICE).min(19);
        assert_eq!(after.sched_nice, nice);
        let rest = |of: &libc::sched_attr| (of.sched_policy, of.sched_runtime);
        assert_eq!(rest(&after), rest(&before));
    }
}
