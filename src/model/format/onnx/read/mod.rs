//! Reads a file: decodes it, checks it, lowers its nodes and builds the graph.
//!
//! In this order: [`header`] checks versions; [`names`] resolves names and orders the nodes; [`lower`] turns each node into an
//! operator, and computes what is constant; [`fuse`] joins operators; [`build`] assigns slots.

mod build;
mod fuse;
mod header;
mod interface;
mod lower;
mod names;
mod symbolic;

use bytes::Bytes;
use prost::Message;

use super::graph::Graph;
use super::proto::{GraphProto, ModelProto, TensorProto};
use super::tensor::Reference;
use super::wire;
use crate::model::format::FormatFault;

/// Reads data of another file of the model: path below its folder, offset and length in bytes. It must check the length of the file
/// before it allocates memory, because the length comes from a file that may be hostile.
pub(crate) type External<'a> = &'a mut dyn FnMut(&str, u64, u64) -> Result<Vec<u8>, String>;

/// Reads a file. `external` reads data that is in other files, and `rest` is called between pieces of work.
///
/// Memory: at most two copies of the weights in addition to the file. A small file cannot take much more: decoding takes at most a
/// hundred times its size and 200 MB, constants that are computed take at most 16 MiB and four times its size.
///
/// # Errors
/// Returns every fault that can be found: what is malformed, and what is not supported, each with the name of its node or tensor.
pub(crate) fn read(
    file: Bytes,
    external: External<'_>,
    rest: &mut dyn FnMut(),
) -> Result<Graph, Vec<FormatFault>> {
    let whole = |message: String| vec![FormatFault::new("", message)];
    if !wire::is_decodable(&file) {
        let most = wire::MOST_MESSAGES;
        return Err(whole(format!("got more than {most} messages in the file")));
    }
    let mut size = file.len();
    let decoded = ModelProto::decode(file);
    let mut model = decoded.map_err(|error| whole(format!("not an ONNX file: {error}")))?;
    let Some(mut graph) = model.graph.take() else {
        return Err(whole("the file has no graph".into()));
    };
    let mut faults = Vec::new();
    let header = header::check(&model, &graph, &mut faults);
    fetch(&mut graph, external, &mut size, &mut faults);
    let network = names::resolve(&graph, &mut faults);
    let lowered = lower::lower(&network, &header, size, rest, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    let fused = fuse::fuse(lowered);
    Ok(build::build(&network, fused, header.metadata, rest))
}

/// Reads the data of all tensors that are in other files.
fn fetch(
    graph: &mut GraphProto,
    external: External<'_>,
    size: &mut usize,
    faults: &mut Vec<FormatFault>,
) {
    let mut fetch_one = |tensor: &mut TensorProto, at: &dyn Fn(&TensorProto) -> String| {
        if let Err(message) = fetch_tensor(tensor, external, size) {
            faults.push(FormatFault::new(at(tensor), message));
        }
    };
    for tensor in &mut graph.initializer {
        fetch_one(tensor, &|tensor| {
            format!("initializer {:?}", names::shown(&tensor.name))
        });
    }
    for (index, node) in graph.node.iter_mut().enumerate() {
        let place = names::place(index, node);
        for attribute in &mut node.attribute {
            if let Some(tensor) = &mut attribute.t {
                let name = &attribute.name;
                fetch_one(tensor, &|_| format!("{place}, attribute {name}"));
            }
        }
    }
}

fn fetch_tensor(
    tensor: &mut TensorProto,
    external: External<'_>,
    size: &mut usize,
) -> Result<(), String> {
    let Some(reference) = Reference::of(tensor)? else {
        return Ok(());
    };
    let data = external(&reference.path, reference.offset, reference.length);
    let data = data.map_err(|error| format!("{}: {error}", reference.path))?;
    *size = size.saturating_add(data.len());
    reference.resolve(tensor, data)
}
