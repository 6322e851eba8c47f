//! A watch of changes and states that survives lost connections.

use std::time::Duration;

use tonic::{Code, Request, Status, Streaming};

use super::v1::{WatchRequest, WatchResponse, watch_response::Event};
use super::{failure::Failure, port::AdminPort};

/// Wait before the first attempt to reconnect. Each further attempt waits twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Longest wait before an attempt to reconnect.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Events of one model or of all models. After a lost connection it reconnects and resumes after the last revision seen; the
/// gateway then sends all states again.
#[derive(Debug)]
pub(crate) struct Watch {
    port: AdminPort,
    /// Empty: all models.
    model: String,
    /// The last revision seen.
    after: Option<u64>,
    stream: Streaming<WatchResponse>,
    wait: Duration,
}

impl Watch {
    /// Opens a watch that begins with the change after this revision; `None`: with the next change.
    ///
    /// # Errors
    /// Returns an error if the gateway cannot be reached, refuses the watch or does not answer in time.
    pub(crate) async fn open(
        port: AdminPort,
        model: String,
        after: Option<u64>,
    ) -> Result<Self, Failure> {
        let opened = open(&port, &model, after).await;
        Ok(Self {
            stream: opened.map_err(OpenError::into_failure)?,
            port,
            model,
            after,
            wait: FIRST_WAIT,
        })
    }

    /// Waits for the next event. Calls `on_lost` with the reason each time the connection is lost, before it reconnects.
    ///
    /// # Errors
    /// Returns an error if the gateway ends the watch for a reason that reconnecting does not change.
    pub(crate) async fn next(&mut self, mut on_lost: impl FnMut(&str)) -> Result<Event, Failure> {
        loop {
            let reason = match self.stream.message().await {
                Ok(Some(WatchResponse { event: Some(event) })) => {
                    self.wait = FIRST_WAIT;
                    self.after = self.after.max(revision(&event));
                    return Ok(event);
                }
                Ok(Some(WatchResponse { event: None })) => continue,
                Ok(None) => "the gateway ended the watch".to_owned(),
                Err(status) if is_final(&status) => return Err(status.into()),
                Err(status) => Failure::from(status).to_string(),
            };
            on_lost(&reason);
            self.reconnect().await?;
        }
    }

    async fn reconnect(&mut self) -> Result<(), Failure> {
        loop {
            tokio::time::sleep(self.wait).await;
            self.wait = (self.wait * 2).min(LONGEST_WAIT);
            match open(&self.port, &self.model, self.after).await {
                Ok(stream) => {
                    self.stream = stream;
                    return Ok(());
                }
                Err(OpenError::Refused(status)) if is_final(&status) => return Err(status.into()),
                Err(error) => tracing::debug!("{}", error.into_failure()),
            }
        }
    }
}

/// Why a watch did not begin.
enum OpenError {
    Unreachable(Failure),
    Refused(Status),
}

impl OpenError {
    fn into_failure(self) -> Failure {
        match self {
            Self::Unreachable(failure) => failure,
            Self::Refused(status) => status.into(),
        }
    }
}

async fn open(
    port: &AdminPort,
    model: &str,
    after: Option<u64>,
) -> Result<Streaming<WatchResponse>, OpenError> {
    let mut client = port.connect().await.map_err(OpenError::Unreachable)?;
    // The request has no deadline, because the stream has no end. Only its first response must come in time.
    let request = Request::new(WatchRequest {
        model: model.to_owned(),
        after_revision: after,
    });
    let response = port.within(client.watch(request)).await;
    let response = response.map_err(OpenError::Unreachable)?;
    Ok(response.map_err(OpenError::Refused)?.into_inner())
}

/// Returns whether the gateway would refuse the same request again.
fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::OutOfRange | Code::InvalidArgument | Code::NotFound | Code::Unimplemented
    )
}

/// Returns the revision that is known after `event`. A state comes after all the changes that it contains.
fn revision(event: &Event) -> Option<u64> {
    match event {
        Event::Change(change) => Some(change.revision),
        Event::Model(model) => Some(model.revision),
        Event::Gone(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::v1::GetModelResponse;

    #[test]
    fn a_state_contains_the_revision_to_resume_after() {
        let model = Event::Model(GetModelResponse {
            revision: 3,
            ..GetModelResponse::default()
        });
        assert_eq!(revision(&model), Some(3));
        assert_eq!(revision(&Event::Gone("m".into())), None);
    }
}
