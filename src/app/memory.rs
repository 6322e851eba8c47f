//! Memory that the process no longer uses goes back to the system.

use std::fs;

/// Hands freed memory back to the system. Allocators keep what was freed for later, which after a version's weights is far
/// more than requests will ask for. Takes milliseconds, and may lock an allocator's heaps one after the other: not for threads
/// that serve, and not after every small thing. Asks mimalloc, which the binary allocates from, and glibc, from which
/// programs that use the library may.
#[expect(unsafe_code, reason = "only the allocators themselves can do this")]
pub(super) fn give_back() {
    // SAFETY: takes no pointer, may be called from any thread at any time, and touches only memory that is free:
    // https://microsoft.github.io/mimalloc/group__extended.html
    unsafe {
        libmimalloc_sys::mi_collect(true);
    }
    // SAFETY: the same: https://man7.org/linux/man-pages/man3/malloc_trim.3.html
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Bytes of weights that may be in memory where the configuration does not say: three quarters of the machine's memory, or
/// of what the container may use; the rest is for requests and for the allocator. `None` where the system does not tell.
pub(super) fn budget() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|text| total(&text));
    // Version 2 has one file; version 1 had another. Both are those of this process's own group inside a container.
    let limits = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    let limits = limits
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    let least = limits.chain(machine).min()?;
    Some(least / 4 * 3)
}

/// `MemTotal` of `/proc/meminfo`, in bytes: <https://man7.org/linux/man-pages/man5/proc_meminfo.5.html>
fn total(meminfo: &str) -> Option<u64> {
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
    fn the_total_is_read_in_bytes() {
        let text = "MemTotal:       24580292 kB\nMemFree:        10000000 kB\n";
        assert_eq!(total(text), Some(24_580_292 * 1024));
        assert_eq!(total("MemFree: 1 kB\n"), None, "no such line");
        assert_eq!(total("MemTotal: many kB\n"), None, "no number");
    }
}
