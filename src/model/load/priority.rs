//! Threads that let every other thread go first.

/// Makes the calling thread one that runs only where no other thread wants to: on Linux, the scheduling policy `SCHED_IDLE`.
/// The lowest nice value is not enough: since Linux 6.6 a thread that wakes up waits until the running one has had its slice,
/// some milliseconds, however nice that is; only a thread of this policy is put aside at once. On a machine whose cores are
/// all busy it gets a few parts in a thousand of one, so loading takes long there, and requests do not notice.
///
/// Anybody may take this policy, but not everybody may leave it again:
/// <https://man7.org/linux/man-pages/man7/sched.7.html>
pub fn step_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = to_idle() {
        tracing::warn!(%error, "a thread in the background runs at the priority of everything else");
    }
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "only the C library has this call")]
fn to_idle() -> std::io::Result<()> {
    let none = libc::sched_param { sched_priority: 0 };
    // SAFETY: 0 is the calling thread, and the parameters are read during the call only.
    let failed = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const none) } != 0;
    if failed {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}
