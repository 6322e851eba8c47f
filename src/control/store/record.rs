//! Changes of a model's desired state, as the store keeps them.

use std::ops::RangeInclusive;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::control::clock::from_unix_ms;
use crate::control::wanted::Wanted;
use crate::ident::{ModelName, Revision};

/// One stored change: author, time, and the complete desired state after it. Immutable.
///
/// Its JSON is stored, so fields may be added, and existing fields keep their names and meaning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Revision of this change.
    pub revision: Revision,
    /// Model that was changed.
    pub model: ModelName,
    /// Time of the change, in milliseconds since 1970.
    pub at_ms: u64,
    /// Author and reason.
    #[serde(rename = "signed")]
    pub author: Author,
    /// Kind of change, in words: `set policy`, `move label canary to 2`.
    pub action: String,
    /// Previous revision of the same model; 0 for the first change.
    pub previous: Revision,
    /// Revision that an undo restores: `previous`, except for a change that was itself an undo, and a rollback of releases
    /// before 0.2.
    pub base: Revision,
    /// Desired state since this change.
    pub wanted: Wanted,
    /// What decided the change, or, of an undo, the state that it restores. Records of releases before 0.2 say [`Origin::Operator`] for changes by the configuration too.
    #[serde(default, skip_serializing_if = "Origin::is_operator")]
    pub origin: Origin,
    /// Name of the writer that stored the change. Empty if the store has only one writer, as the embedded store has.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub writer: String,
}

impl Record {
    /// Whether taper itself made it as the model's first change. The configuration, and a change that expects revision 0, still
    /// apply then.
    #[must_use]
    pub fn is_first_version(&self) -> bool {
        self.origin == Origin::FirstVersion && self.previous == Revision::default()
    }

    /// Returns the time of the change.
    #[must_use]
    pub fn at(&self) -> SystemTime {
        from_unix_ms(self.at_ms)
    }

    /// Returns the revisions that must be kept, however old, while this is the model's last change: the one that an undo
    /// restores, and the one that is restored unless this change is confirmed.
    pub(super) fn required_revisions(&self) -> impl Iterator<Item = u64> + use<> {
        let restores = self.wanted.pending.map(|pending| pending.restores);
        [Some(self.base), restores]
            .into_iter()
            .flatten()
            .map(|revision| revision.0)
    }
}

/// What decided a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A request, or the revert of a request that was not confirmed.
    #[default]
    Operator,
    /// The configuration, at the first start.
    Configuration,
    /// The first version of the model that became READY: it gets all traffic.
    FirstVersion,
    /// A new highest version: the policy names `latest`, which moves.
    Latest,
}

impl Origin {
    /// Whether an operator decided the change, directly or through a revert.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        *self == Self::Operator
    }
}

/// Author of a change, and the reason for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// Name: 1 to 128 characters.
    pub actor: String,
    /// Reason: up to 512 characters; may be empty.
    pub reason: String,
}

/// A change that is not stored yet. The store assigns its revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Time of the change, in milliseconds since 1970.
    pub at_ms: u64,
    /// Author and reason.
    pub author: Author,
    /// Kind of change, in words.
    pub action: String,
    /// See [`Record::base`].
    pub base: Revision,
    /// Desired state after the change.
    pub wanted: Wanted,
    /// See [`Record::origin`].
    pub origin: Origin,
    /// See [`Record::writer`].
    pub writer: String,
}

impl Draft {
    /// Returns the record of this change to `model`. `newest` is the newest revision of all models, `previous` that of this
    /// model.
    pub(super) fn into_record(
        self,
        model: &ModelName,
        newest: Revision,
        previous: Revision,
    ) -> Record {
        Record {
            revision: newest.next(),
            model: model.clone(),
            at_ms: self.at_ms,
            author: self.author,
            action: self.action,
            previous,
            base: self.base,
            wanted: self.wanted,
            origin: self.origin,
            writer: self.writer,
        }
    }
}

/// Selects a part of the history.
#[derive(Clone, Debug, Default)]
pub struct RevisionRange<'a> {
    /// Only this model; `None`: all models.
    pub model: Option<&'a ModelName>,
    /// Only revisions above this one.
    pub after: Revision,
    /// Only revisions below this one; `None`: up to the newest.
    pub before: Option<Revision>,
    /// Maximum number of records: the newest of the range.
    pub limit: usize,
}

impl RevisionRange<'_> {
    /// Returns the selected revisions; `None` if the range is empty.
    pub(super) fn revisions(&self) -> Option<RangeInclusive<u64>> {
        let first = self.after.0.checked_add(1)?;
        let last = match self.before {
            Some(before) => before.0.checked_sub(1)?,
            None => u64::MAX,
        };
        (first <= last && self.limit > 0).then_some(first..=last)
    }
}
