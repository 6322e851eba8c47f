//! Keeps the digests of READY versions in the store; see [`control::digests`](crate::control::digests).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::task::Writer;
use crate::control::digests::{KnownDigests, ReadyDigests};
use crate::control::store::{Documents, StoreError};
use crate::ident::ModelName;

/// Wait before digests are stored again after a failure.
const AGAIN: Duration = Duration::from_secs(5);

impl Writer {
    /// Reads all digests. A document that cannot be read is reported, and the versions of its model are not compared.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub(super) async fn read_digests(&mut self) -> Result<(), StoreError> {
        for stored in self.digest_documents().all().await? {
            match stored {
                Ok(stored) => {
                    if let Ok(model) = stored.key.parse::<ModelName>() {
                        let digests = KnownDigests::stored(stored.document, stored.revision);
                        self.stored_digests.insert(model, digests);
                    }
                }
                Err(error) => tracing::error!(%error, "digests of versions cannot be read"),
            }
        }
        Ok(())
    }

    /// Stores the digests of versions that became READY or are gone. After a failure they are stored a little later: meanwhile a
    /// restart would not notice that such a version was replaced.
    pub(super) async fn store_digests_if_due(&mut self) {
        let now = Instant::now();
        if self.digests_again.is_some_and(|again| again > now) {
            return;
        }
        self.digests_again = None;
        let documents = self.digest_documents();
        let models = self.models.values_mut();
        for model in models.filter(|model| model.digests.is_unsaved) {
            let known = &mut model.digests;
            let name = model.name.as_str();
            match documents.set(name, known.revision, known.document()).await {
                Ok(revision) => known.saved(revision),
                Err(StoreError::Conflict { .. }) => {
                    if let Ok(Some(theirs)) = documents.get(name).await {
                        known.merge(theirs.document, theirs.revision);
                    }
                    self.digests_again = Some(now + AGAIN);
                }
                Err(error) => {
                    tracing::warn!(model = name, %error, "digests of versions cannot be stored yet");
                    self.digests_again = Some(now + AGAIN);
                }
            }
        }
    }

    fn digest_documents(&self) -> Documents<ReadyDigests> {
        Documents::new(Arc::clone(&self.store))
    }
}
