//! Names, types and categories of inputs.

use super::models::{model, small, small_tree};
use super::versions::version;
use super::writer::{Doc, object, text};
use super::*;

const MODEL: &str = "learner.gradient_booster.model";

/// Returns the small model with tables of categories: numeric, integers of a type, and texts.
fn with_tables(
    number: [i64; 3],
    kind: i64,
    integers: Doc,
    offsets: Vec<i32>,
    bytes: Vec<i32>,
) -> Doc {
    let mut tree = small_tree();
    tree.inputs[0] = 0;
    let mut doc = model(3, 1, "reg:squarederror", vec![tree.doc(0, 3)], vec![0]);
    version(&mut doc, number);
    let texts = i32::try_from(offsets.len()).unwrap() - 1;
    let of_type = object([("type", Doc::Integer(kind)), ("values", integers)]);
    let of_texts = object([
        ("offsets", Doc::Integers(offsets)),
        ("values", Doc::Integers(bytes)),
    ]);
    let empty = object([
        ("offsets", Doc::Integers(vec![])),
        ("values", Doc::Integers(vec![])),
    ]);
    let cats = object([
        ("enc", Doc::List(vec![empty, of_type, of_texts])),
        ("feature_segments", Doc::Integers(vec![0, 0, 2, 2 + texts])),
        ("sorted_idx", Doc::Integers(vec![0, 1])),
    ]);
    doc.set(MODEL, "cats", Some(cats));
    doc
}

fn kinds(doc: &Doc) -> Result<Vec<FeatureKind>, String> {
    let model =
        read(&doc.ubj()).map_err(|faults| format!("{}: {}", faults[0].at, faults[0].message))?;
    Ok(model
        .features
        .into_iter()
        .map(|feature| feature.kind)
        .collect())
}

#[test]
fn tables_of_categories_are_read() {
    let int16 = || Doc::Integers(vec![-1, 7]);
    let doc = with_tables(
        [3, 4, 1],
        15,
        int16(),
        vec![0, 2, 2, 5],
        vec![-61, -68, 97, 98, 99],
    );
    let texts = ["ü", "", "abc"].map(String::from).to_vec();
    let expected = [
        FeatureKind::Number,
        FeatureKind::Integers(vec![-1, 7]),
        FeatureKind::Texts(texts),
    ];
    assert_eq!(kinds(&doc).unwrap(), expected);
    // UBJ has unsigned integers as signed ones of the same width.
    for (kind, first) in [(12, 65_535), (14, 4_294_967_295)] {
        let doc = with_tables([3, 4, 1], kind, int16(), vec![0, 1], vec![98]);
        assert_eq!(
            kinds(&doc).unwrap()[1],
            FeatureKind::Integers(vec![first, 7])
        );
    }
    for (kind, integers, message) in [
        (8, int16(), "got 8, expected 9 to 16, an integer type"),
        (
            10,
            int16(),
            "got -1, expected a number that is not negative",
        ),
        (
            16,
            int16(),
            "got -1, expected a number that is not negative",
        ),
        (
            12,
            Doc::Integers(vec![-40_000, 1]),
            "got -40000, expected a number that is not negative",
        ),
        (
            15,
            Doc::Integers(vec![3, 3]),
            "category 1 is 3, which is also an earlier one",
        ),
    ] {
        let doc = with_tables([3, 4, 1], kind, integers, vec![0, 1], vec![98]);
        assert!(
            kinds(&doc).unwrap_err().contains(message),
            "{message}: {:?}",
            kinds(&doc)
        );
    }
}

#[test]
fn tables_that_are_inconsistent_are_refused() {
    let int16 = || Doc::Integers(vec![-1, 7]);
    for (offsets, bytes, message) in [
        (
            vec![0, 2],
            vec![98],
            "expected ascending offsets from 0 to 1",
        ),
        (vec![1, 1], vec![98], "expected ascending offsets"),
        (vec![0, 1, 0, 1], vec![98], "expected ascending offsets"),
        (vec![0, -1, 1], vec![98], "expected ascending offsets"),
        (vec![0, 1], vec![256], "got 256, expected a byte"),
        (vec![0, 1], vec![-129], "got -129, expected a byte"),
        (vec![0, 1], vec![200], "category 0 is not UTF-8"),
        (
            vec![0, 1, 2],
            vec![98, 98],
            "category 1 is \"b\", which is also an earlier one",
        ),
    ] {
        let doc = with_tables([3, 4, 1], 15, int16(), offsets, bytes);
        assert!(
            kinds(&doc).unwrap_err().contains(message),
            "{message}: {:?}",
            kinds(&doc)
        );
    }
    let mut doc = with_tables([3, 4, 1], 15, int16(), vec![0, 1], vec![98]);
    doc.set(
        &format!("{MODEL}.cats"),
        "feature_segments",
        Some(Doc::Integers(vec![0, 0, 1, 3])),
    );
    assert!(kinds(&doc).unwrap_err().contains("the segments differ"));
    let mut doc = with_tables([3, 4, 1], 15, int16(), vec![0, 1], vec![98]);
    doc.set(
        "learner",
        "feature_types",
        Some(Doc::List(["float", "int", "c"].map(text).into())),
    );
    assert!(
        kinds(&doc)
            .unwrap_err()
            .contains("got \"int\", expected \"c\": the input has categories")
    );
}

#[test]
fn damaged_texts_become_codes_with_a_note() {
    // `ö` and `b` of XGBoost 3.2: two characters, so that only two of the three bytes are there.
    let table = |number| {
        with_tables(
            number,
            15,
            Doc::Integers(vec![1, 2]),
            vec![0, 1, 2],
            vec![-61, -74],
        )
    };
    for number in [[3, 1, 0], [3, 2, 0], [3, 3, 9]] {
        let doc = table(number);
        assert_eq!(kinds(&doc).unwrap()[2], FeatureKind::Codes, "{number:?}");
        let notes = read(&doc.json()).unwrap().notes;
        assert!(
            notes[0].starts_with("The texts of the categories of input 2 are damaged"),
            "{notes:?}"
        );
    }
    assert!(
        kinds(&table([3, 4, 0]))
            .unwrap_err()
            .contains("category 0 is not UTF-8")
    );
}

#[test]
fn types_of_inputs_are_those_of_the_file() {
    let mut doc = small();
    doc.set(
        "learner",
        "feature_names",
        Some(Doc::List(["a", "b", "c"].map(text).into())),
    );
    doc.set(
        "learner",
        "feature_types",
        Some(Doc::List(["i", "int", "c"].map(text).into())),
    );
    let model = read(&doc.json()).unwrap();
    let found: Vec<_> = model
        .features
        .iter()
        .map(|feature| (feature.name.as_deref(), &feature.kind))
        .collect();
    let expected = [
        (Some("a"), &FeatureKind::Indicator),
        (Some("b"), &FeatureKind::Integer),
        (Some("c"), &FeatureKind::Codes),
    ];
    assert_eq!(found, expected);
    assert_eq!(
        model.notes.len(),
        1,
        "only about the codes: {:?}",
        model.notes
    );
}
