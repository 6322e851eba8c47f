//! What goes before what.

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
    // Two keys that belong to different versions, so that a mistaken one shows.
    let (ann, bob) = (b"ann", b"bob");
    assert_ne!(of_key(ann), of_key(bob));
    for (sent, key, want, why) in [
        (
            headers(&[("x-team", "qa"), ("x-tier", "gold")]),
            &b"ann"[..],
            Choice::HeaderRule(0),
            "the first rule wins, also over the key",
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
            "each value of a header counts",
        ),
        (
            headers(&[("x-user", "bob")]),
            b"ann",
            of_key(ann),
            "the routing key goes before the sticky header",
        ),
        (
            headers(&[("x-user", "bob")]),
            b"",
            of_key(bob),
            "the sticky header stands in for the key",
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
fn nothing_is_drawn_where_something_else_decides() {
    let never = || panic!("drawn");
    route(&policy(), &headers(&[("x-team", "qa")]), b"", never);
    route(&policy(), &headers(&[]), b"ann", never);
}
