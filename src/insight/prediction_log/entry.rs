//! One request, on its way to the log.

use std::sync::Arc;
use std::time::Duration;

use super::subject::Subject;
use crate::error::Code;
use crate::ident::{ResponseId, Role};
use crate::model::payload::{Cell, Payload, Tensor, TensorData};
use crate::model::{Scores, Value};

/// One request to log.
#[derive(Debug)]
pub struct Entry {
    /// The version that answered.
    pub subject: Arc<Subject>,
    /// The role in which it answered.
    pub role: Role,
    /// The id of the response.
    pub request_id: ResponseId,
    /// The inputs of the request.
    pub inputs: Payload,
    /// The answer, or `None` if there is none.
    pub outputs: Option<LoggedOutput>,
    /// The code of the answer.
    pub code: Code,
    /// Time from the decoded request to the answer.
    pub latency: Duration,
}

/// The output that is judged.
#[derive(Clone, Debug)]
pub enum LoggedOutput {
    /// It consists of the scores.
    Scores(Scores),
    /// The scores only summarise it: labels, or the vectors of an embedding.
    Tensor(Value),
}

impl Entry {
    /// Returns the approximate size of the entry in memory, in bytes.
    pub(super) fn weight(&self) -> usize {
        let inputs = match &self.inputs {
            Payload::Rows(rows) => {
                let cells = rows.iter().flatten();
                cells
                    .map(|(name, cell)| name.len() + cell_weight(cell))
                    .sum()
            }
            Payload::Tensors(tensors) => tensors.iter().map(tensor_weight).sum::<usize>(),
        };
        let outputs = match &self.outputs {
            None => 0,
            Some(LoggedOutput::Scores(scores)) => scores.as_slice().len() * 4,
            Some(LoggedOutput::Tensor(tensor)) => data_weight(&tensor.data),
        };
        256 + inputs + outputs
    }
}

fn cell_weight(cell: &Cell) -> usize {
    64 + match cell {
        Cell::Text(text) => text.len(),
        Cell::List(cells) => cells.iter().map(cell_weight).sum(),
        Cell::Missing
        | Cell::Bool(_)
        | Cell::Integer(_)
        | Cell::Unsigned(_)
        | Cell::Number(_)
        | Cell::Object => 0,
    }
}

fn tensor_weight(tensor: &Tensor) -> usize {
    128 + data_weight(&tensor.data)
}

fn data_weight(data: &TensorData) -> usize {
    let texts = match data {
        TensorData::Bytes(texts) => texts.iter().map(|text| 32 + text.len()).sum(),
        _ => 0,
    };
    data.len() * 8 + texts
}
