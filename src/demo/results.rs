//! Predictions as the demo received them, by version. Time is an argument.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// The prediction for one flight.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Prediction {
    /// The version that answered.
    pub(super) version: u64,
    /// From the request to the response.
    pub(super) latency: Duration,
    /// The most probable class.
    pub(super) class: String,
    /// The predicted probability of being late, 0 to 1.
    pub(super) score: f32,
    /// Whether that class is the actual one.
    pub(super) correct: bool,
    /// Whether the flight was late.
    pub(super) late: bool,
}

/// All predictions and errors. The size is bounded, however long the demo runs.
#[derive(Debug, Default)]
pub(super) struct Results {
    /// By version.
    pub(super) versions: BTreeMap<u64, VersionResults>,
    /// By gRPC code.
    pub(super) errors: BTreeMap<&'static str, u64>,
    /// Predictions of each version so far, at several times.
    ticks: VecDeque<(Duration, BTreeMap<u64, u64>)>,
}

impl Results {
    /// Ticks over which rates are measured.
    const TICKS: usize = 6;

    pub(super) fn record(&mut self, prediction: Prediction) {
        let version = self.versions.entry(prediction.version);
        version.or_default().record(prediction);
    }

    pub(super) fn fail(&mut self, code: &'static str) {
        *self.errors.entry(code).or_default() += 1;
    }

    /// Remembers the number of predictions at `now`, for the rates.
    pub(super) fn tick(&mut self, now: Duration) {
        let answers = self
            .versions
            .iter()
            .map(|(version, tally)| (*version, tally.answers));
        push(&mut self.ticks, (now, answers.collect()), Self::TICKS);
    }

    /// Ends the measurement at `now`. Rates are over the whole run then.
    pub(super) fn close(&mut self, now: Duration) {
        self.ticks.clear();
        self.ticks.push_back((Duration::ZERO, BTreeMap::new()));
        self.tick(now);
    }

    /// Returns the predictions per second of `version` over the last ticks.
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

/// The predictions of one version.
#[derive(Debug, Default)]
pub(super) struct VersionResults {
    /// Number of predictions.
    pub(super) answers: u64,
    /// Number of predictions by most probable class.
    pub(super) classes: BTreeMap<String, u64>,
    correct: u64,
    score_sum: f64,
    latencies: VecDeque<Duration>,
    ranking: Ranking,
}

impl VersionResults {
    /// Percentiles are of this many last latencies.
    const LATENCIES: usize = 2_048;

    fn record(&mut self, prediction: Prediction) {
        self.answers += 1;
        self.correct += u64::from(prediction.correct);
        self.score_sum += f64::from(prediction.score);
        *self.classes.entry(prediction.class).or_default() += 1;
        self.ranking.record(prediction.score, prediction.late);
        push(&mut self.latencies, prediction.latency, Self::LATENCIES);
    }

    /// Returns the latency that `per_cent` of the last responses did not exceed (nearest rank).
    pub(super) fn percentile(&self, per_cent: usize) -> Option<Duration> {
        let mut sorted: Vec<_> = self.latencies.iter().copied().collect();
        sorted.sort_unstable();
        let rank = (sorted.len() * per_cent).div_ceil(100);
        sorted.get(rank.saturating_sub(1)).copied()
    }

    /// Returns the mean of the scores.
    pub(super) fn mean_score(&self) -> Option<f64> {
        (self.answers > 0).then(|| self.score_sum / self.answers as f64)
    }

    /// Returns the share of correct predictions, 0 to 1.
    pub(super) fn accuracy(&self) -> Option<f64> {
        (self.answers > 0).then(|| self.correct as f64 / self.answers as f64)
    }

    /// Returns the AUC; see [`Ranking::auc`].
    pub(super) fn auc(&self) -> Option<f64> {
        self.ranking.auc()
    }
}

/// Appends `item`, and removes the first item if there would be more than `most`.
fn push<T>(queue: &mut VecDeque<T>, item: T, most: usize) {
    if queue.len() == most {
        queue.pop_front();
    }
    queue.push_back(item);
}

/// Counts of scores by actual class in bins of a thousandth: enough for an AUC to the third decimal, at a fixed size.
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
    fn record(&mut self, score: f32, late: bool) {
        let last = self.bins.len() - 1;
        // The cast turns scores below 0, which are no probabilities, into bin 0.
        let bin = ((score * self.bins.len() as f32) as usize).min(last);
        self.bins[bin][usize::from(late)] += 1;
    }

    /// Returns how often a late flight has a higher score than one on time. Scores in the same bin count half.
    /// `None` until there are flights of both classes.
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

    fn prediction(version: u64, millis: u64, score: f32, late: bool) -> Prediction {
        Prediction {
            version,
            latency: Duration::from_millis(millis),
            class: if score > 0.5 { "late" } else { "on time" }.into(),
            score,
            correct: (score > 0.5) == late,
            late,
        }
    }

    #[test]
    fn percentiles_use_the_nearest_rank() {
        let mut results = Results::default();
        (1..=200).for_each(|millis| results.record(prediction(1, millis, 0.1, false)));
        let tally = &results.versions[&1];
        assert_eq!(tally.percentile(50), Some(Duration::from_millis(100)));
        assert_eq!(tally.percentile(99), Some(Duration::from_millis(198)));
        assert_eq!(tally.percentile(100), Some(Duration::from_millis(200)));
        assert_eq!(
            VersionResults::default().percentile(50),
            None,
            "there are no latencies"
        );
    }

    #[test]
    fn old_latencies_are_dropped() {
        let mut tally = VersionResults::default();
        tally.record(prediction(1, 9_000, 0.1, false));
        (0..VersionResults::LATENCIES).for_each(|_| tally.record(prediction(1, 1, 0.1, false)));
        assert_eq!(tally.percentile(100), Some(Duration::from_millis(1)));
        assert_eq!(tally.answers, VersionResults::LATENCIES as u64 + 1);
    }

    #[test]
    fn a_rate_is_over_the_last_ticks_and_in_the_end_over_the_whole_run() {
        let mut results = Results::default();
        assert_eq!(results.rate(1), None, "no tick, no rate");
        for second in 0..20 {
            results.tick(Duration::from_secs(second));
            let per_second = if second < 10 { 5 } else { 100 };
            (0..per_second).for_each(|_| results.record(prediction(1, 1, 0.1, false)));
        }
        assert_eq!(results.rate(1), Some(100.0));
        assert_eq!(results.rate(2), Some(0.0), "never answered");
        results.close(Duration::from_secs(20));
        assert_eq!(results.rate(1), Some((10.0 * 5.0 + 10.0 * 100.0) / 20.0));
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
        for (late, _) in flights.iter().filter(|(_, late)| *late) {
            for (on_time, _) in flights.iter().filter(|(_, late)| !*late) {
                pairs.push(match f32::total_cmp(late, on_time) {
                    std::cmp::Ordering::Greater => 1.0,
                    std::cmp::Ordering::Equal => 0.5,
                    std::cmp::Ordering::Less => 0.0,
                });
            }
        }
        let expected = pairs.iter().sum::<f64>() / pairs.len() as f64;
        let mut tally = VersionResults::default();
        assert_eq!(tally.auc(), None, "needs both classes");
        flights
            .iter()
            .for_each(|&(score, late)| tally.record(prediction(1, 1, score, late)));
        let auc = tally.auc().unwrap();
        assert!(
            (auc - expected).abs() < 1e-12,
            "got {auc}, expected {expected}"
        );
    }

    #[test]
    fn scores_at_the_ends_have_a_bin() {
        let mut tally = VersionResults::default();
        tally.record(prediction(1, 1, 1.0, true));
        tally.record(prediction(1, 1, 0.0, false));
        assert_eq!(tally.auc(), Some(1.0));
        assert_eq!(tally.accuracy(), Some(1.0));
        assert_eq!(tally.mean_score(), Some(0.5));
    }
}
