use super::*;
use crate::model::Sensitivity;

fn column(cells: &[Cell]) -> Vec<Sample> {
    let sample = |(at, cell): (usize, &Cell)| Sample {
        line: at as u64 + 2,
        when: None,
        target: 0.0,
        cells: vec![("x".into(), cell.clone())],
    };
    cells.iter().enumerate().map(sample).collect()
}

fn numbers(values: &[f64]) -> Vec<Sample> {
    column(&values.iter().map(|x| Cell::Number(*x)).collect::<Vec<_>>())
}

fn texts(values: &[&str]) -> Vec<Sample> {
    column(
        &values
            .iter()
            .map(|x| Cell::Text((*x).into()))
            .collect::<Vec<_>>(),
    )
}

fn feature(datatype: Datatype, kind: Kind) -> Feature {
    let (name, column) = ("x".into(), "X".into());
    Feature {
        name,
        column,
        datatype,
        sensitive: Sensitivity::Open,
        kind,
    }
}

fn fitted(feature: Feature, samples: &[Sample]) -> Result<RawEncoding, String> {
    let inputs = inputs(&[feature], samples, Path::new("a.csv"));
    let input = inputs.map_err(|faults| faults.to_string())?.remove(0);
    assert_eq!((input.name.as_str(), input.shape), ("x", vec![-1]));
    Ok(input.encoding)
}

fn numeric(scale: ScaleKind, range: Option<RawRange>, missing: Missing) -> Feature {
    feature(
        Datatype::Int32,
        Kind::Numeric {
            scale,
            range,
            missing,
        },
    )
}

fn categorical(min_count: u64, unknown: UnknownPolicy) -> Feature {
    let missing = Missing::Typical;
    feature(
        Datatype::Bytes,
        Kind::Categorical {
            min_count,
            unknown,
            missing,
        },
    )
}

#[test]
fn scales_are_fitted_to_the_clipped_values() {
    let samples = numbers(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
    let encoding = fitted(
        numeric(ScaleKind::Standardise, None, Missing::Reject),
        &samples,
    )
    .unwrap();
    assert_eq!(
        (encoding.mean, encoding.std),
        (Some(vec![5.0]), Some(vec![2.0]))
    );
    let clip = RawRange {
        min: 4.0,
        max: 6.0,
        outside: OutsidePolicy::Clip,
    };
    let encoding = fitted(
        numeric(ScaleKind::MinMax, Some(clip), Missing::Reject),
        &samples,
    )
    .unwrap();
    assert_eq!(
        (encoding.min, encoding.max),
        (Some(vec![4.0]), Some(vec![6.0])),
        "after clipping"
    );
    assert_eq!(encoding.missing, Some(MissingPolicy::Reject));
}

#[test]
fn a_missing_value_is_imputed_with_the_median() {
    let mut samples = numbers(&[9.0, 1.0, 4.0, 2.0]);
    samples[0].cells[0].1 = Cell::Missing;
    let encoding = fitted(numeric(ScaleKind::None, None, Missing::Typical), &samples).unwrap();
    assert_eq!(
        encoding.impute,
        Some(2.into()),
        "an integer that occurs in the data"
    );
    assert_eq!(encoding.missing, Some(MissingPolicy::Impute));
    let given = Missing::Given(7.into());
    let encoding = fitted(numeric(ScaleKind::None, None, given), &samples).unwrap();
    assert_eq!(encoding.impute, Some(7.into()));
}

#[test]
fn categories_are_ordered_by_frequency_then_name_and_rare_ones_are_left_out() {
    let samples = texts(&["b", "a", "c", "c", "a", "b", "c", "z"]);
    let encoding = fitted(categorical(1, UnknownPolicy::Bucket), &samples).unwrap();
    assert_eq!(categories(&encoding), ["c", "a", "b", "z"]);
    assert_eq!(encoding.impute, Some("c".into()));
    let encoding = fitted(categorical(2, UnknownPolicy::Bucket), &samples).unwrap();
    assert_eq!(categories(&encoding), ["c", "a", "b"]);
}

#[test]
fn columns_without_information_are_reported_by_name() {
    let gaps = column(&[Cell::Missing, Cell::Missing]);
    let plain = || numeric(ScaleKind::Standardise, None, Missing::Reject);
    let clip = RawRange {
        min: 0.0,
        max: 1.0,
        outside: OutsidePolicy::Clip,
    };
    let clipped = numeric(ScaleKind::None, Some(clip), Missing::Reject);
    let (bucket, reject) = (UnknownPolicy::Bucket, UnknownPolicy::Reject);
    for (feature, samples, want) in [
        (
            plain(),
            numbers(&[3.0, 3.0]),
            "has only the value 3 in the training rows",
        ),
        (
            clipped,
            numbers(&[5.0, 6.0]),
            "has only the value 1 in the training rows",
        ),
        (plain(), gaps.clone(), "is empty in all training rows"),
        (
            categorical(1, bucket),
            gaps,
            "is empty in all training rows",
        ),
        (
            categorical(1, reject),
            texts(&["a", "a"]),
            "has only the value \"a\" in the training rows",
        ),
        (
            categorical(3, bucket),
            texts(&["a", "b"]),
            "no string occurs in at least 3 training rows",
        ),
    ] {
        let fault = fitted(feature, &samples).unwrap_err();
        assert!(
            fault.starts_with(&format!("a.csv: column `X`: {want}")),
            "{fault}"
        );
    }
    assert!(
        fitted(categorical(2, bucket), &texts(&["a", "a", "b"])).is_ok(),
        "one category and the bucket"
    );
}

#[test]
fn a_column_with_too_many_categories_is_refused() {
    let names: Vec<String> = (0..=MAX_CATEGORIES).map(|at| at.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let fault = fitted(categorical(1, UnknownPolicy::Bucket), &texts(&names)).unwrap_err();
    assert!(
        fault.contains("got 2001 categories, wants at most 2000"),
        "{fault}"
    );
}

fn categories(encoding: &RawEncoding) -> Vec<String> {
    let categories = encoding.categories.iter().flatten();
    categories
        .map(|category| match category {
            RawCategory::Text(text) => text.clone(),
            RawCategory::Number(number) => number.to_string(),
        })
        .collect()
}
