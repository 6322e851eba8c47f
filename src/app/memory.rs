//! Memory that the process no longer uses goes back to the system.

/// Hands freed memory back to the system. The allocator keeps what was freed for later, which after a version's weights is
/// far more than requests will ask for. Takes milliseconds, and locks the allocator's heaps one after the other: not for
/// threads that serve, and not after every small thing. Does nothing where the allocator is not glibc's.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the C library is the only one who can do this")]
pub fn give_back() {
    // SAFETY: takes no pointer, may be called from any thread at any time, and touches only memory that is free:
    // https://man7.org/linux/man-pages/man3/malloc_trim.3.html
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Does nothing: only glibc can be asked to hand freed memory back.
#[cfg(not(target_env = "gnu"))]
pub fn give_back() {}
