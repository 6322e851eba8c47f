//! `taper push`: sends a version's folder to a running gateway.
//!
//! The folder is checked here first, as a gateway would check it: what would not serve is not sent.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;

use super::{client::AdminPort, failure::Failure, models, out};
use crate::model::manifest::{File, Manifest};
use crate::proto::v1::upload_version_request::Part;
use crate::proto::v1::{
    GetModelRequest, UploadChunk, UploadHeader, UploadVersionRequest, UploadVersionResponse,
    VersionState, VersionStatus,
};
use crate::registry;

/// Bytes of one message.
const CHUNK: usize = 256 * 1024;
/// Messages that are read ahead of the connection.
const AHEAD: usize = 4;
/// Time between two looks at the new version.
const LOOK: Duration = Duration::from_millis(100);

/// Arguments of `taper push`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The version's folder, `MODEL/VERSION`, with its metadata.json.
    dir: PathBuf,
    /// End when the version is published; do not wait until it is loaded.
    #[arg(long)]
    no_wait: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: AdminPort,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let manifest = checked(&args.dir)?;
    let (model, version) = (manifest.model.to_string(), manifest.version.get());
    let sent = upload(&args, manifest).await?;
    let mut told = json!({ "model": model, "version": version, "bytes": sent.bytes });
    let mut text = format!(
        "{model} {version} is published: {} bytes",
        super::table::thousands(sent.bytes)
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
        out::print_json(&told)
    } else {
        out::print(&text)
    }
}

/// The manifest of the one version in `dir`, which would serve.
fn checked(dir: &Path) -> Result<Manifest, Failure> {
    if !dir.join(File::MANIFEST).is_file() {
        return Err(Failure::new(format!(
            "{}: no {} in it; wants the folder of one version",
            dir.display(),
            File::MANIFEST
        )));
    }
    for one in registry::check(dir)? {
        one.outcome.map_err(|faults| {
            Failure::new(format!("nothing was sent: it would not serve\n{faults}"))
        })?;
    }
    Ok(Manifest::read(dir)?)
}

async fn upload(args: &Args, manifest: Manifest) -> Result<UploadVersionResponse, Failure> {
    let mut client = args.port.connect().await?;
    let bar = bar(manifest.files.iter().map(|file| file.bytes).sum());
    let (send, messages) = mpsc::channel(AHEAD);
    let (dir, shown) = (args.dir.clone(), bar.clone());
    let reading = tokio::task::spawn_blocking(move || read(&dir, &manifest, &send, &shown));
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

/// Sends the messages of an upload, the manifest first. Ends early where nobody takes them any more.
fn read(
    dir: &Path,
    manifest: &Manifest,
    send: &mpsc::Sender<UploadVersionRequest>,
    bar: &ProgressBar,
) -> Result<(), (PathBuf, io::Error)> {
    let message = |part| UploadVersionRequest { part: Some(part) };
    let header = Part::Header(UploadHeader {
        model: manifest.model.to_string(),
        version: manifest.version.get(),
        terms: None,
    });
    if send.blocking_send(message(header)).is_err() {
        return Ok(());
    }
    let files = manifest.files.iter().map(|file| file.path.as_path());
    for name in std::iter::once(Path::new(File::MANIFEST)).chain(files) {
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

/// Waits until the version can answer, or has been refused.
async fn settled(port: &AdminPort, model: &str, version: u64) -> Result<VersionStatus, Failure> {
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
                    if let Some(found) = found.filter(is_settled) {
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
    let waited = port.patience.within(&port.address, look).await;
    waited.map_err(|_| {
        Failure::new(format!(
            "{model} {version} is published, and not loaded yet: `taper models {model}` shows what it waits for; \
             --timeout says how many seconds to wait"
        ))
    })?
}

fn is_settled(status: &VersionStatus) -> bool {
    matches!(status.state(), VersionState::Ready | VersionState::Failed)
}

/// What to tell of a version that was published and does not serve.
fn refused(model: &str, status: &VersionStatus) -> Failure {
    let version = status.version;
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
