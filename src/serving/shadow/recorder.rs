//! The thread that records what shadows did, at the priority of everything else.
//!
//! The threads that score copies are of the lowest priority, so while one holds a lock, whoever waits for it waits as long as
//! the cores are busy. They hold none, and hand in here what they did; what is recorded goes through locks that `Predict`,
//! `GetStats` and the metrics take too.
//!
//! What always holds: what was computed is recorded, or counted where this thread has ended; at most [`WAITING`] wait.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, SyncSender},
    },
    thread::Builder,
    time::Duration,
};

use tokio::time::Instant;

use super::super::live::ServingVersion;
use super::super::score::{Passed, Scored};
use super::pool::Held;
use super::queue::{Copied, rest};
use crate::error::{Code, PredictError};
use crate::ident::{Role, VersionNumber};
use crate::insight::compare::{Pair, Side};
use crate::insight::metrics::{DropReason, Record};
use crate::insight::outcomes::Outcomes;

/// What may wait here. The memory of the copies is counted on.
const WAITING: usize = 256;
/// How long more is let gather, so that nobody who hands in has to wake this thread. Who finds no room meanwhile waits.
const GATHER: Duration = Duration::from_millis(1);

/// What a thread is done with.
#[derive(Debug)]
pub(super) enum Done {
    /// It was computed, and is to be recorded.
    Computed(Computed),
    /// It was dropped and counted, and is to be freed: here, because memory has locks too.
    Dropped {
        /// The copy.
        copied: Copied,
        /// Its bytes.
        held: Held,
    },
}

/// A copy that was computed.
#[derive(Debug)]
pub(super) struct Computed {
    /// By whom.
    pub(super) version: Arc<ServingVersion>,
    pub(super) copied: Copied,
    pub(super) held: Held,
    pub(super) began: Instant,
    pub(super) expires: Instant,
    pub(super) ended: Instant,
    /// Whether somebody has counted it as too late while it ran.
    pub(super) late: bool,
    pub(super) passed: Result<Passed, PredictError>,
}

/// Starts the thread. It ends when nobody can hand in anything any more.
///
/// # Errors
/// The system gives no thread.
pub(super) fn start(outcomes: Option<Arc<Outcomes>>) -> io::Result<SyncSender<Done>> {
    let (into, inbox) = mpsc::sync_channel::<Done>(WAITING);
    Builder::new().name("taper-desk".into()).spawn(move || {
        let enter = |done: Done| done.enter(outcomes.as_deref());
        while let Ok(first) = inbox.recv() {
            enter(first);
            // Asks to be woken only once nothing has come for a while.
            loop {
                rest(GATHER);
                if inbox.try_iter().map(enter).count() == 0 {
                    break;
                }
            }
        }
    })?;
    Ok(into)
}

impl Done {
    /// Records it and frees what is left.
    pub(super) fn enter(self, outcomes: Option<&Outcomes>) {
        match self {
            Self::Computed(computed) => computed.record(outcomes),
            Self::Dropped { copied, held } => drop((copied, held)),
        }
    }

    /// Nobody records it any more: it is counted as dropped, unless it was counted already.
    pub(super) fn lost(self) {
        if let Self::Computed(computed) = self
            && !computed.late
        {
            let meters = &computed.version.insight.meters;
            meters.shadow_dropped(DropReason::Draining);
        }
    }
}

impl Computed {
    fn record(self, outcomes: Option<&Outcomes>) {
        let Self {
            version,
            copied,
            held,
            began,
            expires,
            ended,
            late,
            passed,
        } = self;
        let insight = &*version.insight;
        let mut record = Record::start(insight, Role::Shadow, began, Some(expires));
        if late {
            record.was_counted();
        }
        let scored = passed.map(|passed| passed.recorded(&version, Role::Shadow));
        match &scored {
            Ok(scored) => record.scored(scored.inference, &scored.scores, &scored.top),
            Err(PredictError::Forward { version, source }) => {
                tracing::debug!(%version, error = %source, "a shadow failed");
            }
            _ => {}
        }
        let code = match &scored {
            _ if expires <= ended => Code::DeadlineExceeded,
            Ok(_) => Code::Ok,
            Err(error) => error.code(),
        };
        record.ended_at(code, ended);
        drop(record);
        // Also an answer that comes after its deadline: that says nothing about how right it is.
        if let (Some(outcomes), Ok(scored)) = (outcomes, &scored) {
            let id = &copied.primary.response_id;
            outcomes.remember(id, insight.quality(), Role::Shadow, &scored.scores);
        }
        if let (Ok(scored), Some(answer)) = (&scored, &copied.primary.answer) {
            let pair = Pair {
                primary: side(copied.primary.version, answer),
                primary_info: &copied.primary.about,
                shadow: side(version.number(), scored),
                response_id: &copied.primary.response_id,
                inputs: &copied.payload,
            };
            insight.compare(&pair);
        }
        drop((copied, held));
    }
}

fn side(version: VersionNumber, scored: &Scored) -> Side<'_> {
    Side {
        version,
        scores: &scored.scores,
        top: &scored.top,
        inference: scored.inference,
    }
}
