//! Published clients and libraries from PyPI, in virtual environments that are created once and kept in the target folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use tokio::task::spawn_blocking;

/// Time limit of a script, longer than any script takes on a busy machine.
const PATIENCE: &str = "300s";

/// A virtual environment.
#[derive(Clone, Copy, Debug)]
pub enum Environment {
    /// Clients of the protocols, and the libraries whose models are imported.
    Clients,
    /// Clients that need other releases of the same packages than [`Clients`](Self::Clients).
    KServe,
}

/// Path of the interpreter of each environment.
static CLIENTS: LazyLock<PathBuf> = LazyLock::new(|| {
    installed(
        "python",
        "requirements.txt",
        include_str!("../python/requirements.txt"),
    )
});
static KSERVE: LazyLock<PathBuf> = LazyLock::new(|| {
    installed(
        "python-kserve",
        "kserve.txt",
        include_str!("../python/kserve.txt"),
    )
});

impl Environment {
    fn interpreter(self) -> PathBuf {
        match self {
            Self::Clients => CLIENTS.clone(),
            Self::KServe => KSERVE.clone(),
        }
    }
}

/// Returns the interpreter of the environment `name`, which has the packages of the file `list` in `tests/python`.
fn installed(name: &str, list: &str, wanted: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let (python, stamp) = (dir.join("bin/python"), dir.join("installed.txt"));
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return python;
    }
    let list = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/python")
        .join(list);
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&dir);
    succeed(make, "apt-get install python3 python3-venv");
    let mut install = Command::new(&python);
    install.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    install.arg("--requirement").arg(list);
    succeed(install, "this needs PyPI");
    fs::write(stamp, wanted).expect("the stamp is written");
    python
}

fn succeed(mut command: Command, hint: &str) {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}; {hint}"));
    assert!(
        output.status.success(),
        "{command:?} ({hint}):\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs `tests/python/{script}` with `args` and returns its stdout. Panics with all of its output if it fails.
pub async fn python(script: &str, args: &[&str]) -> String {
    python_in(
        Environment::Clients,
        &format!("tests/python/{script}"),
        args,
    )
    .await
}

/// Like [`python`], with the environment and the path of the script in this repository.
pub async fn python_in(environment: Environment, script: &str, args: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let args: Vec<_> = args.iter().map(|&arg| arg.to_owned()).collect();
    let python = spawn_blocking(move || environment.interpreter()).await;
    let mut run = Command::new("timeout");
    run.arg(PATIENCE).arg(python.expect("Python"));
    run.arg(&script).args(args).stdin(Stdio::null());
    let ran = spawn_blocking(move || run.output()).await.expect("joined");
    let ran = ran.expect("`timeout` of coreutils runs");
    let output = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(
        ran.status.success(),
        "{}:\n{output}{}",
        script.display(),
        String::from_utf8_lossy(&ran.stderr)
    );
    output
}
