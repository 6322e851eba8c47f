use super::*;
use crate::control::test_support::v;
use crate::control::wanted::AcceptedDigest;

#[test]
fn a_version_stays_what_it_was_first_unless_an_operator_accepts_another_content() {
    let [one, two, three] = [b"one", b"two", b"six"].map(|text| VersionDigest::of(text));
    let mut known = KnownDigests::default();
    let mut wanted = Wanted::default();
    assert_eq!(known.expected(v(1), &wanted), None);
    known.note_ready(v(1), one);
    known.note_ready(v(1), two);
    assert!(known.is_unsaved);
    assert_eq!(known.expected(v(1), &wanted), Some(one));
    let accepted = AcceptedDigest { was: one, is: two };
    wanted.accepted.insert(v(1), accepted);
    assert_eq!(known.expected(v(1), &wanted), Some(two));
    known.forget(v(1));
    assert_eq!(known.expected(v(1), &wanted), None);
    known.note_ready(v(1), three);
    assert_eq!(
        known.expected(v(1), &wanted),
        Some(three),
        "another version of this number"
    );
}

#[test]
fn digests_are_stored_as_hexadecimal_digits() {
    let mut known = KnownDigests::default();
    known.note_ready(v(7), VersionDigest::of(b""));
    let json = serde_json::to_string(known.document()).unwrap();
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(json, format!(r#"{{"versions":{{"7":"{empty}"}}}}"#));
    assert_eq!(
        serde_json::from_str::<ReadyDigests>(&json).unwrap(),
        *known.document()
    );
    for wrong in ["e3", &empty.to_uppercase(), ""] {
        let json = format!(r#"{{"versions":{{"7":"{wrong}"}}}}"#);
        assert!(
            serde_json::from_str::<ReadyDigests>(&json).is_err(),
            "{wrong}"
        );
    }
}
