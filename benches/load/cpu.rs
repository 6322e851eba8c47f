//! Who used the processors, from /proc. Times there count in hundredths of a second.

use std::{fs, time::Duration};

use tokio::time::Instant;

use crate::target::Target;

/// CPU time of process `id`, or of `self`, so far.
pub(crate) fn of(id: &str) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).expect("alive");
    // The name, field 2, may hold blanks; after it, user and system time are fields 14 and 15.
    let (_, after) = stat.rsplit_once(')').expect("a name");
    ticks(after.split_whitespace().skip(11).take(2))
}

/// CPU time of the whole machine so far, time that a hypervisor took away among it.
fn of_all() -> Duration {
    let stat = fs::read_to_string("/proc/stat").expect("the machine's times");
    let all = stat.lines().next().expect("its first line");
    // user nice system (idle iowait) irq softirq steal; what guests got is in user already.
    let columns = all.split_whitespace().skip(1).take(8).enumerate();
    let busy = columns.filter(|(at, _)| !matches!(at, 3 | 4));
    ticks(busy.map(|(_, ticks)| ticks))
}

fn ticks<'a>(numbers: impl Iterator<Item = &'a str>) -> Duration {
    let sum: u64 = numbers
        .map(|ticks| ticks.parse::<u64>().expect("ticks"))
        .sum();
    Duration::from_millis(sum * 10)
}

/// Watches how much of the machine went to others: a run on a busy machine says little.
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

    /// Cores that others kept busy, on average.
    pub(crate) fn cores(&self, targets: &[Target]) -> f64 {
        let all = of_all() - self.all;
        let others = all.saturating_sub(own(targets) - self.own);
        others.as_secs_f64() / self.since.elapsed().as_secs_f64()
    }
}

fn own(targets: &[Target]) -> Duration {
    targets.iter().map(Target::cpu).sum::<Duration>() + of("self")
}
