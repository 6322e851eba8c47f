//! Uploads of versions into the registry.
//!
//! Messages pass through a short channel to a blocking thread that writes the files. However an upload ends (the caller stops, disconnects
//! or sends an invalid version; the disk is full; the gateway shuts down), that thread records it in the audit log, and leaves nothing
//! behind unless the version is complete.
//! Not here: the rules for versions, and how a version becomes visible atomically (`registry`).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, TryAcquireError, mpsc};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tonic::Streaming;

use super::{Admin, changes};
use crate::api::context::RequestContext;
use crate::api::lifecycle::{Stage, StageWatch};
use crate::control::{Author, Control};
use crate::error::{AdminError, InputFaults};
use crate::ident::{ModelName, VersionNumber};
use crate::proto::v1;
use crate::proto::v1::upload_version_request::Part as Message;
use crate::registry::{self, Aborted, Part, UploadError, UploadLimits};

/// Limit on concurrent uploads.
pub(super) const AT_ONCE: usize = 2;
/// How long a response waits until the new version is listed.
const LISTED: Duration = Duration::from_secs(10);
/// Capacity of the channel to the blocking thread, in messages.
const CHANNEL_CAPACITY: usize = 4;

/// A message to the blocking thread. If the channel closes before the end, the caller has disconnected.
enum Piece {
    Part(Part),
    End,
    Stop(AdminError),
}

/// The version to upload, and its author.
struct Header {
    model: ModelName,
    version: VersionNumber,
    author: Author,
}

/// An upload, for the blocking thread that receives it.
struct Job {
    control: Control,
    permit: Result<OwnedSemaphorePermit, TryAcquireError>,
    header: Header,
    root: PathBuf,
    limits: UploadLimits,
    scan_registry: Arc<dyn Fn() + Send + Sync>,
}

impl Admin {
    /// Receives a version, publishes it and requests a scan of the registry.
    pub(super) async fn upload(
        &self,
        mut messages: Streaming<v1::UploadVersionRequest>,
        context: &RequestContext,
    ) -> Result<v1::UploadVersionResponse, AdminError> {
        // Its line in the audit log, and the traffic that a first version gets, could not be stored.
        self.control.check_store().await?;
        let mut stage = self.settings.stage.clone();
        let first = next_message(&mut messages, &mut stage).await?;
        let job = Job {
            control: self.control.clone(),
            permit: Arc::clone(&self.uploads).try_acquire_owned(),
            header: read_header(first, context)?,
            root: self.settings.registry.clone(),
            limits: UploadLimits {
                bytes: self.settings.max_upload_bytes,
                memory: self.memory_left(),
            },
            scan_registry: Arc::clone(&self.settings.scan_registry),
        };
        let (model, version) = (job.header.model.clone(), job.header.version);
        let (sender, pieces) = mpsc::channel(CHANNEL_CAPACITY);
        let receiving = spawn_blocking(move || receive(job, pieces));
        forward(&mut messages, &mut stage, sender).await;
        let received = receiving.await;
        let bytes = received.map_err(|error| AdminError::Storage(error.to_string()))??;
        // A caller that has the response may name the version. A registry that cannot be scanned now is no reason to say that the
        // upload failed.
        let mut views = self.control.views();
        let is_listed = views.wait_for(|view| {
            let model = view.models.get(&model);
            model.is_some_and(|model| model.versions.contains_key(&version))
        });
        let _ = timeout(LISTED, is_listed).await;
        Ok(v1::UploadVersionResponse {
            version: version.get(),
            bytes,
        })
    }

    /// Returns the bytes of weights that may still be loaded; `None`: any number.
    fn memory_left(&self) -> Option<u64> {
        let view = self.control.view();
        let versions = view
            .models
            .values()
            .flat_map(|model| model.versions.values());
        let loaded: u64 = versions.map(|version| version.weight_bytes).sum();
        let most = self.settings.max_weight_bytes?;
        Some(most.saturating_sub(loaded))
    }
}

/// Receives the next message; `None` after the last.
async fn next_message(
    messages: &mut Streaming<v1::UploadVersionRequest>,
    stage: &mut StageWatch,
) -> Result<Option<Message>, AdminError> {
    let message = tokio::select! {
        () = stage.reached(Stage::Draining) => return Err(AdminError::Draining),
        message = messages.message() => message,
    };
    match message {
        Ok(None) => Ok(None),
        Ok(Some(message)) => match message.part {
            Some(part) => Ok(Some(part)),
            None => Err(fault("part", "neither", "a header or a chunk")),
        },
        // Of a message that is late or beyond a limit, the client gets the status that its body ended with.
        Err(status) => {
            let got = crate::text::truncate(status.message(), 160);
            Err(fault("part", got, "messages up to the limit on their size"))
        }
    }
}

fn read_header(first: Option<Message>, context: &RequestContext) -> Result<Header, AdminError> {
    let header = match first {
        Some(Message::Header(header)) => header,
        Some(Message::Chunk(_)) => return Err(fault("header", "a chunk", "the header first")),
        None => return Err(fault("header", "nothing", "the header first")),
    };
    let mut faults = InputFaults::default();
    let model = header.model.parse::<ModelName>();
    if let Err(error) = &model {
        // The name is as long as the caller chose.
        let got = crate::text::truncate(&error.got, 160);
        faults.add("header.model", got, error.wanted);
    }
    let version = VersionNumber::try_from(header.version);
    if let Err(error) = &version {
        faults.add("header.version", error.got.clone(), error.wanted);
    }
    let author = changes::read_author(header.terms, context);
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

/// Forwards messages until the last one, or until the blocking thread has stopped receiving.
async fn forward(
    messages: &mut Streaming<v1::UploadVersionRequest>,
    stage: &mut StageWatch,
    pieces: mpsc::Sender<Piece>,
) {
    loop {
        let message = tokio::select! {
            // Refused already: further messages are not needed.
            () = pieces.closed() => return,
            message = next_message(messages, stage) => message,
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

/// Receives on a blocking thread, and records the outcome in the audit log even if the caller has disconnected.
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
    let received = job.permit.map_err(busy).and_then(|_permit| {
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
        let received = registry::receive(&job.root, &model, version, job.limits, parts);
        match received {
            Ok(received) => Ok(received.bytes),
            Err(error) => Err(to_admin_error(error, (&model, version), why)),
        }
    });
    // Stops `forward`, so that a caller that still sends is answered at once.
    drop(pieces);
    let bytes = received.as_ref().copied().unwrap_or_default();
    let outcome = received.map(drop);
    if outcome.is_ok() {
        (job.scan_registry)();
    }
    Handle::current().block_on(job.control.record_upload(model, version, author, outcome))?;
    Ok(bytes)
}

/// Converts the error of an upload. `why` is the reason why the messages ended early, if they did.
fn to_admin_error(
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
            why.unwrap_or_else(|| fault("part", "a caller that disconnected", "all of the version"))
        }
        UploadError::Io(error) => AdminError::Storage(error.to_string()),
    }
}

fn fault(field: &str, got: &str, wanted: &str) -> AdminError {
    AdminError::InvalidChange(InputFaults::one(field, got, wanted))
}
