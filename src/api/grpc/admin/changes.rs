//! Changes, their terms and their history on the way to and from the wire.

use std::net::SocketAddr;
use std::time::Duration;

use prost::Message;
use prost_types::Timestamp;

use super::{policy, unknown_model};
use crate::control::differences;
use crate::control::{
    Author, ChangeOptions, ChangeResult, Control, Difference, Pending, Record, RevisionRange,
    Wanted,
};
use crate::error::{AdminError, InputFaults};
use crate::ident::{ModelName, Revision, VersionNumber};
use crate::proto::v1;

/// Revisions of a page where the caller does not say.
const PAGE: u32 = 100;
/// Revisions of a page at most.
const LONGEST_PAGE: u32 = 1000;
/// Bytes after which a page ends, however many revisions were asked for.
const PAGE_BYTES: usize = 1 << 20;

/// What a change says beside itself. Who says nothing about who they are is called by `peer`.
///
/// # Errors
/// What cannot even be held to the limits: those are [`ChangeOptions::check`]'s.
pub(super) fn terms(
    raw: Option<v1::ChangeTerms>,
    peer: Option<SocketAddr>,
) -> Result<ChangeOptions, InputFaults> {
    let raw = raw.unwrap_or_default();
    let actor = match peer {
        Some(peer) if raw.actor.is_empty() => peer.to_string(),
        _ => raw.actor,
    };
    Ok(ChangeOptions {
        expected: raw.expected_revision.map(Revision),
        dry_run: raw.dry_run,
        confirm_within: raw.confirm_within.map(duration).transpose()?,
        actor,
        reason: raw.reason,
    })
}

fn duration(raw: prost_types::Duration) -> Result<Duration, InputFaults> {
    match (u64::try_from(raw.seconds), u32::try_from(raw.nanos)) {
        (Ok(seconds), Ok(nanos)) if nanos < 1_000_000_000 && (seconds, nanos) != (0, 0) => {
            Ok(Duration::new(seconds, nanos))
        }
        _ => {
            let got = format!("{} s and {} ns", raw.seconds, raw.nanos);
            let wanted = "a positive duration: seconds, and 0 to 999999999 nanos";
            Err(InputFaults::one("terms.confirm_within", got, wanted))
        }
    }
}

/// Who asks, and why: for what is no change of what is wanted.
///
/// # Errors
/// [`AdminError::InvalidChange`] past the limits.
pub(super) fn author(
    raw: Option<v1::ChangeTerms>,
    peer: Option<SocketAddr>,
) -> Result<Author, AdminError> {
    let raw = raw.map(|raw| v1::ChangeTerms {
        actor: raw.actor,
        reason: raw.reason,
        ..v1::ChangeTerms::default()
    });
    let terms = terms(raw, peer).map_err(AdminError::InvalidChange)?;
    terms.check()?;
    Ok(Author {
        actor: terms.actor,
        reason: terms.reason,
    })
}

pub(super) fn changed(changed: ChangeResult) -> v1::ChangeResponse {
    v1::ChangeResponse {
        revision: changed.revision.0,
        differences: changed.differences.into_iter().map(difference).collect(),
        confirm_by: changed.confirm_by.map(Timestamp::from),
    }
}

fn difference(difference: Difference) -> v1::Difference {
    v1::Difference {
        field: difference.field,
        before: difference.before,
        after: difference.after,
    }
}

/// One change of the history, with what it changed.
///
/// # Errors
/// [`AdminError::Storage`] where the change before it cannot be read.
pub(super) async fn revision(
    control: &Control,
    record: Record,
) -> Result<v1::Revision, AdminError> {
    let before = if record.previous == Revision::default() {
        Some(Wanted::default())
    } else {
        control
            .at(record.previous)
            .await?
            .map(|before| before.wanted)
    };
    // Where the change before it is no longer kept, nobody knows.
    let differences = before.map(|before| differences(&before, &record.wanted));
    let at = Timestamp::from(record.at());
    let numbers = |versions: &mut dyn Iterator<Item = &VersionNumber>| {
        versions.map(|version| version.get()).collect()
    };
    Ok(v1::Revision {
        revision: record.revision.0,
        model: record.model.to_string(),
        time: Some(at),
        actor: record.author.actor,
        reason: record.author.reason,
        action: record.action,
        undoes_to: record.base.0,
        labels: record
            .wanted
            .labels
            .iter()
            .map(|(label, version)| (label.to_string(), version.get()))
            .collect(),
        loaded: numbers(&mut record.wanted.load.iter()),
        unloaded: numbers(&mut record.wanted.unload.iter()),
        confirm_by: record
            .wanted
            .pending
            .map(Pending::until)
            .map(Timestamp::from),
        policy: record.wanted.policy.map(policy::to_wire),
        differences: differences.into_iter().flatten().map(difference).collect(),
    })
}

/// A page of the history, the newest first.
///
/// # Errors
/// [`AdminError::InvalidChange`], [`AdminError::UnknownModel`] or [`AdminError::Storage`].
pub(super) async fn list(
    control: &Control,
    request: &v1::ListRevisionsRequest,
) -> Result<Vec<v1::Revision>, AdminError> {
    let limit = match request.limit {
        0 => PAGE,
        limit if limit <= LONGEST_PAGE => limit,
        limit => {
            let faults = InputFaults::one("limit", limit.to_string(), "0 to 1000");
            return Err(AdminError::InvalidChange(faults));
        }
    };
    let model = filter(control, &request.model).await?;
    let span = RevisionRange {
        model: model.as_ref(),
        before: (request.before_revision > 0).then_some(Revision(request.before_revision)),
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
        ..RevisionRange::default()
    };
    let mut revisions = Vec::new();
    let mut bytes = 0;
    for record in control.history(span).await?.into_iter().rev() {
        let revision = revision(control, record).await?;
        bytes += revision.encoded_len();
        if bytes > PAGE_BYTES && !revisions.is_empty() {
            break;
        }
        revisions.push(revision);
    }
    Ok(revisions)
}

/// The model that a caller wants to hear of; `None`: all.
///
/// # Errors
/// [`AdminError::UnknownModel`] for one that neither is there nor has a history.
pub(super) async fn filter(control: &Control, raw: &str) -> Result<Option<ModelName>, AdminError> {
    if raw.is_empty() {
        return Ok(None);
    }
    let model: ModelName = raw.parse().map_err(|_| unknown_model(raw))?;
    let span = RevisionRange {
        model: Some(&model),
        limit: 1,
        ..RevisionRange::default()
    };
    if control.view().models.contains_key(&model) || !control.history(span).await?.is_empty() {
        Ok(Some(model))
    } else {
        Err(unknown_model(raw))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_positive_and_well_formed_duration_is_one() {
        let read = |seconds, nanos| duration(prost_types::Duration { seconds, nanos });
        assert_eq!(read(3, 5), Ok(Duration::new(3, 5)));
        assert_eq!(
            read(0, 1),
            Ok(Duration::from_nanos(1)),
            "the limits are not checked here"
        );
        for (seconds, nanos) in [
            (0, 0),
            (-1, 0),
            (0, -1),
            (1, -1),
            (0, 1_000_000_000),
            (i64::MIN, i32::MIN),
        ] {
            let faults = read(seconds, nanos).unwrap_err();
            let fault = faults.iter().next().unwrap();
            assert_eq!(fault.field, "terms.confirm_within", "{seconds} {nanos}");
        }
    }

    #[test]
    fn who_does_not_say_who_they_are_is_called_by_their_address() {
        let peer = Some("192.0.2.7:4711".parse().unwrap());
        let named = v1::ChangeTerms {
            actor: "ann".into(),
            ..Default::default()
        };
        assert_eq!(terms(Some(named), peer).unwrap().actor, "ann");
        assert_eq!(terms(None, peer).unwrap().actor, "192.0.2.7:4711");
    }
}
