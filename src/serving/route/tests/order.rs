//! The order of precedence: rules, then the key, then the draw.

use super::*;

fn policy() -> Policy {
    let rule = |header: &str, value: &str, target: RawTarget| RawHeaderRule {
        header: header.into(),
        value: value.into(),
        target,
    };
    let raw = RawPolicy {
        split: vec![row(1, 5_000), row(2, 5_000)],
        header_rules: vec![
            rule("x-team", "qa", 3.into()),
            rule("x-tier", "gold", "canary".into()),
        ],
        sticky_header: "x-user".into(),
        ..RawPolicy::default()
    };
    Policy::check(raw, &model()).unwrap()
}

#[test]
fn rules_come_first_then_the_key_then_the_draw() {
    let policy = policy();
    let of_key = |key: &[u8]| Choice::Sticky(policy.rendezvous().pick(key));
    // Two keys that belong to different versions, so that a wrong key gives a wrong answer.
    let (ann, bob) = (b"ann", b"bob");
    assert_ne!(of_key(ann), of_key(bob));
    for (sent, key, want, why) in [
        (
            headers(&[("x-team", "qa"), ("x-tier", "gold")]),
            &b"ann"[..],
            Choice::HeaderRule(0),
            "the first rule wins, and takes precedence over the key",
        ),
        (
            headers(&[("x-team", "dev"), ("x-tier", "gold")]),
            b"",
            Choice::HeaderRule(1),
            "another value does not match",
        ),
        (
            headers(&[("x-tier", "silver"), ("x-tier", "gold")]),
            b"",
            Choice::HeaderRule(1),
            "every value of a header is compared",
        ),
        (
            headers(&[("x-user", "bob")]),
            b"ann",
            of_key(ann),
            "the routing key takes precedence over the sticky header",
        ),
        (
            headers(&[("x-user", "bob")]),
            b"",
            of_key(bob),
            "the sticky header takes the place of the key",
        ),
        (
            headers(&[("x-user", "")]),
            b"",
            Choice::Drawn(1),
            "an empty value is no key",
        ),
        (headers(&[]), b"", Choice::Drawn(1), "nothing else decides"),
    ] {
        assert_eq!(route(&policy, &sent, key, || 5_000), want, "{why}");
    }
}

#[test]
fn nothing_is_drawn_if_a_rule_or_a_key_decides() {
    let never = || panic!("drawn");
    route(&policy(), &headers(&[("x-team", "qa")]), b"", never);
    route(&policy(), &headers(&[]), b"ann", never);
}
