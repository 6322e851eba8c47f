use super::*;
use crate::control::store::{Author, Origin};
use crate::control::test_support::{model, move_label, v};
use crate::control::wanted::Pending;
use crate::serving::route::{RawFallback, RawHeaderRule, RawShadow};

/// Versions 1 to 3 are known, and `latest` names 3.
fn apply_to(edit: &Edit, wanted: &Wanted) -> Result<EditResult, AdminError> {
    apply_restoring(edit, wanted, None, None)
}

fn apply_restoring(
    edit: &Edit,
    wanted: &Wanted,
    record: Option<&Record>,
    restored: Option<(Revision, &Wanted)>,
) -> Result<EditResult, AdminError> {
    let context = EditContext {
        model: &model("m"),
        record,
        wanted,
        highest: Some(v(3)),
        in_registry: &[v(1), v(2), v(3)].into(),
        replaced: None,
        known: &[v(1), v(2), v(3)].into(),
        restored,
    };
    apply(edit, &context)
}

fn refusal(edit: &Edit, wanted: &Wanted) -> (&'static str, String) {
    let error = apply_to(edit, wanted).unwrap_err();
    (error.reason(), error.to_string())
}

fn record(revision: u64, base: u64, wanted: Wanted) -> Record {
    Record {
        revision: Revision(revision),
        model: model("m"),
        at_ms: 1,
        author: Author::default(),
        action: String::new(),
        previous: Revision(revision - 1),
        base: Revision(base),
        wanted,
        origin: Origin::Operator,
        writer: String::new(),
    }
}

/// Four labels: `stable` is in the split, `canary` in a header rule, `shadow` and `fallback` are the targets of a shadow and of
/// the fallback.
fn policy_with_labels() -> Wanted {
    let labels = [("stable", 1), ("canary", 2), ("shadow", 2), ("fallback", 1)];
    Wanted {
        policy: Some(RawPolicy {
            split: vec![("stable".into(), 10_000)],
            header_rules: vec![RawHeaderRule {
                header: "team".into(),
                value: "qa".into(),
                target: "canary".into(),
            }],
            shadows: vec![RawShadow {
                target: "shadow".into(),
                basis_points: 100,
                ..RawShadow::default()
            }],
            fallback: Some(RawFallback {
                target: "fallback".into(),
                within_ms: None,
            }),
            ..RawPolicy::default()
        }),
        labels: labels
            .map(|(label, version)| (label.parse().unwrap(), v(version)))
            .into(),
        ..Wanted::default()
    }
}

fn delete_label(label: &str) -> Edit {
    Edit::DeleteLabel {
        label: label.into(),
    }
}

fn promote(label: &str, to: &str) -> Edit {
    Edit::Promote {
        label: label.into(),
        to: to.into(),
    }
}

#[test]
fn a_policy_replaces_the_one_before_and_is_checked() {
    let raw = RawPolicy {
        split: vec![(1.into(), 10_000)],
        ..RawPolicy::default()
    };
    let edited = apply_to(&Edit::SetPolicy(raw.clone()), &policy_with_labels()).unwrap();
    assert_eq!(edited.wanted.policy, Some(raw.clone()));
    assert_eq!(edited.wanted.labels, policy_with_labels().labels);
    assert_eq!(
        (edited.action.as_str(), edited.needs_ready_versions),
        ("set policy", true)
    );
    let wrong = RawPolicy {
        split: vec![(1.into(), 9_999)],
        ..raw
    };
    let (reason, _) = refusal(&Edit::SetPolicy(wrong), &Wanted::default());
    assert_eq!(reason, "INVALID_POLICY");
}

#[test]
fn a_label_moves_to_a_known_version() {
    let edited = apply_to(&move_label("canary", 3), &policy_with_labels()).unwrap();
    assert_eq!(
        edited.wanted.labels[&"canary".parse::<Label>().unwrap()],
        v(3)
    );
    assert_eq!(
        (edited.action.as_str(), edited.needs_ready_versions),
        ("move label canary to 3", true)
    );
    for (edit, reason, text) in [
        (move_label("canary", 4), "UNKNOWN_VERSION", "no version 4"),
        (move_label("canary", 0), "INVALID_CHANGE", "version"),
        (
            move_label("Not a label", 1),
            "INVALID_CHANGE",
            "Not a label",
        ),
        (move_label("latest", 1), "INVALID_CHANGE", "built in"),
    ] {
        let refused = refusal(&edit, &Wanted::default());
        assert_eq!(refused.0, reason, "{edit:?}");
        assert!(refused.1.contains(text), "{}", refused.1);
    }
}

#[test]
fn a_model_has_a_limited_number_of_labels() {
    let mut wanted = Wanted::default();
    for number in 0..Wanted::MOST_LABELS {
        wanted = apply_to(&move_label(&format!("l{number}"), 1), &wanted)
            .unwrap()
            .wanted;
    }
    apply_to(&move_label("l0", 2), &wanted).unwrap();
    let (reason, text) = refusal(&move_label("one-more", 1), &wanted);
    assert_eq!(reason, "INVALID_CHANGE");
    assert!(text.contains("65 labels"), "{text}");
}

#[test]
fn a_label_is_deleted_unless_the_policy_refers_to_it() {
    let mut wanted = policy_with_labels();
    wanted.labels.insert("free".parse().unwrap(), v(3));
    let edited = apply_to(&delete_label("free"), &wanted).unwrap();
    assert_eq!(edited.wanted, policy_with_labels());
    assert_eq!(edited.action, "delete label free");
    for (label, by) in [
        ("stable", "the split"),
        ("canary", "a header rule"),
        ("shadow", "a shadow"),
        ("fallback", "the fallback"),
    ] {
        let (reason, text) = refusal(&delete_label(label), &wanted);
        assert_eq!(reason, "VERSION_HELD", "{label}");
        assert!(
            text.contains(&format!("label {label} is held by {by}")),
            "{text}"
        );
    }
    assert_eq!(refusal(&delete_label("other"), &wanted).0, "UNKNOWN_LABEL");
    assert_eq!(
        refusal(&delete_label("latest"), &wanted).0,
        "INVALID_CHANGE"
    );
}

#[test]
fn a_promotion_moves_the_label_and_the_whole_split_and_nothing_else() {
    let before = policy_with_labels();
    let edited = apply_to(&promote("canary", ""), &before).unwrap();
    let mut expected = before.clone();
    expected.labels.insert("stable".parse().unwrap(), v(2));
    assert_eq!(edited.wanted, expected);
    assert_eq!(edited.action, "promote canary (2) to stable");

    let edited = apply_to(&promote("latest", "blue"), &Wanted::default()).unwrap();
    assert_eq!(
        edited.wanted.labels,
        [("blue".parse().unwrap(), v(3))].into()
    );
    let split = edited.wanted.policy.unwrap().split;
    assert_eq!(split, [("blue".into(), 10_000)]);
    assert_eq!(refusal(&promote("other", ""), &before).0, "UNKNOWN_LABEL");
    assert_eq!(
        refusal(&promote("canary", "latest"), &before).0,
        "INVALID_CHANGE"
    );
    assert_eq!(
        refusal(&promote("Not a label", ""), &before).0,
        "INVALID_CHANGE"
    );
}

#[test]
fn loading_and_unloading_exclude_each_other_and_need_no_ready_version() {
    let loaded = apply_to(&Edit::Load(1), &Wanted::default()).unwrap();
    assert!(!loaded.needs_ready_versions);
    assert_eq!(loaded.wanted.load, [v(1)].into());
    let unloaded = apply_to(&Edit::Unload(1), &loaded.wanted).unwrap();
    assert!(!unloaded.needs_ready_versions);
    assert_eq!(
        (unloaded.wanted.load.len(), &unloaded.wanted.unload),
        (0, &[v(1)].into())
    );
    let again = apply_to(&Edit::Load(1), &unloaded.wanted).unwrap();
    assert_eq!(again.wanted, loaded.wanted);
    assert_eq!(
        refusal(&Edit::Load(9), &Wanted::default()).0,
        "UNKNOWN_VERSION"
    );
    let (reason, text) = refusal(&Edit::Unload(3), &Wanted::default().with_explicit_policy());
    assert_eq!(reason, "VERSION_HELD");
    assert!(
        text.contains("version 3 is held by split (latest: 100%)"),
        "{text}"
    );
}

#[test]
fn an_undo_or_a_rollback_restores_the_given_revision_without_its_confirmation() {
    let mut earlier = policy_with_labels();
    earlier.pending = Some(Pending {
        restores: Revision(1),
        until_ms: 5,
    });
    let current = record(7, 4, Wanted::default());
    let restored = Some((Revision(4), &earlier));
    for (edit, action) in [
        (Edit::Undo, "undo to revision 4"),
        (Edit::RollbackTo(Revision(4)), "roll back to revision 4"),
    ] {
        let edited = apply_restoring(&edit, &current.wanted, Some(&current), restored).unwrap();
        assert_eq!(edited.wanted, policy_with_labels());
        assert_eq!(
            (edited.action.as_str(), edited.needs_ready_versions),
            (action, true)
        );
        let missing = apply_restoring(&edit, &current.wanted, Some(&current), None);
        assert_eq!(missing.unwrap_err().reason(), "UNKNOWN_REVISION");
    }
    let nothing = apply_restoring(&Edit::Undo, &Wanted::default(), None, None);
    assert_eq!(nothing.unwrap_err().reason(), "NOTHING_TO_CHANGE");
}

#[test]
fn an_unconfirmed_change_allows_only_confirmation_undo_and_rollback() {
    let mut wanted = policy_with_labels();
    wanted.pending = Some(Pending {
        restores: Revision(1),
        until_ms: 5,
    });
    let current = record(2, 1, wanted.clone());
    for edit in [
        move_label("canary", 1),
        Edit::Load(1),
        promote("canary", ""),
    ] {
        let refused = apply_restoring(&edit, &wanted, Some(&current), None);
        assert!(
            matches!(refused, Err(AdminError::Unconfirmed(Revision(2)))),
            "{edit:?}"
        );
    }
    let confirmed = apply_restoring(&Edit::Confirm, &wanted, Some(&current), None).unwrap();
    assert_eq!(confirmed.wanted, policy_with_labels());
    assert!(!confirmed.needs_ready_versions);
    let initial = Wanted::default();
    let restored = Some((Revision(0), &initial));
    apply_restoring(&Edit::Undo, &wanted, Some(&current), restored).unwrap();
    assert_eq!(
        refusal(&Edit::Confirm, &policy_with_labels()).0,
        "NOTHING_TO_CHANGE"
    );
}

#[test]
fn an_undo_goes_one_step_further_back_each_time() {
    let first = record(1, 0, Wanted::default());
    let second = record(2, 1, Wanted::default());
    for (edit, current, restored, expected, why) in [
        (Edit::Load(1), None, None, 0, "the first change"),
        (Edit::Load(1), Some(&second), None, 2, "any other change"),
        (
            Edit::Confirm,
            Some(&second),
            None,
            1,
            "a confirmation is no step",
        ),
        (
            Edit::Undo,
            Some(&second),
            Some(&first),
            0,
            "the base of what is restored",
        ),
        (
            Edit::Undo,
            Some(&first),
            None,
            0,
            "revision 0 has no record",
        ),
        (
            Edit::RollbackTo(Revision(2)),
            Some(&first),
            Some(&second),
            1,
            "a rollback is undone to what was in force before it",
        ),
        (
            Edit::RollbackTo(Revision(1)),
            Some(&second),
            Some(&first),
            2,
            "whichever revision it restored",
        ),
    ] {
        assert_eq!(base(&edit, current, restored), Revision(expected), "{why}");
    }
}

#[test]
fn options_have_limits() {
    let check = |change: &dyn Fn(&mut ChangeOptions)| {
        let mut options = ChangeOptions::default();
        change(&mut options);
        options.check().map_err(|error| error.to_string())
    };
    assert_eq!(check(&|_| {}), Ok(()));
    assert_eq!(check(&|options| options.actor = "x".repeat(128)), Ok(()));
    assert_eq!(check(&|options| options.reason = "x".repeat(512)), Ok(()));
    for seconds in [1, 24 * 3600] {
        let wait = Some(Duration::from_secs(seconds));
        assert_eq!(check(&|options| options.confirm_within = wait), Ok(()));
    }
    let refused = [
        check(&|options| options.actor = "x".repeat(129)),
        check(&|options| options.actor = "a\nb".into()),
        check(&|options| options.reason = "x".repeat(513)),
        check(&|options| options.confirm_within = Some(Duration::from_millis(999))),
        check(&|options| options.confirm_within = Some(Duration::from_secs(24 * 3600 + 1))),
    ];
    let fields = [
        "terms.actor",
        "terms.actor",
        "terms.reason",
        "terms.confirm_within",
    ];
    for (refused, field) in refused
        .iter()
        .zip(fields.iter().chain(["terms.confirm_within"].iter()))
    {
        let text = refused.as_ref().unwrap_err();
        assert!(text.contains(field), "{text}: expected {field}");
    }
}
