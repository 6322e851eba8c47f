//! Where policies are kept, behind a trait that a durable and a replicated store can implement.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Mutex, PoisonError},
};

use crate::ident::{ModelName, Revision};
use crate::serving::route::Policy;

/// A policy and its revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// What is wanted.
    pub policy: Policy,
    /// Counts the changes, from 1.
    pub revision: Revision,
}

/// Why a change was not stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else was faster.
    #[error("revision {current} is in force")]
    Conflict {
        /// What is stored now; 0 where nothing is.
        current: Revision,
    },
}

/// Keeps one policy per model.
///
/// Whoever implements it guarantees: of two calls of [`compare_and_set`](Store::compare_and_set) with the same
/// `expected` at most one succeeds; once it has answered `Ok`, every later [`get`](Store::get) sees that change or a
/// later one, after a restart too if the store is durable.
pub trait Store: Send + Sync + 'static {
    /// The policy of `model`, if there is one.
    fn get(&self, model: &ModelName) -> impl Future<Output = Option<Stored>> + Send;

    /// Stores `policy` under the revision after `expected`, which is [`Revision::default`] for the first.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where another revision than `expected` is stored; nothing was changed then.
    fn compare_and_set(
        &self,
        model: &ModelName,
        expected: Revision,
        policy: Policy,
    ) -> impl Future<Output = Result<Revision, StoreError>> + Send;
}

/// Keeps policies in memory: they end with the process.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<HashMap<ModelName, Stored>>);

impl Store for MemoryStore {
    async fn get(&self, model: &ModelName) -> Option<Stored> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(model)
            .cloned()
    }

    async fn compare_and_set(
        &self,
        model: &ModelName,
        expected: Revision,
        policy: Policy,
    ) -> Result<Revision, StoreError> {
        let mut stored = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let current = stored
            .get(model)
            .map_or(Revision::default(), |stored| stored.revision);
        if current != expected {
            return Err(StoreError::Conflict { current });
        }
        let revision = expected.next();
        stored.insert(model.clone(), Stored { policy, revision });
        Ok(revision)
    }
}
