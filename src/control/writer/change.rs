//! An operator's change: checked, stored, made live, told in the audit log, answered; in this order.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::{Writer, now_ms};
use crate::control::difference::differences;
use crate::control::edit::{After, Before, ChangeOptions, Edit, apply, base};
use crate::control::handle::{Changed, Command};
use crate::control::model_state::ModelState;
use crate::control::state::State;
use crate::control::store::{Author, Draft, Record, Store, StoreError};
use crate::control::wanted::{Pending, Wanted};
use crate::error::{AdminError, InputFaults};
use crate::ident::{ModelName, Revision, VersionNumber};

impl<S: Store> Writer<S> {
    pub(super) async fn obey(&mut self, command: Command) {
        match command {
            Command::Change {
                model,
                edit,
                terms,
                reply,
            } => {
                let before = self.wanted_of(&model);
                let outcome = self.change(&model, &edit, &terms).await;
                match &outcome {
                    Ok((_, Some(record))) => self.tell(record, &before).await,
                    Err(error) if !terms.dry_run => {
                        let action = action(&edit);
                        self.tell_refused(&model, &action, author(&terms), terms.expected, error)
                            .await;
                    }
                    _ => {}
                }
                if let (Edit::Load(version), Ok(_), false) = (&edit, &outcome, terms.dry_run) {
                    // Who asks for it by hand does not want to wait for the next retry.
                    self.retry_soon(&model, *version);
                }
                // Who went away meanwhile reads the revisions and sees what happened.
                let _ = reply.send(outcome.map(|(changed, _)| changed));
            }
            Command::Retry {
                model,
                version,
                author,
                reply,
            } => {
                let outcome = self.retry(&model, version);
                let action = format!("retry version {version}");
                match &outcome {
                    Ok(()) => self.tell_done(&model, &action, author).await,
                    Err(error) => {
                        self.tell_refused(&model, &action, author, None, error)
                            .await
                    }
                }
                let _ = reply.send(outcome);
            }
            Command::Uploaded {
                model,
                version,
                author,
                outcome,
                reply,
            } => {
                let action = format!("upload version {version}");
                match &outcome {
                    Ok(()) => self.tell_done(model.as_str(), &action, author).await,
                    Err(error) => {
                        self.tell_refused(model.as_str(), &action, author, None, error)
                            .await;
                    }
                }
                let _ = reply.send(outcome);
            }
        }
    }

    pub(super) fn wanted_of(&self, model: &str) -> Arc<Wanted> {
        self.models
            .get(model)
            .map_or_else(Arc::default, |state| Arc::clone(&state.wanted))
    }

    /// Makes one change; the record is that of a change that was stored.
    async fn change(
        &mut self,
        model: &str,
        edit: &Edit,
        terms: &ChangeOptions,
    ) -> Result<(Changed, Option<Record>), AdminError> {
        terms.check()?;
        let state = self
            .models
            .get(model)
            .ok_or_else(|| AdminError::UnknownModel(shortened(model)))?;
        let current = state.revision();
        if let Some(expected) = terms.expected
            && expected != current
        {
            return Err(AdminError::RevisionConflict { expected, current });
        }
        let restored = self.restored(state, edit).await?;
        let nothing = Wanted::default();
        let known: BTreeSet<VersionNumber> = state.versions.keys().copied().collect();
        let before = Before {
            model: &state.name,
            record: state.record.as_ref(),
            wanted: &state.wanted,
            latest: state.latest(),
            known: &known,
            restored: restored.as_ref().map(|(revision, record)| {
                (
                    *revision,
                    record.as_ref().map_or(&nothing, |record| &record.wanted),
                )
            }),
        };
        let After {
            mut wanted,
            action,
            moves_traffic,
        } = apply(edit, &before)?;
        if moves_traffic {
            state.admits(&wanted)?;
        }
        wanted.pending = pending(state, &wanted, terms)?;
        let differences = differences(&state.wanted, &wanted);
        let confirm_by = wanted.pending.map(Pending::until);
        let unchanged = wanted == *state.wanted;
        if terms.dry_run || unchanged {
            let revision = current;
            return Ok((
                Changed {
                    revision,
                    differences,
                    confirm_by,
                },
                None,
            ));
        }
        let draft = Draft {
            at_ms: now_ms(),
            author: author(terms),
            action,
            base: base(
                edit,
                state.record.as_ref(),
                restored.as_ref().and_then(|(_, record)| record.as_ref()),
            ),
            wanted,
        };
        let comes_back = draft.wanted.pending.map(|_| (*state.wanted).clone());
        let record = self.commit(model, current, draft, comes_back).await?;
        let revision = record.revision;
        Ok((
            Changed {
                revision,
                differences,
                confirm_by,
            },
            Some(record),
        ))
    }

    /// Stores `draft` and makes it live.
    pub(super) async fn commit(
        &mut self,
        model: &str,
        expected: Revision,
        draft: Draft,
        comes_back: Option<Wanted>,
    ) -> Result<Record, AdminError> {
        let state = self
            .models
            .get_mut(model)
            .ok_or_else(|| AdminError::UnknownModel(shortened(model)))?;
        let stored = self
            .store
            .compare_and_set(&state.name, expected, draft)
            .await;
        let record = stored.map_err(|error| match error {
            StoreError::Conflict { current } => AdminError::RevisionConflict { expected, current },
            StoreError::Full => AdminError::DiskFull("state folder"),
            StoreError::Failed(why) => AdminError::Storage(why),
        })?;
        tracing::info!(
            %model, revision = %record.revision, action = record.action, actor = record.author.actor,
            "change is in force"
        );
        state.follow(record.clone(), comes_back);
        self.moved.insert(state.name.clone());
        // Live before it is answered.
        self.reconcile_and_publish();
        Ok(record)
    }

    /// For an edit that brings something back: which revision, and its record; revision 0 has none.
    async fn restored(
        &self,
        state: &ModelState,
        edit: &Edit,
    ) -> Result<Option<(Revision, Option<Record>)>, AdminError> {
        let revision = match edit {
            Edit::Undo => match &state.record {
                Some(record) => record.base,
                None => return Ok(None),
            },
            Edit::RollbackTo(revision) => *revision,
            _ => return Ok(None),
        };
        let record = self.record_of(&state.name, revision).await?;
        Ok(Some((revision, record)))
    }

    /// The record of one revision of `model`; revision 0 has none.
    pub(super) async fn record_of(
        &self,
        model: &ModelName,
        revision: Revision,
    ) -> Result<Option<Record>, AdminError> {
        if revision == Revision::default() {
            return Ok(None);
        }
        let record = self.store.at(revision).await;
        let record = record.map_err(|error| AdminError::Storage(error.to_string()))?;
        match record.filter(|record| record.model == *model) {
            Some(record) => Ok(Some(record)),
            None => Err(AdminError::UnknownRevision {
                model: model.to_string(),
                revision,
            }),
        }
    }

    fn retry_soon(&mut self, model: &str, version: u64) {
        let member = self
            .models
            .get_mut(model)
            .zip(VersionNumber::try_from(version).ok());
        let member = member.and_then(|(state, version)| state.versions.get_mut(&version));
        if let Some(member) = member.filter(|member| member.state() == State::Failed) {
            member.retry_now(Instant::now());
        }
    }

    fn retry(&mut self, model: &str, raw: u64) -> Result<(), AdminError> {
        let state = self
            .models
            .get_mut(model)
            .ok_or_else(|| AdminError::UnknownModel(shortened(model)))?;
        let unknown = || AdminError::UnknownVersion {
            model: shortened(model),
            version: raw,
        };
        let version = VersionNumber::try_from(raw).map_err(|_| unknown())?;
        let member = state.versions.get_mut(&version).ok_or_else(unknown)?;
        if member.state() != State::Failed {
            let state = member.state().as_str();
            let told =
                format!("version {version} is {state}: only a FAILED version is tried again");
            return Err(AdminError::NothingToChange(told));
        }
        member.retry_now(Instant::now());
        let tried = state
            .steps(Instant::now())
            .contains(&crate::control::reconcile::Step::Load(version));
        if tried {
            Ok(())
        } else {
            let told =
                format!("version {version} is not wanted by the version policy: load it instead");
            Err(AdminError::NothingToChange(told))
        }
    }
}

/// What is to wait for a confirmation.
fn pending(
    state: &ModelState,
    wanted: &Wanted,
    terms: &ChangeOptions,
) -> Result<Option<Pending>, AdminError> {
    let Some(wait) = terms.confirm_within else {
        return Ok(wanted.pending);
    };
    if state.wanted.pending.is_some() {
        let got = format!("{wait:?} for what ends an unconfirmed change");
        let faults = InputFaults::one("terms.confirm_within", got, "nothing");
        return Err(AdminError::InvalidChange(faults));
    }
    let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    Ok(Some(Pending {
        restores: state.revision(),
        until_ms: now_ms().saturating_add(wait),
    }))
}

fn author(terms: &ChangeOptions) -> Author {
    Author {
        actor: terms.actor.clone(),
        reason: terms.reason.clone(),
    }
}

/// What was asked for, for a change that was refused before it had a name.
fn action(edit: &Edit) -> String {
    match edit {
        Edit::SetPolicy(_) => "set policy".into(),
        Edit::SetLabel { label, version } => {
            format!("move label {} to {version}", shortened(label))
        }
        Edit::DeleteLabel { label } => format!("delete label {}", shortened(label)),
        Edit::Promote { label, to } => format!("promote {} to {}", shortened(label), shortened(to)),
        Edit::Load(version) => format!("load version {version}"),
        Edit::Unload(version) => format!("unload version {version}"),
        Edit::Undo => "undo".into(),
        Edit::RollbackTo(revision) => format!("roll back to revision {revision}"),
        Edit::Confirm => "confirm".into(),
    }
}

/// A name as a caller wrote it, cut to what a name may be.
fn shortened(raw: &str) -> String {
    crate::text::truncate(raw, 128).to_owned()
}
