use super::*;

mod answers;
mod documents;
mod evaluator;
mod inputs;
mod models;
mod mutations;
mod objectives;
mod refusals;
mod round_trips;
mod trees;
mod versions;
mod writer;
