//! An answer in the form of its request: `predictions` with one entry per row, or `outputs` with one tensor per output.

use std::borrow::Cow;

use data_encoding::BASE64;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::super::rows::BASE64_KEY;
use super::payload::Form;
use crate::model::OutputTensor;
use crate::model::payload::TensorData;
use crate::serving::Answer;

/// Outputs of bytes whose names end so are written in base64, as TensorFlow Serving writes them.
const BYTES_SUFFIX: &str = "_bytes";

/// The schema of a response.
#[derive(Debug)]
pub(in crate::api::http) enum PredictResponse {}

impl JsonSchema for PredictResponse {
    fn schema_name() -> Cow<'static, str> {
        "V1PredictResponse".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Predictions: `predictions` for `instances`, `outputs` for `inputs`. Numbers that are not finite are `null`.",
            "type": "object",
            "properties": {
                "predictions": {
                    "description": "One for each row: the value of the only output, or an object with a value for each output.",
                    "type": "array",
                    "items": {"description": "The prediction for a row."},
                },
                "outputs": {
                    "description": "The tensor of the only output, or an object with a tensor for each output.",
                },
            },
        })
    }
}

/// An answer, to be written.
pub(super) struct Written {
    form: Form,
    rows: usize,
    outputs: Vec<Output>,
}

/// An output with its elements.
struct Output {
    name: String,
    /// Length of each axis, the rows included.
    axes: Vec<usize>,
    data: TensorData,
    has_rows: bool,
    as_base64: bool,
}

impl Written {
    /// Returns `answer` in `form`.
    pub(super) fn of(answer: &Answer, form: Form) -> Self {
        Self {
            form,
            rows: answer.pass.scores.rows().len(),
            outputs: answer.outputs().map(|output| Output::of(&output)).collect(),
        }
    }
}

impl Output {
    fn of(output: &OutputTensor<'_>) -> Self {
        let axes = output.shape().into_iter();
        let name = output.output.name.clone();
        Self {
            as_base64: name.ends_with(BYTES_SUFFIX),
            name,
            axes: axes
                .map(|axis| usize::try_from(axis).unwrap_or(0))
                .collect(),
            data: output.data(),
            has_rows: output.output.shape.batched,
        }
    }

    /// Returns all elements.
    fn all(&self) -> Nested<'_> {
        Nested {
            data: &self.data,
            axes: &self.axes,
            first: 0,
            as_base64: self.as_base64,
        }
    }

    /// Returns the elements of row `at`; all elements if the output has no rows.
    fn row(&self, at: usize) -> Nested<'_> {
        match self.axes.split_first() {
            Some((_, axes)) if self.has_rows => Nested {
                axes,
                first: at * axes.iter().product::<usize>(),
                ..self.all()
            },
            _ => self.all(),
        }
    }
}

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(1))?;
        match (self.form, &self.outputs[..]) {
            (Form::Instances, _) => map.serialize_entry("predictions", &Rows(self))?,
            (Form::Inputs, [only]) => map.serialize_entry("outputs", &only.all())?,
            (Form::Inputs, outputs) => {
                let all = outputs.iter().map(|output| (&*output.name, output.all()));
                map.serialize_entry("outputs", &ByName(all.collect()))?;
            }
        }
        map.end()
    }
}

/// The predictions of all rows.
struct Rows<'a>(&'a Written);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self(written) = self;
        let mut list = to.serialize_seq(Some(written.rows))?;
        for at in 0..written.rows {
            match &written.outputs[..] {
                [only] => list.serialize_element(&only.row(at))?,
                outputs => {
                    let row = outputs.iter().map(|output| (&*output.name, output.row(at)));
                    list.serialize_element(&ByName(row.collect()))?;
                }
            }
        }
        list.end()
    }
}

/// Elements by the names of outputs.
struct ByName<'a>(Vec<(&'a str, Nested<'a>)>);

impl Serialize for ByName<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, nested)| (name, nested)))
    }
}

/// Elements as lists in lists.
#[derive(Clone, Copy)]
struct Nested<'a> {
    data: &'a TensorData,
    axes: &'a [usize],
    /// Index of the first element.
    first: usize,
    as_base64: bool,
}

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Some((length, axes)) = self.axes.split_first() else {
            return self.element(to);
        };
        let step: usize = axes.iter().product();
        let items = (0..*length).map(|at| Self {
            axes,
            first: self.first + at * step,
            ..*self
        });
        to.collect_seq(items)
    }
}

impl Nested<'_> {
    fn element<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let at = self.first;
        match self.data {
            TensorData::Bool(values) => values.get(at).serialize(to),
            TensorData::Int8(values) => values.get(at).serialize(to),
            TensorData::Int16(values) => values.get(at).serialize(to),
            TensorData::Int32(values) => values.get(at).serialize(to),
            TensorData::Int64(values) => values.get(at).serialize(to),
            TensorData::Uint8(values) => values.get(at).serialize(to),
            TensorData::Uint16(values) => values.get(at).serialize(to),
            TensorData::Uint32(values) => values.get(at).serialize(to),
            TensorData::Uint64(values) => values.get(at).serialize(to),
            TensorData::Fp16(values) => values.get(at).map(|x| x.to_f32()).serialize(to),
            TensorData::Bf16(values) => values.get(at).map(|x| x.to_f32()).serialize(to),
            TensorData::Fp32(values) => values.get(at).serialize(to),
            TensorData::Fp64(values) => values.get(at).serialize(to),
            TensorData::Bytes(values) => match values.get(at) {
                Some(bytes) if self.as_base64 => {
                    to.collect_map([(BASE64_KEY, BASE64.encode(bytes))])
                }
                bytes => bytes
                    .map(|bytes| String::from_utf8_lossy(bytes))
                    .serialize(to),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;

    fn output(name: &str, axes: &[usize], has_rows: bool, data: TensorData) -> Output {
        Output {
            name: name.to_owned(),
            axes: axes.to_vec(),
            data,
            has_rows,
            as_base64: name.ends_with(BYTES_SUFFIX),
        }
    }

    #[test]
    fn elements_are_nested_as_the_shape_says() {
        let outputs = || {
            let ids = TensorData::Int64(vec![i64::MAX, 1]);
            let image = TensorData::Fp32((0..8_u8).map(f32::from).collect());
            let text = TensorData::Bytes(vec![Bytes::from_static(b"\xff"), Bytes::new()]);
            let mean = TensorData::Fp64(vec![f64::NAN]);
            vec![
                output("ids", &[2], true, ids),
                output("image", &[2, 2, 2], true, image),
                output("text_bytes", &[2, 1], true, text),
                output("mean", &[1], false, mean),
            ]
        };
        let written = |form, outputs| {
            let written = Written {
                form,
                rows: 2,
                outputs,
            };
            serde_json::to_value(&written).unwrap()
        };
        assert_eq!(
            written(Form::Instances, outputs()),
            json!({"predictions": [
                {"ids": i64::MAX, "image": [[0.0, 1.0], [2.0, 3.0]], "text_bytes": [{"b64": "/w=="}], "mean": [null]},
                {"ids": 1, "image": [[4.0, 5.0], [6.0, 7.0]], "text_bytes": [{"b64": ""}], "mean": [null]},
            ]})
        );
        assert_eq!(
            written(Form::Inputs, outputs())["outputs"]["image"],
            json!([[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0], [6.0, 7.0]]])
        );
        let only = || vec![outputs().remove(0)];
        assert_eq!(
            written(Form::Inputs, only()),
            json!({"outputs": [i64::MAX, 1]})
        );
        assert_eq!(
            written(Form::Instances, only()),
            json!({"predictions": [i64::MAX, 1]})
        );
    }
}
