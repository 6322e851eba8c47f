//! Assigns slots to values, and builds the graph.

use std::collections::HashMap;

use super::lower::{Lowered, Piece};
use super::names::Network;
use crate::model::format::onnx::graph::{Graph, Metadata, Step};
use crate::model::format::onnx::operator::Source;
use crate::model::format::onnx::value::Value;

/// Builds the graph. Calls `rest` between pieces of work.
pub(super) fn build(
    network: &Network<'_>,
    lowered: Lowered,
    metadata: Metadata,
    rest: &mut dyn FnMut(),
) -> Graph {
    let returned: Vec<usize> = lowered
        .returned
        .iter()
        .map(|id| lowered.same[*id])
        .collect();
    let pieces = needed(lowered.pieces, &returned, lowered.same.len());
    let mut builder = Builder {
        last_use: last_uses(&pieces, &returned, lowered.same.len()),
        constants: lowered.constants,
        places: HashMap::new(),
        kept: Vec::new(),
        slot: vec![None; lowered.same.len()],
        free: Vec::new(),
        slots: 0,
    };
    let mut inputs = lowered.inputs;
    let mut input_slots = Vec::with_capacity(inputs.len());
    for (info, (id, _)) in inputs.iter_mut().zip(&network.inputs) {
        info.used = builder.last_use[*id].is_some();
        input_slots.push(info.used.then(|| builder.assign(*id)));
    }
    let cost = pieces
        .iter()
        .fold(0, |sum: usize, piece| sum.saturating_add(piece.cost));
    let mut steps = Vec::with_capacity(pieces.len());
    for (at, piece) in pieces.into_iter().enumerate() {
        steps.push(builder.step(at, piece, rest));
        rest();
    }
    let output_sources = builder.sources(
        &returned.into_iter().map(Some).collect::<Vec<_>>(),
        usize::MAX,
    );
    let mut all = inputs.iter().chain(&lowered.outputs);
    Graph {
        batchable: !inputs.is_empty() && all.all(|info| info.by_row),
        inputs,
        outputs: lowered.outputs,
        metadata,
        steps,
        constants: builder.kept,
        input_slots,
        output_sources,
        slots: builder.slots,
        cost,
    }
}

/// Returns the pieces that outputs of the graph depend on: what was computed at load, or joined, is no longer needed.
fn needed(pieces: Vec<Piece>, returned: &[usize], values: usize) -> Vec<Piece> {
    let mut needed = vec![false; values];
    returned.iter().for_each(|id| needed[*id] = true);
    let mut kept = Vec::with_capacity(pieces.len());
    for piece in pieces.into_iter().rev() {
        if piece.outputs.iter().flatten().any(|id| needed[*id]) {
            piece
                .inputs
                .iter()
                .flatten()
                .for_each(|id| needed[*id] = true);
            kept.push(piece);
        }
    }
    kept.reverse();
    kept
}

/// Returns the position of the last piece that reads each value; the largest number if the graph returns it.
fn last_uses(pieces: &[Piece], returned: &[usize], values: usize) -> Vec<Option<usize>> {
    let mut last = vec![None; values];
    for (at, piece) in pieces.iter().enumerate() {
        piece
            .inputs
            .iter()
            .flatten()
            .for_each(|id| last[*id] = Some(at));
    }
    returned.iter().for_each(|id| last[*id] = Some(usize::MAX));
    last
}

struct Builder {
    last_use: Vec<Option<usize>>,
    constants: Vec<Option<Value>>,
    /// Position in `kept` of each constant that is used at run time.
    places: HashMap<usize, usize>,
    kept: Vec<Value>,
    /// The slot of each value that has been computed.
    slot: Vec<Option<usize>>,
    free: Vec<usize>,
    slots: usize,
}

impl Builder {
    /// Gives a slot to a value.
    fn assign(&mut self, id: usize) -> usize {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots += 1;
            self.slots - 1
        });
        self.slot[id] = Some(slot);
        slot
    }

    fn step(&mut self, at: usize, piece: Piece, rest: &mut dyn FnMut()) -> Step {
        let sources = self.sources(&piece.inputs, at);
        let mut freed = Vec::new();
        for id in piece.inputs.iter().flatten() {
            // Taken from the table, so that a value that is read twice is freed once.
            if self.last_use[*id] == Some(at)
                && let Some(slot) = self.slot[*id].take()
            {
                freed.push(slot);
            }
        }
        self.free.extend(&freed);
        let outputs = piece.outputs.iter();
        let outputs = outputs.map(|id| {
            let id = (*id)?;
            self.last_use[id].map(|_| self.assign(id))
        });
        Step {
            outputs: outputs.collect(),
            place: piece.place,
            operator: piece.work.into_operator(rest),
            sources,
            freed,
        }
    }

    /// Returns where the inputs of piece `at` come from.
    fn sources(&mut self, inputs: &[Option<usize>], at: usize) -> Vec<Source> {
        let source = |(position, id): (usize, &Option<usize>)| {
            let Some(id) = *id else {
                return Source::Absent;
            };
            if let Some(index) = self.slot[id] {
                let again = inputs[position + 1..].contains(&Some(id));
                // An operator may take its inputs in any order, so it takes none that it has twice.
                let before = at != usize::MAX && inputs[..position].contains(&Some(id));
                let last = self.last_use[id] == Some(at) && !again && !before;
                return Source::Slot { index, last };
            }
            if let Some(value) = self.constants[id].take() {
                self.places.insert(id, self.kept.len());
                self.kept.push(value);
            }
            let place = self.places.get(&id);
            place.map_or(Source::Absent, |index| Source::Constant(*index))
        };
        inputs.iter().enumerate().map(source).collect()
    }
}
