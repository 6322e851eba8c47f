//! What the demo saw of the answers, from the outside. Pure bookkeeping: time comes in as an argument.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// One answered flight.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    /// Which version answered.
    pub(super) version: u64,
    /// From sending to the answer.
    pub(super) latency: Duration,
    /// The class it called most probable.
    pub(super) class: String,
    /// Its probability of being late, 0 to 1.
    pub(super) score: f32,
    /// Whether it named the class that came true.
    pub(super) right: bool,
    /// Whether the flight was late.
    pub(super) late: bool,
}

/// All answers and all errors. Of bounded size, however long the demo runs.
#[derive(Debug, Default)]
pub(super) struct Board {
    /// By version.
    pub(super) versions: BTreeMap<u64, Tally>,
    /// By gRPC code.
    pub(super) errors: BTreeMap<&'static str, u64>,
    /// How far each version was, and when.
    ticks: VecDeque<(Duration, BTreeMap<u64, u64>)>,
}

impl Board {
    /// Ticks that the rates are over.
    const TICKS: usize = 6;

    pub(super) fn record(&mut self, seen: Seen) {
        self.versions.entry(seen.version).or_default().record(seen);
    }

    pub(super) fn fail(&mut self, code: &'static str) {
        *self.errors.entry(code).or_default() += 1;
    }

    /// Notes how far things are at `now`, for the rates.
    pub(super) fn tick(&mut self, now: Duration) {
        let answers = self
            .versions
            .iter()
            .map(|(version, tally)| (*version, tally.answers));
        push(&mut self.ticks, (now, answers.collect()), Self::TICKS);
    }

    /// From now on rates are over everything, up to `now`.
    pub(super) fn close(&mut self, now: Duration) {
        self.ticks.clear();
        self.ticks.push_back((Duration::ZERO, BTreeMap::new()));
        self.tick(now);
    }

    /// Answers a second of `version` over the last ticks.
    pub(super) fn rate(&self, version: u64) -> Option<f64> {
        let ((from, before), (to, after)) = (self.ticks.front()?, self.ticks.back()?);
        let seconds = to.checked_sub(*from)?.as_secs_f64();
        let count = |at: &BTreeMap<u64, u64>| at.get(&version).copied().unwrap_or(0);
        (seconds > 0.0).then(|| (count(after) - count(before)) as f64 / seconds)
    }

    pub(super) fn answers(&self) -> u64 {
        self.versions.values().map(|tally| tally.answers).sum()
    }

    pub(super) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// What one version did.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// How often it answered.
    pub(super) answers: u64,
    /// How often it called each class most probable.
    pub(super) classes: BTreeMap<String, u64>,
    right: u64,
    score_sum: f64,
    latencies: VecDeque<Duration>,
    ranking: Ranking,
}

impl Tally {
    /// Latencies that the percentiles are of: the last so many.
    const LATENCIES: usize = 2_048;

    fn record(&mut self, seen: Seen) {
        self.answers += 1;
        self.right += u64::from(seen.right);
        self.score_sum += f64::from(seen.score);
        *self.classes.entry(seen.class).or_default() += 1;
        self.ranking.record(seen.score, seen.late);
        push(&mut self.latencies, seen.latency, Self::LATENCIES);
    }

    /// The latency that `per_cent` of the last answers did not exceed (nearest rank).
    pub(super) fn percentile(&self, per_cent: usize) -> Option<Duration> {
        let mut sorted: Vec<_> = self.latencies.iter().copied().collect();
        sorted.sort_unstable();
        let rank = (sorted.len() * per_cent).div_ceil(100);
        sorted.get(rank.saturating_sub(1)).copied()
    }

    /// Mean of the scores.
    pub(super) fn mean_score(&self) -> Option<f64> {
        (self.answers > 0).then(|| self.score_sum / self.answers as f64)
    }

    /// Part of the answers that named the right class, 0 to 1.
    pub(super) fn accuracy(&self) -> Option<f64> {
        (self.answers > 0).then(|| self.right as f64 / self.answers as f64)
    }

    /// See [`Ranking::auc`].
    pub(super) fn auc(&self) -> Option<f64> {
        self.ranking.auc()
    }
}

fn push<T>(queue: &mut VecDeque<T>, item: T, most: usize) {
    if queue.len() == most {
        queue.pop_front();
    }
    queue.push_back(item);
}

/// Counts of scores by truth in bins of a thousandth: enough for an AUC to the third decimal, at a fixed size.
#[derive(Debug)]
struct Ranking {
    bins: Vec<[u64; 2]>,
}

impl Default for Ranking {
    fn default() -> Self {
        Self {
            bins: vec![[0; 2]; 1_000],
        }
    }
}

impl Ranking {
    fn record(&mut self, score: f32, truth: bool) {
        let last = self.bins.len() - 1;
        // A score is a probability; the cast cuts anything below 0 to bin 0.
        let bin = ((score * self.bins.len() as f32) as usize).min(last);
        self.bins[bin][usize::from(truth)] += 1;
    }

    /// How often a late flight had a higher score than one on time, scores of one bin counting half.
    /// `None` until there are both.
    fn auc(&self) -> Option<f64> {
        let (mut on_time, mut late, mut won) = (0, 0, 0.0);
        for [here_on_time, here_late] in &self.bins {
            won += *here_late as f64 * (on_time as f64 + *here_on_time as f64 / 2.0);
            on_time += here_on_time;
            late += here_late;
        }
        (on_time > 0 && late > 0).then(|| won / (on_time as f64 * late as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(version: u64, millis: u64, score: f32, late: bool) -> Seen {
        Seen {
            version,
            latency: Duration::from_millis(millis),
            class: if score > 0.5 { "late" } else { "on time" }.into(),
            score,
            right: (score > 0.5) == late,
            late,
        }
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let mut board = Board::default();
        (1..=200).for_each(|millis| board.record(seen(1, millis, 0.1, false)));
        let tally = &board.versions[&1];
        assert_eq!(tally.percentile(50), Some(Duration::from_millis(100)));
        assert_eq!(tally.percentile(99), Some(Duration::from_millis(198)));
        assert_eq!(tally.percentile(100), Some(Duration::from_millis(200)));
        assert_eq!(
            Tally::default().percentile(50),
            None,
            "of nothing there is none"
        );
    }

    #[test]
    fn old_latencies_leave() {
        let mut tally = Tally::default();
        tally.record(seen(1, 9_000, 0.1, false));
        (0..Tally::LATENCIES).for_each(|_| tally.record(seen(1, 1, 0.1, false)));
        assert_eq!(tally.percentile(100), Some(Duration::from_millis(1)));
        assert_eq!(tally.answers, Tally::LATENCIES as u64 + 1);
    }

    #[test]
    fn a_rate_is_over_the_last_ticks_until_the_end_and_then_over_all() {
        let mut board = Board::default();
        assert_eq!(board.rate(1), None, "no tick, no rate");
        for second in 0..20 {
            board.tick(Duration::from_secs(second));
            let per_second = if second < 10 { 5 } else { 100 };
            (0..per_second).for_each(|_| board.record(seen(1, 1, 0.1, false)));
        }
        assert_eq!(board.rate(1), Some(100.0));
        assert_eq!(board.rate(2), Some(0.0), "never answered");
        board.close(Duration::from_secs(20));
        assert_eq!(board.rate(1), Some((10.0 * 5.0 + 10.0 * 100.0) / 20.0));
    }

    #[test]
    fn auc_agrees_with_counting_pairs() {
        let flights = [
            (0.1, false),
            (0.4, false),
            (0.35, true),
            (0.8, true),
            (0.35, false),
            (0.9, false),
            (0.95, true),
        ];
        let mut pairs = Vec::new();
        for (late, _) in flights.iter().filter(|(_, truth)| *truth) {
            for (on_time, _) in flights.iter().filter(|(_, truth)| !*truth) {
                pairs.push(match f32::total_cmp(late, on_time) {
                    std::cmp::Ordering::Greater => 1.0,
                    std::cmp::Ordering::Equal => 0.5,
                    std::cmp::Ordering::Less => 0.0,
                });
            }
        }
        let wanted = pairs.iter().sum::<f64>() / pairs.len() as f64;
        let mut tally = Tally::default();
        assert_eq!(tally.auc(), None, "needs both kinds");
        flights
            .iter()
            .for_each(|&(score, late)| tally.record(seen(1, 1, score, late)));
        let auc = tally.auc().unwrap();
        assert!((auc - wanted).abs() < 1e-12, "got {auc}, wants {wanted}");
    }

    #[test]
    fn scores_at_the_ends_have_a_bin() {
        let mut tally = Tally::default();
        tally.record(seen(1, 1, 1.0, true));
        tally.record(seen(1, 1, 0.0, false));
        assert_eq!(tally.auc(), Some(1.0));
        assert_eq!(tally.accuracy(), Some(1.0));
        assert_eq!(tally.mean_score(), Some(0.5));
    }
}
