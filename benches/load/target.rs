//! The servers as separate processes, and the cores of servers and generator.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::cpu;

/// A server under test. It stops when it is dropped.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// Its addresses, in the order of `ports`.
    addresses: Vec<SocketAddr>,
    child: Child,
    /// Kept open, because the next line that the server prints would end it otherwise.
    _stdout: BufReader<ChildStdout>,
}

/// Path of the gateway that was built together with the bench.
pub(crate) const BUILT: &str = env!("CARGO_BIN_EXE_taper");

/// Names of the ports of a gateway.
const PORTS: [&str; 3] = ["data", "admin", "http"];

impl Target {
    /// Starts the gateway `program` over `registry`, configured by `toml`. It keeps its files in `dir`.
    pub(crate) fn gateway(
        program: &str,
        name: &'static str,
        dir: &Path,
        registry: &Path,
        toml: &str,
        cores: Option<Cores>,
    ) -> Self {
        let config = dir.join("taper.toml");
        fs::write(&config, toml).expect("written");
        let mut command = on_server_core(program, cores);
        command
            .args(["--log", "error", "serve", "--config"])
            .arg(config);
        command.arg("--registry").arg(registry);
        for port in PORTS {
            command.args([&format!("--{port}"), "127.0.0.1:0"]);
        }
        Self::start(name, command, &PORTS)
    }

    /// Reads the addresses of `ports` from the lines that the server prints when it listens.
    pub(crate) fn start(name: &'static str, mut command: Command, ports: &[&str]) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout"));
        let mut address = |port: &str| -> SocketAddr {
            loop {
                let mut line = String::new();
                let length = stdout.read_line(&mut line).expect("a line");
                assert!(length > 0, "{name} ended before it listened");
                let mut words = line.split_whitespace();
                if words.next() == Some(port) {
                    let url = words.next().and_then(|url| url.split_once("://"));
                    return url.expect("a URL").1.parse().expect("an address");
                }
            }
        };
        let addresses = ports.iter().map(|port| address(port)).collect();
        Self {
            name,
            addresses,
            child,
            _stdout: stdout,
        }
    }

    /// Returns the address of its port number `at`.
    pub(crate) fn address(&self, at: usize) -> SocketAddr {
        self.addresses[at]
    }

    /// Returns the address for predictions: its first port.
    pub(crate) fn data(&self) -> SocketAddr {
        self.address(0)
    }

    /// Returns the address of its metrics: its last port.
    fn http(&self) -> SocketAddr {
        self.address(self.addresses.len() - 1)
    }

    /// Returns its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the CPU time of the whole process so far.
    pub(crate) fn cpu(&self) -> Duration {
        cpu::of(self.id())
    }

    /// Returns the series of a gateway's metrics whose names and labels begin with `prefix`, with their values.
    pub(crate) fn series(&self, prefix: &str) -> Vec<(String, f64)> {
        let address = self.http();
        let mut stream = TcpStream::connect(address).expect("the HTTP port");
        let request = format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("answered");
        text.lines()
            .filter(|line| line.starts_with(prefix))
            .filter_map(|line| line.rsplit_once(' '))
            .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
            .collect()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Creates a folder in memory if there is a memory file system: a generator that publishes versions waits for a disk, which delays
/// its requests.
pub(crate) fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    folder.expect("a temporary folder")
}

/// The cores of the run.
#[derive(Clone, Copy)]
pub(crate) struct Cores {
    pub(crate) server: usize,
    pub(crate) generator: usize,
}

impl Cores {
    /// Moves this process to the second of the cores that it may use, and prints that. Returns `None` if there is only one, or no
    /// `taskset`. Call it before there are threads.
    pub(crate) fn split() -> Option<Self> {
        let cores = Self::moved();
        match cores {
            Some(Self { server, generator }) => {
                println!("servers on core {server}, generator on core {generator}");
            }
            None => println!("servers and generator share all cores, so take no latency seriously"),
        }
        cores
    }

    fn moved() -> Option<Self> {
        let mut allowed = allowed();
        let (server, generator) = (allowed.next()?, allowed.next()?);
        let moved = Command::new("taskset")
            .args(["--cpu-list", "--pid", &generator.to_string()])
            .arg(std::process::id().to_string())
            .stdout(Stdio::null())
            .status();
        let moved = moved.is_ok_and(|status| status.success());
        moved.then_some(Self { server, generator })
    }
}

/// The cores that this process may use, from a list such as `0-1,4`.
fn allowed() -> impl Iterator<Item = usize> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .unwrap_or_default();
    let ranges = list.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse::<usize>().ok()?..=last.parse::<usize>().ok()?)
    });
    ranges.flatten().collect::<Vec<_>>().into_iter()
}

/// Returns the command `program` on the core of the servers.
pub(crate) fn on_server_core(program: &str, cores: Option<Cores>) -> Command {
    let Some(Cores { server, .. }) = cores else {
        return Command::new(program);
    };
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &server.to_string(), program]);
    command
}
