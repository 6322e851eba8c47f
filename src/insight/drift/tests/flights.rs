//! Real flights, compared with the profile of a real version.

use std::{collections::BTreeMap, fs::File, path::Path};

use flate2::read::GzDecoder;

use super::super::*;
use super::percentiles;
use crate::model::manifest::{Manifest, raw::Profile, raw::Reference};

type Row = BTreeMap<String, String>;

fn rows(file: &str) -> Vec<Row> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flights");
    let mut reader =
        csv::Reader::from_reader(GzDecoder::new(File::open(folder.join(file)).unwrap()));
    reader.deserialize().map(Result::unwrap).collect()
}

fn reference() -> Reference {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flights/models/flight-delay/2");
    Manifest::read(&folder).unwrap().about.reference.unwrap()
}

fn column(rows: &[&Row], name: &str) -> Vec<f64> {
    rows.iter().map(|row| row[name].parse().unwrap()).collect()
}

fn counts(rows: &[&Row], name: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row[name].clone()).or_default() += 1;
    }
    counts
}

/// Pairs `rows`, as a gateway would record them, with the profile.
fn pairs(reference: &Reference, rows: &[&Row]) -> Vec<ColumnPair> {
    let pair = |(name, profile): (&String, &Profile)| ColumnPair {
        name: name.clone(),
        pair: profile_against(profile, reference.rows, rows, name),
    };
    reference.features.iter().map(pair).collect()
}

fn profile_against(profile: &Profile, all: u64, rows: &[&Row], name: &str) -> Pair {
    if let Some(quantiles) = &profile.quantiles {
        return Pair::Numbers {
            reference: Distribution::of_quantiles(quantiles, all - profile.missing).unwrap(),
            current: Distribution::of_sketch(&column(rows, name).into_iter().collect()),
        };
    }
    Pair::Categories {
        reference: Categories {
            counts: profile.categories.clone().unwrap(),
            other: profile.other.unwrap_or(0),
            missing: profile.missing,
        },
        current: Categories {
            counts: counts(rows, name),
            other: 0,
            missing: 0,
        },
    }
}

fn describe(report: &DriftReport) -> String {
    let line = |finding: &Finding| match &finding.result {
        ColumnResult::Compared(s) => format!(
            "{:17}{:6} ks {:?} p {:.3e} psi {:.4} js {:.4} {}\n",
            finding.name,
            finding.rows[1],
            s.ks.map(|ks| (ks.low, ks.value, ks.high)),
            s.p_corrected,
            s.psi.value,
            s.js.value,
            s.severity.as_str()
        ),
        ColumnResult::TooFew(few) => format!("{} {few}\n", finding.name),
    };
    report.features.iter().map(line).collect()
}

fn drifted(report: &DriftReport) -> Vec<&str> {
    report
        .drifted()
        .map(|finding| finding.name.as_str())
        .collect()
}

#[test]
fn the_weather_of_the_second_half_of_the_year_is_drift() {
    let live = rows("live.csv.gz");
    let report = assess(
        &pairs(&reference(), &live.iter().collect::<Vec<_>>()),
        &[],
        Rule::default(),
    );
    let drifted = drifted(&report);
    for name in ["temp", "dewp", "humid"] {
        assert!(drifted.contains(&name), "{name}:\n{}", describe(&report));
    }
    for name in [
        "weekday",
        "origin",
        "distance",
        "sched_dep_minute",
        "precip",
    ] {
        assert!(!drifted.contains(&name), "{name}:\n{}", describe(&report));
    }
}

/// The version was trained on the first 85 % of the rows by time. The rows that it did not see are from June, which is warmer. So this
/// test holds out other rows, from the same months: every second flight. The profile is that of the other flights.
#[test]
fn flights_of_the_same_months_that_were_held_out_have_not_drifted() {
    let train = rows("train.csv.gz");
    let side = |want: usize| -> Vec<&Row> {
        train
            .iter()
            .enumerate()
            .filter(|(at, _)| at % 2 == want)
            .map(|(_, row)| row)
            .collect()
    };
    let (trained, held_out) = (side(0), side(1));
    let mut profile = reference();
    profile.rows = trained.len() as u64;
    for (name, profile) in &mut profile.features {
        if profile.quantiles.is_some() {
            profile.quantiles = Some(percentiles(&column(&trained, name)));
        } else {
            profile.categories = Some(counts(&trained, name));
        }
    }
    for held_out in [
        &held_out[..],
        &held_out.iter().step_by(12).copied().collect::<Vec<_>>()[..],
    ] {
        let report = assess(&pairs(&profile, held_out), &[], Rule::default());
        assert!(drifted(&report).is_empty(), "\n{}", describe(&report));
    }
}

/// These flights are from the months that the profile of the version describes.
#[test]
fn flights_up_to_the_fourth_of_june_have_not_drifted_from_the_profile() {
    let train = rows("train.csv.gz");
    let described: Vec<&Row> = train.iter().take(20_400).step_by(17).collect();
    let report = assess(&pairs(&reference(), &described), &[], Rule::default());
    assert!(drifted(&report).is_empty(), "\n{}", describe(&report));
}
