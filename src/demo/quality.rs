//! How good the versions are, by the gateway's own numbers. Pure.

use std::collections::BTreeMap;

use super::view::Column;
use crate::client::wire;
use crate::proto::v1::Role;
use crate::proto::v1::outcome_window::Quality;
use crate::proto::v1::{ClassQuality, PairedComparison, VersionOutcomes};
use crate::terminal::table::{part_of, thousands};

/// What the gateway says of its versions.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdicts {
    /// How good each was, by the truths that were reported.
    pub(super) outcomes: Vec<VersionOutcomes>,
    /// What shadows answered beside primaries.
    pub(super) pairs: Vec<PairedComparison>,
}

/// One cell for each version and role for which a truth has come, since it was loaded.
pub(super) fn columns(verdicts: &Verdicts) -> Vec<Column> {
    let (rows, disagreement) = (rows(verdicts), disagreement(&verdicts.pairs));
    let column = |header: &str, cell: &dyn Fn(&Row<'_>) -> String| {
        (header.to_owned(), rows.iter().map(cell).collect())
    };
    vec![
        column("version", &|row| row.version.to_string()),
        column("role", &|row| row.role.into()),
        column("truths", &|row| thousands(row.truths)),
        column("AUC", &|row| {
            let auc = row.quality.auc;
            auc.map_or_else(|| "-".into(), |auc| format!("{auc:.3}"))
        }),
        column("accuracy", &|row| {
            format!("{:.1}%", row.quality.accuracy * 100.0)
        }),
        column("disagrees", &|row| disagrees(row, &disagreement)),
        column("log loss", &|row| format!("{:.3}", row.quality.log_loss)),
        column("Brier", &|row| format!("{:.3}", row.quality.brier)),
    ]
}

/// The same in a few words; empty where no truth has come.
pub(super) fn line(verdicts: &Verdicts) -> String {
    let disagreement = disagreement(&verdicts.pairs);
    let rows = rows(verdicts).into_iter().map(|row| {
        let auc = row.quality.auc;
        let auc = auc.map_or_else(|| "-".into(), |auc| format!("{auc:.3}"));
        let told = format!("{} {} AUC {auc}", row.role, row.version);
        match disagrees(&row, &disagreement).as_str() {
            "-" => told,
            part => format!("{told}, disagrees {part}"),
        }
    });
    rows.collect::<Vec<_>>().join(", ")
}

/// Of the rows that a shadow and any primary both answered, how many they call differently, and of how many.
fn disagreement(pairs: &[PairedComparison]) -> BTreeMap<u64, (u64, u64)> {
    let mut of: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for pair in pairs {
        if let Some(rate) = &pair.disagreement {
            let (count, total) = of.entry(pair.shadow).or_default();
            *count += rate.count;
            *total += rate.total;
        }
    }
    of
}

/// `12.3%` for a shadow, `-` for others.
fn disagrees(row: &Row<'_>, disagreement: &BTreeMap<u64, (u64, u64)>) -> String {
    let counted = disagreement.get(&row.version);
    match counted.filter(|_| row.role == wire::role(Role::Shadow)) {
        Some((count, total)) => part_of(*count, *total),
        None => "-".into(),
    }
}

fn rows(verdicts: &Verdicts) -> Vec<Row<'_>> {
    verdicts.outcomes.iter().filter_map(row).collect()
}

struct Row<'a> {
    version: u64,
    role: &'static str,
    truths: u64,
    quality: &'a ClassQuality,
}

fn row(of: &VersionOutcomes) -> Option<Row<'_>> {
    let whole = of.windows.iter().find(|window| window.length.is_none())?;
    let Some(Quality::Classes(quality)) = &whole.quality else {
        return None;
    };
    Some(Row {
        version: of.version,
        role: wire::role(of.role()),
        truths: whole.rows,
        quality,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::{OutcomeWindow, Rate};

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
        let verdicts = Verdicts {
            outcomes: vec![
                judged(1, Role::Primary, Some(0.625)),
                judged(3, Role::Shadow, None),
            ],
            pairs: vec![pair(1, 3, 10, 60), pair(2, 3, 15, 40), pair(9, 1, 1, 1)],
        };
        assert_eq!(
            line(&verdicts),
            "primary 1 AUC 0.625, shadow 3 AUC -, disagrees 25.00%"
        );
        let columns = columns(&verdicts);
        let disagrees = columns.iter().find(|(header, _)| header == "disagrees");
        assert_eq!(disagrees.unwrap().1, ["-", "25.00%"]);
        assert_eq!(line(&Verdicts::default()), "");
    }
}
