//! Joins nodes that are faster together.
//!
//! - Nodes that treat each row alone and follow each other become one pass; a bias and a factor per column become part of the
//!   matrix before them.
//! - An operation of `f(x)` and `g(x)`, where `f` and `g` consist of functions of single numbers, becomes one such function:
//!   exporters write GELU, SiLU and hard swish in this way.
//! - Layer normalisation by parts becomes one step ([`layer_norm`]).
//! - Batch norm becomes part of the convolution before it, and functions of single numbers are applied to its output while that is
//!   in the cache.

mod layer_norm;
mod steps;

use super::lower::{Lowered, Piece};
use crate::model::format::onnx::operator::Work;
use crate::model::format::onnx::rows::{InPlace, PairOperation, Step};

/// How deeply operations of functions are nested. Deeper ones, which no network has, stay apart.
const DEEPEST: usize = 4;

/// Joins what can be joined.
pub(super) fn fuse(lowered: Lowered) -> Lowered {
    let mut fusion = Fusion::new(lowered);
    for at in 0..fusion.pieces.len() {
        fusion.normalize(at);
        fusion.pair(at);
        fusion.join(at);
    }
    let pieces = fusion.pieces.into_iter().flatten().collect();
    Lowered {
        pieces,
        ..fusion.lowered
    }
}

struct Fusion {
    lowered: Lowered,
    pieces: Vec<Option<Piece>>,
    /// How many inputs of pieces, and outputs of the graph, each value is.
    uses: Vec<usize>,
    /// The piece that computes each value.
    producer: Vec<Option<usize>>,
}

impl Fusion {
    fn new(mut lowered: Lowered) -> Self {
        let pieces = std::mem::take(&mut lowered.pieces);
        let mut uses = vec![0; lowered.same.len()];
        let mut producer = vec![None; lowered.same.len()];
        for (at, piece) in pieces.iter().enumerate() {
            piece.inputs.iter().flatten().for_each(|id| uses[*id] += 1);
            let outputs = piece.outputs.iter().flatten();
            outputs.for_each(|id| producer[*id] = Some(at));
        }
        for id in &lowered.returned {
            uses[lowered.same[*id]] += 1;
        }
        Self {
            lowered,
            pieces: pieces.into_iter().map(Some).collect(),
            uses,
            producer,
        }
    }

    /// Returns the only piece that computes the value, if no other piece needs the value.
    fn sole(&self, id: usize) -> Option<usize> {
        self.producer[id].filter(|_| self.uses[id] == 1)
    }

    /// Returns the only piece that computes the value, with its first input, if no other piece needs the value.
    fn sole_piece(&self, id: usize) -> Option<(&Work, usize)> {
        let piece = self.pieces[self.sole(id)?].as_ref()?;
        Some((&piece.work, piece.inputs.first().copied().flatten()?))
    }

    /// Returns the steps that compute a value from another, each value alone, and that other value. There may be none.
    fn maps(&self, id: usize) -> (usize, Vec<InPlace>) {
        let found = || {
            let (Work::Steps(steps), input) = self.sole_piece(id)? else {
                return None;
            };
            let map = |step: &Step| match step {
                Step::InPlace(step) if step.is_map() => Some(step.clone()),
                _ => None,
            };
            Some((input, steps.iter().map(map).collect::<Option<_>>()?))
        };
        found().unwrap_or((id, Vec::new()))
    }

    /// Turns an operation of two functions of one value into one function of it.
    fn pair(&mut self, at: usize) {
        let Some((operation, [a, b])) = self.pair_at(at) else {
            return;
        };
        let ((base, first), (other, second)) = (self.maps(a), self.maps(b));
        let depth = first.iter().chain(&second).map(InPlace::depth).max();
        if base != other || depth.unwrap_or(0) >= DEEPEST {
            return;
        }
        for (id, steps) in [(a, &first), (b, &second)] {
            self.uses[id] -= 1;
            if !steps.is_empty()
                && let Some(from) = self.producer[id]
            {
                self.pieces[from] = None;
                self.uses[base] -= 1;
            }
        }
        self.replace(at, steps::pair(operation, first, second), base);
    }

    /// Returns the operation and the inputs of a piece that combines two values.
    fn pair_at(&self, at: usize) -> Option<(PairOperation, [usize; 2])> {
        let piece = self.pieces.get(at)?.as_ref()?;
        match (&piece.work, &*piece.inputs) {
            (Work::Pair(operation), [Some(a), Some(b)]) => Some((*operation, [*a, *b])),
            _ => None,
        }
    }

    /// Turns a piece into a step on the value `input`. The uses of its inputs so far are no longer counted.
    fn replace(&mut self, at: usize, step: InPlace, input: usize) {
        self.uses[input] += 1;
        if let Some(piece) = &mut self.pieces[at] {
            piece.work = Work::Steps(vec![Step::InPlace(step)]);
            piece.inputs = vec![Some(input)];
        }
    }

    /// Joins a piece with the one that computes its input.
    fn join(&mut self, at: usize) {
        let input = self.pieces[at]
            .as_ref()
            .and_then(|piece| *piece.inputs.first()?);
        let Some((input, from)) = input.and_then(|id| Some((id, self.sole(id)?))) else {
            return;
        };
        let (Some(mut before), Some(piece)) = (self.pieces[from].take(), self.pieces[at].take())
        else {
            return;
        };
        match joined(&mut before.work, piece.work) {
            Ok(()) => {
                self.uses[input] = 0;
                for id in piece.outputs.iter().flatten() {
                    self.producer[*id] = Some(at);
                }
                // At the later position, where all other inputs of both have been computed.
                self.pieces[at] = Some(Piece {
                    outputs: piece.outputs,
                    cost: before.cost.saturating_add(piece.cost),
                    ..before
                });
            }
            Err(work) => {
                self.pieces[from] = Some(before);
                self.pieces[at] = Some(Piece { work, ..piece });
            }
        }
    }
}

/// Adds `next` to the work before it, or returns it if that is not possible.
fn joined(before: &mut Work, next: Work) -> Result<(), Work> {
    match (before, next) {
        (Work::Steps(steps), Work::Steps(next)) => {
            next.into_iter().for_each(|step| steps::push(steps, step));
            Ok(())
        }
        (Work::Convolve(convolution), Work::Channels(channels)) => {
            if convolution.scale(&channels) {
                Ok(())
            } else {
                Err(Work::Channels(channels))
            }
        }
        (Work::Convolve(convolution), Work::Steps(next)) => {
            let is_map = |step: &Step| matches!(step, Step::InPlace(step) if step.is_map());
            if !next.iter().all(is_map) {
                return Err(Work::Steps(next));
            }
            for step in next {
                if let Step::InPlace(step) = step {
                    steps::push_in_place(&mut convolution.then, step);
                }
            }
            Ok(())
        }
        (_, next) => Err(next),
    }
}
