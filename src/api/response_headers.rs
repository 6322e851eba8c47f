//! Which version answered, as response headers: for protocols whose messages lack fields for some of it.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::read::RESPONSE_ID;
use crate::ident::Role;
use crate::serving::Answer;

const MODEL: HeaderName = HeaderName::from_static("taper-model");
const VERSION: HeaderName = HeaderName::from_static("taper-version");
const ROLE: HeaderName = HeaderName::from_static("taper-role");
const REVISION: HeaderName = HeaderName::from_static("taper-policy-revision");
const FAILED_VERSION: HeaderName = HeaderName::from_static("taper-failed-version");

/// Writes into `headers` which version gave `answer`.
pub(super) fn write(answer: &Answer, headers: &mut HeaderMap) {
    headers.insert(VERSION, answer.version.number().get().into());
    headers.insert(ROLE, HeaderValue::from_static(role(answer.role)));
    headers.insert(REVISION, answer.revision.0.into());
    if let Some(failed) = answer.failed {
        headers.insert(FAILED_VERSION, failed.get().into());
    }
    // Both are visible ASCII by their own rules.
    for (name, text) in [
        (MODEL, answer.model.as_str()),
        (RESPONSE_ID, answer.response_id.as_str()),
    ] {
        if let Ok(text) = HeaderValue::from_str(text) {
            headers.insert(name, text);
        }
    }
}

/// Returns a description of each header, and whether every answer has it.
pub(super) fn descriptions() -> [(HeaderName, &'static str, bool); 6] {
    [
        (MODEL, "The model that answered.", true),
        (VERSION, "The number of the version that answered.", true),
        (
            ROLE,
            "The role of the version that answered: `primary`, or `fallback` if the version that should have answered failed or was \
                too slow.",
            true,
        ),
        (
            RESPONSE_ID,
            "The caller's id for this answer, or one that the gateway made.",
            true,
        ),
        (
            REVISION,
            "Revision of the traffic policy that chose the version.",
            true,
        ),
        (
            FAILED_VERSION,
            "With role `fallback`: the version that should have answered.",
            false,
        ),
    ]
}

/// Returns the word for a role in protocols that have words.
pub(super) fn role(role: Role) -> &'static str {
    role.as_str()
}
