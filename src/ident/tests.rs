use std::collections::BTreeMap;

use super::*;

#[test]
fn version_numbers_have_one_spelling() {
    for (raw, ok, why) in [
        ("1", true, "the first version"),
        ("9223372036854775807", true, "top of the range"),
        (
            "9223372036854775808",
            false,
            "does not fit the signed fields of other protocols",
        ),
        ("0", false, "versions start at one"),
        ("01", false, "would be a second spelling of 1"),
        ("+1", false, "a sign is a second spelling too"),
        ("-1", false, "negative"),
        ("1.0", false, "that is a label"),
        ("", false, "empty"),
    ] {
        assert_eq!(raw.parse::<VersionNumber>().is_ok(), ok, "{raw:?}: {why}");
    }
}

#[test]
fn names_and_labels_cannot_be_paths_or_numbers() {
    for (raw, name, label) in [
        ("flight-delay", true, true),
        ("1.4.0", true, true),
        ("42", true, false),
        ("..", false, false),
        ("a/b", false, false),
        ("", false, false),
        ("-rf", false, false),
    ] {
        assert_eq!(raw.parse::<ModelName>().is_ok(), name, "model {raw:?}");
        assert_eq!(raw.parse::<Label>().is_ok(), label, "label {raw:?}");
    }
}

#[test]
fn shares_are_formatted_as_per_cent() {
    for (points, text) in [(9_500, "95%"), (50, "0.5%"), (1, "0.01%"), (10_000, "100%")] {
        assert_eq!(Share::try_from(points).unwrap().to_string(), text);
    }
    assert!(Share::try_from(10_001).is_err(), "more than all traffic");
}

#[test]
fn a_target_of_digits_is_a_version_and_any_other_a_label() {
    for (raw, want) in [
        ("7", Some(Target::Version(7.try_into().unwrap()))),
        ("canary", Some(Target::Label("canary".parse().unwrap()))),
        ("1.4", Some(Target::Label("1.4".parse().unwrap()))),
        ("latest", Some(Target::Label(Label::latest()))),
        ("07", None),
        ("0", None),
        ("", None),
        ("a b", None),
    ] {
        assert_eq!(raw.parse().ok(), want, "{raw:?}");
        if let Some(target) = want {
            assert_eq!(target.to_string(), raw);
        }
    }
}

#[test]
fn a_map_of_labels_is_a_json_object_and_is_checked_when_read() {
    let labels = BTreeMap::from([("canary".parse().unwrap(), 2.try_into().unwrap())]);
    let text = serde_json::to_string(&labels).unwrap();
    assert_eq!(text, r#"{"canary":2}"#);
    let read = |text| serde_json::from_str::<BTreeMap<Label, VersionNumber>>(text);
    assert_eq!(read(&text).unwrap(), labels);
    for wrong in [r#"{"7":2}"#, r#"{"a/b":2}"#, r#"{"canary":0}"#] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
    assert!(serde_json::from_str::<ModelName>(r#""../m""#).is_err());
    assert_eq!(serde_json::to_string(&Revision(7)).unwrap(), "7");
}

#[test]
fn the_sum_of_two_shares_is_at_most_all_traffic() {
    let share = |points: u32| Share::try_from(points).unwrap();
    assert_eq!(share(500).and(share(250)), share(750));
    assert_eq!(share(9_000).and(share(2_000)), Share::FULL);
}

#[test]
fn an_id_from_random_bits_has_32_digits_whatever_the_bits() {
    for bits in [0, 1, u128::MAX, 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210] {
        assert_eq!(
            ResponseId::from_random(bits).as_str(),
            format!("{bits:032x}")
        );
    }
}
