//! What all protocols read in the same way: pins, keys and ids, names of outputs.

use http::{HeaderMap, HeaderName};

use crate::error::{InputFault, InputFaults};
use crate::ident::ResponseId;
use crate::model::Signature;
use crate::serving::Pin;

/// Limit on the bytes of a routing key.
const MAX_KEY_BYTES: usize = 1024;

/// Header with the routing key, for protocols without a field for it.
const ROUTING_KEY: HeaderName = HeaderName::from_static("taper-routing-key");
/// Header with the caller's id for the answer, for protocols without a field for it. Responses have it too.
pub(super) const RESPONSE_ID: HeaderName = HeaderName::from_static("taper-response-id");

/// Reads a version from a text that is a number or a label; `None` if it is empty.
pub(super) fn pin(text: String) -> Option<Pin> {
    if text.is_empty() {
        return None;
    }
    // Unambiguous, since no label is a number. A text with a sign or leading zeros is a label, since versions are not written so.
    let is_number = text == "0" || text.starts_with(|first| matches!(first, '1'..='9'));
    let number = text.parse().ok().filter(|_| is_number);
    Some(number.map_or_else(|| Pin::Label(text), Pin::Version))
}

/// Returns the routing key of a request: from the message if `in_message` has the name and the value of its field, otherwise from the
/// header.
pub(super) fn routing_key_of(
    in_message: Option<(&str, String)>,
    headers: &HeaderMap,
    faults: &mut InputFaults,
) -> String {
    let name = ROUTING_KEY;
    let (field, key) = in_message.unwrap_or_else(|| from_header(headers, &name, faults));
    routing_key(key, field, faults)
}

/// Returns the caller's id for the answer, found as in [`routing_key_of`].
pub(super) fn response_id_of(
    in_message: Option<(&str, String)>,
    headers: &HeaderMap,
    faults: &mut InputFaults,
) -> Option<ResponseId> {
    let name = RESPONSE_ID;
    let (field, id) = in_message.unwrap_or_else(|| from_header(headers, &name, faults));
    response_id(id, field, faults)
}

fn from_header<'n>(
    headers: &HeaderMap,
    name: &'n HeaderName,
    faults: &mut InputFaults,
) -> (&'n str, String) {
    (name.as_str(), header(headers, name, faults))
}

/// Returns the routing key found in `field`. Adds a fault if it is too long.
pub(super) fn routing_key(key: String, field: &str, faults: &mut InputFaults) -> String {
    if key.len() > MAX_KEY_BYTES {
        let got = format!("{} bytes", key.len());
        faults.add(field, got, format!("at most {MAX_KEY_BYTES} bytes"));
    }
    key
}

/// Returns the caller's id for the answer found in `field`; `None` if it is empty. Adds a fault if it is not valid.
pub(super) fn response_id(id: String, field: &str, faults: &mut InputFaults) -> Option<ResponseId> {
    if id.is_empty() {
        return None;
    }
    let id = ResponseId::try_from(id);
    id.map_err(|error| faults.add(field, error.got, error.wanted))
        .ok()
}

/// Returns the text of header `name`, empty if it is missing. Adds a fault if it is not text.
fn header(headers: &HeaderMap, name: &HeaderName, faults: &mut InputFaults) -> String {
    // A pass over the few headers of a call costs less than a look-up.
    let found = headers.iter().find(|(other, _)| *other == name);
    match found.map(|(_, value)| value.to_str()) {
        None => String::new(),
        Some(Ok(text)) => text.to_owned(),
        Some(Err(_)) => {
            faults.add(name.as_str(), "bytes", "visible ASCII characters");
            String::new()
        }
    }
}

/// Adds a fault for each of the `wanted` outputs that a version with this `signature` does not have, or that is repeated. `field`
/// returns the field of the output at an index.
pub(super) fn check_outputs<'a>(
    wanted: impl Iterator<Item = &'a str>,
    signature: &Signature,
    field: impl Fn(usize) -> String,
    faults: &mut InputFaults,
) {
    let mut found = Vec::new();
    for (at, name) in wanted.enumerate() {
        found.resize(signature.outputs().len(), false);
        match signature.find_output(name) {
            Some(output) if !found[output] => found[output] = true,
            _ => faults.add_with(|| InputFault {
                field: field(at),
                got: format!("`{}`", cut(name)),
                wanted: format!("{}, once", output_names(signature)),
            }),
        }
    }
}

/// Lists the names of the outputs, the first of many.
fn output_names(signature: &Signature) -> String {
    const MOST: usize = 8;
    let outputs = signature.outputs().iter().take(MOST);
    let names: Vec<_> = outputs.map(|output| format!("`{}`", output.name)).collect();
    names.join(" or ")
}

/// Shortens a name from a request to 64 characters, to repeat it in an error.
pub(super) fn cut(name: &str) -> String {
    crate::text::truncate(name, 64).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_number_or_a_label() {
        assert_eq!(pin(String::new()), None);
        assert_eq!(pin("12".into()), Some(Pin::Version(12)));
        assert_eq!(pin("0".into()), Some(Pin::Version(0)));
        for label in ["+1", "01", "-1", "00", "1e1", "99999999999999999999", " 1"] {
            assert_eq!(pin(label.into()), Some(Pin::Label(label.into())));
        }
        assert_eq!(pin("1.4.0".into()), Some(Pin::Label("1.4.0".into())));
        assert_eq!(pin("stable".into()), Some(Pin::Label("stable".into())));
    }
}
