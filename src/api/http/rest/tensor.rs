//! An input of an inference request to a tensor: from its JSON, or from its block of bytes.

use bytes::Bytes;

use super::data;
use super::envelope::Input;
use crate::api::{oip, read};
use crate::error::{InputFault, InputFaults};
use crate::model::Input as Takes;
use crate::model::payload::Tensor;

/// A body: JSON, and the blocks of bytes that come after it.
pub(super) struct Parts {
    pub(super) json: Bytes,
    /// Those that no input has taken yet.
    pub(super) blocks: Bytes,
}

impl Parts {
    /// Reads input number `at`; `None` where it has a fault, which is added to `faults`.
    pub(super) fn tensor(
        &mut self,
        at: usize,
        input: Input<'_>,
        faults: &mut InputFaults,
    ) -> Option<Tensor> {
        let Some(name) = input.name else {
            let field = format!("inputs[{at}].name");
            faults.add_with(|| told(field, "nothing", "the name of an input"));
            return None;
        };
        let part = |part: &str| format!("inputs[{}].{part}", read::cut(&name));
        // Taken first, so that the blocks of the others are found even where something is wrong with this one.
        let parameters = input.parameters.unwrap_or_default();
        let block = match parameters.binary_data_size {
            None => None,
            Some(size) if size <= self.blocks.len() => Some(self.blocks.split_to(size)),
            Some(size) => {
                let left = self.blocks.len();
                faults.add_with(|| {
                    let field = part("parameters.binary_data_size");
                    let wanted = format!(
                        "at most the {left} bytes that are left after the JSON, which ends where the header `{}` says",
                        super::infer::JSON_LENGTH
                    );
                    told(field, format!("{size} bytes"), wanted)
                });
                return None;
            }
        };
        if parameters.shared_memory_region.is_some() {
            let field = part("parameters.shared_memory_region");
            faults.add_with(|| {
                told(
                    field,
                    "a region",
                    "the elements themselves: no memory is shared",
                )
            });
            return None;
        }
        let datatype = input.datatype.as_deref().unwrap_or_default();
        let datatype = oip::datatype(datatype, &name, faults)?;
        let Some(shape) = input.shape else {
            faults.add_with(|| told(part("shape"), "nothing", "the length of each axis"));
            return None;
        };
        let shape = shape.0;
        // Before its elements are looked at: lists in lists are read as deep as the shape says.
        if shape.len() > Takes::MOST_AXES {
            let got = format!("{} axes", shape.len());
            let most = Takes::MOST_AXES;
            let wanted = format!("at most {most}: the rows, and the columns of each");
            faults.add_with(|| told(part("shape"), got, wanted));
            return None;
        }
        let data = match (input.data, block) {
            (Some(json), None) => {
                let before = faults.found();
                let data = data::elements(&name, datatype, &shape, json.get(), &self.json, faults);
                if faults.found() > before {
                    return None;
                }
                data
            }
            (None, Some(block)) => match read::raw(datatype, &block) {
                Ok(data) => data,
                Err(wanted) => {
                    let got = format!("a block of {} bytes", block.len());
                    faults.add_with(|| told(part("data"), got, wanted));
                    return None;
                }
            },
            (given, _) => {
                let got = if given.is_some() { "both" } else { "neither" };
                let wanted =
                    "either `data`, or `parameters.binary_data_size` and a block of as many bytes";
                faults.add_with(|| told(part("data"), got, wanted));
                return None;
            }
        };
        Some(Tensor { name, shape, data })
    }

    /// What is left after the last input.
    pub(super) fn rest(&self, faults: &mut InputFaults) {
        if !self.blocks.is_empty() {
            let got = format!(
                "{} bytes after the block of the last input",
                self.blocks.len()
            );
            faults.add(
                "body",
                got,
                "as many as `parameters.binary_data_size` of all inputs says",
            );
        }
    }
}

fn told(field: String, got: impl Into<String>, wanted: impl Into<String>) -> InputFault {
    InputFault {
        field,
        got: got.into(),
        wanted: wanted.into(),
    }
}
