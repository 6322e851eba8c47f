//! The sensitivity of an input: what may be recorded of its values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What may be recorded of an input's values. Manifests and training specs write it as `false`, `true` or `"hash"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Form", into = "Form")]
pub enum Sensitivity {
    /// Everything may be recorded.
    #[default]
    Open,
    /// Only keyed hashes, in the prediction log.
    Hashed,
    /// Nothing.
    Hidden,
}

impl Sensitivity {
    /// Returns whether the values must not be shown.
    #[must_use]
    pub fn is_sensitive(self) -> bool {
        self != Self::Open
    }

    /// Returns whether the values may be shown. Serde calls it with a reference.
    pub(crate) fn is_open(&self) -> bool {
        !self.is_sensitive()
    }
}

/// The value in a file.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Form {
    /// `true`: nothing of the values may be recorded.
    Flag(bool),
    /// Only keyed hashes may be recorded, in the prediction log.
    Word(Word),
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Word {
    Hash,
}

impl From<Form> for Sensitivity {
    fn from(form: Form) -> Self {
        match form {
            Form::Flag(false) => Self::Open,
            Form::Flag(true) => Self::Hidden,
            Form::Word(Word::Hash) => Self::Hashed,
        }
    }
}

impl From<Sensitivity> for Form {
    fn from(sensitivity: Sensitivity) -> Self {
        match sensitivity {
            Sensitivity::Open => Self::Flag(false),
            Sensitivity::Hidden => Self::Flag(true),
            Sensitivity::Hashed => Self::Word(Word::Hash),
        }
    }
}

impl JsonSchema for Sensitivity {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sensitivity".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Form::json_schema(generator)
    }
}
