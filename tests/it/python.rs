//! Published clients from PyPI, in a virtual environment that is created once and kept in the target folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use tokio::task::spawn_blocking;

/// The packages to install.
const WANTED: &str = include_str!("../python/requirements.txt");
/// Time limit of a script, longer than any script takes on a busy machine.
const PATIENCE: &str = "120s";

/// Path of the interpreter of the environment.
static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let (python, stamp) = (dir.join("bin/python"), dir.join("installed.txt"));
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == WANTED) {
        return python;
    }
    let wanted = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/requirements.txt");
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
    install.arg("--requirement").arg(wanted);
    succeed(install, "this needs PyPI");
    fs::write(stamp, WANTED).expect("the stamp is written");
    python
});

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
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/python")
        .join(script);
    let args: Vec<_> = args.iter().map(|&arg| arg.to_owned()).collect();
    let python = spawn_blocking(|| PYTHON.clone()).await.expect("Python");
    let mut run = Command::new("timeout");
    run.arg(PATIENCE).arg(python).arg(&script).args(args);
    run.stdin(Stdio::null());
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
