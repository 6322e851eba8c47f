//! Returns unused memory to the system, and reads how much memory the system has.

use std::fs;

/// mimalloc's option for the milliseconds after which freed memory may be returned to the system, by its place in the list of options:
/// <https://github.com/microsoft/mimalloc/blob/v3.3.2/include/mimalloc.h>
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
/// mimalloc's default of a second keeps what large messages of that second have left, in pieces that the next ones do not fit in.
const PURGE_MILLISECONDS: libc::c_long = 10;

/// Makes mimalloc return memory to the system soon after it is freed, unless its environment says otherwise.
#[expect(unsafe_code, reason = "only the allocator itself can do this")]
pub(super) fn return_soon() {
    // SAFETY: writes an integer that mimalloc reads as an atomic.
    unsafe {
        libmimalloc_sys::mi_option_set_default(PURGE_DELAY, PURGE_MILLISECONDS);
    }
}

/// Returns memory to the system that was freed a while ago. Otherwise mimalloc does so only while memory is allocated. Costs next to
/// nothing if there is none.
#[expect(unsafe_code, reason = "only the allocator itself can do this")]
pub(super) fn return_freed() {
    // SAFETY: takes no pointer, may be called from any thread at any time, and touches only memory that is free.
    unsafe {
        libmimalloc_sys::mi_collect(false);
    }
}

/// Returns freed memory to the system.
///
/// Allocators keep freed memory for later, which after a version's weights is far more than requests will need. Takes milliseconds and may
/// lock all heaps of an allocator: not for threads that serve requests, and not after every small release. Applies to mimalloc, which the
/// binary uses, and to glibc, which other programs that use the library may.
#[expect(unsafe_code, reason = "only the allocators themselves can do this")]
pub(super) fn release_unused() {
    // SAFETY: takes no pointer, may be called from any thread at any time, and touches only memory that is free:
    // https://microsoft.github.io/mimalloc/group__extended.html
    unsafe {
        libmimalloc_sys::mi_collect(true);
    }
    // SAFETY: as above: https://man7.org/linux/man-pages/man3/malloc_trim.3.html
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Returns the default limit on the bytes of weights in memory: three quarters of the memory of the machine or of the container's limit.
/// The rest is for requests and for the allocator. `None` if the system does not report it.
pub(super) fn default_weight_budget() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok();
    let machine = meminfo.and_then(|text| total_bytes(&text));
    // The files of cgroups version 2 and 1. Inside a container they describe the group of this process.
    let files = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    let limits = files
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    let least = limits.chain(machine).min()?;
    Some(least / 4 * 3)
}

/// Returns `MemTotal` of `/proc/meminfo` in bytes: <https://man7.org/linux/man-pages/man5/proc_meminfo.5.html>
fn total_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(unsafe_code, reason = "only the allocator knows")]
    fn the_option_is_the_one_of_the_delay() {
        // SAFETY: reads an integer.
        let delay = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        // The environment may have set it.
        if std::env::var_os("MIMALLOC_PURGE_DELAY").is_some() {
            return;
        }
        let before = delay();
        assert!(before == 1000 || before == PURGE_MILLISECONDS, "{before}");
        return_soon();
        assert_eq!(delay(), PURGE_MILLISECONDS);
    }

    #[test]
    fn the_total_is_converted_to_bytes() {
        let text = "MemTotal:       24580292 kB\nMemFree:        10000000 kB\n";
        assert_eq!(total_bytes(text), Some(24_580_292 * 1024));
        assert_eq!(total_bytes("MemFree: 1 kB\n"), None, "no such line");
        assert_eq!(total_bytes("MemTotal: many kB\n"), None, "no number");
    }
}
