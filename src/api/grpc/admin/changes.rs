//! Changes, their options and their history, from and to the wire.

use std::time::Duration;

use prost::Message;
use prost_types::Timestamp;

use super::policy;
use crate::api::context::RequestContext;
use crate::control::differences;
use crate::control::{
    Author, ChangeOptions, ChangeResult, Control, Difference, Pending, Record, RevisionRange,
    Wanted,
};
use crate::error::{AdminError, InputFaults};
use crate::ident::{ModelName, Revision, VersionNumber};
use crate::proto::v1;

/// Default number of revisions in a page.
const DEFAULT_PAGE: u32 = 100;
/// Limit on the revisions in a page.
const MAX_PAGE: u32 = 1000;
/// Bytes after which a page ends, even if more revisions were requested.
const MAX_PAGE_BYTES: usize = 1 << 20;

/// Reads the options of a change. A caller that gives no name is named by its `context`.
///
/// # Errors
/// Returns an error for a duration that is not well formed. [`ChangeOptions::check`] checks the limits.
pub(super) fn read_options(
    raw: Option<v1::ChangeTerms>,
    context: &RequestContext,
) -> Result<ChangeOptions, InputFaults> {
    let raw = raw.unwrap_or_default();
    let actor = if raw.actor.is_empty() {
        context.caller_name().unwrap_or_default()
    } else {
        raw.actor
    };
    Ok(ChangeOptions {
        expected: raw.expected_revision.map(Revision),
        dry_run: raw.dry_run,
        confirm_within: raw.confirm_within.map(read_duration).transpose()?,
        actor,
        reason: raw.reason,
    })
}

fn read_duration(raw: prost_types::Duration) -> Result<Duration, InputFaults> {
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

/// Reads author and reason, for calls that do not change the wanted state.
///
/// # Errors
/// Returns [`AdminError::InvalidChange`] if a text is beyond its limits.
pub(super) fn read_author(
    raw: Option<v1::ChangeTerms>,
    context: &RequestContext,
) -> Result<Author, AdminError> {
    let raw = raw.map(|raw| v1::ChangeTerms {
        actor: raw.actor,
        reason: raw.reason,
        ..v1::ChangeTerms::default()
    });
    let options = read_options(raw, context).map_err(AdminError::InvalidChange)?;
    options.check()?;
    Ok(Author {
        actor: options.actor,
        reason: options.reason,
    })
}

/// Writes the response to a change.
pub(super) fn write_response(changed: ChangeResult) -> v1::ChangeResponse {
    v1::ChangeResponse {
        revision: changed.revision.0,
        differences: changed
            .differences
            .into_iter()
            .map(write_difference)
            .collect(),
        confirm_by: changed.confirm_by.map(Timestamp::from),
        restores: changed.restores.map(|revision| revision.0),
    }
}

fn write_difference(difference: Difference) -> v1::Difference {
    v1::Difference {
        field: difference.field,
        before: difference.before,
        after: difference.after,
    }
}

/// Writes one revision of the history, with its differences to the one before.
///
/// # Errors
/// Returns [`AdminError::Storage`] if the revision before it cannot be read.
pub(super) async fn write_revision(
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
    // Unknown if the revision before it is no longer stored.
    let differences = before.map(|before| differences(&before, &record.wanted));
    let time = Timestamp::from(record.at());
    let numbers = |versions: &mut dyn Iterator<Item = &VersionNumber>| {
        versions.map(|version| version.get()).collect()
    };
    Ok(v1::Revision {
        revision: record.revision.0,
        model: record.model.to_string(),
        time: Some(time),
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
        differences: differences
            .into_iter()
            .flatten()
            .map(write_difference)
            .collect(),
    })
}

/// Reads a page of the history, the newest revision first.
///
/// # Errors
/// Returns [`AdminError::InvalidChange`], [`AdminError::UnknownModel`] or [`AdminError::Storage`].
pub(super) async fn list_revisions(
    control: &Control,
    request: &v1::ListRevisionsRequest,
) -> Result<Vec<v1::Revision>, AdminError> {
    let limit = match request.limit {
        0 => DEFAULT_PAGE,
        limit if limit <= MAX_PAGE => limit,
        limit => {
            let faults = InputFaults::one("limit", limit.to_string(), "0 to 1000");
            return Err(AdminError::InvalidChange(faults));
        }
    };
    let model = read_filter(control, &request.model).await?;
    let range = RevisionRange {
        model: model.as_ref(),
        before: (request.before_revision > 0).then_some(Revision(request.before_revision)),
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
        ..RevisionRange::default()
    };
    let mut revisions = Vec::new();
    let mut bytes = 0;
    for record in control.history(range).await?.into_iter().rev() {
        let revision = write_revision(control, record).await?;
        bytes += revision.encoded_len();
        if bytes > MAX_PAGE_BYTES && !revisions.is_empty() {
            break;
        }
        revisions.push(revision);
    }
    Ok(revisions)
}

/// Reads the name of the one model that a caller asks for; `None` for all.
///
/// # Errors
/// Returns [`AdminError::UnknownModel`] for a model that neither exists nor has a history.
pub(super) async fn read_filter(
    control: &Control,
    raw: &str,
) -> Result<Option<ModelName>, AdminError> {
    if raw.is_empty() {
        return Ok(None);
    }
    let model: ModelName = raw.parse().map_err(|_| AdminError::unknown_model(raw))?;
    let range = RevisionRange {
        model: Some(&model),
        limit: 1,
        ..RevisionRange::default()
    };
    if control.view().models.contains_key(&model) || !control.history(range).await?.is_empty() {
        Ok(Some(model))
    } else {
        Err(AdminError::unknown_model(raw))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_must_be_positive_and_well_formed() {
        let read = |seconds, nanos| read_duration(prost_types::Duration { seconds, nanos });
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
    fn callers_without_a_name_are_named_by_their_address() {
        let context = RequestContext::new(Some("192.0.2.7:4711".parse().unwrap()));
        let named = v1::ChangeTerms {
            actor: "ann".into(),
            ..Default::default()
        };
        assert_eq!(read_options(Some(named), &context).unwrap().actor, "ann");
        assert_eq!(
            read_options(None, &context).unwrap().actor,
            "192.0.2.7:4711"
        );
    }
}
