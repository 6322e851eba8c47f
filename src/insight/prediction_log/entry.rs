//! One request, on its way to the log.

use std::sync::Arc;
use std::time::Duration;

use super::subject::Subject;
use crate::error::Code;
use crate::ident::{ResponseId, Role};
use crate::model::Scores;
use crate::model::payload::{Cell, Payload, Tensor, TensorData};

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
    pub outputs: Option<Scores>,
    /// The code of the answer.
    pub code: Code,
    /// Time from the decoded request to the answer.
    pub latency: Duration,
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
        let outputs = self.outputs.as_ref();
        let outputs = outputs.map_or(0, |scores| scores.rows().len() * scores.columns() * 4);
        256 + inputs + outputs
    }
}

fn cell_weight(cell: &Cell) -> usize {
    64 + match cell {
        Cell::Text(text) => text.len(),
        Cell::List(cells) => cells.iter().map(cell_weight).sum(),
        Cell::Missing | Cell::Bool(_) | Cell::Number(_) | Cell::Object => 0,
    }
}

fn tensor_weight(tensor: &Tensor) -> usize {
    let texts = match &tensor.data {
        TensorData::Bytes(texts) => texts.iter().map(|text| 32 + text.len()).sum(),
        _ => 0,
    };
    128 + tensor.data.len() * 8 + texts
}
