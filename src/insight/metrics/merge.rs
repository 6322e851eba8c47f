//! Merges several texts of the Prometheus text format into one.
//!
//! Format: <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>. It wants all lines of a metric
//! in one group, with one HELP and one TYPE line. Concatenated texts would break this rule.

use std::{collections::BTreeMap, fmt::Write};

/// The lines of one metric: its comments, then its samples from all texts.
#[derive(Default)]
struct Family<'a> {
    help: Option<&'a str>,
    kind: Option<&'a str>,
    samples: Vec<&'a str>,
}

/// Merges texts in which each sample follows the TYPE line of its metric, as the exporter writes them.
pub(super) fn merge(texts: &[String]) -> String {
    let mut families: BTreeMap<&str, Family<'_>> = BTreeMap::new();
    for text in texts {
        let mut current = "";
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                current = first_word(rest);
                families
                    .entry(current)
                    .or_default()
                    .help
                    .get_or_insert(line);
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                current = first_word(rest);
                families
                    .entry(current)
                    .or_default()
                    .kind
                    .get_or_insert(line);
            } else {
                families.entry(current).or_default().samples.push(line);
            }
        }
    }
    let mut out = String::with_capacity(texts.iter().map(String::len).sum());
    for family in families.values() {
        for line in family
            .help
            .iter()
            .chain(&family.kind)
            .chain(&family.samples)
        {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{line}");
        }
    }
    out
}

fn first_word(text: &str) -> &str {
    text.split(' ').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_in_two_texts_becomes_one_family() {
        let one = "# HELP a Help of a\n# TYPE a counter\na{v=\"1\"} 1\n\n# TYPE b gauge\nb 2\n";
        let two = "# HELP a Help of a\n# TYPE a counter\na{v=\"2\"} 3\n";
        assert_eq!(
            merge(&[one.to_owned(), two.to_owned()]),
            "# HELP a Help of a\n# TYPE a counter\na{v=\"1\"} 1\na{v=\"2\"} 3\n# TYPE b gauge\nb 2\n"
        );
    }
}
