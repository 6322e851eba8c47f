//! What may be kept of an input's values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What may be kept of an input's values. `false`, `true` or `"hash"` in a manifest and in a training spec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Form", into = "Form")]
pub enum Sensitivity {
    /// Everything.
    #[default]
    Open,
    /// Nothing, but for keyed hashes in the prediction log.
    Hashed,
    /// Nothing.
    Hidden,
}

impl Sensitivity {
    /// Whether its values must not be shown.
    #[must_use]
    pub fn is_sensitive(self) -> bool {
        self != Self::Open
    }

    /// For serde, which asks by reference.
    pub(crate) fn is_open(&self) -> bool {
        !self.is_sensitive()
    }
}

/// As it is written.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Form {
    /// Whether nothing of it may be kept.
    Flag(bool),
    /// Keyed hashes may stand in the prediction log, and nothing else.
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
