//! Documents as their users define them, and as a store keeps them.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::ident::Revision;

/// A receiver of the newest revision of one kind of document.
pub type DocumentWatch = watch::Receiver<Revision>;

/// A type that a store keeps as JSON, by key.
pub trait Document: Serialize + DeserializeOwned {
    /// Name of the kind in the store. Stored, so it never changes and is never used again for another type.
    const KIND: &'static str;

    /// Version of the JSON format, from 1. Increase it when a reader of the previous version would misread the document;
    /// adding an optional field needs no new version.
    const VERSION: u32;

    /// Reads a document in the format `version`, which is at most [`VERSION`](Self::VERSION). By default, every version is
    /// read as the current one.
    ///
    /// # Errors
    /// Returns an error if `json` is not a document of this format.
    fn read(version: u32, json: &[u8]) -> serde_json::Result<Self> {
        let _ = version;
        serde_json::from_slice(json)
    }
}

/// Identifies a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DocumentId<'a> {
    /// See [`Document::KIND`].
    pub kind: &'a str,
    /// Key within the kind: a model's name, a job's number.
    pub key: &'a str,
}

impl fmt::Display for DocumentId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.key)
    }
}

/// Content of a document as a store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentContent {
    /// See [`Document::VERSION`].
    pub version: u32,
    /// The document.
    pub json: Vec<u8>,
}

/// A stored document before its JSON is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawDocument {
    /// Key within its kind.
    pub key: String,
    /// Revision of its last change.
    pub revision: Revision,
    /// Its content.
    pub content: DocumentContent,
}

/// A stored document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDocument<D> {
    /// Key within its kind.
    pub key: String,
    /// Revision of its last change.
    pub revision: Revision,
    /// The document.
    pub document: D,
}
