//! `taper predict`: sends rows, and prints the predictions and the version that made them.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::client::v1::{PredictRequest, PredictResponse, Tensor, predict_request::Pin};
use crate::client::well_known::Struct;
use crate::client::{DataPort, Failure, input, tensors};
use crate::model::npz;
use crate::model::payload::{Cell, TensorData};
use crate::terminal::{output, table::table};

/// Arguments of `taper predict`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("rows").required(true)))]
pub(super) struct Args {
    /// Name of the model.
    model: String,
    /// One row as a JSON object, by input name.
    #[arg(long, value_name = "JSON", group = "rows")]
    row: Option<String>,
    /// Rows in a file (`-` is stdin): a JSON object, a list of objects, or one object per line; or tensors in a numpy archive (npz), one
    /// array per input.
    #[arg(long, value_name = "FILE", group = "rows")]
    file: Option<PathBuf>,
    /// Write the outputs to a numpy archive (npz), one array per output, instead of printing them.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Use this version instead of the split.
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    /// Use the version that this label names instead of the split.
    #[arg(long, conflicts_with = "version")]
    label: Option<String>,
    /// Routing key: equal keys get the same version until the split changes.
    #[arg(long, default_value = "", hide_default_value = true)]
    key: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: DataPort,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let given = match (&args.row, &args.file) {
        (Some(row), _) => Given::Rows(input::rows("--row", row)?),
        (None, Some(file)) => Given::read(file)?,
        (None, None) => return Err(Failure::new("no rows; pass --row JSON or --file FILE")),
    };
    let count = given.count();
    let (rows, tensors) = match given {
        Given::Rows(rows) => (rows, Vec::new()),
        Given::Tensors(tensors) => (Vec::new(), tensors),
    };
    let pin = match (args.version, args.label) {
        (Some(version), _) => Some(Pin::Version(version)),
        (None, label) => label.map(Pin::Label),
    };
    let request = PredictRequest {
        model: args.model,
        pin,
        routing_key: args.key,
        rows,
        tensors,
        ..PredictRequest::default()
    };
    let response = args.port.call(request).await?;
    if let Some(path) = &args.output {
        tensors::write_archive(path, &response.outputs)?;
        let names: Vec<_> = response
            .outputs
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        let (model, version) = (&response.model, response.version);
        output::print(&format!(
            "{}: {} of {count} rows by {model} version {version}",
            path.display(),
            names.join(", ")
        ))?;
        return Ok(());
    }
    let predictions = Predictions::new(response, count);
    if args.json {
        output::print_json(&predictions)?;
    } else {
        output::print(&predictions.readable())?;
    }
    Ok(())
}

/// What is to be predicted.
enum Given {
    Rows(Vec<Struct>),
    Tensors(Vec<Tensor>),
}

impl Given {
    fn read(file: &Path) -> Result<Self, Failure> {
        let origin = file.display().to_string();
        let bytes = input::read_bytes(file)?;
        if npz::recognises(&bytes) {
            return tensors::from_archive(&origin, &bytes).map(Self::Tensors);
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| Failure::new(format!("{origin}: is neither text nor a numpy archive")))?;
        input::rows(&origin, &text).map(Self::Rows)
    }

    /// Returns the number of rows.
    fn count(&self) -> usize {
        let rows = match self {
            Self::Rows(rows) => return rows.len(),
            Self::Tensors(tensors) => tensors.first().and_then(|tensor| tensor.shape.first()),
        };
        rows.map_or(1, |rows| usize::try_from(*rows).unwrap_or(1))
            .max(1)
    }
}

/// A response, regrouped by row.
#[derive(Debug, Serialize)]
struct Predictions {
    model: String,
    version: u64,
    role: &'static str,
    response_id: String,
    policy_revision: u64,
    rows: Vec<RowPrediction>,
}

#[derive(Debug, Serialize)]
struct RowPrediction {
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    /// Probability of that class.
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f32>,
    outputs: Vec<OutputValues>,
}

#[derive(Debug, Serialize)]
struct OutputValues {
    name: String,
    /// Numbers, texts or booleans, row-major.
    values: Vec<Value>,
}

impl Predictions {
    /// Regroups a response to a request of `count` rows. The outputs of a model without rows are one row.
    fn new(response: PredictResponse, count: usize) -> Self {
        let decoded: Vec<_> = response.outputs.iter().map(tensors::from_wire).collect();
        let has_rows = |tensor: &crate::model::payload::Tensor| {
            let values = tensor.data.len();
            values > 0 && values.is_multiple_of(count)
        };
        let count = if decoded.iter().all(has_rows) {
            count
        } else {
            1
        };
        let mut rows: Vec<_> = (0..count)
            .map(|at| RowPrediction {
                class: response.top_classes.get(at).map(|top| top.label.clone()),
                probability: response.top_classes.get(at).map(|top| top.probability),
                outputs: Vec::new(),
            })
            .collect();
        for (tensor, decoded) in response.outputs.iter().zip(&decoded) {
            let columns = decoded.data.len() / count;
            for (at, row) in rows.iter_mut().enumerate() {
                let places = at * columns..(at + 1) * columns;
                row.outputs.push(OutputValues {
                    name: tensor.name.clone(),
                    values: places.map(|at| value(&decoded.data, at)).collect(),
                });
            }
        }
        Self {
            role: response.role().name(),
            model: response.model,
            version: response.version,
            response_id: response.response_id,
            policy_revision: response.policy_revision,
            rows,
        }
    }

    fn readable(&self) -> String {
        let classes = self.rows.iter().any(|row| row.class.is_some());
        let mut header = vec!["row".to_owned()];
        if classes {
            header.extend(["class".to_owned(), "of that class".to_owned()]);
        }
        for output in self.rows.iter().take(1).flat_map(|row| &row.outputs) {
            match output.values.len() {
                1 => header.push(output.name.clone()),
                many => header.extend((0..many).map(|at| format!("{}[{at}]", output.name))),
            }
        }
        let rows = self.rows.iter().enumerate().map(|(at, row)| {
            let mut cells = vec![at.to_string()];
            if classes {
                cells.push(row.class.clone().unwrap_or_default());
                cells.push(
                    row.probability
                        .map_or_else(String::new, |p| format!("{p:.4}")),
                );
            }
            let values = row.outputs.iter().flat_map(|output| &output.values);
            cells.extend(values.map(shown));
            cells
        });
        let right: Vec<_> = (0..header.len())
            .filter(|at| !(classes && *at == 1))
            .collect();
        let header: Vec<_> = header.iter().map(String::as_str).collect();
        format!(
            "{}\n{} version {}, {}, policy revision {}, response {}",
            table(&header, &right, rows),
            self.model,
            self.version,
            self.role,
            self.policy_revision,
            self.response_id
        )
    }
}

/// Returns an element as JSON; `null` for a float that is not finite. FP32 keeps its own digits.
fn value(data: &TensorData, at: usize) -> Value {
    if let TensorData::Fp32(values) = data {
        let digits = values
            .get(at)
            .and_then(|x| x.to_string().parse::<f64>().ok());
        return digits.map_or(Value::Null, Value::from);
    }
    match data.cell(at) {
        Cell::Bool(value) => value.into(),
        Cell::Integer(value) => value.into(),
        Cell::Unsigned(value) => value.into(),
        Cell::Number(value) => value.into(),
        Cell::Text(text) => text.into(),
        Cell::Missing | Cell::List(_) | Cell::Object => Value::Null,
    }
}

/// Returns an element for a table.
fn shown(value: &Value) -> String {
    match value {
        Value::Number(number) if !number.is_i64() && !number.is_u64() => number
            .as_f64()
            .map_or_else(String::new, |x| format!("{x:.4}")),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::v1::{Datatype, Role, TopClass};

    fn tensor(name: &str, columns: i64, values: &[f32]) -> Tensor {
        Tensor {
            name: name.into(),
            datatype: Datatype::Fp32.into(),
            shape: vec![values.len() as i64 / columns, columns],
            fp32_values: values.to_vec(),
            ..Tensor::default()
        }
    }

    fn response() -> PredictResponse {
        PredictResponse {
            model: "flight-delay".into(),
            version: 2,
            role: Role::Primary.into(),
            response_id: "abc".into(),
            policy_revision: 7,
            failed_version: 0,
            outputs: vec![tensor("probability", 1, &[0.25, 0.875])],
            top_classes: vec![
                TopClass {
                    label: "on time".into(),
                    probability: 0.75,
                },
                TopClass {
                    label: "late".into(),
                    probability: 0.875,
                },
            ],
        }
    }

    #[test]
    fn a_response_shows_each_row_and_the_version() {
        let predictions = Predictions::new(response(), 2);
        insta::assert_snapshot!(predictions.readable(), @r"
        ┌─────┬─────────┬───────────────┬─────────────┐
        │ row ┆ class   ┆ of that class ┆ probability │
        ╞═════╪═════════╪═══════════════╪═════════════╡
        │   0 ┆ on time ┆        0.7500 ┆      0.2500 │
        │   1 ┆ late    ┆        0.8750 ┆      0.8750 │
        └─────┴─────────┴───────────────┴─────────────┘
        flight-delay version 2, primary, policy revision 7, response abc
        ");
    }

    #[test]
    fn json_has_the_same_content_as_the_table() {
        let predictions = Predictions::new(response(), 2);
        insta::assert_snapshot!(serde_json::to_string_pretty(&predictions).unwrap(), @r#"
        {
          "model": "flight-delay",
          "version": 2,
          "role": "primary",
          "response_id": "abc",
          "policy_revision": 7,
          "rows": [
            {
              "class": "on time",
              "probability": 0.75,
              "outputs": [
                {
                  "name": "probability",
                  "values": [
                    0.25
                  ]
                }
              ]
            },
            {
              "class": "late",
              "probability": 0.875,
              "outputs": [
                {
                  "name": "probability",
                  "values": [
                    0.875
                  ]
                }
              ]
            }
          ]
        }
        "#);
    }

    #[test]
    fn outputs_of_several_columns_and_raw_outputs_are_split_by_row() {
        let mut raw = tensor("value", 2, &[]);
        raw.raw = [1.0_f32, 2.0, 3.0, 4.0]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        let response = PredictResponse {
            outputs: vec![raw],
            top_classes: Vec::new(),
            ..response()
        };
        let predictions = Predictions::new(response.clone(), 2);
        assert_eq!(
            predictions.rows[1].outputs[0].values,
            [3.0, 4.0].map(Value::from)
        );
        assert!(
            predictions.readable().contains("value[1]"),
            "{}",
            predictions.readable()
        );
        let one = Predictions::new(response, 3);
        assert_eq!(one.rows.len(), 1, "the output of a model without rows");
        assert_eq!(one.rows[0].outputs[0].values.len(), 4);
    }
}
