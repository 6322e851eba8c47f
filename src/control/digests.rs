//! The digests of versions that were READY, kept in the store: a version that was published never changes, also across restarts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::store::Document;
use super::wanted::Wanted;
use crate::ident::{Revision, VersionNumber};
use crate::model::VersionDigest;

/// The digests of one model's versions, each from when the version first became READY. Its key is the model's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ReadyDigests {
    versions: BTreeMap<VersionNumber, VersionDigest>,
}

impl Document for ReadyDigests {
    const KIND: &'static str = "ready_digests";
    const VERSION: u32 = 1;
}

/// The digests of one model and whether they are stored.
#[derive(Debug, Default)]
pub(super) struct KnownDigests {
    digests: ReadyDigests,
    /// Revision of the document; 0: it is not stored yet.
    pub(super) revision: Revision,
    /// Whether they differ from what is stored.
    pub(super) is_unsaved: bool,
}

impl KnownDigests {
    /// The digests of a stored document.
    pub(super) fn stored(digests: ReadyDigests, revision: Revision) -> Self {
        Self {
            digests,
            revision,
            is_unsaved: false,
        }
    }

    /// The document was stored.
    pub(super) fn saved(&mut self, revision: Revision) {
        (self.revision, self.is_unsaved) = (revision, false);
    }

    /// Takes over what another writer stored first.
    pub(super) fn merge(&mut self, theirs: ReadyDigests, revision: Revision) {
        self.revision = revision;
        self.digests.versions.extend(theirs.versions);
    }

    /// Returns the document.
    pub(super) fn document(&self) -> &ReadyDigests {
        &self.digests
    }

    /// Returns the digest that `version` had when it first became READY.
    pub(super) fn first(&self, version: VersionNumber) -> Option<VersionDigest> {
        self.digests.versions.get(&version).copied()
    }

    /// Returns the digest that `version` must have; `None` if it was never READY. What an operator accepted counts only in place of
    /// what it replaced: a folder that was removed and published again is another version.
    pub(super) fn expected(
        &self,
        version: VersionNumber,
        wanted: &Wanted,
    ) -> Option<VersionDigest> {
        let first = self.first(version)?;
        let accepted = wanted.accepted.get(&version);
        let accepted = accepted.filter(|accepted| accepted.was == first);
        Some(accepted.map_or(first, |accepted| accepted.is))
    }

    /// `version` is READY with `digest`.
    pub(super) fn note_ready(&mut self, version: VersionNumber, digest: VersionDigest) {
        self.digests.versions.entry(version).or_insert_with(|| {
            self.is_unsaved = true;
            digest
        });
    }

    /// `version` is neither in the registry nor in memory: its number may be published again.
    pub(super) fn forget(&mut self, version: VersionNumber) {
        self.is_unsaved |= self.digests.versions.remove(&version).is_some();
    }
}

#[cfg(test)]
mod tests;
