use super::*;
use crate::ident::{Label, ModelName, Revision};

fn version(number: u64) -> VersionNumber {
    VersionNumber::try_from(number).unwrap()
}

fn following(latest: Option<LatestLabel>) -> Wanted {
    let target = RawTarget::Label(Label::LATEST.to_owned());
    Wanted {
        policy: Some(RawPolicy::everything_to(target)),
        latest,
        ..Wanted::default()
    }
}

fn due(wanted: &Wanted, highest: u64, latest_answers: bool) -> Option<AutomaticChange> {
    automatic_change(Facts {
        wanted,
        unstored_first_version: None,
        highest: version(highest),
        latest_answers,
    })
}

#[test]
fn a_model_without_a_policy_gives_its_highest_version_everything_once() {
    let wanted = Wanted {
        labels: [("stable".parse().unwrap(), version(1))].into(),
        ..Wanted::default()
    };
    let change = due(&wanted, 3, false).unwrap();
    assert_eq!(
        (change.origin, change.action.as_str()),
        (Origin::FirstVersion, "first version 3")
    );
    assert_eq!(change.wanted.labels, wanted.labels);
    let model: ModelName = "m".parse().unwrap();
    let policy = change.wanted.policy(&model).unwrap().unwrap();
    let (target, share) = &policy.split().rows()[0];
    assert_eq!(
        (target.to_string(), share.basis_points()),
        ("3".into(), 10_000)
    );
    assert_eq!(
        due(&change.wanted, 4, false),
        None,
        "a later version changes nothing"
    );
}

#[test]
fn a_first_version_that_is_not_stored_yet_stays_the_first() {
    let wanted = with_first_version(&Wanted::default(), version(2));
    let change = automatic_change(Facts {
        wanted: &wanted,
        unstored_first_version: Some(version(2)),
        highest: version(3),
        latest_answers: false,
    });
    let change = change.unwrap();
    assert_eq!(
        (change.wanted, change.action.as_str()),
        (wanted, "first version 2")
    );
}

#[test]
fn latest_moves_up_and_away_from_a_version_that_cannot_answer() {
    let at = |version_number| Some(LatestLabel::at(version(version_number)));
    let moved_to = |wanted: &Wanted, highest, answers| {
        let change = due(wanted, highest, answers)?;
        assert_eq!(change.origin, Origin::Latest);
        assert_eq!(change.wanted.policy, wanted.policy);
        change.wanted.latest
    };
    assert_eq!(
        moved_to(&following(None), 2, false),
        at(2),
        "an older release"
    );
    assert_eq!(moved_to(&following(at(2)), 3, true), at(3));
    assert_eq!(moved_to(&following(at(2)), 2, true), None);
    assert_eq!(
        moved_to(&following(at(3)), 2, true),
        None,
        "3 is still loading"
    );
    assert_eq!(moved_to(&following(at(3)), 2, false), at(2), "3 failed");
    let undone = LatestLabel {
        version: version(2),
        seen: version(3),
    };
    assert_eq!(
        moved_to(&following(Some(undone)), 3, true),
        None,
        "the undo holds"
    );
    assert_eq!(moved_to(&following(Some(undone)), 4, true), at(4));
}

#[test]
fn latest_stays_while_a_change_waits_to_be_confirmed() {
    let mut wanted = following(Some(LatestLabel::at(version(2))));
    wanted.pending = Some(crate::control::Pending {
        restores: Revision(1),
        until_ms: 5,
    });
    assert_eq!(due(&wanted, 3, true), None);
}
