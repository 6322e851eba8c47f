//! A gateway whose stdout and stderr are one pipe that is full and that no program reads: it serves, changes and ends.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, ErrorKind, PipeReader, PipeWriter, Write, pipe};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::harness::{http_get, registry};
use crate::process::{eventually, run, serve, stdout_of};
use crate::tiny;

/// `O_NONBLOCK` of Linux.
const NONBLOCKING: i32 = 0o4000;

/// Ends with the test.
struct Stalled {
    child: Child,
    /// Kept open, so that writes block and do not fail.
    _reader: BufReader<PipeReader>,
    addresses: [SocketAddr; 3],
}

impl Drop for Stalled {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts `command`, reads the addresses, and fills the pipe.
fn start(command: &mut Command) -> Stalled {
    let (reader, writer) = pipe().expect("a pipe");
    let clone = || Stdio::from(writer.try_clone().expect("a descriptor"));
    let child = command.stdout(clone()).stderr(clone()).spawn();
    let mut reader = BufReader::new(reader);
    let mut address = |port: &str| {
        let mut line = String::new();
        while !line.starts_with(port) {
            line.clear();
            assert!(
                reader.read_line(&mut line).expect("output") > 0,
                "no {port}"
            );
        }
        let url = line
            .split_whitespace()
            .find_map(|word| word.split_once("://"));
        url.expect("an address").1.parse().expect("host and port")
    };
    let addresses = ["data", "admin", "http"].map(&mut address);
    fill(&writer);
    Stalled {
        child: child.expect("starts"),
        _reader: reader,
        addresses,
    }
}

/// Writes until the pipe takes nothing more. Opening it again leaves the child's end as it is, which blocks.
fn fill(writer: &PipeWriter) {
    let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
    let again = OpenOptions::new()
        .write(true)
        .custom_flags(NONBLOCKING)
        .open(path);
    let mut again = again.expect("the pipe");
    for size in [4096, 1] {
        let error = loop {
            if let Err(error) = again.write_all(&vec![b'.'; size]) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
}

#[test]
fn a_gateway_whose_output_is_not_read_serves_and_changes_and_ends() {
    let dir = registry(|root| {
        tiny::publish(root, "m", 1);
        let [(weight, (shape, mut zeros)), bias] = tiny::tensors(2);
        // 50 times this is not finite.
        zeros[..4].copy_from_slice(&3e38_f32.to_le_bytes());
        tiny::publish_tensors(
            root,
            "m",
            2,
            &[(weight, (shape, zeros)), bias],
            |manifest| {
                manifest["golden"] = json!([]);
            },
        );
    });
    let mut gateway = start(&mut serve(dir.path()));
    let [data, admin, http] = gateway.addresses.map(|address| address.to_string());
    let row = |x: f64| json!({"x": x, "n": 1, "color": "red", "pair": [0.0, 0.0]}).to_string();
    for _ in 0..3 {
        let failed = run(&[
            "predict",
            "m",
            "--version",
            "2",
            "--row",
            &row(50.0),
            "--address",
            &data,
        ]);
        assert!(
            failed.code == Some(1) && failed.stderr.contains("the score of row 0 is not finite"),
            "{failed:?}"
        );
        stdout_of(&[
            "predict",
            "m",
            "--version",
            "1",
            "--row",
            &row(50.0),
            "--address",
            &data,
        ]);
        stdout_of(&["split", "set", "m", "1=50%", "2=50%", "--address", &admin]);
        stdout_of(&["split", "set", "m", "1=100%", "--address", &admin]);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let get = |path| runtime.block_on(http_get(http.parse().expect("an address"), path));
    assert!(get("/healthz").0.contains("200"));
    assert!(
        get("/metrics")
            .1
            .contains("taper_dropped_log_lines_total 0")
    );

    let pid = gateway.child.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(sent.expect("kill runs").success());
    let status = eventually("the gateway ends", || {
        gateway.child.try_wait().expect("a status")
    });
    assert!(status.success(), "{status}");
}
