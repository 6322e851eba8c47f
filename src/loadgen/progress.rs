//! How far a run is, for those who wait: a bar on a terminal, lines elsewhere. On stderr, since answers are on stdout.

use std::{io::IsTerminal, sync::Arc, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::board::{Board, Counts};
use crate::terminal::output;
use crate::terminal::table::thousands;

/// Draws what it is told.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    /// `None`: lines.
    bar: Option<ProgressBar>,
    begin: Instant,
    /// Of all stretches.
    length: Duration,
}

impl Progress {
    /// Of a run that begins now and loads for `length`.
    pub(super) fn begin(length: Duration) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(u64::try_from(length.as_millis()).unwrap_or(u64::MAX));
            match ProgressStyle::with_template("{bar:24} {msg}") {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        Self {
            bar,
            begin: Instant::now(),
            length,
        }
    }

    /// Tells now and then how far the stretch is that writes to `board`, after `done` of load. Does not end.
    pub(super) async fn follow(self, title: String, board: Arc<Board>, done: Duration) {
        let period = match self.bar {
            Some(_) => Duration::from_millis(250),
            None => Duration::from_secs(1),
        };
        let stretch = Instant::now();
        // In step over all stretches, or ones that are shorter than a period would never be told.
        let periods = self.begin.elapsed().as_nanos() / period.as_nanos() + 1;
        let first = self.begin + period * u32::try_from(periods).unwrap_or(u32::MAX);
        let mut ticks = interval_at(first, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let (counts, own) = (board.counts(), stretch.elapsed());
            let told = line(&title, counts, own, done + own, self.length);
            match &self.bar {
                None => output::complain(&told),
                Some(bar) => {
                    let done = u64::try_from((done + own).as_millis()).unwrap_or(u64::MAX);
                    bar.set_position(done);
                    bar.set_message(told);
                }
            }
        }
    }

    /// Makes room for the report.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `own`: how long this stretch has lasted; `done` of `length`: all of them.
fn line(title: &str, counts: Counts, own: Duration, done: Duration, length: Duration) -> String {
    let rate = counts.answered as f64 / own.as_secs_f64().max(1e-3);
    let mut line = format!(
        "{:.0} of {:.0} s  {title}: {} answered, {rate:.0}/s, {} in flight",
        done.min(length).as_secs_f64(),
        length.as_secs_f64(),
        thousands(counts.answered),
        thousands(counts.open()),
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
    fn a_line_tells_what_is_wrong_only_where_something_is() {
        let second = Duration::from_secs(1);
        let counts = Counts {
            sent: 3_010,
            answered: 3_000,
            ..Counts::default()
        };
        let told = line("measuring", counts, second * 2, second * 3, second * 11);
        assert_eq!(
            told,
            "3 of 11 s  measuring: 3,000 answered, 1500/s, 10 in flight"
        );
        let counts = Counts {
            failed: 10,
            not_sent: 2_000,
            ..counts
        };
        let told = line("warm-up", counts, second * 2, second * 12, second * 11);
        let want =
            "11 of 11 s  warm-up: 3,000 answered, 1500/s, 0 in flight, 10 failed, 2,000 not sent";
        assert_eq!(told, want);
    }
}
