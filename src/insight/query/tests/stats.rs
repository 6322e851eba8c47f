use super::*;
use crate::insight::query::stats::{FeatureValues, StatsQuery, read_stats, read_totals};
use crate::insight::sketch::RELATIVE_ERROR;

#[test]
fn samples_come_by_version_role_and_window_and_only_for_roles_that_were_played() {
    let (one, two) = (Loaded::new(1), Loaded::new(2));
    one.answer(Role::Fallback, 1.0, 0.75);
    one.answer(Role::Primary, 1.0, 0.75);
    two.answer(Role::Shadow, 1.0, 0.75);
    let versions = [one.observed(), two.observed()];
    let read = |roles: &[Role], windows: &[Window]| -> Vec<(u64, Role, Window)> {
        let query = StatsQuery {
            roles,
            windows,
            features: false,
        };
        let samples = read_stats(&versions, query).samples.into_iter();
        samples
            .map(|one| (one.version.get(), one.sample.role, one.sample.window))
            .collect()
    };
    assert_eq!(read(&[], &[]).len(), 3 * Window::ALL.len());
    assert_eq!(
        read(
            &[Role::Shadow, Role::Primary],
            &[Window::SinceLoad, Window::Minute]
        ),
        [
            (1, Role::Primary, Window::Minute),
            (1, Role::Primary, Window::SinceLoad),
            (2, Role::Shadow, Window::Minute),
            (2, Role::Shadow, Window::SinceLoad),
        ],
        "not in the order of the query"
    );
}

#[test]
fn a_sample_has_the_codes_that_occurred_and_inputs_only_if_asked_for() {
    let version = Loaded::new(1);
    version.answer(Role::Primary, 3.0, 0.75);
    version.answer(Role::Primary, 5.0, 0.25);
    version.end(Role::Primary, Code::InvalidArgument);
    let read = |features: bool| {
        let query = StatsQuery {
            windows: &[Window::Minute],
            features,
            ..StatsQuery::default()
        };
        let answer = read_stats(&[version.observed()], query);
        assert!((answer.relative_error - RELATIVE_ERROR).abs() < 1e-15);
        let [sample] = <[_; 1]>::try_from(answer.samples).unwrap();
        sample
    };
    let sample = read(false);
    assert_eq!(sample.codes, [(Code::Ok, 2), (Code::InvalidArgument, 1)]);
    assert_eq!((sample.rows, sample.total_seconds.count), (2, 3));
    assert_eq!(
        sample.classes,
        [("no".to_owned(), 1), ("yes".to_owned(), 1)]
    );
    assert_eq!(sample.scores[0].0, "yes");
    assert!(sample.total_seconds.bars.is_empty(), "times have no bars");
    assert_eq!(sample.scores[0].1.bars.len(), 2);
    assert!(sample.features.is_empty());
    let features = read(true).features;
    let [a, b] = &features[..] else {
        panic!("two inputs: {features:?}")
    };
    assert_eq!((a.name.as_str(), a.count, b.count), ("a", 2, 0));
    let FeatureValues::Numbers(a) = &a.values else {
        panic!("a number: {a:?}")
    };
    assert_eq!((a.min, a.max), (3.0, 5.0));
}

#[test]
fn totals_are_of_requests_that_clients_wait_for() {
    let version = Loaded::new(1);
    for role in [Role::Primary, Role::Fallback, Role::Shadow] {
        version.answer(role, 1.0, 0.75);
    }
    version.end(Role::Fallback, Code::Internal);
    let totals = read_totals(&version.insight);
    assert_eq!((totals.answered.count, totals.failed.count), (2, 1));
    assert_eq!((totals.rows, totals.passes), (2, 2));
}
