//! taper: a gRPC inference gateway. It holds several versions of a model in its own process, decides for each `Predict`
//! which version answers, and records every version's latency and predictions.
//!
//! # Rooms
//!
//! ```text
//! main.rs       arguments in, exit code out; chooses between the verbs, `serve`, `train` and `demo`
//! cli/          one file per verb; talks to a running gateway through the public RPCs only
//! client/       the client of taper's own RPCs: connections, deadlines, errors -> messages for people
//! terminal/     output, tables, progress bars, signals
//! loadgen/      the load generator behind `taper bench` and the benches
//! demo/         `taper demo`: a gateway, real flights and a moving split
//! config/       raw TOML -> checked Config, all faults at once
//! app/          the only wiring: Config -> running gateway, one builder per port; the only spawn; lifecycle; drain
//! api/          ports and protocols: gRPC and HTTP; wire <-> domain, error -> status; one table of all methods. Wire types end here
//! serving/      one request's way: admission, pipeline, route, execute, batch, fallback, shadow, live (the ArcSwap)
//! model/        what a version is: manifest, signature, encoding, formats
//! train/        a CSV and a spec in, a published version out
//! import/       a model file of XGBoost, LightGBM or ONNX in, a published version out; `taper seal`
//! registry/     which versions exist on disk: scan, watch; publishing by atomic rename
//! control/      what is wanted: policies, labels, revisions, the single writer, the store; loading and freeing on their own
//!               threads
//! audit/        who changed what and why: hash-chained lines
//! insight/      what was observed: recording, statistics, drift, comparison, outcomes, `query` (every question is answered
//!               there), metrics, the prediction log
//! proto/ ident.rs error/ faults.rs priority.rs sync.rs text.rs
//! ```
//!
//! # One request
//!
//! ```text
//! api: native, Open Inference Protocol (gRPC and REST), TensorFlow Serving; each is a translation to the same query
//!      a permit of admission control before the message is read; limits; deadline; decode
//!   -> serving::pipeline   snapshot = live.snapshot()        one load, kept to the end
//!   -> route               pin | header rule | sticky hash | random draw -> version
//!   -> encode              Payload x Signature -> Batch      once; wrong input is refused by name
//!   -> execute             inline when inexpensive; in the version's queue, batched, when expensive
//!   -> fallback            if the policy has one and the version failed or was too slow
//!   -> shadow              try_send to a bounded queue; full: drop and count
//!   -> insight             one record of the attempt, written on drop, whatever happened
//!   -> api: encode         version, role, response id, revision in every reply
//! ```
//!
//! Routing comes before encoding, because each version has its own encoding of inputs.
//!
//! # Control
//!
//! ```text
//! admin RPC -----------\
//! registry::watch ------+--> control::writer (one task) --> edit, admit --> store (durable)
//! control::loader ------/                                                    | follow(record): own records and foreign ones
//! control::reaper -----/                                                     v
//!                                 reconcile (pure) decides what to load and to retire --> snapshot + 1 --> ArcSwap
//!                                +--> loader   one slow thread: read, verify, golden requests, warm up; may fail
//!                                +--> reaper   waits for the last request of a retired version, frees it, reports it
//!                                +--> audit, then the answer to the caller
//! ```
//!
//! # Arrows
//!
//! ```text
//! main > cli, app, config, train, import, model, demo, client, terminal      cli > client, terminal, loadgen, registry, model, audit
//! demo > app, config, client, terminal      loadgen > client, terminal, model      client > proto, model      app > everything below
//! api > serving, control, registry, insight, model, proto, audit
//! control > registry, model, serving, insight, audit
//! serving > model, insight      registry > model      train > model, registry      import > model, registry      insight > model
//! config > control, registry, serving, insight, model
//! anyone > ident, error, faults, priority, sync, text.  No other arrow, and no circle: tests/architecture.rs checks it
//! ```

pub mod api;
pub mod app;
pub mod audit;
pub mod cli;
pub mod client;
pub mod config;
pub mod control;
pub mod demo;
pub mod error;
pub mod faults;
pub mod ident;
pub mod import;
pub mod insight;
pub mod loadgen;
pub mod model;
pub mod priority;
pub mod proto;
pub mod registry;
pub mod serving;
pub mod sync;
pub mod terminal;
pub mod text;
pub mod train;
