//! A version on its way into the registry.
//!
//! Messages come one by one and go through a short channel to a thread that may block and writes the files. However the upload
//! ends (the caller stops, goes away or sends what is no version; the disk is full; the gateway goes down), that thread puts
//! it into the audit log, and nothing is left behind unless it is a whole version.
//! Not here: what a version must be, and how it becomes visible at once (`registry`).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, TryAcquireError, mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tonic::Streaming;

use super::{Admin, changes};
use crate::control::{Author, Control};
use crate::error::{AdminError, InputFaults};
use crate::ident::{ModelName, VersionNumber};
use crate::proto::v1;
use crate::proto::v1::upload_version_request::Part as Message;
use crate::registry::{self, Aborted, Part, UploadError};

/// Uploads at one time.
pub(super) const AT_ONCE: usize = 2;
/// How long the next message may take to come.
const PATIENCE: Duration = Duration::from_secs(30);
/// Messages that may wait to be written.
const WAITING: usize = 4;

/// What goes to the thread that writes. That nothing more comes means that the caller has gone away.
enum Piece {
    Part(Part),
    End,
    Stop(AdminError),
}

/// Which version is coming, and from whom.
struct Header {
    model: ModelName,
    version: VersionNumber,
    author: Author,
}

/// An upload, for the thread that receives it.
struct Job {
    control: Control,
    place: Result<OwnedSemaphorePermit, TryAcquireError>,
    header: Header,
    root: PathBuf,
    limit: u64,
    look: Arc<dyn Fn() + Send + Sync>,
}

impl Admin {
    /// Receives a version, publishes it and has the registry looked at.
    pub(super) async fn upload(
        &self,
        mut messages: Streaming<v1::UploadVersionRequest>,
        peer: Option<SocketAddr>,
    ) -> Result<v1::UploadVersionResponse, AdminError> {
        let mut closing = self.settings.closing.clone();
        let first = next(&mut messages, &mut closing).await?;
        let job = Job {
            control: self.control.clone(),
            place: Arc::clone(&self.uploads).try_acquire_owned(),
            header: header(first, peer)?,
            root: self.settings.registry.clone(),
            limit: self.settings.max_upload_bytes,
            look: Arc::clone(&self.settings.look),
        };
        let version = job.header.version.get();
        let (sender, pieces) = mpsc::channel(WAITING);
        let receiving = spawn_blocking(move || receive(job, pieces));
        forward(&mut messages, &mut closing, sender).await;
        let received = receiving.await;
        let bytes = received.map_err(|error| AdminError::Storage(error.to_string()))??;
        Ok(v1::UploadVersionResponse { version, bytes })
    }
}

/// The next message; `None` after the last.
async fn next(
    messages: &mut Streaming<v1::UploadVersionRequest>,
    closing: &mut watch::Receiver<bool>,
) -> Result<Option<Message>, AdminError> {
    let message = tokio::select! {
        _ = closing.wait_for(|closing| *closing) => return Err(AdminError::Draining),
        message = timeout(PATIENCE, messages.message()) => message,
    };
    match message {
        Ok(Ok(None)) => Ok(None),
        Ok(Ok(Some(message))) => match message.part {
            Some(part) => Ok(Some(part)),
            None => Err(fault("part", "neither", "a header or a chunk")),
        },
        Ok(Err(status)) => {
            let got = status.message().chars().take(160).collect::<String>();
            Err(fault(
                "part",
                &got,
                "messages up to the limit on their size",
            ))
        }
        Err(_) => Err(fault(
            "part",
            &format!("none for {PATIENCE:?}"),
            "one before that",
        )),
    }
}

fn header(first: Option<Message>, peer: Option<SocketAddr>) -> Result<Header, AdminError> {
    let header = match first {
        Some(Message::Header(header)) => header,
        Some(Message::Chunk(_)) => return Err(fault("header", "a chunk", "the header first")),
        None => return Err(fault("header", "nothing", "the header first")),
    };
    let mut faults = InputFaults::default();
    let model = header.model.parse::<ModelName>();
    if let Err(error) = &model {
        // As long as the caller made it.
        let got = error.got.chars().take(160).collect::<String>();
        faults.add("header.model", got, error.wanted);
    }
    let version = VersionNumber::try_from(header.version);
    if let Err(error) = &version {
        faults.add("header.version", error.got.clone(), error.wanted);
    }
    let author = changes::author(header.terms, peer);
    if let Err(AdminError::InvalidChange(own)) = &author {
        for fault in own.iter() {
            faults.add(format!("header.{}", fault.field), &fault.got, &fault.wanted);
        }
    }
    match (model, version, author) {
        (Ok(model), Ok(version), Ok(author)) => Ok(Header {
            model,
            version,
            author,
        }),
        _ => Err(AdminError::InvalidChange(faults)),
    }
}

/// Hands messages on until the last, or until nobody takes them any more.
async fn forward(
    messages: &mut Streaming<v1::UploadVersionRequest>,
    closing: &mut watch::Receiver<bool>,
    pieces: mpsc::Sender<Piece>,
) {
    loop {
        let message = tokio::select! {
            // Refused already: what the caller still sends need not come.
            () = pieces.closed() => return,
            message = next(messages, closing) => message,
        };
        let piece = match message {
            Ok(Some(Message::Chunk(chunk))) => Piece::Part(Part {
                path: (!chunk.path.is_empty()).then_some(chunk.path),
                data: Bytes::from(chunk.data),
            }),
            Ok(Some(Message::Header(_))) => {
                Piece::Stop(fault("header", "a second header", "chunks after the first"))
            }
            Ok(None) => Piece::End,
            Err(error) => Piece::Stop(error),
        };
        let is_last = !matches!(piece, Piece::Part(_));
        if pieces.send(piece).await.is_err() || is_last {
            return;
        }
    }
}

/// Receives on a thread that may block, and tells the audit log how it ended, also where the caller has gone meanwhile.
fn receive(job: Job, mut pieces: mpsc::Receiver<Piece>) -> Result<u64, AdminError> {
    let Header {
        model,
        version,
        author,
    } = job.header;
    let busy = |_| AdminError::Busy {
        what: "uploads",
        limit: AT_ONCE,
    };
    let received = job.place.map_err(busy).and_then(|_place| {
        let mut why = None;
        let parts = std::iter::from_fn(|| match pieces.blocking_recv() {
            Some(Piece::Part(part)) => Some(Ok(part)),
            Some(Piece::End) => None,
            Some(Piece::Stop(error)) => {
                why = Some(error);
                Some(Err(Aborted))
            }
            None => Some(Err(Aborted)),
        });
        let received = registry::receive(&job.root, &model, version, job.limit, parts);
        match received {
            Ok(received) => Ok(received.bytes),
            Err(error) => Err(refusal(error, (&model, version), why)),
        }
    });
    // Whoever still sends is answered at once.
    drop(pieces);
    let bytes = received.as_ref().copied().unwrap_or_default();
    let outcome = received.map(drop);
    if outcome.is_ok() {
        (job.look)();
    }
    Handle::current().block_on(job.control.record_upload(model, version, author, outcome))?;
    Ok(bytes)
}

/// What the caller is told; `why` the messages ended, where that was the reason.
fn refusal(
    error: UploadError,
    (model, version): (&ModelName, VersionNumber),
    why: Option<AdminError>,
) -> AdminError {
    match error {
        UploadError::Exists => AdminError::VersionExists {
            model: model.to_string(),
            version,
        },
        UploadError::TooLarge { limit } => AdminError::UploadTooLarge { limit },
        UploadError::DiskFull => AdminError::DiskFull("registry"),
        UploadError::Invalid(faults) => AdminError::InvalidVersion(faults),
        UploadError::Aborted => {
            why.unwrap_or_else(|| fault("part", "a caller that went away", "all of the version"))
        }
        UploadError::Io(error) => AdminError::Storage(error.to_string()),
    }
}

fn fault(field: &str, got: &str, wanted: &str) -> AdminError {
    AdminError::InvalidChange(InputFaults::one(field, got, wanted))
}
