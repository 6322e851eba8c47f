//! How good the versions are, by the gateway's own numbers. Pure.

use super::view::Column;
use crate::cli::{table::thousands, wire};
use crate::proto::v1::outcome_window::Quality;
use crate::proto::v1::{ClassQuality, VersionOutcomes};

/// One cell for each version and role for which a truth has come, since it was loaded.
pub(super) fn columns(outcomes: &[VersionOutcomes]) -> Vec<Column> {
    let rows: Vec<_> = outcomes.iter().filter_map(row).collect();
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
        column("log loss", &|row| format!("{:.3}", row.quality.log_loss)),
        column("Brier", &|row| format!("{:.3}", row.quality.brier)),
    ]
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
