//! The requests that are sent. They are built before the load begins, and repeated.

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use serde_json::Map;
use tonic::{Code, Status};

use super::{Args, generate::Caller, generated_rows, plan::Plan, results::Outcome};
use crate::client::v1::{GetModelRequest, PredictRequest, TensorSignature};
use crate::client::well_known::Struct;
use crate::client::{AdminPort, DataClient, Failure, Timeout, input, message, tensors, timed_out};
use crate::model::npz;

/// Most distinct generated requests.
const MAX_GENERATED: usize = 256;
/// Most rows in all of them together. A single request may have as many.
const MAX_GENERATED_ROWS: usize = 16_384;

/// Returns the requests for these arguments, at least one.
///
/// # Errors
/// Returns an error if rows cannot be read, or the gateway does not return the inputs of the model.
pub(super) async fn requests(args: &Args, plan: &Plan) -> Result<Arc<[PredictRequest]>, Failure> {
    let template = PredictRequest {
        model: args.model.clone(),
        pin: args.pin(),
        ..PredictRequest::default()
    };
    let Some(path) = &args.input else {
        let inputs = inputs(args).await?;
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(plan.seed);
        let number = (MAX_GENERATED_ROWS / plan.rows).clamp(1, MAX_GENERATED);
        let generated = (0..number).map(|_| PredictRequest {
            tensors: generated_rows::tensors(&inputs, plan.rows, &mut rng),
            ..template.clone()
        });
        return Ok(generated.collect());
    };
    let (origin, bytes) = (path.display().to_string(), input::read_bytes(path)?);
    if npz::recognises(&bytes) {
        // The archive is one request: arrays may have no rows to regroup.
        let tensors = tensors::from_archive(&origin, &bytes)?;
        return Ok(Arc::new([PredictRequest {
            tensors,
            ..template
        }]));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::new(format!("{origin}: is neither text nor a numpy archive")))?;
    let is_csv = path
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("csv"));
    let rows = if is_csv {
        csv_rows(&origin, &text, &inputs(args).await?)?
    } else {
        input::rows(&origin, &text)?
    };
    let batches = batches(rows, plan.rows).into_iter();
    let requests = batches.map(|rows| PredictRequest {
        rows,
        ..template.clone()
    });
    Ok(requests.collect())
}

/// Returns the inputs of the model, from the admin port.
async fn inputs(args: &Args) -> Result<Vec<TensorSignature>, Failure> {
    let port = AdminPort::new(args.admin.clone(), args.port.timeout);
    let request = GetModelRequest {
        model: args.model.clone(),
    };
    let model = port.call(request).await.map_err(|failure| {
        Failure::new(format!(
            "--admin: {failure}\n  the admin port returns the inputs of the model; it is not called for rows in JSON (--input)"
        ))
    })?;
    generated_rows::inputs(&model, args.pin().as_ref())
}

/// Groups rows into requests of `each` rows. The last request is filled with rows from the beginning.
fn batches(rows: Vec<Struct>, each: usize) -> Vec<Vec<Struct>> {
    if each == 1 {
        return rows.into_iter().map(|row| vec![row]).collect();
    }
    let number = rows.len().div_ceil(each);
    let mut repeated = rows.iter().cycle().cloned();
    let batch = |_| repeated.by_ref().take(each).collect();
    (0..number).map(batch).collect()
}

/// Returns the rows of a CSV file. Columns that are not inputs are ignored; an empty cell is a missing value.
fn csv_rows(origin: &str, text: &str, inputs: &[TensorSignature]) -> Result<Vec<Struct>, Failure> {
    let invalid = |error: &dyn std::fmt::Display| Failure::new(format!("{origin}: {error}"));
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| invalid(&error))?.clone();
    let column = |name: &str| header.iter().position(|column| column == name);
    let columns: Vec<_> = inputs
        .iter()
        .filter_map(|input| column(&input.name).map(|at| (at, input)))
        .collect();
    if columns.is_empty() {
        let names: Vec<_> = inputs.iter().map(|input| input.name.as_str()).collect();
        let message = format!("no column is an input of the model: {}", names.join(", "));
        return Err(invalid(&message));
    }
    if let Some((_, wide)) = columns.iter().find(|(_, input)| input.shape.len() > 1) {
        let message = format!(
            "`{}` has several values per row; pass rows as JSON",
            wide.name
        );
        return Err(invalid(&message));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| invalid(&error))?;
        let cells = columns.iter().map(|(at, input)| {
            let text = record.get(*at).unwrap_or_default();
            (input.name.clone(), input::cell(text, input.datatype()))
        });
        rows.push(message::row(cells.collect::<Map<_, _>>()));
    }
    if rows.is_empty() {
        return Err(invalid(&"contains no rows"));
    }
    Ok(rows)
}

/// One connection, and the requests that are sent over it.
#[derive(Clone, Debug)]
pub(super) struct RequestSender {
    pub(super) client: DataClient,
    pub(super) requests: Arc<[PredictRequest]>,
    /// Distinct routing keys; 0: requests have none.
    pub(super) keys: u64,
    pub(super) timeout: Timeout,
}

impl RequestSender {
    /// Returns request number `number`.
    pub(super) fn request(&self, number: u64) -> PredictRequest {
        let at = number % self.requests.len() as u64;
        let mut request = self.requests[usize::try_from(at).unwrap_or(0)].clone();
        if let Some(key) = number.checked_rem(self.keys) {
            request.routing_key = format!("bench-{key}");
        }
        request
    }
}

impl Caller for RequestSender {
    async fn call(&mut self, number: u64) -> Outcome {
        let request = self.timeout.request(self.request(number));
        match self.client.predict(request).await {
            Ok(answer) => Outcome::Answered(answer.into_inner().version),
            Err(status) => Outcome::Failed {
                code: code(&status),
                message: status.message().to_owned(),
            },
        }
    }
}

/// Returns the code to report for a failure. The transport reports a timeout on this side as CANCELLED; for the caller it is the
/// deadline.
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
    use crate::client::v1::Datatype;

    fn row(at: usize) -> Struct {
        let Value::Object(fields) = json!({ "x": at }) else {
            panic!("an object");
        };
        message::row(fields)
    }

    #[test]
    fn every_row_is_sent_and_every_request_is_full() {
        let at = |list: &[usize]| list.iter().copied().map(row).collect::<Vec<_>>();
        for (rows, each, expected) in [
            (3, 1, vec![at(&[0]), at(&[1]), at(&[2])]),
            (3, 2, vec![at(&[0, 1]), at(&[2, 0])]),
            (2, 5, vec![at(&[0, 1, 0, 1, 0])]),
        ] {
            let rows = (0..rows).map(row).collect();
            assert_eq!(batches(rows, each), expected, "{each} per request");
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
    fn csv_cells_are_parsed_by_the_types_of_the_inputs() {
        let inputs = [
            input("x", Datatype::Fp64, &[-1]),
            input("zip", Datatype::Bytes, &[-1]),
        ];
        let rows = csv_rows("r.csv", "zip,late,x\n8001,1,2.5\n8002,0,\n", &inputs).unwrap();
        let expected = [
            json!({"x": 2.5, "zip": "8001"}),
            json!({"x": null, "zip": "8002"}),
        ];
        let expected = expected.map(|row| message::row(row.as_object().unwrap().clone()));
        assert_eq!(rows, expected);
        for (text, expected) in [
            (
                "a,b\n1,2\n",
                "r.csv: no column is an input of the model: x, zip",
            ),
            ("x\n", "r.csv: contains no rows"),
        ] {
            assert_eq!(
                csv_rows("r.csv", text, &inputs).unwrap_err().to_string(),
                expected
            );
        }
        let wide = [input("x", Datatype::Fp64, &[-1, 2])];
        let error = csv_rows("r.csv", "x\n1\n", &wide).unwrap_err().to_string();
        assert_eq!(
            error,
            "r.csv: `x` has several values per row; pass rows as JSON"
        );
    }
}
