//! The kinds of inputs, and the lists of categories.

use crate::model::trees::{FeatureKind, Missing, Node, Test};

use super::super::read;
use super::{faults, sample};

/// Returns the text of the sample with an ordered column `size` and unordered columns, with other lists of categories.
fn with_lists(json: &str) -> String {
    let text = sample("v4_forest");
    let (start, _) = text.split_once("pandas_categorical:").unwrap();
    format!("{start}pandas_categorical:{json}\n")
}

const SIZES: &str = r#"["S","M","L","XL","XXL"]"#;

fn kinds(json: &str) -> Vec<FeatureKind> {
    let model = read(with_lists(json).as_bytes()).expect(json);
    model
        .features
        .into_iter()
        .map(|feature| feature.kind)
        .collect()
}

#[test]
fn lists_of_categories_become_kinds() {
    let texts = |list: &[&str]| FeatureKind::Texts(list.iter().map(ToString::to_string).collect());
    let found = kinds(&format!(
        r#"[{SIZES},["a","b","c\u00fc","d","\ud83d\ude00"],[3,-10,20,77,500],[1.0,2.0,4.0],[false,true]]"#
    ));
    assert_eq!(
        found,
        [
            FeatureKind::Number,
            texts(&["S", "M", "L", "XL", "XXL"]),
            texts(&["a", "b", "cü", "d", "😀"]),
            FeatureKind::Integers(vec![3, -10, 20, 77, 500]),
            FeatureKind::Integers(vec![1, 2, 4]),
            FeatureKind::Indicator,
            FeatureKind::Number,
        ]
    );
    let found = kinds(&format!(
        r#"[{SIZES},["a","b","c","d","e"],[3,10,20,77,500],[1,2,4],[true,false]]"#
    ));
    assert_eq!(found[5], FeatureKind::Integers(vec![1, 0]));
}

#[test]
fn without_lists_categories_are_codes() {
    for json in ["null", "[]"] {
        let found = kinds(json);
        assert_eq!(found[0], FeatureKind::Number);
        // The ordered column is a number to the trees.
        assert_eq!(found[1], FeatureKind::Number);
        assert_eq!(found[2..6], [const { FeatureKind::Codes }; 4]);
    }
}

#[test]
fn lists_of_other_values_are_refused() {
    let mixed = "in a list that is not all texts, expected texts only or whole numbers only";
    for (list, message) in [
        (
            r#"["a",1,"c"]"#,
            format!("got the category \"\\\"a\\\"\" {mixed}"),
        ),
        ("[0.5,1,2]", format!("got the category \"0.5\" {mixed}")),
        (
            "[1e300,1,2]",
            format!("got the category \"1e+300\" {mixed}"),
        ),
        ("[null,1,2]", format!("got the category \"null\" {mixed}")),
        ("[[1],1,2]", format!("got the category a list {mixed}")),
        ("[{},1,2]", format!("got the category an object {mixed}")),
        ("[1,2,1]", "the category 1 occurs twice".to_owned()),
        ("[0,1,false]", "the category 0 occurs twice".to_owned()),
        (
            r#"["a","b","a"]"#,
            "the category \"a\" occurs twice".to_owned(),
        ),
    ] {
        let text = with_lists(&format!(
            r#"[{SIZES},["a","b","c","d","e"],[3,10,20,77,500],{list},[false,true]]"#
        ));
        assert_eq!(
            faults(&text),
            [format!("pandas_categorical[3]: {message}")],
            "{list}"
        );
    }
    for json in ["", "{}", "[1]", "[[1]", "nan", "[[NaN]]", r#"["abc"]"#] {
        let found = faults(&with_lists(json));
        assert!(
            found[0].starts_with("pandas_categorical: "),
            "{json}: {found:?}"
        );
    }
}

#[test]
fn lists_that_do_not_fit_are_refused() {
    let found = faults(&with_lists(
        r#"[["a"],["b"],["c"],["d"],["e"],["f"],["g"],["h"]]"#,
    ));
    assert!(found[0].contains("do not fit the inputs"), "{found:?}");
    let text = small("a b", "[0:2] [0:2]", "0.5", r#"[["x","y","z"]]"#);
    assert!(faults(&text)[0].contains("in several ways"));
}

#[test]
fn an_ordered_column_is_found_among_numbers() {
    for (infos, threshold, kinds) in [
        ("[0:2] [0:3]", "0.5", "Tn"),
        ("[0:2] [0:2.5]", "0.5", "Tn"),
        ("[0:2] [-1:2]", "0.5", "Tn"),
        ("[-1:2] [0:2]", "0.5", "nT"),
        ("none [0:3]", "0.5", "Tn"),
        ("[0:2] 0:1:2", "0.5", "nT"),
        // The trees split the first input between 0.2 and 0.3, so it holds no codes.
        ("[0:2] [0:2]", "0.25", "nT"),
        ("[0:2] [0:2]", "1e300", "ambiguous"),
    ] {
        let text = small("a b", infos, threshold, r#"[["x","y","z"]]"#);
        let found = match read(text.as_bytes()) {
            Err(_) => "ambiguous".to_owned(),
            Ok(model) => {
                let letter = |kind: &FeatureKind| match kind {
                    FeatureKind::Texts(_) => 'T',
                    _ => 'n',
                };
                model
                    .features
                    .iter()
                    .map(|feature| letter(&feature.kind))
                    .collect()
            }
        };
        assert_eq!(found, kinds, "{infos} {threshold}");
    }
}

#[test]
fn the_training_parameter_names_categories_that_no_tree_uses() {
    for (parameter, is_code) in [
        ("1", true),
        ("name:b", true),
        ("0", false),
        ("name:c", false),
        ("9,x", false),
        ("", false),
    ] {
        let text = small("a b", "[0:2] none", "0.5", "null");
        let parameters = format!(
            "end of trees\n\nparameters:\n[categorical_feature: {parameter}]\n\nend of parameters\n"
        );
        let model = read(text.replace("end of trees\n", &parameters).as_bytes()).expect("a model");
        assert_eq!(
            model.features[1].kind == FeatureKind::Codes,
            is_code,
            "{parameter}"
        );
        // The first input is split on as a number, so it is not a code.
        assert_eq!(model.features[0].kind, FeatureKind::Number);
    }
}

/// Returns a model with one split on the first input.
fn small(names: &str, infos: &str, threshold: &str, lists: &str) -> String {
    let last = names.split(' ').count() - 1;
    format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx={last}\nobjective=regression\n\
         feature_names={names}\nfeature_infos={infos}\n\nTree=0\nnum_leaves=2\nnum_cat=0\nsplit_feature=0\nthreshold={threshold}\n\
         decision_type=2\nleft_child=-1\nright_child=-2\nleaf_value=1 2\nshrinkage=1\n\n\nend of trees\n\n\
         pandas_categorical:{lists}\n"
    )
}

#[test]
fn a_missing_value_is_treated_as_the_decision_type_says() {
    let base = sample("v2_early");
    let line = base
        .lines()
        .find(|line| line.starts_with("decision_type="))
        .unwrap();
    let count = line.split([' ', '=']).count() - 1;
    for (decision, missing) in [
        (0, Missing::AsZero),
        (2, Missing::AsZero),
        (4, Missing::ZeroNo),
        (6, Missing::ZeroYes),
        (8, Missing::No),
        (10, Missing::Yes),
    ] {
        let all = vec![decision.to_string(); count].join(" ");
        let text: String = base
            .lines()
            .filter(|line| !line.starts_with("cat_") && !line.starts_with("tree_sizes"))
            .map(|line| match line.split_once('=') {
                Some(("decision_type", _)) => format!("decision_type={all}\n"),
                Some(("num_cat", _)) => "num_cat=0\n".to_owned(),
                _ => format!("{line}\n"),
            })
            .collect();
        let model = read(text.as_bytes()).expect("a model");
        for node in &model.ensemble.trees[0].nodes {
            if let Node::Split { missing: found, .. } = node {
                assert_eq!(*found, missing, "decision type {decision}");
            }
        }
    }
}

#[test]
fn thresholds_at_zero_are_moved_so_that_tiny_values_count_as_zero() {
    let tiny = 1.000_000_018_002_509_5e-35_f64;
    for (written, read_as) in [
        (tiny, tiny),
        (-tiny, (-tiny).next_down()),
        (0.0, tiny),
        (1e-36, tiny),
        (-1e-36, (-tiny).next_down()),
        (1.1e-35, 1.1e-35),
        (-1.1e-35, -1.1e-35),
        (f64::INFINITY, f64::INFINITY),
    ] {
        let text = small("x", "[-1:1]", &format!("{written:e}"), "null");
        let model = read(text.as_bytes()).expect("a model");
        let Node::Split { test, .. } = &model.ensemble.trees[0].nodes[0] else {
            panic!("expected a split");
        };
        assert_eq!(*test, Test::LessOrEqual(read_as), "{written:e}");
    }
}
