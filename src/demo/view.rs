//! How the demo looks. [`live`] and [`line()`] are pure; [`Screen`] draws.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::quality::{self, Verdicts};
use super::tally::{Board, Tally};
use crate::client::Failure;
use crate::proto::v1::GetTrafficPolicyResponse;
use crate::terminal::output::{self, Reader};
use crate::terminal::table::{part_of, per_cent, table, thousands};

/// Where the demo is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    /// The policy in force and what was counted under it.
    pub(super) policy: &'a GetTrafficPolicyResponse,
    /// What the gateway says of the versions.
    pub(super) verdicts: &'a Verdicts,
    /// What was seen.
    pub(super) board: &'a Board,
    /// The two classes, on time and late, as the model calls them.
    pub(super) classes: &'a [String; 2],
    /// Day of the flight that was sent last.
    pub(super) date: &'a str,
    /// Since the first flight.
    pub(super) elapsed: Duration,
}

impl Scene<'_> {
    /// Versions with a share, and those that answered before.
    fn versions(&self) -> Vec<u64> {
        let split = self.policy.counted.iter().map(|row| row.version);
        let mut versions: Vec<_> = split.collect();
        versions.extend(self.board.versions.keys());
        versions.sort_unstable();
        versions.dedup();
        versions
    }

    /// What the split gives to `version`, directly or by labels.
    fn target(&self, version: u64) -> u32 {
        let split = self.policy.policy.iter().flat_map(|policy| &policy.split);
        let rows = split.zip(&self.policy.counted);
        rows.filter(|(_, row)| row.version == version)
            .map(|(share, _)| share.basis_points)
            .sum()
    }

    fn counted(&self, version: u64) -> String {
        let rows = &self.policy.counted;
        let all = rows.iter().map(|row| row.requests).sum();
        let own = rows.iter().filter(|row| row.version == version);
        part_of(own.map(|row| row.requests).sum(), all)
    }

    fn errors(&self) -> String {
        let errors = &self.board.errors;
        if errors.is_empty() {
            return "no errors".into();
        }
        let each = errors
            .iter()
            .map(|(code, count)| format!("{} {code}", thousands(*count)));
        format!("errors: {}", each.collect::<Vec<_>>().join(", "))
    }
}

/// One table row a version, at most `width` characters wide: the columns that matter least come last, and those that do
/// not fit are left out.
pub(super) fn live(scene: &Scene<'_>, width: usize) -> String {
    let answers = fitted(columns(scene), width);
    let mut judged = String::new();
    if !scene.verdicts.outcomes.is_empty() {
        let table = fitted(quality::columns(scene.verdicts), width);
        judged = format!("\nby the truths that were reported since:\n{table}");
    }
    format!(
        "{}   policy revision {}   flights of {}   {} answered, {}\n{answers}{judged}",
        scene.policy.model,
        scene.policy.revision,
        scene.date,
        thousands(scene.board.answers()),
        scene.errors(),
    )
}

/// The first of these columns, as many as fit.
fn fitted(mut columns: Vec<Column>, width: usize) -> String {
    let mut text = aligned(&columns);
    while columns.len() > 1 && text.lines().any(|line| line.chars().count() > width) {
        columns.pop();
        text = aligned(&columns);
    }
    text
}

/// A header and one cell a version.
pub(super) type Column = (String, Vec<String>);

fn columns(scene: &Scene<'_>) -> Vec<Column> {
    let nothing = Tally::default();
    let versions = scene.versions();
    let column = |header: &str, cell: &dyn Fn(u64, &Tally) -> String| {
        let cells = versions.iter().map(|version| {
            cell(
                *version,
                scene.board.versions.get(version).unwrap_or(&nothing),
            )
        });
        (header.to_owned(), cells.collect())
    };
    let [on_time, late] = scene.classes;
    let called = |tally: &Tally, class| thousands(tally.classes.get(class).copied().unwrap_or(0));
    vec![
        column("version", &|version, _| version.to_string()),
        column("target", &|version, _| per_cent(scene.target(version))),
        column("counted", &|version, _| scene.counted(version)),
        column("answers", &|_, tally| thousands(tally.answers)),
        column("per s", &|version, _| {
            or_dash(scene.board.rate(version), |rate| format!("{rate:.0}"))
        }),
        column("p50 ms", &|_, tally| {
            or_dash(tally.percentile(50), milliseconds)
        }),
        column("p99 ms", &|_, tally| {
            or_dash(tally.percentile(99), milliseconds)
        }),
        column(&format!("mean P({late})"), &|_, tally| {
            or_dash(tally.mean_score(), |mean| format!("{mean:.3}"))
        }),
        column("AUC", &|_, tally| {
            or_dash(tally.auc(), |auc| format!("{auc:.3}"))
        }),
        column("accuracy", &|_, tally| {
            or_dash(tally.accuracy(), |part| format!("{:.1}%", part * 100.0))
        }),
        column(&format!("{on_time} / {late}"), &|_, tally| {
            format!("{} / {}", called(tally, on_time), called(tally, late))
        }),
    ]
}

fn aligned(columns: &[Column]) -> String {
    let header: Vec<_> = columns.iter().map(|(header, _)| header.as_str()).collect();
    let right: Vec<_> = (0..columns.len()).collect();
    let count = columns.first().map_or(0, |(_, cells)| cells.len());
    let rows = (0..count).map(|at| columns.iter().map(|(_, cells)| cells[at].clone()).collect());
    table(&header, &right, rows)
}

/// The same in one line, for files and pipes.
pub(super) fn line(scene: &Scene<'_>) -> String {
    let nothing = Tally::default();
    let versions = scene.versions().into_iter().map(|version| {
        let tally = scene.board.versions.get(&version).unwrap_or(&nothing);
        format!(
            "version {version}: {} (counted {}), {}/s, p99 {}, mean {}",
            per_cent(scene.target(version)),
            scene.counted(version),
            or_dash(scene.board.rate(version), |rate| format!("{rate:.0}")),
            or_dash(tally.percentile(99), |p99| format!(
                "{} ms",
                milliseconds(p99)
            )),
            or_dash(tally.mean_score(), |mean| format!("{mean:.3}")),
        )
    });
    let judged = match quality::line(scene.verdicts) {
        judged if judged.is_empty() => judged,
        judged => format!(" | by the truths: {judged}"),
    };
    format!(
        "{:5.1}s {} {} answered, {} | {}{judged}",
        scene.elapsed.as_secs_f64(),
        scene.date,
        thousands(scene.board.answers()),
        scene.errors(),
        versions.collect::<Vec<_>>().join(" | ")
    )
}

fn or_dash<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "-".into(), show)
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1_000.0)
}

/// Of the terminal; without one, as wide as it likes.
fn width() -> usize {
    comfy_table::Table::new()
        .width()
        .map_or(usize::MAX, usize::from)
}

/// Draws in place on a terminal, and writes a line now and then elsewhere.
#[derive(Debug)]
pub(super) enum Screen {
    /// A terminal.
    Terminal(ProgressBar),
    /// A file or a pipe.
    Lines,
}

impl Screen {
    pub(super) fn of_stdout() -> Self {
        if !std::io::IsTerminal::is_terminal(&std::io::stdout()) {
            return Self::Lines;
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
        // The template is a constant; where it could not be read, the bar's own style still shows the message.
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        Self::Terminal(bar)
    }

    /// How often to draw.
    pub(super) fn period(&self) -> Duration {
        match self {
            Self::Terminal(_) => Duration::from_millis(500),
            Self::Lines => Duration::from_secs(2),
        }
    }

    /// # Errors
    /// Where stdout cannot be written.
    pub(super) fn draw(&self, scene: &Scene<'_>) -> Result<Reader, Failure> {
        match self {
            Self::Terminal(bar) => {
                bar.set_message(live(scene, width()));
                bar.tick();
                Ok(Reader::There)
            }
            Self::Lines => output::tell(&line(scene)),
        }
    }

    /// Tells something that happened, above the table.
    ///
    /// # Errors
    /// Where stdout cannot be written.
    pub(super) fn tell(&self, event: &str) -> Result<Reader, Failure> {
        match self {
            Self::Terminal(bar) => {
                bar.println(event);
                Ok(Reader::There)
            }
            Self::Lines => output::tell(event),
        }
    }

    /// Leaves the final table behind.
    ///
    /// # Errors
    /// Where stdout cannot be written.
    pub(super) fn end(&self, scene: &Scene<'_>) -> Result<Reader, Failure> {
        if let Self::Terminal(bar) = self {
            bar.finish_and_clear();
        }
        output::tell(&live(scene, width()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::wire;
    use crate::demo::tally::Seen;
    use crate::proto::v1::{CountedShare, TrafficPolicy};

    #[test]
    fn the_table_and_the_line_show_versions_with_a_share_and_versions_that_answered() {
        let mut board = Board::default();
        let classes = ["on time".to_owned(), "late".to_owned()];
        board.tick(Duration::ZERO);
        for (version, score, late) in [
            (1, 0.25, false),
            (1, 0.75, true),
            (1, 0.75, false),
            (2, 0.125, false),
        ] {
            board.record(Seen {
                version,
                latency: Duration::from_micros(1_250),
                class: classes[usize::from(score > 0.5)].clone(),
                score,
                right: (score > 0.5) == late,
                late,
            });
        }
        board.tick(Duration::from_secs(2));
        board.fail("UNAVAILABLE");
        let policy = GetTrafficPolicyResponse {
            model: "flight-delay".into(),
            revision: 3,
            policy: Some(TrafficPolicy {
                split: [("1", 9_000), ("stable", 950), ("3", 50)]
                    .map(|(target, points)| wire::share(&target.parse().unwrap(), points))
                    .to_vec(),
                ..TrafficPolicy::default()
            }),
            counted: vec![
                CountedShare {
                    version: 1,
                    requests: 2,
                },
                CountedShare {
                    version: 1,
                    requests: 1,
                },
                CountedShare {
                    version: 3,
                    requests: 0,
                },
            ],
        };
        let scene = Scene {
            policy: &policy,
            verdicts: &Verdicts::default(),
            board: &board,
            classes: &classes,
            date: "2013-07-01",
            elapsed: Duration::from_millis(2_040),
        };
        insta::assert_snapshot!(live(&scene, usize::MAX), @r"
        flight-delay   policy revision 3   flights of 2013-07-01   4 answered, errors: 1 UNAVAILABLE
        ┌─────────┬────────┬─────────┬─────────┬───────┬────────┬────────┬──────────────┬───────┬──────────┬────────────────┐
        │ version ┆ target ┆ counted ┆ answers ┆ per s ┆ p50 ms ┆ p99 ms ┆ mean P(late) ┆   AUC ┆ accuracy ┆ on time / late │
        ╞═════════╪════════╪═════════╪═════════╪═══════╪════════╪════════╪══════════════╪═══════╪══════════╪════════════════╡
        │       1 ┆  99.5% ┆ 100.00% ┆       3 ┆     2 ┆   1.25 ┆   1.25 ┆        0.583 ┆ 0.750 ┆    66.7% ┆          1 / 2 │
        │       2 ┆     0% ┆   0.00% ┆       1 ┆     0 ┆   1.25 ┆   1.25 ┆        0.125 ┆     - ┆   100.0% ┆          1 / 0 │
        │       3 ┆   0.5% ┆   0.00% ┆       0 ┆     0 ┆      - ┆      - ┆            - ┆     - ┆        - ┆          0 / 0 │
        └─────────┴────────┴─────────┴─────────┴───────┴────────┴────────┴──────────────┴───────┴──────────┴────────────────┘
        ");
        insta::assert_snapshot!(line(&scene), @"  2.0s 2013-07-01 4 answered, errors: 1 UNAVAILABLE | version 1: 99.5% (counted 100.00%), 2/s, p99 1.25 ms, mean 0.583 | version 2: 0% (counted 0.00%), 0/s, p99 1.25 ms, mean 0.125 | version 3: 0.5% (counted 0.00%), 0/s, p99 -, mean -");
        let narrow = live(&scene, 60);
        assert!(
            narrow
                .lines()
                .skip(1)
                .all(|line| line.chars().count() <= 60),
            "{narrow}"
        );
        assert!(
            narrow.contains("counted") && !narrow.contains("accuracy"),
            "{narrow}"
        );
    }
}
