//! Use of the processors.

use std::{fs, mem::MaybeUninit, time::Duration};

use tokio::time::Instant;

use crate::target::Target;

/// Returns the CPU time of process `id` so far, including threads that have ended. 0 is this process.
#[expect(unsafe_code, reason = "only the C library has these calls")]
pub(crate) fn of(id: u32) -> Duration {
    let id = libc::pid_t::try_from(id).expect("a process");
    let mut clock = 0;
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: both calls only write to the given pointers when they return 0, and keep none of them.
    let time = unsafe {
        assert_eq!(libc::clock_getcpuclockid(id, &raw mut clock), 0, "alive");
        assert_eq!(libc::clock_gettime(clock, time.as_mut_ptr()), 0, "alive");
        time.assume_init()
    };
    let seconds = u64::try_from(time.tv_sec).expect("not negative");
    Duration::new(
        seconds,
        u32::try_from(time.tv_nsec).expect("below a second"),
    )
}

/// Returns the CPU time of the whole machine so far, including time that a hypervisor took away, in hundredths of a second.
fn of_all() -> Duration {
    let stat = fs::read_to_string("/proc/stat").expect("the machine's times");
    let all = stat.lines().next().expect("its first line");
    // user nice system (idle iowait) irq softirq steal; the time of guests is part of user.
    let columns = all.split_whitespace().skip(1).take(8).enumerate();
    let busy = columns.filter(|(at, _)| !matches!(at, 3 | 4));
    let ticks = busy.map(|(_, ticks)| ticks.parse::<u64>().expect("ticks"));
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// Measures how much of the machine other processes used: a run on a busy machine has little meaning.
pub(crate) struct Others {
    since: Instant,
    all: Duration,
    own: Duration,
}

impl Others {
    pub(crate) fn watch(targets: &[Target]) -> Self {
        Self {
            since: Instant::now(),
            all: of_all(),
            own: own(targets),
        }
    }

    /// Returns the average number of cores that other processes used.
    pub(crate) fn cores(&self, targets: &[Target]) -> f64 {
        let all = of_all() - self.all;
        let others = all.saturating_sub(own(targets) - self.own);
        others.as_secs_f64() / self.since.elapsed().as_secs_f64()
    }
}

fn own(targets: &[Target]) -> Duration {
    targets.iter().map(Target::cpu).sum::<Duration>() + of(0)
}
