//! An operator's change: checked, stored, made live, told in the audit log, answered; in this order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use super::{REVERT_AGAIN, Writer, now_ms};
use crate::control::difference::differences;
use crate::control::edit::{After, Before, Edit, Terms, apply, base};
use crate::control::fleet::Fleet;
use crate::control::handle::{Changed, Command};
use crate::control::state::State;
use crate::control::store::{Draft, Record, Signed, Store, StoreError};
use crate::control::wanted::{Pending, Wanted};
use crate::error::{AdminError, InputFaults};
use crate::ident::{ModelName, Revision, VersionNumber};

/// Who reverts what was not confirmed.
const OURSELVES: &str = "taper";

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
                        self.tell_refused(&model, &action, signed(&terms), terms.expected, error)
                            .await;
                    }
                    _ => {}
                }
                // Who went away meanwhile reads the revisions and sees what happened.
                let _ = reply.send(outcome.map(|(changed, _)| changed));
            }
            Command::Retry {
                model,
                version,
                signed,
                reply,
            } => {
                let outcome = self.retry(&model, version);
                let action = format!("retry version {version}");
                match &outcome {
                    Ok(()) => self.tell_done(&model, &action, signed).await,
                    Err(error) => {
                        self.tell_refused(&model, &action, signed, None, error)
                            .await
                    }
                }
                let _ = reply.send(outcome);
            }
            Command::Uploaded {
                model,
                version,
                signed,
                outcome,
                reply,
            } => {
                let action = format!("upload version {version}");
                match &outcome {
                    Ok(()) => self.tell_done(model.as_str(), &action, signed).await,
                    Err(error) => {
                        self.tell_refused(model.as_str(), &action, signed, None, error)
                            .await;
                    }
                }
                let _ = reply.send(outcome);
            }
        }
    }

    fn wanted_of(&self, model: &str) -> Arc<Wanted> {
        self.fleets
            .get(model)
            .map_or_else(Arc::default, |fleet| Arc::clone(&fleet.wanted))
    }

    /// Makes one change; the record is that of a change that was stored.
    async fn change(
        &mut self,
        model: &str,
        edit: &Edit,
        terms: &Terms,
    ) -> Result<(Changed, Option<Record>), AdminError> {
        terms.check()?;
        let fleet = self
            .fleets
            .get(model)
            .ok_or_else(|| AdminError::UnknownModel(shortened(model)))?;
        let current = fleet.revision();
        if let Some(expected) = terms.expected
            && expected != current
        {
            return Err(AdminError::RevisionConflict { expected, current });
        }
        let restored = self.restored(fleet, edit).await?;
        let nothing = Wanted::default();
        let known: BTreeSet<VersionNumber> = fleet.members.keys().copied().collect();
        let before = Before {
            model: &fleet.name,
            record: fleet.record.as_ref(),
            wanted: &fleet.wanted,
            latest: fleet.latest(),
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
            fleet.admits(&wanted)?;
        }
        wanted.pending = pending(fleet, &wanted, terms)?;
        let differences = differences(&fleet.wanted, &wanted);
        let confirm_by = wanted.pending.map(Pending::until);
        let unchanged = wanted == *fleet.wanted;
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
            signed: signed(terms),
            action,
            base: base(
                edit,
                fleet.record.as_ref(),
                restored.as_ref().and_then(|(_, record)| record.as_ref()),
            ),
            wanted,
        };
        let comes_back = draft.wanted.pending.map(|_| (*fleet.wanted).clone());
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
    async fn commit(
        &mut self,
        model: &str,
        expected: Revision,
        draft: Draft,
        comes_back: Option<Wanted>,
    ) -> Result<Record, AdminError> {
        let fleet = self
            .fleets
            .get_mut(model)
            .ok_or_else(|| AdminError::UnknownModel(shortened(model)))?;
        let stored = self
            .store
            .compare_and_set(&fleet.name, expected, draft)
            .await;
        let record = stored.map_err(|error| match error {
            StoreError::Conflict { current } => AdminError::RevisionConflict { expected, current },
            StoreError::Full => AdminError::DiskFull("state folder"),
            StoreError::Failed(why) => AdminError::Storage(why),
        })?;
        tracing::info!(
            %model, revision = %record.revision, action = record.action, actor = record.signed.actor,
            "change is in force"
        );
        fleet.follow(record.clone(), comes_back);
        self.moved.insert(fleet.name.clone());
        // Live before it is answered.
        self.settle();
        Ok(record)
    }

    /// For an edit that brings something back: which revision, and its record; revision 0 has none.
    async fn restored(
        &self,
        fleet: &Fleet,
        edit: &Edit,
    ) -> Result<Option<(Revision, Option<Record>)>, AdminError> {
        let revision = match edit {
            Edit::Undo => match &fleet.record {
                Some(record) => record.base,
                None => return Ok(None),
            },
            Edit::RollbackTo(revision) => *revision,
            _ => return Ok(None),
        };
        let record = self.record_of(&fleet.name, revision).await?;
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

    fn retry(&mut self, model: &str, raw: u64) -> Result<(), AdminError> {
        let fleet = self
            .fleets
            .get_mut(model)
            .ok_or_else(|| AdminError::UnknownModel(shortened(model)))?;
        let unknown = || AdminError::UnknownVersion {
            model: shortened(model),
            version: raw,
        };
        let version = VersionNumber::try_from(raw).map_err(|_| unknown())?;
        let member = fleet.members.get_mut(&version).ok_or_else(unknown)?;
        if member.state() != State::Failed {
            let state = member.state().as_str();
            let told =
                format!("version {version} is {state}: only a FAILED version is tried again");
            return Err(AdminError::NothingToChange(told));
        }
        member.retry_now(Instant::now());
        let tried = fleet
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

    /// Brings back what changes that nobody confirmed have replaced.
    pub(super) async fn revert_what_is_due(&mut self) {
        let now = SystemTime::now();
        if self
            .revert_again
            .is_some_and(|again| again > Instant::now())
        {
            return;
        }
        self.revert_again = None;
        let due: Vec<ModelName> = self
            .fleets
            .iter()
            .filter(|(_, fleet)| {
                fleet
                    .wanted
                    .pending
                    .is_some_and(|pending| pending.until() <= now)
            })
            .map(|(name, _)| name.clone())
            .collect();
        for model in due {
            let before = self.wanted_of(model.as_str());
            match self.revert(&model).await {
                Ok(record) => self.tell(&record, &before).await,
                Err(error) => {
                    tracing::error!(%model, %error, "a change that nobody confirmed cannot be reverted");
                    self.revert_again = Some(Instant::now() + REVERT_AGAIN);
                    if let Some(fleet) = self.fleets.get_mut(&model) {
                        let revision = fleet.revision();
                        fleet.stuck = Some(format!(
                            "revision {revision} was not confirmed and cannot be reverted: {error}"
                        ));
                        self.moved.insert(model);
                    }
                }
            }
        }
    }

    async fn revert(&mut self, model: &ModelName) -> Result<Record, AdminError> {
        let unknown = || AdminError::UnknownModel(model.to_string());
        let fleet = self.fleets.get(model).ok_or_else(unknown)?;
        let current = fleet.revision();
        let back = fleet
            .wanted
            .pending
            .map_or(current, |pending| pending.restores);
        let restored = self.record_of(model, back).await?;
        let wanted = restored
            .as_ref()
            .map(|record| record.wanted.clone())
            .unwrap_or_default();
        // Traffic stays where it is rather than go to a version that cannot answer.
        fleet.admits(&wanted)?;
        let draft = Draft {
            at_ms: now_ms(),
            signed: Signed {
                actor: OURSELVES.into(),
                reason: format!("revision {current} was not confirmed in time"),
            },
            action: format!("revert to revision {back}"),
            base: restored.map_or(Revision::default(), |record| record.base),
            wanted: Wanted {
                pending: None,
                ..wanted
            },
        };
        self.commit(model.as_str(), current, draft, None).await
    }
}

/// What is to wait for a confirmation.
fn pending(fleet: &Fleet, wanted: &Wanted, terms: &Terms) -> Result<Option<Pending>, AdminError> {
    let Some(wait) = terms.confirm_within else {
        return Ok(wanted.pending);
    };
    if fleet.wanted.pending.is_some() {
        let got = format!("{wait:?} for what ends an unconfirmed change");
        let faults = InputFaults::one("terms.confirm_within", got, "nothing");
        return Err(AdminError::InvalidChange(faults));
    }
    let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    Ok(Some(Pending {
        restores: fleet.revision(),
        until_ms: now_ms().saturating_add(wait),
    }))
}

fn signed(terms: &Terms) -> Signed {
    Signed {
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
    raw.chars().take(128).collect()
}
