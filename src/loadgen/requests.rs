//! What is sent: requests that are built before the load begins, and sent round and round.

use std::sync::Arc;

use prost_types::Struct;
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use serde_json::Map;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::{Args, board::Outcome, generate::Caller, made, plan::Plan};
use crate::client::{AdminPort, Patience, timed_out};
use crate::client::{Failure, input, wire};
use crate::proto::v1::prediction_service_client::PredictionServiceClient;
use crate::proto::v1::{GetModelRequest, PredictRequest, TensorSignature};

/// Distinct requests that are made.
const MOST_MADE: usize = 256;
/// Rows in them, all together; a request may have as many.
const MOST_MADE_ROWS: usize = 16_384;

/// The requests that the flags ask for, at least one.
///
/// # Errors
/// Rows cannot be read, or the gateway does not tell what the model takes.
pub(super) async fn requests(args: &Args, plan: &Plan) -> Result<Arc<[PredictRequest]>, Failure> {
    let template = PredictRequest {
        model: args.model.clone(),
        pin: args.pin(),
        ..PredictRequest::default()
    };
    let Some(path) = &args.input else {
        let inputs = inputs(args).await?;
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(plan.seed);
        let number = (MOST_MADE_ROWS / plan.rows).clamp(1, MOST_MADE);
        let made = (0..number).map(|_| PredictRequest {
            tensors: made::tensors(&inputs, plan.rows, &mut rng),
            ..template.clone()
        });
        return Ok(made.collect());
    };
    let (origin, text) = (path.display().to_string(), input::read(path)?);
    let is_csv = path
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("csv"));
    let rows = if is_csv {
        csv_rows(&origin, &text, &inputs(args).await?)?
    } else {
        input::rows(&origin, &text)?
    };
    let filled = batches(rows, plan.rows).into_iter();
    let filled = filled.map(|rows| PredictRequest {
        rows,
        ..template.clone()
    });
    Ok(filled.collect())
}

/// What the model takes, as the admin port tells it.
async fn inputs(args: &Args) -> Result<Vec<TensorSignature>, Failure> {
    let port = AdminPort::to(args.admin.clone(), args.port.patience);
    let why = |failure: Failure| {
        Failure::new(format!(
            "--admin: {failure}\n  the admin port tells what the model takes; with rows in JSON (--input) it is not called"
        ))
    };
    let mut client = port.connect().await.map_err(why)?;
    let request = port.patience.request(GetModelRequest {
        model: args.model.clone(),
    });
    let model = port.answer(client.get_model(request)).await.map_err(why)?;
    made::inputs(&model, args.pin().as_ref())
}

/// Rows in requests of `each` rows, round and round until every row was in one and all requests are full.
fn batches(rows: Vec<Struct>, each: usize) -> Vec<Vec<Struct>> {
    if each == 1 {
        return rows.into_iter().map(|row| vec![row]).collect();
    }
    let number = rows.len().div_ceil(each);
    let mut round = rows.iter().cycle().cloned();
    let batch = |_| round.by_ref().take(each).collect();
    (0..number).map(batch).collect()
}

/// The rows of a CSV file whose header names inputs; other columns are left out, and an empty cell is a missing value.
fn csv_rows(origin: &str, text: &str, inputs: &[TensorSignature]) -> Result<Vec<Struct>, Failure> {
    let broken = |error: &dyn std::fmt::Display| Failure::new(format!("{origin}: {error}"));
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| broken(&error))?.clone();
    let column = |name: &str| header.iter().position(|column| column == name);
    let columns: Vec<_> = inputs
        .iter()
        .filter_map(|input| column(&input.name).map(|at| (at, input)))
        .collect();
    if columns.is_empty() {
        let names: Vec<_> = inputs.iter().map(|input| input.name.as_str()).collect();
        let told = format!("no column is an input of the model: {}", names.join(", "));
        return Err(broken(&told));
    }
    if let Some((_, wide)) = columns.iter().find(|(_, input)| input.shape.len() > 1) {
        let told = format!(
            "`{}` has several values a row: give rows as JSON",
            wide.name
        );
        return Err(broken(&told));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| broken(&error))?;
        let cells = columns.iter().map(|(at, input)| {
            let text = record.get(*at).unwrap_or_default();
            (input.name.clone(), input::cell(text, input.datatype()))
        });
        rows.push(wire::row(cells.collect::<Map<_, _>>()));
    }
    if rows.is_empty() {
        return Err(broken(&"there is no row in it"));
    }
    Ok(rows)
}

/// One connection, and what goes over it.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) client: PredictionServiceClient<Channel>,
    pub(super) requests: Arc<[PredictRequest]>,
    /// Distinct routing keys; 0: none.
    pub(super) keys: u64,
    pub(super) patience: Patience,
}

impl Asker {
    /// Request number `turn`.
    pub(super) fn request(&self, turn: u64) -> PredictRequest {
        let at = turn % self.requests.len() as u64;
        let mut request = self.requests[usize::try_from(at).unwrap_or(0)].clone();
        if let Some(key) = turn.checked_rem(self.keys) {
            request.routing_key = format!("bench-{key}");
        }
        request
    }
}

impl Caller for Asker {
    async fn call(&mut self, turn: u64) -> Outcome {
        let request = self.patience.request(self.request(turn));
        match self.client.predict(request).await {
            Ok(answer) => Outcome::Answered(answer.into_inner().version),
            Err(status) => Outcome::Failed {
                code: code(&status),
                message: status.message().to_owned(),
            },
        }
    }
}

/// What is told of a failure. Who gives up waiting here is told as CANCELLED by the transport; for the caller it is the deadline.
fn code(status: &Status) -> Code {
    match status.code() {
        Code::Cancelled if timed_out(status) => Code::DeadlineExceeded,
        code => code,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::proto::v1::Datatype;

    fn row(at: usize) -> Struct {
        let Value::Object(fields) = json!({ "x": at }) else {
            panic!("an object");
        };
        wire::row(fields)
    }

    #[test]
    fn every_row_is_sent_and_every_request_is_full() {
        let at = |list: &[usize]| list.iter().copied().map(row).collect::<Vec<_>>();
        for (rows, each, want) in [
            (3, 1, vec![at(&[0]), at(&[1]), at(&[2])]),
            (3, 2, vec![at(&[0, 1]), at(&[2, 0])]),
            (2, 5, vec![at(&[0, 1, 0, 1, 0])]),
        ] {
            let rows = (0..rows).map(row).collect();
            assert_eq!(batches(rows, each), want, "{each} a request");
        }
    }

    fn input(name: &str, datatype: Datatype, shape: &[i64]) -> TensorSignature {
        TensorSignature {
            name: name.into(),
            datatype: datatype.into(),
            shape: shape.to_vec(),
            ..TensorSignature::default()
        }
    }

    #[test]
    fn a_csv_file_is_read_by_the_types_of_the_inputs() {
        let inputs = [
            input("x", Datatype::Fp64, &[-1]),
            input("zip", Datatype::Bytes, &[-1]),
        ];
        let rows = csv_rows("r.csv", "zip,late,x\n8001,1,2.5\n8002,0,\n", &inputs).unwrap();
        let want = [
            json!({"x": 2.5, "zip": "8001"}),
            json!({"x": null, "zip": "8002"}),
        ];
        let want = want.map(|row| wire::row(row.as_object().unwrap().clone()));
        assert_eq!(rows, want);
        for (text, told) in [
            (
                "a,b\n1,2\n",
                "r.csv: no column is an input of the model: x, zip",
            ),
            ("x\n", "r.csv: there is no row in it"),
        ] {
            assert_eq!(
                csv_rows("r.csv", text, &inputs).unwrap_err().to_string(),
                told
            );
        }
        let wide = [input("x", Datatype::Fp64, &[-1, 2])];
        let told = csv_rows("r.csv", "x\n1\n", &wide).unwrap_err().to_string();
        assert_eq!(
            told,
            "r.csv: `x` has several values a row: give rows as JSON"
        );
    }
}
