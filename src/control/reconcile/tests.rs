mod events;

use super::*;

fn v(number: u64) -> VersionNumber {
    number.try_into().unwrap()
}

fn set(numbers: &[u64]) -> BTreeSet<VersionNumber> {
    numbers.iter().map(|number| v(*number)).collect()
}

const FOUND: VersionFacts = VersionFacts {
    state: State::Discovered,
    listed: true,
    complete: true,
    may_retry: false,
};

fn at(state: State) -> VersionFacts {
    VersionFacts { state, ..FOUND }
}

fn latest(most: usize) -> VersionChoice {
    VersionChoice::Latest(NonZeroUsize::new(most).unwrap())
}

/// A situation and the expected steps.
struct Case {
    versions: Vec<(u64, VersionFacts)>,
    choice: VersionChoice,
    held: &'static [u64],
    load: &'static [u64],
    unload: &'static [u64],
    steps: Vec<Step>,
    why: &'static str,
}

fn case(
    versions: Vec<(u64, VersionFacts)>,
    choice: VersionChoice,
    steps: Vec<Step>,
    why: &'static str,
) -> Case {
    Case {
        versions,
        choice,
        held: &[],
        load: &[],
        unload: &[],
        steps,
        why,
    }
}

#[test]
fn each_situation_has_its_steps() {
    use State::{Discovered, Draining, Failed, Loading, Ready, Retired};
    use Step::{Forget, Load, Retire};
    let removed = |state| VersionFacts {
        listed: false,
        ..at(state)
    };
    let cases = [
        case(
            vec![(1, FOUND), (2, FOUND)],
            VersionChoice::All,
            vec![Load(v(2)), Load(v(1))],
            "the highest first",
        ),
        Case {
            held: &[1],
            ..case(
                vec![(1, FOUND), (2, FOUND)],
                VersionChoice::All,
                vec![Load(v(1)), Load(v(2))],
                "held versions before all others",
            )
        },
        case(
            vec![(1, at(Ready)), (2, FOUND)],
            latest(1),
            vec![Load(v(2))],
            "the old one stays until the new one is READY",
        ),
        case(
            vec![(1, at(Ready)), (2, at(Ready)), (3, at(Loading))],
            latest(2),
            vec![],
            "none of two is retired before the third is READY: it may fail",
        ),
        case(
            vec![(1, at(Ready)), (2, at(Loading))],
            latest(1),
            vec![],
            "and while it loads",
        ),
        case(
            vec![(1, at(Ready)), (2, at(Ready))],
            latest(1),
            vec![Retire(v(1))],
            "then the old one is retired",
        ),
        Case {
            held: &[1],
            ..case(
                vec![(1, at(Ready)), (2, at(Ready))],
                latest(1),
                vec![],
                "unless it is held",
            )
        },
        case(
            vec![(1, FOUND), (2, at(Failed))],
            latest(1),
            vec![Load(v(1))],
            "a failed version does not count",
        ),
        case(
            vec![
                (1, at(Ready)),
                (
                    2,
                    VersionFacts {
                        may_retry: true,
                        ..at(Failed)
                    },
                ),
            ],
            latest(1),
            vec![Load(v(2))],
            "and is tried again",
        ),
        case(
            vec![
                (1, at(Ready)),
                (
                    2,
                    VersionFacts {
                        complete: false,
                        ..FOUND
                    },
                ),
            ],
            latest(1),
            vec![],
            "an incomplete folder is not loaded yet",
        ),
        case(
            vec![(1, removed(Ready)), (2, at(Ready))],
            VersionChoice::All,
            vec![Retire(v(1))],
            "its folder was removed",
        ),
        Case {
            held: &[1],
            ..case(
                vec![(1, removed(Ready))],
                VersionChoice::All,
                vec![],
                "a held version stays without its folder",
            )
        },
        case(
            vec![(1, removed(Retired)), (2, removed(Failed))],
            VersionChoice::All,
            vec![Forget(v(2)), Forget(v(1))],
            "nothing is left of it",
        ),
        case(
            vec![(1, removed(Draining))],
            VersionChoice::All,
            vec![],
            "its memory is still held",
        ),
        Case {
            unload: &[2],
            ..case(
                vec![(1, at(Ready)), (2, at(Ready))],
                VersionChoice::All,
                vec![Retire(v(2))],
                "unloaded by an operator, `latest` falls to 1",
            )
        },
        Case {
            unload: &[2],
            ..case(
                vec![(1, FOUND), (2, FOUND)],
                latest(1),
                vec![Load(v(1))],
                "an unloaded version does not count",
            )
        },
        Case {
            load: &[1],
            ..case(
                vec![(1, FOUND), (2, at(Ready))],
                latest(1),
                vec![Load(v(1))],
                "loaded by an operator beside the latest",
            )
        },
        case(
            vec![(1, FOUND), (2, FOUND)],
            VersionChoice::List(set(&[1])),
            vec![Load(v(1))],
            "only the list",
        ),
        case(
            vec![(1, at(Ready)), (2, at(Discovered))],
            VersionChoice::List(set(&[])),
            vec![],
            "the only READY version stays",
        ),
    ];
    for case in cases {
        let versions = case
            .versions
            .iter()
            .map(|(version, facts)| (v(*version), *facts))
            .collect();
        let situation = Situation {
            versions: &versions,
            choice: &case.choice,
            held: &set(case.held),
            load: &set(case.load),
            unload: &set(case.unload),
        };
        assert_eq!(reconcile(&situation), case.steps, "{}", case.why);
    }
}

#[test]
fn latest_is_the_highest_version_that_is_ready_and_requested() {
    use State::{Loading, Ready};
    for (two, choice, load, unload, want, why) in [
        (
            Ready,
            VersionChoice::All,
            &[][..],
            &[][..],
            2,
            "the highest",
        ),
        (
            Loading,
            VersionChoice::All,
            &[],
            &[],
            1,
            "the highest READY version",
        ),
        (
            Ready,
            VersionChoice::List(set(&[1])),
            &[],
            &[],
            1,
            "the requested version",
        ),
        (
            Ready,
            VersionChoice::List(set(&[1])),
            &[2],
            &[],
            2,
            "or the loaded version",
        ),
        (
            Ready,
            VersionChoice::All,
            &[],
            &[2],
            1,
            "not the unloaded version",
        ),
        (
            Loading,
            latest(1),
            &[],
            &[],
            1,
            "until the requested version is READY",
        ),
        (
            Ready,
            VersionChoice::List(set(&[])),
            &[],
            &[2],
            1,
            "none is requested: not the unloaded version",
        ),
        (
            Ready,
            VersionChoice::All,
            &[],
            &[1, 2],
            2,
            "all are unloaded: the highest READY version",
        ),
    ] {
        let versions = [(v(1), at(Ready)), (v(2), at(two))].into_iter().collect();
        let situation = Situation {
            versions: &versions,
            choice: &choice,
            held: &set(&[]),
            load: &set(load),
            unload: &set(unload),
        };
        assert_eq!(super::latest(&situation), Some(v(want)), "{why}");
    }
}
