//! Decides where a request is computed.
//!
//! Inline on the thread that holds the request, while that costs less than a change of threads; else in the pool of `batch/`,
//! so that expensive requests never delay the async workers. While a fallback is ready, on a thread of its own.

use std::{sync::Arc, time::Duration};

use tokio::{task, time};

use super::batch::Pool;
use super::score::{self, forward_error};
use super::version::VersionRuntime;
use super::work::{Call, Prediction, Work};
use crate::error::{ForwardError, PredictError};
use crate::model::payload::Payload;
use crate::model::{Input, Signature, Target};

/// A request with at most this estimated cost is computed inline: an async worker can spare the time, and a change of threads
/// and back costs a good part of it.
const INLINE: Duration = Duration::from_micros(50);

/// Encoding one named cell: it is found by name and checked. This and the next two constants are what `benches/pipeline.rs`
/// measured for the flights; only the order of magnitude matters.
const PER_CELL: Duration = Duration::from_nanos(80);
/// Encoding one element of a tensor.
const PER_ELEMENT: Duration = Duration::from_nanos(14);
/// One row beside its encoding and its network: most probable class, recording.
const PER_ROW: Duration = Duration::from_nanos(500);
/// Multiply-adds of one slow core in a nanosecond, used until a pass has been measured.
const ADDS_PER_NANO: usize = 5;

/// Runs forward passes.
#[derive(Debug)]
pub(super) struct Executor {
    pool: Pool,
}

impl Executor {
    /// Creates an executor that runs expensive passes in `pool`.
    pub(super) fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// Encodes and scores `work`, and records its statistics if it was scored: on this thread if that costs less than a change
    /// of threads, else in the pool.
    ///
    /// Work whose deadline has passed is dropped before it begins. So is work whose client has disconnected: then this future
    /// is no longer polled, or its queue notices.
    ///
    /// # Errors
    /// Returns [`PredictError::InvalidInput`], [`PredictError::DeadlineExceeded`] or [`PredictError::Forward`]; for the pool
    /// also [`PredictError::Overloaded`] and [`PredictError::TooLate`].
    pub(super) async fn run(
        &self,
        version: &Arc<VersionRuntime>,
        work: Work,
        call: Call,
    ) -> Result<Prediction, PredictError> {
        let rows = claimed_rows(&work);
        let pass = version.queue.costs().estimate(rows).unwrap_or_else(|| {
            let adds = version.version.model().cost_per_row().saturating_mul(rows);
            Duration::from_nanos(u64::try_from(adds / ADDS_PER_NANO).unwrap_or(u64::MAX))
        });
        let pass = pass.saturating_mul(times_longer(version.version.signature(), &work, rows));
        if pass.saturating_add(cost_around_pass(&work, rows)) <= INLINE {
            return score::score_one(version, &work, &call);
        }
        let result = self.pool.submit(version, work, call, rows)?;
        result.await.unwrap_or_else(|_| {
            let lost = "the compute pool returned no result".to_owned();
            Err(forward_error(version, ForwardError::Panicked(lost)))
        })
    }

    /// Encodes and scores `work` as [`run`](Self::run) does, but never on the calling thread, and for at most `limit`.
    ///
    /// After `limit` the pass is abandoned, and ends by itself. At most 16 passes of a version run like this at one time; if
    /// all of them are abandoned, this fails at once.
    ///
    /// # Errors
    /// Returns the errors of [`run`](Self::run), and [`PredictError::DeadlineExceeded`] past the limit.
    pub(super) async fn run_within(
        &self,
        version: &Arc<VersionRuntime>,
        work: Work,
        call: Call,
        limit: Duration,
    ) -> Result<Prediction, PredictError> {
        if version.isolation.is_exhausted() {
            return Err(PredictError::DeadlineExceeded);
        }
        let pass = async {
            let Some((_waiting, computing)) = version.isolation.begin().await else {
                return Err(PredictError::DeadlineExceeded);
            };
            let scoring_version = Arc::clone(version);
            let pass = task::spawn_blocking(move || {
                let result = score::score_one(&scoring_version, &work, &call);
                drop(computing);
                result
            });
            pass.await.unwrap_or_else(|error| {
                let panicked = ForwardError::Panicked(error.to_string());
                Err(forward_error(version, panicked))
            })
        };
        let result = time::timeout(limit, pass).await;
        result.unwrap_or(Err(PredictError::DeadlineExceeded))
    }
}

/// Returns the number of rows that `payload` claims, at least 1, before it is known to be well-formed. A false claim is
/// refused later.
fn claimed_rows(payload: &Payload) -> usize {
    let rows = match payload {
        Payload::Rows(rows) => rows.len(),
        Payload::Tensors(tensors) => tensors.first().map_or(0, |tensor| {
            let rows = tensor.shape.first().copied().unwrap_or(0);
            usize::try_from(rows).unwrap_or(0).min(tensor.data.len())
        }),
    };
    rows.max(1)
}

/// Returns how many times as long as an average pass one over `payload` may take, because its axes of any length are longer than 1, which
/// is their length when a version is warmed up. The work of a graph may grow with the square of a length.
fn times_longer(signature: &Signature, payload: &Payload, rows: usize) -> u32 {
    let is_open = |input: &Input| input.shape.is_open();
    if signature.target != Target::Tensors || !signature.inputs().iter().any(is_open) {
        return 1;
    }
    let least = signature.inputs().iter().fold(0_usize, |sum, input| {
        sum.saturating_add(input.shape.least_values())
    });
    let given = match payload {
        Payload::Tensors(tensors) => tensors.iter().map(|tensor| tensor.data.len()).sum(),
        // Lists in cells are not counted here.
        Payload::Rows(_) => usize::MAX,
    };
    let times = given / least.saturating_mul(rows).max(1);
    u32::try_from(times.saturating_mul(times)).map_or(u32::MAX, |times| times.max(1))
}

/// Estimates the cost of `payload` beside the forward pass.
fn cost_around_pass(payload: &Payload, rows: usize) -> Duration {
    let times =
        |each: Duration, n: usize| each.saturating_mul(u32::try_from(n).unwrap_or(u32::MAX));
    let encoding = match payload {
        Payload::Rows(rows) => times(PER_CELL, rows.iter().map(Vec::len).sum()),
        Payload::Tensors(tensors) => times(
            PER_ELEMENT,
            tensors.iter().map(|tensor| tensor.data.len()).sum(),
        ),
    };
    encoding.saturating_add(times(PER_ROW, rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::payload::{Cell, Tensor, TensorData};

    #[test]
    fn an_inexpensive_network_over_many_named_rows_is_expensive() {
        let row = || {
            (0..12)
                .map(|at| (at.to_string(), Cell::Number(0.0)))
                .collect()
        };
        let rows = |n| Payload::Rows((0..n).map(|_| row()).collect());
        assert!(
            cost_around_pass(&rows(1), 1) < INLINE / 10,
            "one row is computed inline"
        );
        assert!(
            cost_around_pass(&rows(1_000), 1_000) > INLINE,
            "a thousand rows are not"
        );
    }

    #[test]
    fn a_pass_over_longer_axes_is_expected_to_take_longer() {
        let tokens = |rows: i64, length: i64| {
            let count = usize::try_from(rows * length).unwrap();
            Payload::Tensors(vec![Tensor {
                name: "ids".into(),
                shape: vec![rows, length],
                data: TensorData::Int64(vec![1; count]),
            }])
        };
        let graph = |axis: i64| {
            let mut document = crate::model::samples::labels("m", 1);
            document["format"] = serde_json::json!("onnx");
            document["inputs"] = serde_json::json!([
                {"name": "ids", "datatype": "INT64", "shape": [-1, axis]}
            ]);
            document["features"] = serde_json::json!(["ids"]);
            document["files"][0]["path"] = serde_json::json!("model.onnx");
            crate::model::samples::manifest(document).signature
        };
        for (axis, rows, length, want) in [(-1, 1, 1, 1), (-1, 2, 16, 256), (16, 2, 16, 1)] {
            let rows_given = usize::try_from(rows).unwrap();
            let times = times_longer(&graph(axis), &tokens(rows, length), rows_given);
            assert_eq!(times, want, "{axis} {rows} {length}");
        }
        assert_eq!(
            times_longer(&graph(-1), &tokens(1, 1 << 20), 1),
            u32::MAX,
            "no overflow"
        );
    }

    #[test]
    fn the_cost_of_tensors_follows_their_elements_and_claimed_rows() {
        let tensor = |rows: i64, elements| {
            let data = TensorData::Fp32(vec![0.0; elements]);
            Payload::Tensors(vec![Tensor {
                name: "x".into(),
                shape: vec![rows, 30],
                data,
            }])
        };
        for (rows, elements, want, why) in [
            (8, 240, 8, "as claimed"),
            (
                i64::MAX,
                10,
                10,
                "a false number of rows is cut to the data",
            ),
            (-1, 30, 1, "a negative axis is refused later"),
            (0, 0, 1, "and so is an empty tensor"),
        ] {
            assert_eq!(claimed_rows(&tensor(rows, elements)), want, "{why}");
        }
        let wanted = PER_ELEMENT * 240 + PER_ROW * 8;
        assert_eq!(cost_around_pass(&tensor(8, 240), 8), wanted);
    }
}
