//! Uploads the files of a version, and finds the version in the gateway.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request};

use super::failure::Failure;
use super::port::{AdminClient, AdminPort};
use super::v1::upload_version_request::Part;
use super::v1::{
    GetModelRequest, UploadChunk, UploadHeader, UploadVersionRequest, UploadVersionResponse,
    VersionStatus,
};

/// Bytes of a file in one message.
const CHUNK: usize = 256 * 1024;
/// Messages that are read before the connection takes them.
const AHEAD: usize = 4;

/// Sends `files` of the folder `dir` after `header`, and calls `on_read` with the size of each chunk.
///
/// # Errors
/// Returns an error if a file cannot be read, or the gateway cannot be reached or refuses the version.
pub(crate) async fn upload(
    port: &AdminPort,
    header: UploadHeader,
    dir: PathBuf,
    files: Vec<PathBuf>,
    on_read: impl Fn(u64) + Send + 'static,
) -> Result<UploadVersionResponse, Failure> {
    let mut client = port.connect().await?;
    let (send, messages) = mpsc::channel(AHEAD);
    let reading = tokio::task::spawn_blocking(move || read(&dir, header, &files, &send, &on_read));
    // The request has no deadline: the gateway limits the time between two messages.
    let request = Request::new(ReceiverStream::new(messages));
    let response = client.upload_version(request).await;
    // The gateway has responded and the channel is closed, so the reader ends too.
    match reading.await {
        Ok(Ok(())) => Ok(response?.into_inner()),
        Ok(Err((path, error))) => Err(Failure::new(format!(
            "{}: cannot be read: {error}; nothing was published",
            path.display()
        ))),
        Err(error) => Err(Failure::new(format!("cannot read the version: {error}"))),
    }
}

/// Sends the messages of an upload: the header, then the files. Returns early when the receiver is closed.
fn read(
    dir: &Path,
    header: UploadHeader,
    files: &[PathBuf],
    send: &mpsc::Sender<UploadVersionRequest>,
    on_read: &impl Fn(u64),
) -> Result<(), (PathBuf, io::Error)> {
    let message = |part| UploadVersionRequest { part: Some(part) };
    if send.blocking_send(message(Part::Header(header))).is_err() {
        return Ok(());
    }
    for name in files {
        let full = dir.join(name);
        let failed = |error| (full.clone(), error);
        let mut file = std::fs::File::open(&full).map_err(failed)?;
        // Only the first chunk of a file has its path.
        let mut path = name.to_string_lossy().into_owned();
        loop {
            let mut data = Vec::with_capacity(CHUNK);
            let mut piece = (&mut file).take(CHUNK as u64);
            piece.read_to_end(&mut data).map_err(failed)?;
            // An empty file is sent as one message, which has its path.
            if data.is_empty() && path.is_empty() {
                break;
            }
            on_read(data.len() as u64);
            let path = std::mem::take(&mut path);
            let chunk = Part::Chunk(UploadChunk { path, data });
            if send.blocking_send(message(chunk)).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Returns the status of a version, or `None` until the gateway has discovered it.
///
/// # Errors
/// Returns an error if the gateway refuses the request or does not answer in time.
pub(crate) async fn find_version(
    port: &AdminPort,
    client: &mut AdminClient,
    model: &str,
    version: u64,
) -> Result<Option<VersionStatus>, Failure> {
    let request = port.timeout.request(GetModelRequest {
        model: model.to_owned(),
    });
    let result = client.get_model(request).await;
    // The gateway discovers a new model when it next scans the registry.
    if matches!(&result, Err(status) if status.code() == Code::NotFound) {
        return Ok(None);
    }
    let mut versions = port.response(result)?.versions.into_iter();
    Ok(versions.find(|one| one.version == version))
}
