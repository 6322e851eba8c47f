//! An input of an inference request to a tensor: from its JSON, or from its block of bytes.

use bytes::Bytes;

use super::data;
use super::envelope::{Input, InputParameters};
use crate::api::{elements, oip, read};
use crate::error::{InputFault, InputFaults};
use crate::model::Shape;
use crate::model::payload::{Datatype, Tensor, TensorData};

/// A body: its JSON, and the blocks of bytes after it.
pub(super) struct BodyParts {
    pub(super) json: Bytes,
    /// The blocks that no input has taken yet.
    pub(super) blocks: Bytes,
}

impl BodyParts {
    /// Reads input number `at`. Returns `None` if it has a fault, which is added to `faults`.
    pub(super) fn tensor(
        &mut self,
        at: usize,
        input: Input<'_>,
        faults: &mut InputFaults,
    ) -> Option<Tensor> {
        let Some(name) = input.name else {
            let field = format!("inputs[{at}].name");
            faults.add_with(|| fault(field, "nothing", "the name of an input"));
            return None;
        };
        // Taken first, so that the blocks of later inputs are found even if this input has another fault.
        let parameters = input.parameters.unwrap_or_default();
        let block = self.take_block(&name, &parameters, faults).ok()?;
        if parameters.shared_memory_region.is_some() {
            let field = field(&name, "parameters.shared_memory_region");
            let wanted = "the elements themselves: no memory is shared";
            faults.add_with(|| fault(field, "a region", wanted));
            return None;
        }
        let datatype = input.datatype.as_deref().unwrap_or_default();
        let datatype = oip::datatype(datatype, &name, faults)?;
        let Some(shape) = input.shape else {
            faults.add_with(|| fault(field(&name, "shape"), "nothing", "the length of each axis"));
            return None;
        };
        let shape = shape.0;
        // Checked before the elements are read: nested lists are read as deep as the shape says.
        if shape.len() > Shape::MOST_AXES {
            let got = format!("{} axes", shape.len());
            let most = Shape::MOST_AXES;
            let wanted = format!("at most {most}");
            faults.add_with(|| fault(field(&name, "shape"), got, wanted));
            return None;
        }
        let data = match (input.data, block) {
            (Some(json), None) => {
                let faults_before = faults.found();
                let data = data::elements(&name, datatype, &shape, json.get(), &self.json, faults);
                if faults.found() > faults_before {
                    return None;
                }
                data
            }
            (None, Some(block)) => elements_of_block(&name, datatype, &block, faults)?,
            (json, _) => {
                let got = if json.is_some() { "both" } else { "neither" };
                let wanted =
                    "either `data`, or `parameters.binary_data_size` and a block of as many bytes";
                faults.add_with(|| fault(field(&name, "data"), got, wanted));
                return None;
            }
        };
        let data = match &parameters.content_type {
            Some(of) if of.get() == r#""base64""# => oip::decode_base64(data, &name, faults)?,
            _ => data,
        };
        Some(Tensor { name, shape, data })
    }

    /// Takes the block of the input `name`, if its parameters name a size.
    ///
    /// # Errors
    /// Returns an error if fewer bytes are left, after it has added the fault to `faults`.
    fn take_block(
        &mut self,
        name: &str,
        parameters: &InputParameters,
        faults: &mut InputFaults,
    ) -> Result<Option<Bytes>, ()> {
        let Some(size) = parameters.binary_data_size else {
            return Ok(None);
        };
        let left = self.blocks.len();
        if size <= left {
            return Ok(Some(self.blocks.split_to(size)));
        }
        faults.add_with(|| {
            let wanted = format!(
                "at most the {left} bytes that are left after the JSON, which ends where the header `{}` says",
                super::infer::JSON_LENGTH
            );
            let field = field(name, "parameters.binary_data_size");
            fault(field, format!("{size} bytes"), wanted)
        });
        Err(())
    }

    /// Adds a fault if bytes are left after the block of the last input.
    pub(super) fn check_rest(&self, faults: &mut InputFaults) {
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

fn elements_of_block(
    name: &str,
    datatype: Datatype,
    block: &Bytes,
    faults: &mut InputFaults,
) -> Option<TensorData> {
    let data = elements::from_raw(datatype, block);
    data.map_err(|wanted| {
        let got = format!("a block of {} bytes", block.len());
        faults.add_with(|| fault(field(name, "data"), got, wanted));
    })
    .ok()
}

/// Returns the path of a part of the input `name`.
fn field(name: &str, part: &str) -> String {
    format!("inputs[{}].{part}", read::cut(name))
}

fn fault(field: String, got: impl Into<String>, wanted: impl Into<String>) -> InputFault {
    InputFault {
        field,
        got: got.into(),
        wanted: wanted.into(),
    }
}
