//! Which inputs the lists of categories of a data frame belong to.

use super::super::columns::{Column, Unassigned, assign};
use Column::{Category, Codes, Numbers};

/// Inputs, lengths of the lists, the inputs of the lists, and what the case shows.
type Case = (
    &'static [Column],
    &'static [usize],
    Result<Vec<usize>, Unassigned>,
    &'static str,
);

#[test]
fn lists_belong_to_inputs_only_if_there_is_one_way() {
    let cases: [Case; 16] = [
        (&[], &[], Ok(vec![]), "nothing to assign"),
        (
            &[Numbers, Category(3), Codes(2), Category(1)],
            &[3, 9],
            Ok(vec![1, 3]),
            "one list per categorical input, whatever other inputs could be",
        ),
        (
            &[Codes(3), Category(4)],
            &[3, 4],
            Ok(vec![0, 1]),
            "an ordered column before an unordered one",
        ),
        (
            &[Category(4), Numbers, Codes(3)],
            &[4, 3],
            Ok(vec![0, 2]),
            "an ordered column after an unordered one",
        ),
        (
            &[Codes(2), Codes(3)],
            &[3],
            Err(Unassigned::Ambiguous),
            "either input can be the ordered column",
        ),
        (
            &[Codes(9), Codes(3)],
            &[3],
            Ok(vec![1]),
            "the first input has more codes than the list",
        ),
        (
            &[Codes(0), Category(3)],
            &[3, 3],
            Ok(vec![0, 1]),
            "a constant column has a list",
        ),
        (
            &[Codes(0), Category(3), Codes(0)],
            &[3, 3],
            Err(Unassigned::Ambiguous),
            "either constant column can have the list",
        ),
        (
            &[Category(4), Category(90)],
            &[4],
            Ok(vec![0]),
            "the second input was named by the caller and is not a column of type category",
        ),
        (
            &[Category(4), Category(3)],
            &[4],
            Err(Unassigned::Ambiguous),
            "either categorical input can be of type category",
        ),
        (
            &[Codes(3), Category(4), Category(9), Codes(0), Codes(3)],
            &[3, 4, 1, 3],
            Ok(vec![0, 1, 3, 4]),
            "the caller named an input without a list, and not those of type category",
        ),
        (
            &[Category(4)],
            &[3],
            Err(Unassigned::Impossible),
            "a code is past the end of the list",
        ),
        (
            &[Category(1), Numbers],
            &[1, 1],
            Err(Unassigned::Impossible),
            "more lists than inputs",
        ),
        (
            &[Category(5), Category(2)],
            &[2, 5],
            Err(Unassigned::Impossible),
            "the order of the columns is the order of the lists",
        ),
        (
            &[Category(9), Codes(2)],
            &[2],
            Ok(vec![1]),
            "the categorical input cannot have the list",
        ),
        (
            &[Category(0), Category(0), Codes(0)],
            &[],
            Ok(vec![]),
            "no list at all",
        ),
    ];
    for (columns, lists, expected, why) in cases {
        let found = assign(columns, lists).map(|assigned| assigned.inputs);
        assert_eq!(found, expected, "{why}");
    }
}

#[test]
fn another_way_to_assign_lists_is_reported() {
    for (columns, lists, is_only_way) in [
        (&[Category(3), Numbers][..], &[3][..], true),
        (&[Category(3), Codes(9)], &[3], true),
        (&[Category(3), Codes(2)], &[3], false),
        (&[Category(3), Category(4), Codes(3)], &[3], false),
        (&[Codes(3), Category(4), Codes(2)], &[3, 5], false),
    ] {
        let found = assign(columns, lists).expect("an assignment");
        assert_eq!(found.is_only_way, is_only_way, "{columns:?} {lists:?}");
    }
}

#[test]
fn the_table_of_assignments_is_bounded() {
    let columns = vec![Codes(1); 5000];
    let lists = vec![1; 4999];
    assert_eq!(assign(&columns, &lists), Err(Unassigned::TooMany));
    let columns = vec![Category(1); 100_000];
    let lists = vec![1; 100_000];
    assert_eq!(
        assign(&columns, &lists).map(|found| found.inputs.len()),
        Ok(100_000)
    );
}
