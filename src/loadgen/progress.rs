//! Shows the progress of a run on stderr: a bar on a terminal, lines elsewhere.

use std::{io::IsTerminal, sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::results::{Counts, Recorder};
use crate::terminal::progress::{self, ProgressBar};
use crate::terminal::{output, table::thousands};

/// The progress of one run.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    /// `None`: stderr is not a terminal.
    bar: Option<ProgressBar>,
    begin: Instant,
    /// Length of all phases.
    length: Duration,
}

impl Progress {
    /// Begins the progress of a run with load for `length`.
    pub(super) fn begin(length: Duration) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = progress::bar("{bar:24} {msg}");
            bar.set_length(u64::try_from(length.as_millis()).unwrap_or(u64::MAX));
            bar
        });
        Self {
            bar,
            begin: Instant::now(),
            length,
        }
    }

    /// Shows at intervals the progress of the phase that `recorder` records, which begins after `done` of load. Never returns.
    pub(super) async fn follow(self, title: String, recorder: Arc<Recorder>, done: Duration) {
        let period = match self.bar {
            Some(_) => Duration::from_millis(250),
            None => Duration::from_secs(1),
        };
        let phase = Instant::now();
        // The intervals continue over all phases; otherwise a phase shorter than an interval would never be shown.
        let periods = self.begin.elapsed().as_nanos() / period.as_nanos() + 1;
        let first = self.begin + period * u32::try_from(periods).unwrap_or(u32::MAX);
        let mut ticks = interval_at(first, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let (counts, own) = (recorder.counts(), phase.elapsed());
            let text = line(&title, counts, own, done + own, self.length);
            match &self.bar {
                None => output::print_to_stderr(&text),
                Some(bar) => {
                    let done = u64::try_from((done + own).as_millis()).unwrap_or(u64::MAX);
                    bar.set_position(done);
                    bar.set_message(text);
                }
            }
        }
    }

    /// Removes the bar.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Returns the progress in one line. `own`: elapsed time of this phase; `done` of `length`: of all phases.
fn line(title: &str, counts: Counts, own: Duration, done: Duration, length: Duration) -> String {
    let rate = counts.answered as f64 / own.as_secs_f64().max(1e-3);
    let mut line = format!(
        "{:.0} of {:.0} s  {title}: {} answered, {rate:.0}/s, {} in flight",
        done.min(length).as_secs_f64(),
        length.as_secs_f64(),
        thousands(counts.answered),
        thousands(counts.unfinished()),
    );
    for (count, what) in [(counts.failed, "failed"), (counts.not_sent, "not sent")] {
        if count > 0 {
            line.push_str(&format!(", {} {what}", thousands(count)));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_mentions_failures_only_if_there_are_any() {
        let second = Duration::from_secs(1);
        let counts = Counts {
            sent: 3_010,
            answered: 3_000,
            ..Counts::default()
        };
        let text = line("measuring", counts, second * 2, second * 3, second * 11);
        assert_eq!(
            text,
            "3 of 11 s  measuring: 3,000 answered, 1500/s, 10 in flight"
        );
        let counts = Counts {
            failed: 10,
            not_sent: 2_000,
            ..counts
        };
        let text = line("warm-up", counts, second * 2, second * 12, second * 11);
        let expected =
            "11 of 11 s  warm-up: 3,000 answered, 1500/s, 0 in flight, 10 failed, 2,000 not sent";
        assert_eq!(text, expected);
    }
}
