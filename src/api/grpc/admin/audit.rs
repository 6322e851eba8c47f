//! Streams the audit log, line by line.

use std::io;
use std::path::PathBuf;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::task::spawn_blocking;
use tonic::codegen::BoxStream;

use crate::api::lifecycle::{Stage, StageWatch};
use crate::api::status;
use crate::audit;
use crate::error::AdminError;
use crate::proto::v1;

/// Limit on the lines of one message.
const MAX_LINES: usize = 256;
/// Bytes after which a message ends.
const MAX_BYTES: usize = 1 << 20;

type Lines = Box<dyn Iterator<Item = io::Result<String>> + Send>;

/// Position in the log.
enum Position {
    Start { dir: PathBuf, after: u64 },
    Within(Lines),
}

/// Streams the lines of the log in `dir` after line `after`. Reads each message on a blocking thread; while the client is slow, none is in
/// use.
pub(super) fn read_lines(
    dir: PathBuf,
    after: u64,
    stage: StageWatch,
) -> BoxStream<v1::ReadAuditResponse> {
    let start = Position::Start { dir, after };
    let chunks = stream::try_unfold(start, move |position| {
        let is_draining = stage.has_reached(Stage::Draining);
        async move {
            if is_draining {
                return Err(AdminError::Draining);
            }
            let read = spawn_blocking(move || read_chunk(position)).await;
            let chunk = read.map_err(|error| AdminError::Storage(error.to_string()))?;
            let (lines, rest) = chunk.map_err(|error| AdminError::Storage(error.to_string()))?;
            let is_end = lines.is_empty();
            Ok((!is_end).then_some((v1::ReadAuditResponse { lines }, rest)))
        }
    });
    chunks
        .map_err(|error: AdminError| status::from_admin(&error))
        .boxed()
}

/// Reads the next lines; none at the end of the log.
fn read_chunk(position: Position) -> io::Result<(Vec<String>, Position)> {
    let mut rest: Lines = match position {
        Position::Start { dir, after } => Box::new(audit::read(&dir, after)?),
        Position::Within(rest) => rest,
    };
    let (mut lines, mut bytes) = (Vec::new(), 0);
    while lines.len() < MAX_LINES && bytes < MAX_BYTES {
        let Some(line) = rest.next().transpose()? else {
            break;
        };
        bytes += line.len();
        lines.push(line);
    }
    Ok((lines, Position::Within(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk_sizes(lines: impl Iterator<Item = String> + Send + 'static) -> Vec<usize> {
        let mut position = Position::Within(Box::new(lines.map(Ok)));
        let mut sizes = Vec::new();
        loop {
            let (lines, rest) = read_chunk(position).unwrap();
            if lines.is_empty() {
                return sizes;
            }
            sizes.push(lines.len());
            position = rest;
        }
    }

    #[test]
    fn messages_are_bounded_in_lines_and_bytes_and_hold_every_line() {
        assert!(chunk_sizes(std::iter::empty()).is_empty());
        assert_eq!(
            chunk_sizes((0..600).map(|at| at.to_string())),
            [256, 256, 88]
        );
        let long = "x".repeat(MAX_BYTES / 2);
        assert_eq!(chunk_sizes(std::iter::repeat_n(long, 5)), [2, 2, 1]);
    }

    #[test]
    fn an_error_ends_the_stream() {
        let lines = [Ok("one".to_owned()), Err(io::Error::other("gone"))];
        let position = Position::Within(Box::new(lines.into_iter()));
        assert!(read_chunk(position).is_err());
    }
}
