//! `taper push`: sends a version's folder to a running gateway.
//!
//! The folder is checked here first, as a gateway would check it: what would not serve is not sent.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;

use super::{change::Who, models};
use crate::client::{AdminPort, Failure};
use crate::faults::Faults;
use crate::ident::{ModelName, VersionNumber};
use crate::model::load;
use crate::model::manifest::{File, Manifest};
use crate::proto::v1::upload_version_request::Part;
use crate::proto::v1::{
    GetModelRequest, UploadChunk, UploadHeader, UploadVersionRequest, UploadVersionResponse,
    VersionState, VersionStatus,
};
use crate::terminal::output;

/// Bytes of one message.
const CHUNK: usize = 256 * 1024;
/// Messages that are read ahead of the connection.
const AHEAD: usize = 4;
/// Time between two looks at the new version.
const LOOK: Duration = Duration::from_millis(100);
/// What nobody has begun to load after this time is not wanted, or waits for its turn.
const UNTOUCHED: Duration = Duration::from_secs(15);

/// Arguments of `taper push`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The version's folder, of any name, with its metadata.json.
    dir: PathBuf,
    /// Name of the model, which the manifest must say too [default: what it says].
    #[arg(long, value_name = "NAME")]
    model: Option<ModelName>,
    /// Number of the version, which the manifest must say too [default: what it says].
    #[arg(long, value_name = "N")]
    version: Option<VersionNumber>,
    /// End when the version is published; do not wait until it is loaded.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    who: Who,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: AdminPort,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let manifest = checked(&args)?;
    let (model, version) = (manifest.model.to_string(), manifest.version.get());
    let sent = upload(&args, manifest).await?;
    let mut told = json!({ "model": model, "version": version, "bytes": sent.bytes });
    let mut text = format!(
        "{model} {version} is published: {} bytes",
        crate::terminal::table::thousands(sent.bytes)
    );
    if args.no_wait {
        text.push_str(&format!(
            "\n  `taper models {model}` shows when it is READY"
        ));
    } else {
        let status = settled(&args.port, &model, version).await?;
        if status.state() != VersionState::Ready {
            return Err(refused(&model, &status));
        }
        told["state"] = models::word(status.state()).into();
        text.push_str(&format!(
            ", and READY\n  `taper split get {model}` shows who gets traffic, `taper split set {model} ...` gives it some"
        ));
    }
    if args.json {
        output::print_json(&told)
    } else {
        output::print(&text)
    }
}

/// The manifest of the version, which would serve under the name and number that it is to have.
fn checked(args: &Args) -> Result<Manifest, Failure> {
    let dir = &args.dir;
    if !dir.join(File::MANIFEST).is_file() {
        return Err(Failure::new(format!(
            "{}: no {} in it; wants the folder of one version",
            dir.display(),
            File::MANIFEST
        )));
    }
    let manifest = Manifest::read(dir).map_err(unsent)?;
    let name = args.model.as_ref().unwrap_or(&manifest.model);
    let version = args.version.unwrap_or(manifest.version);
    load(dir, name, version).map_err(unsent)?;
    Ok(manifest)
}

fn unsent(faults: Faults) -> Failure {
    Failure::new(format!("nothing was sent: it would not serve\n{faults}"))
}

async fn upload(args: &Args, manifest: Manifest) -> Result<UploadVersionResponse, Failure> {
    let mut client = args.port.connect().await?;
    let bar = bar(manifest.files.iter().map(|file| file.bytes).sum());
    let (send, messages) = mpsc::channel(AHEAD);
    let (dir, shown, terms) = (args.dir.clone(), bar.clone(), args.who.terms());
    let header = UploadHeader {
        model: manifest.model.to_string(),
        version: manifest.version.get(),
        terms: Some(terms),
    };
    let files = manifest.files.into_iter().map(|file| file.path);
    let files: Vec<_> = std::iter::once(File::MANIFEST.into())
        .chain(files)
        .collect();
    let reading = tokio::task::spawn_blocking(move || read(&dir, header, &files, &send, &shown));
    // No deadline: the gateway wants a message every so often, and that is all.
    let request = Request::new(ReceiverStream::new(messages));
    let answer = client.upload_version(request).await;
    // The gateway has answered, and the channel is closed, so the reader has ended or is about to.
    let read = reading.await;
    bar.finish_and_clear();
    match read {
        Ok(Ok(())) => Ok(answer?.into_inner()),
        Ok(Err((path, error))) => Err(Failure::new(format!(
            "{}: cannot be read: {error}; nothing was published",
            path.display()
        ))),
        Err(error) => Err(Failure::new(format!("cannot read the version: {error}"))),
    }
}

/// Sends the messages of an upload: the header, then `files`. Ends early where nobody takes them any more.
fn read(
    dir: &Path,
    header: UploadHeader,
    files: &[PathBuf],
    send: &mpsc::Sender<UploadVersionRequest>,
    bar: &ProgressBar,
) -> Result<(), (PathBuf, io::Error)> {
    let message = |part| UploadVersionRequest { part: Some(part) };
    if send.blocking_send(message(Part::Header(header))).is_err() {
        return Ok(());
    }
    for name in files {
        let full = dir.join(name);
        let failed = |error| (full.clone(), error);
        let mut file = std::fs::File::open(&full).map_err(failed)?;
        let mut path = name.to_string_lossy().into_owned();
        loop {
            let mut data = Vec::with_capacity(CHUNK);
            let mut piece = (&mut file).take(CHUNK as u64);
            piece.read_to_end(&mut data).map_err(failed)?;
            // Also an empty file has one message, which names it.
            if data.is_empty() && path.is_empty() {
                break;
            }
            bar.inc(data.len() as u64);
            let path = std::mem::take(&mut path);
            let chunk = Part::Chunk(UploadChunk { path, data });
            if send.blocking_send(message(chunk)).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Waits until the version can answer, has been refused, or nobody seems to want it.
async fn settled(port: &AdminPort, model: &str, version: u64) -> Result<VersionStatus, Failure> {
    let begin = Instant::now();
    let look = async {
        let mut client = port.connect().await?;
        loop {
            let request = port.patience.request(GetModelRequest {
                model: model.to_owned(),
            });
            match client.get_model(request).await {
                Ok(answer) => {
                    let mut versions = answer.into_inner().versions.into_iter();
                    let found = versions.find(|one| one.version == version);
                    let idle = begin.elapsed() >= UNTOUCHED;
                    if let Some(found) = found.filter(|status| is_settled(status, idle)) {
                        return Ok(found);
                    }
                }
                // A new model is there once the registry was looked at.
                Err(status) if status.code() == tonic::Code::NotFound => {}
                Err(status) => return Err(Failure::from(status)),
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let mut patient = port.clone();
    patient.patience = port.patience.for_loading();
    patient.within(look).await.map_err(|_| {
        Failure::new(format!(
            "{model} {version} is published, and not loaded yet: `taper versions --model {model}{}` shows what it \
             waits for; --timeout says how many seconds to wait",
            port.flag()
        ))
    })?
}

/// `idle`: whether it has had the time to be looked at.
fn is_settled(status: &VersionStatus, idle: bool) -> bool {
    match status.state() {
        VersionState::Ready | VersionState::Failed => true,
        VersionState::Discovered => idle && status.waits_for.is_empty(),
        _ => false,
    }
}

/// What to tell of a version that was published and does not serve.
fn refused(model: &str, status: &VersionStatus) -> Failure {
    let version = status.version;
    if status.state() == VersionState::Discovered {
        return Failure::new(format!(
            "{model} {version} is published, and not loaded: the version policy does not ask for it, or it waits for its \
             turn\n  `taper versions load {version} --model {model}` loads it in any case"
        ));
    }
    let mut text = format!("{model} {version} is published, and the gateway cannot load it:");
    for fault in &status.faults {
        text.push_str(&format!(
            "\n  {} {}: {}",
            fault.file, fault.path, fault.message
        ));
    }
    text.push_str(
        "\n  a published version never changes: mend it and push it under another number",
    );
    Failure::new(text)
}

/// Draws nothing where standard error is no terminal.
fn bar(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    match ProgressStyle::with_template("{bytes} of {total_bytes} {bar:24} {bytes_per_sec}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::Fault;

    #[test]
    fn a_version_that_nobody_loads_is_not_waited_for() {
        let status = |waits_for: &str| VersionStatus {
            version: 2,
            state: VersionState::Discovered.into(),
            waits_for: waits_for.into(),
            ..VersionStatus::default()
        };
        assert!(!is_settled(&status(""), false), "nobody has looked yet");
        assert!(!is_settled(&status("a file"), true));
        assert!(is_settled(&status(""), true));
        let told = refused("m", &status("")).to_string();
        assert!(told.contains("`taper versions load 2 --model m`"), "{told}");
    }

    #[test]
    fn a_refused_version_names_its_faults_and_what_to_do() {
        let status = VersionStatus {
            version: 2,
            state: VersionState::Failed.into(),
            faults: vec![Fault {
                file: "metadata.json".into(),
                path: "$.golden[0]".into(),
                message: "got 1, wants 2".into(),
            }],
            ..VersionStatus::default()
        };
        insta::assert_snapshot!(refused("m", &status), @r"
        m 2 is published, and the gateway cannot load it:
          metadata.json $.golden[0]: got 1, wants 2
          a published version never changes: mend it and push it under another number
        ");
    }
}
