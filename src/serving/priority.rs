//! What a thread is to the system: how soon it gets its turn, and how long it has computed.

use std::time::Duration;

/// Lets every other thread go before the calling one. Work goes on without it, only with more of the machine; `what` says
/// in the log which.
pub fn step_back(what: &str) {
    // On Linux this is the calling thread; elsewhere it would be the whole process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, LOWEST) {
        tracing::warn!(%error, "{what} at the priority of everything else");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = what;
}

/// As nice as a thread can be: <https://man7.org/linux/man-pages/man2/setpriority.2.html>
#[cfg(target_os = "linux")]
pub(crate) const LOWEST: i32 = 19;

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
