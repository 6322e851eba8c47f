//! Files with one fault each, and the message for it.

use super::super::read;
use super::faults;

/// A tree with two numeric splits and one on a category, and a linear tree.
const TEXT: &str = "tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=2
objective=regression
feature_names=a b c
feature_infos=[0:1] none -1:3:40
tree_sizes=215 222

Tree=0
num_leaves=4
num_cat=1
split_feature=0 2 1
threshold=0.5 0 -1.5
decision_type=2 1 10
left_child=1 -1 -3
right_child=2 -2 -4
leaf_value=1 2 3 4
cat_boundaries=0 2
cat_threshold=8 256
is_linear=0
shrinkage=1


Tree=1
num_leaves=2
num_cat=0
split_feature=0
threshold=0.5
decision_type=4
left_child=-1
right_child=-2
leaf_value=1 2
is_linear=1
leaf_const=3 4
num_features=2 0
leaf_features=0 1  
leaf_coeff=0.5 -1  
shrinkage=1


end of trees

feature_importances:
a=2

parameters:
[boosting: gbdt]
end of parameters

pandas_categorical:null
";

/// Returns the text without `tree_sizes`, with `old` replaced.
fn edited(old: &str, new: &str) -> String {
    let text = TEXT.replace("tree_sizes=215 222\n", "");
    assert!(text.contains(old), "{old:?} is not in the text");
    text.replacen(old, new, 1)
}

#[test]
fn the_text_without_a_fault_is_read() {
    let model = read(TEXT.as_bytes());
    assert!(model.is_ok(), "{model:?}");
    let parser = "parser:\n{\"pandas_categorical\": 1}\nend of parser\n\npandas_categorical:null";
    assert!(read(edited("pandas_categorical:null", parser).as_bytes()).is_ok());
    // Lines may end in a carriage return, as long as the positions of the trees are not given.
    assert!(read(edited("\n\n\n", "\n\n\n").replace('\n', "\r\n").as_bytes()).is_ok());
}

/// Checks a table of edits. Each line of it is `old => new => fault`, where `;` stands for a line end in the file.
fn check_edits(table: &str) {
    for line in table.lines().filter(|line| !line.is_empty()) {
        let mut parts = line.splitn(3, " => ");
        let mut part = || parts.next().expect("three parts");
        let (old, new, expected) = (part().replace(';', "\n"), part().replace(';', "\n"), part());
        let found = faults(&edited(&old, &new));
        assert!(
            found.iter().any(|fault| fault == expected),
            "{line}\n{found:#?}"
        );
    }
}

#[test]
fn faults_of_the_header_name_the_field() {
    check_edits(
        r#"
version=v4 => version=v5 => version: got "v5", expected v2, v3 or v4
version=v4; =>  => version: missing
tree; => forest; => line 1: got "forest", expected a known field
num_class=1 => num_class=one => num_class: got "one", expected a whole number
num_class=1 => num_class=2 => num_tree_per_iteration: got 1, expected num_class, which is 2
label_index => label_at => line 5: got "label_at", expected a known field
label_index=0 => num_class=1 => line 5: num_class occurs twice
names=a b c => names=a b => feature_names: got 2 names, expected one more than max_feature_idx, which is 2
[0:1] none -1:3:40 => [0:1] => feature_infos: got 1 values, expected 3
[0:1] none => [0:x] none => feature_infos[0]: got "[0:x]", expected none, [MIN:MAX] or category codes
-1:3:40 => -1:3: => feature_infos[2]: got "-1:3:", expected none, [MIN:MAX] or category codes
"#,
    );
}

#[test]
fn faults_of_a_tree_name_the_value() {
    check_edits(
        r#"
num_leaves=4 => num_leaves=0 => Tree=0, num_leaves: got 0, expected at least 1
num_leaves=4 => num_leaves=-4 => Tree=0, num_leaves: got "-4", expected a whole number
num_leaves=4 => num_leaves=5 => Tree=0, threshold: got 3 values, expected 4
num_cat=1; =>  => Tree=0, num_cat: missing
split_feature=0 2 => split_feature=0 3 => Tree=0, split_feature[1]: got 3, expected an index below 3
split_feature=0 2 => split_feature=0 -2 => Tree=0, split_feature[1]: got "-2", expected an index
threshold=0.5 0 => threshold=0,5 0 => Tree=0, threshold[0]: got "0,5", expected a number
threshold=0.5 0 => threshold=nan 0 => Tree=0, threshold[0]: got nan, expected a number
decision_type=2 => decision_type=12 => Tree=0, decision_type[0]: got 12, expected at most 11
decision_type=2 => decision_type=300 => Tree=0, decision_type[0]: got "300", expected 0 to 255
left_child=1 -1 -3 => left_child=1 -1 -5 => Tree=0, left_child[2]: got -5 (leaf 4), which does not exist
left_child=1 -1 -3 => left_child=1 -1 3 => Tree=0, left_child[2]: got split 3, which does not exist
left_child=1 -1 -3 => left_child=1 -1 -1 => Tree=0, left_child[2]: got -1 (leaf 0), which has another parent or is the root
left_child=1 -1 -3 => left_child=1 -1 0 => Tree=0, left_child[2]: got split 0, which has another parent or is the root
leaf_value=1 2 3 4 => leaf_value=1 2 3 => Tree=0, leaf_value: got 3 values, expected 4
leaf_value=1 2 3 4 => leaf_value=1 2 inf 4 => Tree=0, leaf_value[2]: got inf, expected a finite number
is_linear=0 => is_linear=2 => Tree=0, is_linear: got "2", expected 0 or 1
shrinkage=1 => dropout=1 => line 23: got "dropout", expected a known field
Tree=1 => Tree=2 => line 26: got "Tree=2", expected Tree=1
leaf_const=3 4 => leaf_const=3 => Tree=1, leaf_const: got 1 values, expected 2
num_features=2 0 => num_features=2 1 => Tree=1, leaf_coeff: got 2 values, expected 3
leaf_features=0 1 => leaf_features=0 3 => Tree=1, leaf_features[1]: got 3, expected an index below 3
leaf_coeff=0.5 -1 => leaf_coeff=0.5 nan => Tree=1, leaf_coeff[1]: got NaN, expected a finite number
"#,
    );
}

#[test]
fn faults_of_sets_of_categories_name_the_value() {
    check_edits(
        r#"
cat_boundaries=0 2; =>  => Tree=0, cat_boundaries: missing
cat_boundaries=0 2 => cat_boundaries=0 => Tree=0, cat_boundaries: got 1 values, expected 2
cat_boundaries=0 2 => cat_boundaries=1 2 => Tree=0, cat_boundaries[0]: expected 0
cat_boundaries=0 2 => cat_boundaries=0 0 => Tree=0, cat_boundaries[1]: got 0 after 0, expected 1 to 524288 more, as category codes are below 16777216
cat_boundaries=0 2 => cat_boundaries=0 524289 => Tree=0, cat_boundaries[1]: got 524289 after 0, expected 1 to 524288 more, as category codes are below 16777216
cat_threshold=8 256 => cat_threshold=8 => Tree=0, cat_threshold: got 1 values, expected 2
cat_threshold=8 256 => cat_threshold=8 4294967296 => Tree=0, cat_threshold[1]: got "4294967296", expected 0 to 4294967295
threshold=0.5 0 => threshold=0.5 1 => Tree=0, threshold[1]: got 1, expected the index of one of 1 sets of categories
threshold=0.5 0 => threshold=0.5 0.5 => Tree=0, threshold[1]: got 0.5, expected the index of one of 1 sets of categories
threshold=0.5 0 => threshold=0.5 -1 => Tree=0, threshold[1]: got -1, expected the index of one of 1 sets of categories
type=2 1 10;left => type=2 0 10;left => Tree=0, num_cat: got 1, of which no split uses 1
0 -1.5;decision_type=2 1 10 => 0 0;decision_type=2 1 1 => Tree=0, threshold[2]: got set 0, which another split uses
"#,
    );
}

#[test]
fn splits_that_form_a_ring_are_refused() {
    let text = edited("left_child=1 -1 -3", "left_child=-1 2 1").replacen(
        "right_child=2 -2 -4",
        "right_child=-2 -3 -4",
        1,
    );
    assert_eq!(
        faults(&text),
        ["Tree=0, left_child: some splits are not below split 0, expected one tree"]
    );
}

#[test]
fn faults_of_the_rest_name_the_line() {
    check_edits(
        r#"
end of trees => end => line 43: got "end", expected the next tree or `end of trees`
end of parameters => ; => line 48: the file ends before `end of parameters`
null; => null;more; => line 53: got "more", expected nothing after pandas_categorical:
"#,
    );
    let (start, _) = TEXT.split_once("end of trees").unwrap();
    assert_eq!(faults(start), [": the file ends before `end of trees`"]);
    let mut bytes = TEXT.as_bytes().to_vec();
    bytes[20] = 0xff;
    let found = read(&bytes).unwrap_err();
    assert_eq!(found[0].message, "byte 20 is not UTF-8");
}

#[test]
fn trees_must_be_complete_and_where_the_header_says() {
    let found = faults(&TEXT.replace("tree_sizes=215 222", "tree_sizes=215 222 9"));
    assert_eq!(
        found,
        ["tree_sizes: got 3 values, expected 2, one per tree"]
    );
    let found = faults(&TEXT.replace("tree_sizes=215 222", "tree_sizes=214 222"));
    assert_eq!(
        found,
        [
            "Tree=1: starts 215 bytes after the first tree, expected 214, as tree_sizes says; was the file edited, or were its line ends \
             converted?"
        ]
    );
    let classes = "num_class=3\nnum_tree_per_iteration=3";
    let text = TEXT
        .replace("num_class=1\nnum_tree_per_iteration=1", classes)
        .replace("objective=regression", "objective=multiclass num_class:3");
    assert_eq!(
        faults(&text),
        [": got 2 trees, expected a multiple of num_tree_per_iteration, which is 3"]
    );
    let (start, _) = TEXT.split_once("\nTree=0").unwrap();
    let found = faults(&start.replace("tree_sizes=215 222", "tree_sizes="));
    assert!(
        found.contains(&": there is no tree".to_owned()),
        "{found:?}"
    );
}

#[test]
fn all_faults_are_reported_together() {
    let text = edited("version=v4", "version=v1")
        .replacen("left_child=1 -1 -3", "left_child=1 -1 9", 1)
        .replacen("leaf_coeff=0.5 -1", "leaf_coeff=0.5", 1)
        .replacen("pandas_categorical:null", "pandas_categorical:{}", 1);
    assert_eq!(
        faults(&text),
        [
            "version: got \"v1\", expected v2, v3 or v4",
            "Tree=0, left_child[2]: got split 9, which does not exist",
            "Tree=1, leaf_coeff: got 1 values, expected 2",
            "pandas_categorical: invalid type: map, expected a sequence at line 1 column 0, expected a list of lists",
        ]
    );
}
