//! The table of metrics is consistent, and nothing is named outside it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::super::labels::{CODE, QUALITY_MEASURE, REJECTION_REASON, ROLE, UNMATCHED_REASON};
use super::super::*;
use crate::error::{Code, PredictError};
use crate::ident::Role;
use crate::insight::outcomes::JoinStatus;

#[test]
fn each_row_follows_the_naming_rules() {
    let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), METRICS.len(), "names are unique");
    for metric in METRICS {
        let Metric {
            name, kind, unit, ..
        } = metric;
        assert!(!metric.help.is_empty() && !unit.is_empty(), "{name}");
        let is_counter = *kind == Kind::Counter;
        assert_eq!(name.ends_with("_total"), is_counter, "{name}");
        for unit_in_name in ["seconds", "bytes"] {
            let named = name.ends_with(&format!("_{unit_in_name}"));
            assert_eq!(named, *unit == unit_in_name, "{name}");
        }
        let is_histogram = *kind == Kind::Histogram;
        assert_eq!(metric.buckets != Buckets::None, is_histogram, "{name}");
        if let Buckets::Fixed(bounds) = metric.buckets {
            assert!(bounds.is_sorted_by(|one, two| one < two), "{name}");
        }
        let labels: Vec<&str> = metric.all_labels().map(|label| label.name).collect();
        let unique: BTreeSet<&str> = labels.iter().copied().collect();
        assert_eq!(unique.len(), labels.len(), "{name}: {labels:?}");
    }
}

#[test]
fn label_values_are_the_words_of_the_types_they_come_from() {
    let rejections = [&PredictError::REASONS[..], &MessageFault::REASONS].concat();
    let unmatched = JoinStatus::REFUSED.map(|(_, reason)| reason).to_vec();
    for (label, words) in [
        (ROLE, Role::ALL.map(Role::as_str).to_vec()),
        (CODE, Code::PREDICTION.map(Code::as_str).to_vec()),
        (REJECTION_REASON, rejections),
        (UNMATCHED_REASON, unmatched),
    ] {
        assert_eq!(label.values, Values::OneOf(words.leak()), "{}", label.name);
    }
    assert!(QUALITY_MEASURE.values.accept("accuracy") && !QUALITY_MEASURE.values.accept("f1"));
}

/// Source files below `dir` that are not tests.
fn sources(dir: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "tests" {
            sources(&path, found)?;
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.push(path);
        }
    }
    Ok(())
}

#[test]
fn names_of_metrics_are_in_the_table_only() {
    let mut files = Vec::new();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    sources(&src, &mut files).unwrap();
    let table = src.join("insight/metrics/table.rs");
    assert!(files.contains(&table));
    for file in files.iter().filter(|file| **file != table) {
        let text = fs::read_to_string(file).unwrap();
        let named = METRICS
            .iter()
            .find(|metric| text.contains(&format!("\"{}\"", metric.name)));
        assert!(
            named.is_none(),
            "{}: use the constant of the table for {}",
            file.display(),
            named.unwrap().name
        );
    }
}
