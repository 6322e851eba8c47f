//! Access to the documents of one type: JSON for the store, typed values for callers.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::contract::{Store, StoreError};
use super::document::{
    Document, DocumentContent, DocumentId, DocumentWatch, RawDocument, StoredDocument,
};
use crate::ident::Revision;

/// Maximum size of a document, in bytes of JSON. Replicated stores have limits of about this size.
const MAX_BYTES: usize = 1 << 20;

/// All documents of one type in a store. Inexpensive to clone.
pub struct Documents<D> {
    store: Arc<dyn Store>,
    kind: PhantomData<fn() -> D>,
}

impl<D> Clone for Documents<D> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            kind: PhantomData,
        }
    }
}

impl<D: Document> fmt::Debug for Documents<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Documents")
            .field("kind", &D::KIND)
            .finish_non_exhaustive()
    }
}

impl<D: Document> Documents<D> {
    /// Returns the documents of this type in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            kind: PhantomData,
        }
    }

    /// Returns the document under `key`, if it exists.
    ///
    /// # Errors
    /// Returns an error if the store fails, or if the document is not valid or has a newer format than
    /// [`Document::VERSION`].
    pub async fn get(&self, key: &str) -> Result<Option<StoredDocument<D>>, StoreError> {
        let raw = self.store.document(id::<D>(key)).await?;
        raw.map(read).transpose()
    }

    /// Returns all documents, sorted by key. A document that cannot be read is an error in its place; the others are
    /// unaffected.
    ///
    /// # Errors
    /// Returns an error if the store fails.
    pub async fn all(&self) -> Result<Vec<Result<StoredDocument<D>, StoreError>>, StoreError> {
        let raw = self.store.documents(D::KIND).await?;
        Ok(raw.into_iter().map(read).collect())
    }

    /// Stores `document` under `key` and returns its revision. The current revision must be `expected`: 0 if there is none.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if another revision is in force, [`StoreError::TooLarge`], or an error if the store
    /// fails.
    pub async fn set(
        &self,
        key: &str,
        expected: Revision,
        document: &D,
    ) -> Result<Revision, StoreError> {
        let id = id::<D>(key);
        let json = serde_json::to_vec(document)
            .map_err(|error| StoreError::Failed(format!("document {id}: {error}")))?;
        if json.len() > MAX_BYTES {
            return Err(StoreError::TooLarge {
                id: id.to_string(),
                bytes: json.len(),
                limit: MAX_BYTES,
            });
        }
        let content = DocumentContent {
            version: D::VERSION,
            json,
        };
        self.store.set_document(id, expected, Some(content)).await
    }

    /// Deletes the document under `key`, whose current revision must be `expected`.
    ///
    /// # Errors
    /// Returns [`StoreError::Conflict`] if another revision is in force, or an error if the store fails.
    pub async fn delete(&self, key: &str, expected: Revision) -> Result<Revision, StoreError> {
        self.store.set_document(id::<D>(key), expected, None).await
    }

    /// Returns a receiver of the newest revision of these documents.
    #[must_use]
    pub fn watch(&self) -> DocumentWatch {
        self.store.watch_documents(D::KIND)
    }
}

fn id<D: Document>(key: &str) -> DocumentId<'_> {
    DocumentId { kind: D::KIND, key }
}

fn read<D: Document>(raw: RawDocument) -> Result<StoredDocument<D>, StoreError> {
    let id = id::<D>(&raw.key);
    let DocumentContent { version, json } = &raw.content;
    if *version > D::VERSION {
        return Err(StoreError::Failed(format!(
            "document {id} has format version {version}, which a newer taper has written; this one reads versions up to {}",
            D::VERSION
        )));
    }
    let document = D::read(*version, json).map_err(|error| {
        StoreError::Failed(format!(
            "document {id} is not valid in format version {version}: {error}"
        ))
    })?;
    Ok(StoredDocument {
        revision: raw.revision,
        document,
        key: raw.key,
    })
}
