//! Damaged and hostile files give faults, not panics.

use super::super::{read, recognises};
use super::writer::{self, Random};
use super::{SAMPLES, faults, sample};

/// Calls the reader; what counts is that it returns.
fn try_read(bytes: &[u8]) -> bool {
    let _ = recognises(bytes);
    read(bytes).is_ok()
}

#[test]
fn truncated_files_are_refused_or_read() {
    for sample in &SAMPLES {
        let bytes = sample.text.as_bytes();
        for cut in 0..400 {
            try_read(&bytes[..bytes.len() * cut / 400]);
        }
        let end_of_trees = sample.text.find("\n\n\nend of trees").unwrap_or(0);
        for cut in (0..end_of_trees).step_by(7) {
            assert!(!try_read(&bytes[..cut]), "{} cut at {cut}", sample.name);
        }
    }
}

#[test]
fn randomly_changed_files_are_refused_or_read() {
    let mut random = Random::new(11);
    let interesting = [
        "-1",
        "0",
        "99999999999999999999",
        "4294967295",
        "2147483648",
        "1e999",
        "nan",
        "-inf",
        "",
        " ",
        "\n",
        "=",
        "Tree=0",
        "Tree=1\n",
        "num_leaves=1000000000\n",
        "[",
        "{",
        "]",
        "\u{fffd}",
        "16777216",
    ];
    let mut read_count = 0;
    for round in 0..6000 {
        let mut bytes = match round % 6 {
            at @ 0..5 => SAMPLES[at].text.as_bytes().to_vec(),
            _ => writer::write(&writer::ensemble(&mut random), "").into_bytes(),
        };
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            let end = (at + random.below(12)).min(bytes.len());
            match random.below(4) {
                0 => bytes[at] = random.next() as u8,
                1 => bytes[at] = b"0123456789-. \n=:[],"[random.below(19)],
                2 => {
                    let inserted = interesting[random.below(interesting.len())];
                    bytes.splice(at..end, inserted.bytes());
                }
                _ => {
                    let copied = bytes[at..end].to_vec();
                    bytes.splice(at..at, copied);
                }
            }
        }
        read_count += usize::from(try_read(&bytes));
    }
    // Many changes are in fields that do not take part in predictions.
    assert!(
        (600..5400).contains(&read_count),
        "{read_count} of 6000 were read"
    );
}

#[test]
fn random_bytes_are_refused() {
    let mut random = Random::new(12);
    for length in 0..300 {
        let mut bytes = b"tree\nversion=v4\n".to_vec();
        bytes.extend((0..length).map(|_| random.next() as u8));
        assert!(!try_read(&bytes));
        assert!(!try_read(&bytes[16..]));
    }
}

#[test]
fn faults_are_listed_up_to_a_limit() {
    let many = vec!["x"; 100].join(" ");
    for text in [
        format!("num_leaves=100\nnum_cat=0\nleaf_value={many}\n"),
        "unknown=1\n".repeat(100),
    ] {
        let start = sample("v4_ova").split("Tree=1").next().unwrap();
        let found = faults(&format!("{start}Tree=1\n{text}"));
        assert_eq!(found.len(), 65);
        assert_eq!(found[64], ": there can be more faults than these 64");
    }
}

#[test]
fn counts_that_do_not_fit_the_file_reserve_no_memory() {
    for (field, value) in [
        ("num_leaves", "18446744073709551615"),
        ("num_cat", "18446744073709551615"),
        ("num_features", "18446744073709551615 1 1 1 1"),
        ("num_class", "18446744073709551615"),
        ("num_tree_per_iteration", "4000000000"),
        ("max_feature_idx", "18446744073709551615"),
        ("cat_boundaries", "0 18446744073709551615"),
    ] {
        for sample in &SAMPLES {
            let lines = sample.text.lines().map(|line| match line.split_once('=') {
                Some((name, _)) if name == field => format!("{field}={value}"),
                _ => line.to_owned(),
            });
            try_read(lines.collect::<Vec<_>>().join("\n").as_bytes());
        }
    }
}
