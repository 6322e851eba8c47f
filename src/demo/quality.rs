//! How well the versions predict, by the figures of the gateway. Pure functions.

use std::collections::BTreeMap;

use super::view::Column;
use crate::client::v1::outcome_window::Quality;
use crate::client::v1::{ClassQuality, PairedComparison, Role, VersionOutcomes};

use crate::terminal::table::{or_dash, percentage, thousands};

/// The gateway's figures about its versions.
#[derive(Clone, Debug, Default)]
pub(super) struct QualityFigures {
    /// How well the predictions of each agree with the reported outcomes.
    pub(super) outcomes: Vec<VersionOutcomes>,
    /// Comparisons of shadows with primaries.
    pub(super) pairs: Vec<PairedComparison>,
}

/// Returns the columns of a table with one row for each version and role that has outcomes, since the version was loaded.
pub(super) fn columns(figures: &QualityFigures) -> Vec<Column> {
    let (rows, disagreement) = (rows(figures), disagreement(&figures.pairs));
    let column = |header: &str, cell: &dyn Fn(&Row<'_>) -> String| {
        (header.to_owned(), rows.iter().map(cell).collect())
    };
    vec![
        column("version", &|row| row.version.to_string()),
        column("role", &|row| row.role.into()),
        column("outcomes", &|row| thousands(row.outcomes)),
        column("AUC", &|row| {
            or_dash(row.quality.auc, |auc| format!("{auc:.3}"))
        }),
        column("accuracy", &|row| {
            format!("{:.1}%", row.quality.accuracy * 100.0)
        }),
        column("disagrees", &|row| disagrees(row, &disagreement)),
        column("log loss", &|row| format!("{:.3}", row.quality.log_loss)),
        column("Brier", &|row| format!("{:.3}", row.quality.brier)),
    ]
}

/// Returns the figures in a few words; empty without outcomes.
pub(super) fn line(figures: &QualityFigures) -> String {
    let disagreement = disagreement(&figures.pairs);
    let rows = rows(figures).into_iter().map(|row| {
        let auc = or_dash(row.quality.auc, |auc| format!("{auc:.3}"));
        let text = format!("{} {} AUC {auc}", row.role, row.version);
        match disagrees(&row, &disagreement).as_str() {
            "-" => text,
            share => format!("{text}, disagrees {share}"),
        }
    });
    rows.collect::<Vec<_>>().join(", ")
}

/// Returns, by shadow, how many rows it classified differently from a primary, and of how many rows.
fn disagreement(pairs: &[PairedComparison]) -> BTreeMap<u64, (u64, u64)> {
    let mut by_shadow: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for pair in pairs {
        if let Some(rate) = &pair.disagreement {
            let (count, total) = by_shadow.entry(pair.shadow).or_default();
            *count += rate.count;
            *total += rate.total;
        }
    }
    by_shadow
}

/// Returns `12.3%` for a shadow, `-` for other roles.
fn disagrees(row: &Row<'_>, disagreement: &BTreeMap<u64, (u64, u64)>) -> String {
    let counted = disagreement.get(&row.version);
    match counted.filter(|_| row.role == Role::Shadow.name()) {
        Some((count, total)) => percentage(*count, *total),
        None => "-".into(),
    }
}

fn rows(figures: &QualityFigures) -> Vec<Row<'_>> {
    figures.outcomes.iter().filter_map(row).collect()
}

struct Row<'a> {
    version: u64,
    role: &'static str,
    outcomes: u64,
    quality: &'a ClassQuality,
}

fn row(outcomes: &VersionOutcomes) -> Option<Row<'_>> {
    let whole = outcomes
        .windows
        .iter()
        .find(|window| window.length.is_none())?;
    let Some(Quality::Classes(quality)) = &whole.quality else {
        return None;
    };
    Some(Row {
        version: outcomes.version,
        role: outcomes.role().name(),
        outcomes: whole.rows,
        quality,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::v1::{OutcomeWindow, Rate};

    #[test]
    fn a_shadow_is_shown_with_how_often_it_disagrees_with_any_primary() {
        let judged = |version, role: Role, auc| VersionOutcomes {
            version,
            role: role.into(),
            windows: vec![OutcomeWindow {
                rows: 1_000,
                quality: Some(Quality::Classes(ClassQuality {
                    auc,
                    accuracy: 0.75,
                    log_loss: 0.5,
                    brier: 0.125,
                    ..ClassQuality::default()
                })),
                ..OutcomeWindow::default()
            }],
        };
        let pair = |primary, shadow, count, total| PairedComparison {
            primary,
            shadow,
            disagreement: Some(Rate {
                count,
                total,
                ..Rate::default()
            }),
            ..PairedComparison::default()
        };
        let figures = QualityFigures {
            outcomes: vec![
                judged(1, Role::Primary, Some(0.625)),
                judged(3, Role::Shadow, None),
            ],
            pairs: vec![pair(1, 3, 10, 60), pair(2, 3, 15, 40), pair(9, 1, 1, 1)],
        };
        assert_eq!(
            line(&figures),
            "primary 1 AUC 0.625, shadow 3 AUC -, disagrees 25.00%"
        );
        let columns = columns(&figures);
        let disagrees = columns.iter().find(|(header, _)| header == "disagrees");
        assert_eq!(disagrees.unwrap().1, ["-", "25.00%"]);
        assert_eq!(line(&QualityFigures::default()), "");
    }
}
