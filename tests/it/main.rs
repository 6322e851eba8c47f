//! Tests of taper from outside: real sockets, real processes, real models. One file per behaviour.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests are not drained, so they may spawn"
)]
#![expect(unreachable_pub, reason = "tests are not a library")]

mod admission;
mod audit;
mod bad_requests;
mod batching;
mod bench;
mod cli;
mod cli_changes;
mod cli_reads;
mod clients_peers;
mod compare;
mod confirm;
mod dashboards;
mod demo;
mod dense;
mod deploy;
mod discovery;
mod drift;
mod durability;
mod endpoints;
mod exact_integers;
mod fallback;
mod fixtures;
mod flights;
mod folders;
mod formats;
mod fuzz;
mod harness;
mod hostile_clients;
mod hostile_gate;
mod hostile_models;
mod imports;
mod json_shape;
mod labels;
mod lifecycle;
mod live_snapshot;
mod loading;
mod metrics;
mod offline;
mod oip;
mod onnx_file;
mod outcomes;
mod pipeline;
mod policies;
mod ports;
mod predict_stream;
mod prediction_log;
mod predictions;
mod process;
mod protocols;
mod python;
mod recording;
mod reference_forms;
mod refusals;
mod registry_faults;
mod rest;
mod rest_limits;
mod rest_refusals;
mod rest_v1;
mod restart;
mod revisions;
mod routing;
mod safe_defaults;
mod shadow_policy;
mod shadows;
mod shutdown;
mod stable_names;
mod stalled_output;
mod stats;
mod steady_requests;
mod swap;
mod test_server;
mod tfs;
mod tfs_metadata;
mod tfs_outputs;
mod tfs_refusals;
mod tiny;
mod upload;
mod watch;
mod writers;
