use std::iter;

use http::HeaderMap;

use super::*;

/// Returns the bytes that an error adds to the trailers.
fn trailer_bytes(status: &Status) -> usize {
    let mut headers = HeaderMap::new();
    status.add_header(&mut headers).expect("headers");
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum()
}

/// Returns subjects and descriptions of the violations.
fn violations(status: &Status) -> Vec<(String, String)> {
    let details = status.get_error_details();
    let fields = details.bad_request().into_iter();
    let fields = fields.flat_map(|bad| &bad.field_violations);
    let fields = fields.map(|field| (field.field.clone(), field.description.clone()));
    let states = details.precondition_failure().into_iter();
    let states = states.flat_map(|failure| &failure.violations);
    let states = states.map(|state| (state.subject.clone(), state.description.clone()));
    fields.chain(states).collect()
}

fn faults(count: usize, text: &str) -> InputFaults {
    let mut faults = InputFaults::default();
    (0..count).for_each(|at| faults.add(format!("rows[{at}].{text}"), text, text));
    faults
}

#[test]
fn every_error_fits_into_the_trailers() {
    // One, two, three and four bytes a character, and one that the message carries as three.
    for c in ['a', 'é', '漢', '😀', '"', '\n'] {
        for length in [1, 63, 64, 200, 1_000, 100_000] {
            let text: String = iter::repeat_n(c, length).collect();
            let versions = (1..=128).map(|version| {
                let number = VersionNumber::try_from(version).unwrap();
                (number, text.clone())
            });
            let lines = vec![text.clone(); 500];
            let label = |label| PredictError::UnknownLabel {
                model: text.clone(),
                label,
            };
            for (status, found) in [
                (from_predict(&faults(1_000, &text).into()), 1_000),
                (from_predict(&PredictError::UnknownModel(text.clone())), 1),
                (from_predict(&label(text.clone())), 1),
                (
                    from_admin(&AdminError::InvalidPolicy(faults(16, &text))),
                    16,
                ),
                (from_admin(&AdminError::NotReady(versions.collect())), 128),
                (from_admin(&AdminError::SignatureMismatch(lines)), 500),
            ] {
                let size = trailer_bytes(&status);
                assert!(size < 7 * 1024, "{size} bytes for {length} of {c:?}");
                let mut violations = violations(&status);
                if let Some((_, more)) = violations.pop_if(|(subject, _)| subject == "...") {
                    assert!(violations.len() >= 5, "{violations:?}");
                    assert_eq!(more, format!("and {} more", found - violations.len()));
                } else {
                    assert_eq!(violations.len(), found);
                }
            }
        }
    }
}

#[test]
fn errors_that_fit_are_not_shortened() {
    let status = from_predict(&faults(16, "temp").into());
    let want: Vec<_> = (0..16)
        .map(|at| {
            (
                format!("rows[{at}].temp"),
                "got temp, wants temp".to_owned(),
            )
        })
        .collect();
    assert_eq!(violations(&status), want);
    let unknown = PredictError::UnknownModel("unknown".into());
    assert_eq!(from_predict(&unknown).message(), unknown.to_string());
}

#[test]
fn texts_are_cut_between_characters_and_only_if_too_long() {
    for (text, most, want) in [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abc…"),
        ("ééé", 6, "ééé"),
        ("éééa", 6, "é…"),
        ("", 6, ""),
    ] {
        assert_eq!(cut(text, most, char::len_utf8), want, "{text:?}");
    }
    let long = cut(&"\"".repeat(1_000), MAX_MESSAGE_BYTES, percent_encoded_len);
    assert_eq!(
        long,
        format!("{}…", "\"".repeat((MAX_MESSAGE_BYTES - 9) / 3))
    );
}
