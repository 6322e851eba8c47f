use super::*;
use crate::control::test_support::{TestRegistry, model, v, with_other_classes};
use crate::ident::RawTarget;
use crate::model::samples;
use crate::serving::route::RawPolicy;

/// A desired state whose split has equal shares for `targets`.
fn split(targets: &[RawTarget]) -> Wanted {
    let share = 10_000 / u32::try_from(targets.len()).unwrap();
    Wanted {
        policy: Some(RawPolicy {
            split: targets.iter().map(|to| (to.clone(), share)).collect(),
            ..RawPolicy::default()
        }),
        ..Wanted::default()
    }
}

fn with_label(mut wanted: Wanted, label: &str, version: u64) -> Wanted {
    wanted.labels.insert(label.parse().unwrap(), v(version));
    wanted
}

#[test]
fn every_version_with_traffic_or_a_label_must_be_ready() {
    let ready = TestRegistry::of_m(&[1, 2]).load_all(&[1, 2]);
    let unavailable = BTreeMap::from([(v(3), "it is LOADING".to_owned())]);
    let admit = |wanted: &Wanted, latest: Option<u64>| {
        let available = Availability {
            model: &model("m"),
            highest: latest.map(v),
            ready: &ready,
            unavailable: &unavailable,
        };
        admit(wanted, available).map_err(|error| error.to_string())
    };
    for (wanted, latest, why) in [
        (Wanted::default(), None, "no policy yet"),
        (
            split(&["latest".into()]),
            Some(2),
            "all traffic to `latest`",
        ),
        (split(&[1.into(), 2.into()]), Some(2), "two versions"),
        (
            with_label(split(&["canary".into()]), "canary", 1),
            Some(2),
            "a label",
        ),
    ] {
        assert_eq!(admit(&wanted, latest), Ok(()), "{why}");
    }
    for (wanted, latest, expected) in [
        (split(&["latest".into()]), None, "no label `latest`"),
        (split(&["canary".into()]), Some(2), "no label `canary`"),
        (
            split(&[1.into(), 3.into()]),
            Some(2),
            "version 3 cannot take traffic: it is LOADING",
        ),
        (
            split(&[4.into()]),
            Some(2),
            "version 4 cannot take traffic: it is not in the registry",
        ),
        (
            with_label(Wanted::default(), "canary", 3),
            Some(2),
            "version 3 cannot take traffic: it is LOADING",
        ),
        (
            with_label(split(&[4.into(), 1.into()]), "canary", 3),
            Some(2),
            "it is LOADING; version 4 cannot",
        ),
    ] {
        let error = admit(&wanted, latest).unwrap_err();
        assert!(error.contains(expected), "{error}: expected {expected}");
    }
}

#[test]
fn versions_under_one_policy_must_have_one_signature() {
    let registry = TestRegistry::of_m(&[1, 3]);
    registry.add(2, &with_other_classes(samples::document("m", 2)));
    let ready = registry.load_all(&[1, 2, 3]);
    let admit = |wanted: &Wanted| {
        let available = Availability {
            model: &model("m"),
            highest: Some(v(3)),
            ready: &ready,
            unavailable: &BTreeMap::new(),
        };
        admit(wanted, available).map_err(|error| error.to_string())
    };
    assert_eq!(admit(&split(&[1.into(), "latest".into()])), Ok(()));
    assert_eq!(admit(&split(&[2.into()])), Ok(()), "alone");
    let labelled = with_label(split(&[1.into()]), "other", 2);
    assert_eq!(admit(&labelled), Ok(()), "a label alone gives no traffic");
    let error = admit(&split(&[1.into(), 2.into(), 3.into(), "latest".into()])).unwrap_err();
    for expected in ["versions 1 and 2: class 1 is", "the same signature"] {
        assert!(error.contains(expected), "{error}: expected {expected}");
    }
    assert!(!error.contains("1 and 3"), "{error}");
}
