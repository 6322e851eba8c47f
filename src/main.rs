//! The `taper` binary: arguments in, exit code out.

use std::{env, process::ExitCode};

/// candle reads /proc/cpuinfo at every matmul unless this is set; for a small network that costs 40 times the network.
const CANDLE_THREADS: &str = "RAYON_NUM_THREADS";

/// Requests allocate and free small things on many threads, which costs a good part of their time with glibc's allocator. Without
/// huge pages, which make a small process large.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(
    unsafe_code,
    reason = "the environment can only be written while there is one thread, which is true here and nowhere later"
)]
fn main() -> ExitCode {
    if env::var_os(CANDLE_THREADS).is_none() {
        // SAFETY: the first statement of the process; no other thread exists that could read the environment.
        unsafe { env::set_var(CANDLE_THREADS, "1") };
    }
    taper::cli::run()
}
