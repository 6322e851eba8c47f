//! The audit log, line by line.

use std::io;
use std::path::PathBuf;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tonic::codegen::BoxStream;

use crate::api::status;
use crate::audit;
use crate::error::AdminError;
use crate::proto::v1;

/// Lines of one message.
const LINES: usize = 256;
/// Bytes after which a message ends.
const BYTES: usize = 1 << 20;

type Lines = Box<dyn Iterator<Item = io::Result<String>> + Send>;

/// Where the reading is.
enum Reading {
    Before { dir: PathBuf, after: u64 },
    Within(Lines),
}

/// The lines of the log in `dir` after line `after`. A thread is taken for each message, and none while the reader is slow.
pub(super) fn lines(
    dir: PathBuf,
    after: u64,
    closing: watch::Receiver<bool>,
) -> BoxStream<v1::ReadAuditResponse> {
    let begin = Reading::Before { dir, after };
    let chunks = stream::try_unfold(begin, move |reading| {
        let is_closing = *closing.borrow();
        async move {
            if is_closing {
                return Err(AdminError::Draining);
            }
            let read = spawn_blocking(move || chunk(reading)).await;
            let read = read.map_err(|error| AdminError::Storage(error.to_string()))?;
            let (lines, rest) = read.map_err(|error| AdminError::Storage(error.to_string()))?;
            let chunk = (v1::ReadAuditResponse { lines }, rest);
            Ok((!chunk.0.lines.is_empty()).then_some(chunk))
        }
    });
    chunks
        .map_err(|error: AdminError| status::from_admin(&error))
        .boxed()
}

/// The next lines; none where that was the last.
fn chunk(reading: Reading) -> io::Result<(Vec<String>, Reading)> {
    let mut rest: Lines = match reading {
        Reading::Before { dir, after } => Box::new(audit::read(&dir, after)?),
        Reading::Within(rest) => rest,
    };
    let (mut lines, mut bytes) = (Vec::new(), 0);
    while lines.len() < LINES && bytes < BYTES {
        let Some(line) = rest.next().transpose()? else {
            break;
        };
        bytes += line.len();
        lines.push(line);
    }
    Ok((lines, Reading::Within(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(lines: impl Iterator<Item = String> + Send + 'static) -> Vec<usize> {
        let mut reading = Reading::Within(Box::new(lines.map(Ok)));
        let mut sizes = Vec::new();
        loop {
            let (lines, rest) = chunk(reading).unwrap();
            if lines.is_empty() {
                return sizes;
            }
            sizes.push(lines.len());
            reading = rest;
        }
    }

    #[test]
    fn messages_are_bounded_in_lines_and_bytes_and_hold_every_line() {
        assert!(chunks(std::iter::empty()).is_empty());
        assert_eq!(chunks((0..600).map(|at| at.to_string())), [256, 256, 88]);
        let long = "x".repeat(BYTES / 2);
        assert_eq!(chunks(std::iter::repeat_n(long, 5)), [2, 2, 1]);
    }

    #[test]
    fn an_error_ends_the_reading() {
        let lines = [Ok("one".to_owned()), Err(io::Error::other("gone"))];
        let reading = Reading::Within(Box::new(lines.into_iter()));
        assert!(chunk(reading).is_err());
    }
}
