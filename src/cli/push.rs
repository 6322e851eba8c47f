//! `taper push`: uploads the folder of a version to a running gateway.
//!
//! The folder is checked first, as a gateway checks it. A version that could not be served is not uploaded.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::change::AuthorFlags;
use super::versions;
use crate::client::v1::{
    GetModelRequest, ListModelsRequest, UploadHeader, UploadVersionResponse, VersionState,
    VersionStatus,
};
use crate::client::{AdminPort, Failure, find_version, upload};
use crate::faults::Faults;
use crate::ident::{ModelName, VersionNumber};
use crate::model::load;
use crate::model::manifest::{File, Manifest};
use crate::terminal::{output, progress, table::thousands};

/// Time between two requests for the state of the new version.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// A version that is still DISCOVERED after this time is not selected by the version policy, or waits for its turn.
const DISCOVERED_LIMIT: Duration = Duration::from_secs(15);

/// Arguments of `taper push`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder of the version, of any name, with its metadata.json.
    dir: PathBuf,
    /// Name of the model; must equal the one in the manifest [default: that one].
    #[arg(long, value_name = "NAME")]
    model: Option<ModelName>,
    /// Number of the version; must equal the one in the manifest [default: that one].
    #[arg(long, value_name = "N")]
    version: Option<VersionNumber>,
    #[command(flatten)]
    flags: PushFlags,
}

/// How a version is uploaded to a running gateway.
#[derive(Debug, clap::Args)]
pub struct PushFlags {
    /// Return when the version is published, without waiting until it is loaded.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    author: AuthorFlags,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: AdminPort,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let manifest = check(&args)?;
    push(&args.dir, manifest, &args.flags).await
}

/// Uploads the folder of a version, which is checked first, to a running gateway.
///
/// # Errors
/// Returns an error if the version could not be served, or if it was not published, or not loaded.
pub async fn push_folder(dir: &Path, flags: &PushFlags) -> Result<(), Failure> {
    let manifest = Manifest::read(dir).map_err(not_sent)?;
    push(dir, manifest, flags).await
}

/// Returns the number after the highest version of a model at a running gateway; 1 if it does not have the model.
///
/// # Errors
/// Returns an error if the gateway cannot be reached.
pub async fn next_version(model: &ModelName, flags: &PushFlags) -> Result<VersionNumber, Failure> {
    let port = &flags.port;
    let listed = port.call(ListModelsRequest {}).await?;
    let is_known = listed
        .models
        .iter()
        .any(|known| known.name == model.as_str());
    let request = GetModelRequest {
        model: model.to_string(),
    };
    let highest = if is_known {
        let found = port.call(request).await?;
        found.versions.iter().map(|version| version.version).max()
    } else {
        None
    };
    let next = VersionNumber::try_from(highest.unwrap_or(0) + 1);
    next.map_err(|error| Failure::new(format!("no higher version number is left: {error}")))
}

async fn push(dir: &Path, manifest: Manifest, flags: &PushFlags) -> Result<(), Failure> {
    let (model, version) = (manifest.model.to_string(), manifest.version.get());
    let uploaded = send(dir, flags, manifest).await?;
    let bytes = uploaded.bytes;
    let mut json = json!({ "model": model, "version": version, "bytes": bytes });
    let mut text = format!("{model} {version} is published: {} bytes", thousands(bytes));
    if flags.no_wait {
        text.push_str(&format!(
            "\n  `taper models {model}` shows when it is READY"
        ));
    } else {
        let status = await_final_state(&flags.port, &model, version).await?;
        if status.state() != VersionState::Ready {
            return Err(not_served(&model, &status));
        }
        json["state"] = status.state().name().into();
        json["held_by"] = status.held_by.clone().into();
        text.push_str(&format!(", and READY\n  {}", traffic(&model, &status)));
    }
    if flags.json {
        output::print_json(&json)?;
    } else {
        output::print(&text)?;
    }
    Ok(())
}

/// Returns the manifest of a version that could be served under its name and number.
fn check(args: &Args) -> Result<Manifest, Failure> {
    let dir = &args.dir;
    if !dir.join(File::MANIFEST).is_file() {
        return Err(Failure::new(format!(
            "{}: contains no {}, wants the folder of one version",
            dir.display(),
            File::MANIFEST
        )));
    }
    let manifest = Manifest::read(dir).map_err(not_sent)?;
    let name = args.model.as_ref().unwrap_or(&manifest.model);
    let version = args.version.unwrap_or(manifest.version);
    load(dir, name, version).map_err(not_sent)?;
    Ok(manifest)
}

fn not_sent(faults: Faults) -> Failure {
    Failure::new(format!(
        "nothing was sent: the version cannot be served\n{faults}"
    ))
}

/// Uploads the manifest and all files that it lists, with a progress bar.
async fn send(
    dir: &Path,
    flags: &PushFlags,
    manifest: Manifest,
) -> Result<UploadVersionResponse, Failure> {
    let header = UploadHeader {
        model: manifest.model.to_string(),
        version: manifest.version.get(),
        terms: Some(flags.author.terms()),
    };
    let bar = progress::bar("{bytes} of {total_bytes} {bar:24} {bytes_per_sec}");
    bar.set_length(manifest.files.iter().map(|file| file.bytes).sum());
    let files = manifest.files.into_iter().map(|file| file.path);
    let files = std::iter::once(File::MANIFEST.into()).chain(files);
    let shown = bar.clone();
    let on_read = move |bytes| shown.inc(bytes);
    let dir = dir.to_owned();
    let response = upload(&flags.port, header, dir, files.collect(), on_read).await;
    bar.finish_and_clear();
    response
}

/// Waits until the version is READY or FAILED, or stays DISCOVERED for longer than [`DISCOVERED_LIMIT`].
async fn await_final_state(
    port: &AdminPort,
    model: &str,
    version: u64,
) -> Result<VersionStatus, Failure> {
    let begin = Instant::now();
    let poll = async {
        let mut client = port.connect().await?;
        loop {
            let found = find_version(port, &mut client, model, version).await?;
            let is_overdue = begin.elapsed() >= DISCOVERED_LIMIT;
            if let Some(status) = found.filter(|status| is_final(status, is_overdue)) {
                return Ok(status);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    let patient = port.clone().for_loading();
    patient.within(poll).await.map_err(|_| {
        Failure::new(format!(
            "{model} {version} is published, but not loaded yet; `taper versions --model {model}{}` shows what it waits for, \
             --timeout SECONDS waits longer",
            port.address_flag()
        ))
    })?
}

/// Returns whether waiting longer is pointless. `is_overdue`: the gateway has had time to begin loading the version.
fn is_final(status: &VersionStatus, is_overdue: bool) -> bool {
    match status.state() {
        VersionState::Ready | VersionState::Failed => true,
        VersionState::Discovered => is_overdue && status.waits_for.is_empty(),
        _ => false,
    }
}

/// Says what traffic a READY version gets, and how to change that.
fn traffic(model: &str, status: &VersionStatus) -> String {
    let version = status.version;
    if versions::takes_traffic(status) {
        let held_by = status.held_by.join(", ");
        format!("it takes traffic: {held_by}; `taper split get {model}` shows the whole split")
    } else {
        format!(
            "it gets no traffic until `taper split set {model} {version}=5% ...` sends it some; `taper split get {model}` shows the \
             split"
        )
    }
}

/// The failure for a version that is published but not READY.
fn not_served(model: &str, status: &VersionStatus) -> Failure {
    let version = status.version;
    if status.state() == VersionState::Discovered {
        return Failure::new(format!(
            "{model} {version} is published, but not loaded: the version policy does not select it, or it waits for its turn\n  \
             `taper versions load {version} --model {model}` loads it in any case"
        ));
    }
    let mut text = format!("{model} {version} is published, but the gateway cannot load it:");
    for fault in &status.faults {
        text.push_str(&format!(
            "\n  {} {}: {}",
            fault.file, fault.path, fault.message
        ));
    }
    text.push_str("\n  a published version is immutable: fix it, and push it under another number");
    Failure::new(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::v1::Fault;

    #[test]
    fn a_version_that_is_not_being_loaded_is_not_awaited() {
        let status = |waits_for: &str| VersionStatus {
            version: 2,
            state: VersionState::Discovered.into(),
            waits_for: waits_for.into(),
            ..VersionStatus::default()
        };
        assert!(!is_final(&status(""), false), "loading may still begin");
        assert!(!is_final(&status("a file"), true));
        assert!(is_final(&status(""), true));
        let text = not_served("m", &status("")).to_string();
        assert!(text.contains("`taper versions load 2 --model m`"), "{text}");
    }

    #[test]
    fn a_failed_version_is_reported_with_its_faults_and_the_next_step() {
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
        insta::assert_snapshot!(not_served("m", &status), @r"
        m 2 is published, but the gateway cannot load it:
          metadata.json $.golden[0]: got 1, wants 2
          a published version is immutable: fix it, and push it under another number
        ");
    }
}
