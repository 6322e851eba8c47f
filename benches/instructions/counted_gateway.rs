//! A gateway under `valgrind --tool=callgrind`, which counts its instructions.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Returns the version of valgrind, such as `valgrind-3.19.0`, or `None` if it is not installed.
pub(crate) fn valgrind_version() -> Option<String> {
    let output = Command::new("valgrind").arg("--version").output().ok()?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(version)
}

/// Prefix of the names of files with counts.
const COUNTS: &str = "counts";

/// A running gateway under valgrind, which counts the instructions of all its threads outside the kernel. Dropping it ends the process.
pub(crate) struct CountedGateway {
    child: Child,
    /// Kept open, because the gateway ends when it cannot print.
    _stdout: BufReader<ChildStdout>,
    data: SocketAddr,
    /// Where valgrind writes counts, in files such as `counts.2-07`: the second count of thread 7.
    dir: PathBuf,
    /// Number of counts so far.
    number: usize,
}

impl CountedGateway {
    /// Starts `program serve` and waits until it listens. `dir` is an empty folder for its state and for the counts.
    pub(crate) fn start(program: &Path, config: &Path, registry: &Path, dir: &Path) -> Self {
        let counts = dir.join(COUNTS);
        let any = "127.0.0.1:0";
        let mut child = Command::new("valgrind")
            .args(["--quiet", "--tool=callgrind", "--separate-threads=yes"])
            .arg(format!("--callgrind-out-file={}", counts.display()))
            .arg(program)
            .args(["--log", "error", "serve"])
            .args(["--data", any, "--admin", any, "--http", any])
            .arg("--config")
            .arg(config)
            .arg("--registry")
            .arg(registry)
            .arg("--state")
            .arg(dir.join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("valgrind starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout"));
        let data = data_address(&mut stdout);
        let data = data.unwrap_or_else(|| panic!("{} ended before it listened", program.display()));
        Self {
            child,
            _stdout: stdout,
            data,
            dir: dir.to_owned(),
            number: 0,
        }
    }

    /// Returns the address of the data port.
    pub(crate) fn data(&self) -> SocketAddr {
        self.data
    }

    /// Returns the process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sets all counts to 0.
    pub(crate) fn reset(&self) {
        self.send(&["zero"]);
    }

    /// Returns the instructions of each thread since the last call of this method or of [`reset`](Self::reset). Keys are thread numbers.
    pub(crate) fn count(&mut self) -> BTreeMap<u32, u64> {
        self.send(&["dump"]);
        self.number += 1;
        let start = format!("{COUNTS}.{}-", self.number);
        let mut counts = BTreeMap::new();
        for entry in fs::read_dir(&self.dir).expect("the folder of the counts") {
            let entry = entry.expect("an entry");
            let name = entry.file_name();
            let thread = name.to_str().and_then(|name| name.strip_prefix(&start));
            if let Some(thread) = thread {
                let thread = thread.parse().expect("the number of a thread");
                counts.insert(thread, total(&entry.path()));
            }
        }
        assert!(!counts.is_empty(), "valgrind has written no counts");
        counts
    }

    /// Sends a command to valgrind and waits until it is done.
    fn send(&self, command: &[&str]) {
        let output = Command::new("vgdb")
            .arg(format!("--pid={}", self.id()))
            .args(command)
            .output();
        let output = output.expect("vgdb, which is part of valgrind, runs");
        assert!(
            output.status.success(),
            "vgdb {command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// Returns the total of a file of counts.
fn total(path: &Path) -> u64 {
    let text = fs::read_to_string(path).expect("the counts of a thread");
    let totals = text.lines().find_map(|line| line.strip_prefix("totals:"));
    let totals = totals.and_then(|total| total.trim().parse().ok());
    totals.expect("the counts have a line `totals: INSTRUCTIONS`")
}

/// Reads the banner up to the address of the data port. Returns `None` if the process ends before it prints the address.
fn data_address(stdout: &mut BufReader<ChildStdout>) -> Option<SocketAddr> {
    loop {
        let mut line = String::new();
        if stdout.read_line(&mut line).expect("a line of UTF-8") == 0 {
            return None;
        }
        let mut words = line.split_whitespace();
        if words.next() == Some("data") {
            let (_, address) = words.next()?.split_once("://")?;
            return address.parse().ok();
        }
    }
}

impl Drop for CountedGateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
