//! The binary as a process.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    sync::{
        atomic::{AtomicU16, Ordering},
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
};

use tokio::time::Instant;

use crate::harness::{PATIENCE, PAUSE};

/// Exit code and output of a process.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Returns the command `taper ARGS` in an environment without taper's settings.
pub fn taper(args: &[&str]) -> Command {
    command(Path::new(env!("CARGO_BIN_EXE_taper")), args)
}

/// Returns the command `program ARGS` in an environment without taper's settings.
pub fn command(program: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    for (name, _) in std::env::vars() {
        if name.starts_with("TAPER_") || name == "RAYON_NUM_THREADS" {
            command.env_remove(name);
        }
    }
    command
}

/// Calls `probe` until it returns a value, like [`eventually`](crate::harness::eventually) in asynchronous tests.
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(
            begin.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}"
        );
        thread::sleep(PAUSE);
    }
}

/// Runs `taper ARGS` and waits for its end.
pub fn run(args: &[&str]) -> Ended {
    Process::start(&mut taper(args)).end()
}

/// Runs `taper ARGS`, which must succeed, and returns its stdout.
pub fn stdout_of(args: &[&str]) -> String {
    let ended = run(args);
    assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
    ended.stdout
}

/// Runs `taper ARGS` with `input` on stdin and waits for its end.
pub fn run_with_input(args: &[&str], input: &str) -> Ended {
    let mut process = Process::start(taper(args).stdin(Stdio::piped()));
    let mut stdin = process.child.stdin.take().expect("stdin");
    stdin.write_all(input.as_bytes()).expect("stdin takes it");
    drop(stdin);
    process.end()
}

/// A process whose stdout is read line by line.
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    stdout: String,
}

impl Process {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let stdout = BufReader::new(child.stdout.take().expect("stdout"));
        let (send, lines) = channel();
        thread::spawn(move || {
            stdout
                .lines()
                .map_while(Result::ok)
                .all(|line| send.send(line).is_ok())
        });
        Self {
            child,
            lines,
            stdout: String::new(),
        }
    }

    /// Starts `taper serve` over the registry `models` in `dir`, on ports that the system chooses.
    pub fn serve(dir: &Path) -> Self {
        Self::start(&mut serve(dir))
    }

    /// Reads stdout up to a line that contains `text`, and returns that line.
    pub fn line_with(&mut self, text: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.stdout.push_str(&line);
                    self.stdout.push('\n');
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(why) => panic!("no line with {text:?} ({why}) in\n{}", self.stdout),
            }
        }
    }

    /// Reads the banner up to the address of `port`.
    pub fn address(&mut self, face: &str) -> SocketAddr {
        let line = self.line_with(&format!("{face} "));
        let url = line.split_whitespace().find(|word| word.contains("://"));
        let (_, address) = url
            .and_then(|url| url.split_once("://"))
            .expect("an address");
        address.parse().expect("host and port")
    }

    /// Returns its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, like a crash.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ends");
    }

    /// Sends `signal`, such as `TERM`.
    pub fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.child.id());
        let status = Command::new("sh")
            .args(["-c", &kill])
            .status()
            .expect("a shell");
        assert!(status.success(), "{kill}: {status}");
    }

    /// Closes stdout, as `head` does after enough lines, waits for the end, and returns the exit code.
    pub fn end_unread(mut self) -> Option<i32> {
        drop(std::mem::replace(&mut self.lines, channel().1));
        let stderr = self.child.stderr.take().expect("stderr");
        let (send, ended) = channel();
        // The end of the process closes it.
        thread::spawn(move || send.send(text(stderr)));
        let stderr = ended.recv_timeout(PATIENCE).expect("ends");
        assert_eq!(stderr, "");
        self.child.wait().expect("ends").code()
    }

    /// Waits for the end.
    pub fn end(mut self) -> Ended {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.stdout.push_str(&line);
                    self.stdout.push('\n');
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("still running after\n{}", self.stdout),
            }
        }
        let stderr = self.child.stderr.take().map(text).unwrap_or_default();
        let status = self.child.wait().expect("ends");
        Ended {
            code: status.code(),
            stdout: std::mem::take(&mut self.stdout),
            stderr,
        }
    }
}

/// A failing test leaves no process behind.
impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(mut stderr: ChildStderr) -> String {
    let mut text = String::new();
    stderr.read_to_string(&mut text).expect("stderr is UTF-8");
    text
}

/// Returns the command `taper serve` over the registry `models` in `dir`, on ports that the system chooses.
pub fn serve(dir: &Path) -> Command {
    let any = "127.0.0.1:0";
    let mut command = taper(&["serve", "--data", any, "--admin", any, "--http", any]);
    command.arg("--registry").arg(dir.join("models"));
    command.arg("--state").arg(dir.join("state"));
    command
}

/// Returns the first of three consecutive free ports. Each call and each process uses another range, so tests that run
/// in parallel do not take each other's ports.
pub fn free_ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % 500).expect("small") * 20;
    (0..500)
        .map(|_| 20_000 + (own + NEXT.fetch_add(5, Ordering::Relaxed)) % 10_000)
        .find(|base| (0..3).all(|at| TcpListener::bind(("127.0.0.1", base + at)).is_ok()))
        .expect("three free ports in a row")
}
