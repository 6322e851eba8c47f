//! Which policies are accepted, and which faults are reported.

use super::*;

fn faults(raw: RawPolicy) -> Vec<String> {
    match Policy::check(raw, &model()) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    }
}

fn with_rule(header: &str, value: &str) -> RawPolicy {
    RawPolicy {
        split: vec![row(1, 10_000)],
        header_rules: vec![RawHeaderRule {
            header: header.into(),
            value: value.into(),
            target: 1.into(),
        }],
        ..RawPolicy::default()
    }
}

#[test]
fn all_faults_are_reported_at_once_by_field() {
    let rule = |header: &str, value: &str, target: RawTarget| RawHeaderRule {
        header: header.into(),
        value: value.into(),
        target,
    };
    let raw = RawPolicy {
        split: vec![
            row(1, 3_000),
            row(0, 10_001),
            row(1, 3_000),
            row("canary", 2_000),
            row("canary", 2_000),
            row("7", 0),
            (RawTarget::None, 0),
            (RawTarget::None, 0),
        ],
        header_rules: vec![
            rule("X-Team", "q a", 0.into()),
            rule("x-team", "qa", 1.into()),
            rule("x-team", "a", "a/b".into()),
            rule("x-team", "b", RawTarget::None),
        ],
        sticky_header: "grpc-timeout".into(),
        salt: "s".repeat(129),
        ..RawPolicy::default()
    };
    let fields: Vec<_> = Policy::check(raw, &model())
        .unwrap_err()
        .iter()
        .map(|fault| fault.field.clone())
        .collect();
    assert_eq!(
        fields,
        [
            "split[1].version",
            "split[1].basis_points",
            "split[5].label",
            "split[6].target",
            "split[7].target",
            "split[2].version",
            "split[4].label",
            "header_rules[0].header",
            "header_rules[0].value",
            "header_rules[0].version",
            "header_rules[2].label",
            "header_rules[3].target",
            "sticky_header",
            "salt",
        ]
    );
}

#[test]
fn invalid_splits_are_refused_with_the_reason() {
    let many = |n: u64| (1..=n).map(|version| row(version, 0)).collect::<Vec<_>>();
    for (split, want) in [
        (vec![], &["split: got no rows, wants 1 to 64 rows"][..]),
        (
            many(65),
            &["split: got more than 64 rows, wants 1 to 64 rows"],
        ),
        (
            vec![row(1, 9_000), row(2, 900)],
            &["split: got shares that add up to 9900 basis points, wants exactly 10000"],
        ),
        (
            vec![row(1, 5_000), row(1, 5_000)],
            &["split[1].version: got 1, as in split[0], wants each version once"],
        ),
        (
            vec![row("stable", 5_000), row("stable", 5_000)],
            &[r#"split[1].label: got "stable", as in split[0], wants each label once"#],
        ),
        (
            vec![row(1, 10_000), row("a b", 0)],
            &[
                r#"split[1].label: got "a b", wants 1 to 64 of a-z A-Z 0-9 . _ - starting with a letter or digit, and not a number"#,
            ],
        ),
        (
            vec![row(1, 10_000), (RawTarget::None, 0)],
            &["split[1].target: got nothing, wants a version or a label"],
        ),
        (
            vec![row(1, 10_000), row(2, 70_000)],
            &["split[1].basis_points: got 70000, wants 0 to 10000 basis points"],
        ),
    ] {
        let raw = RawPolicy {
            split,
            ..RawPolicy::default()
        };
        assert_eq!(faults(raw), want);
    }
    let mut widest = many(64);
    widest[63].1 = 10_000;
    let raw = RawPolicy {
        split: widest,
        ..RawPolicy::default()
    };
    assert_eq!(faults(raw), [""; 0], "64 rows are allowed");
}

#[test]
fn headers_are_text_headers_that_a_client_may_set() {
    for (header, ok, why) in [
        ("x-team", true, "an ordinary name"),
        ("user-agent", true, "clients choose it"),
        ("X-Team", false, "HTTP/2 names are lower-case"),
        ("", false, "no name"),
        (":path", false, "a pseudo header"),
        ("x team", false, "not a name"),
        ("grpc-timeout", false, "reserved for gRPC"),
        ("te", false, "reserved for gRPC"),
        ("content-type", false, "reserved for gRPC"),
        ("x-blob-bin", false, "its value is not text"),
    ] {
        assert_eq!(
            faults(with_rule(header, "qa")).is_empty(),
            ok,
            "{header}: {why}"
        );
    }
    for (value, ok) in [
        ("qa", true),
        (&*"v".repeat(256), true),
        ("", false),
        ("q a", false),
        ("é", false),
        (&*"v".repeat(257), false),
    ] {
        assert_eq!(
            faults(with_rule("x-team", value)).is_empty(),
            ok,
            "{value:?}"
        );
    }
}

#[test]
fn rules_that_can_never_match_and_too_many_rules_are_refused() {
    let mut raw = with_rule("x-team", "qa");
    raw.header_rules.push(raw.header_rules[0].clone());
    assert_eq!(
        faults(raw.clone()),
        [
            "header_rules[1]: got the header and value of header_rules[0], which always wins, wants each header \
             and value once"
        ]
    );
    raw.header_rules = vec![raw.header_rules[0].clone(); 65];
    assert_eq!(
        faults(raw),
        ["header_rules: got 65 rules, wants at most 64 rules"]
    );
}

#[test]
fn a_policy_converts_back_to_its_raw_form_and_lists_all_its_targets() {
    let raw = RawPolicy {
        split: vec![row("latest", 10_000), row(2, 0), row(1, 0)],
        sticky_header: "x-user".into(),
        salt: "2026-q1".into(),
        ..with_rule("x-team", "qa")
    };
    let mut raw = raw;
    let rule = |value: &str, target: RawTarget| RawHeaderRule {
        value: value.into(),
        target,
        ..raw.header_rules[0].clone()
    };
    raw.header_rules = vec![
        rule("qa", "canary".into()),
        rule("dev", 2.into()),
        rule("ops", 9.into()),
    ];
    let policy = Policy::check(raw.clone(), &model()).unwrap();
    assert_eq!(policy.to_raw(), raw);
    assert_eq!(
        policy.targets(),
        [label("latest"), v(2), v(1), label("canary"), v(9)],
        "the split in its order, then the rules, each once"
    );
}

#[test]
fn a_policy_is_stored_as_json_and_missing_fields_are_empty() {
    let raw = RawPolicy {
        split: vec![row(3, 9_500), row("canary", 500)],
        ..with_rule("x-team", "qa")
    };
    let text = serde_json::to_string(&raw).unwrap();
    assert_eq!(
        text,
        r#"{"split":[[3,9500],["canary",500]],"header_rules":[{"header":"x-team","value":"qa","target":1}],"sticky_header":"","salt":""}"#
    );
    assert_eq!(serde_json::from_str::<RawPolicy>(&text).unwrap(), raw);
    let read = |text| serde_json::from_str::<RawPolicy>(text);
    let none = read(r#"{"split":[[null,10000]],"header_rules":[{"header":"x-team"}]}"#).unwrap();
    assert_eq!(none.split, [(RawTarget::None, 10_000)]);
    assert_eq!(none.header_rules[0].target, RawTarget::None);
    for invalid in [
        r#"{"splits":[]}"#,
        r#"{"split":[[-1,1]]}"#,
        r#"{"split":[[true,1]]}"#,
    ] {
        assert!(read(invalid).is_err(), "{invalid}");
    }
}

#[test]
fn everything_to_one_target_is_a_split_with_one_row() {
    for target in [label("latest"), v(7)] {
        let raw = RawPolicy::everything_to((&target).into());
        let policy = Policy::check(raw, &model()).unwrap();
        assert_eq!(policy.targets(), [target]);
        assert_eq!(policy.split().rows()[0].1, Share::FULL);
    }
}

#[test]
fn an_empty_salt_is_the_name_of_the_model() {
    let with_salt = |salt: &str| RawPolicy {
        split: vec![row(1, 5_000), row(2, 5_000)],
        salt: salt.into(),
        ..RawPolicy::default()
    };
    let rendezvous = |salt| {
        let policy = Policy::check(with_salt(salt), &model()).unwrap();
        policy.rendezvous().clone()
    };
    assert_eq!(rendezvous(""), rendezvous("flight-delay"));
    assert_ne!(rendezvous(""), rendezvous("another"));
    let policy = Policy::check(with_salt(""), &model()).unwrap();
    assert_eq!(policy.to_raw().salt, "", "its raw form is empty");
}
