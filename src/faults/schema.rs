//! Validates documents against the JSON Schemas of their types.

use std::{marker::PhantomData, path::PathBuf, sync::OnceLock};

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, Validator};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::list::Faults;
use crate::text::ellipsize;

/// Reads `document` as a `T`.
///
/// # Errors
/// Returns every place where the document does not match the JSON Schema of `T`.
pub fn parse<T: DeserializeOwned + JsonSchema>(
    file: impl Into<PathBuf>,
    document: Value,
) -> Result<T, Faults> {
    Schema::new().parse(file, document)
}

/// The JSON Schema of a `T`, compiled at its first use. Use it instead of [`parse`] for types of which many documents are read.
#[derive(Debug)]
pub struct Schema<T> {
    compiled: OnceLock<Result<Validator, String>>,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + JsonSchema> Schema<T> {
    /// Creates a schema that is not compiled yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            compiled: OnceLock::new(),
            of: PhantomData,
        }
    }

    /// Reads `document` as a `T`, like the function [`parse`].
    ///
    /// # Errors
    /// Returns every place where the document does not match the schema.
    pub fn parse(&self, file: impl Into<PathBuf>, document: Value) -> Result<T, Faults> {
        let file = file.into();
        let mut faults = Faults::default();
        let compiled = self.compiled.get_or_init(|| {
            let compiled = jsonschema::validator_for(&schema_of::<T>());
            compiled.map_err(|error| error.to_string())
        });
        match compiled {
            Ok(validator) => {
                for error in validator.iter_errors(&document) {
                    let path = json_path(error.instance_path().as_str());
                    for (suffix, message) in explain(error.kind(), error.instance()) {
                        faults.add(&file, format!("{path}{suffix}"), message);
                    }
                }
            }
            Err(error) => faults.add(
                &file,
                "",
                format!("the JSON Schema of this document does not compile: {error}"),
            ),
        }
        faults.into_result()?;
        serde_json::from_value(document).map_err(|error| Faults::one(&file, error.to_string()))
    }
}

impl<T: DeserializeOwned + JsonSchema> Default for Schema<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the JSON Schema (draft 2020-12) against which [`parse`] validates a `T`.
#[must_use]
pub fn schema_of<T: JsonSchema>() -> Value {
    schemars::schema_for!(T).to_value()
}

/// Returns `got VALUE`, shortened to fit one line.
#[must_use]
pub fn got(value: &Value) -> String {
    format!("got {}", ellipsize(&value.to_string(), 80))
}

/// Explains a structural fault to the author of the document. Each message comes with the suffix to append to the path.
fn explain(kind: &ValidationErrorKind, instance: &Value) -> Vec<(String, String)> {
    use ValidationErrorKind as Kind;
    let whole =
        |wanted: String| vec![(String::new(), format!("{}, wants {wanted}", got(instance)))];
    match kind {
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            vec![(format!(".{name}"), "missing".into())]
        }
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            unexpected
                .iter()
                .map(|name| (format!(".{name}"), "unknown field".into()))
                .collect()
        }
        Kind::Type {
            kind: TypeKind::Single(one),
        } => whole(format!("{one}")),
        Kind::Type {
            kind: TypeKind::Multiple(many),
        } => whole(
            many.iter()
                .map(|one| one.to_string())
                .collect::<Vec<_>>()
                .join(" or "),
        ),
        Kind::Enum { options } => whole(format!("one of {options}")),
        Kind::Constant { expected_value } => whole(expected_value.to_string()),
        Kind::Minimum { limit } => whole(format!("at least {limit}")),
        Kind::Maximum { limit } => whole(format!("at most {limit}")),
        Kind::ExclusiveMinimum { limit } => whole(format!("more than {limit}")),
        Kind::ExclusiveMaximum { limit } => whole(format!("less than {limit}")),
        Kind::MinItems { limit } => whole(format!("at least {limit} items")),
        Kind::MinLength { limit } => whole(format!("at least {limit} characters")),
        Kind::AnyOf { context } | Kind::OneOfNotValid { context }
            if !context.is_empty() && context.iter().all(|branch| constant(branch).is_some()) =>
        {
            let constants = context.iter().filter_map(|branch| constant(branch));
            let listed: Vec<_> = constants.map(Value::to_string).collect();
            let one_of = if listed.len() > 1 { "one of " } else { "" };
            whole(format!("{one_of}{}", listed.join(", ")))
        }
        // The faults of the branch that fails deepest say more than "no branch fits". Among equals, a branch that accepts only `null`
        // comes last: it means that the field may be omitted.
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => context
            .iter()
            .filter(|branch| !branch.is_empty())
            .max_by_key(|branch| {
                let depth = branch
                    .iter()
                    .map(|e| e.instance_path().as_str().len())
                    .max();
                (depth, !expects_null(branch))
            })
            .map_or_else(
                || whole("another form".into()),
                |branch| {
                    branch
                        .iter()
                        .flat_map(|e| explain(e.kind(), e.instance()))
                        .collect()
                },
            ),
        other => whole(format!("{} to hold", other.keyword())),
    }
}

/// Returns the only value that a branch of an alternative allows, if there is only one. Schemas express an enum whose variants have
/// descriptions as such an alternative.
fn constant<'a>(branch: &'a [jsonschema::ValidationError<'_>]) -> Option<&'a Value> {
    match branch {
        [only] => match only.kind() {
            ValidationErrorKind::Constant { expected_value } => Some(expected_value),
            _ => None,
        },
        _ => None,
    }
}

fn expects_null(branch: &[jsonschema::ValidationError<'_>]) -> bool {
    branch.iter().any(|error| {
        let kind = error.kind();
        matches!(
            kind,
            ValidationErrorKind::Type {
                kind: TypeKind::Single(JsonType::Null)
            }
        )
    })
}

/// Turns a JSON pointer into a JSON path: `/inputs/2/mean` into `$.inputs[2].mean`.
fn json_path(pointer: &str) -> String {
    let mut path = String::from("$");
    for step in pointer.split('/').skip(1) {
        if step.bytes().all(|b| b.is_ascii_digit()) {
            path.push_str(&format!("[{step}]"));
        } else {
            path.push('.');
            path.push_str(&step.replace("~1", "/").replace("~0", "~"));
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Doc {
        name: String,
        rows: Vec<Row>,
        scale: Option<f64>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Row {
        width: u32,
        #[serde(default)]
        colour: Option<Colour>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum Colour {
        /// Like grass.
        Green,
        /// Like the sky.
        Blue,
    }

    #[test]
    fn all_structural_faults_are_reported_at_once_with_their_paths() {
        let document = json!({
            "rows": [{"width": 1}, {"width": "wide", "tint": 1}], "scale": "big", "nmae": "x"
        });
        let faults = parse::<Doc>("d.json", document).unwrap_err();
        let mut lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
        lines.sort();
        assert_eq!(
            lines,
            [
                "d.json: $.name: missing",
                "d.json: $.nmae: unknown field",
                "d.json: $.rows[1].tint: unknown field",
                "d.json: $.rows[1].width: got \"wide\", wants integer",
                "d.json: $.scale: got \"big\", wants null or number",
            ]
        );
    }

    #[test]
    fn an_unknown_enum_value_is_reported_with_all_known_ones() {
        let document = json!({"name": "x", "rows": [{"width": 1, "colour": "red"}]});
        let faults = parse::<Doc>("d.json", document).unwrap_err();
        assert_eq!(
            faults.to_string(),
            "d.json: $.rows[0].colour: got \"red\", wants one of \"green\", \"blue\""
        );
    }
}
