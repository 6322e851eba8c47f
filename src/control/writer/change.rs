//! An operator's change. It is checked, stored, made live, written to the audit log and acknowledged, in this order.

use std::collections::BTreeSet;

use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::follow::Committed;
use super::task::Writer;
use crate::control::clock::unix_ms;
use crate::control::difference::{Difference, differences};
use crate::control::edit::{ChangeOptions, Edit, EditContext, EditResult, apply, base};
use crate::control::handle::{ChangeResult, Command};
use crate::control::model_state::ModelState;
use crate::control::reconcile::Step;
use crate::control::state::State;
use crate::control::store::{Author, Draft, Origin, Record, StoreError};
use crate::control::wanted::{AcceptedDigest, Pending, Wanted};
use crate::error::{AdminError, InputFaults};
use crate::ident::{ModelName, Revision, VersionNumber};
use crate::model::Manifest;
use crate::text::truncate;

/// Maximum number of attempts to store a change without an expected revision. Each lost attempt means that another writer made
/// progress, so more than a few are needed only under heavy contention.
const MAX_ATTEMPTS: usize = 1000;

/// An earlier revision that an edit restores.
struct Restored {
    revision: Revision,
    /// `None` for revision 0, which has no record.
    record: Option<Record>,
}

/// A checked change before it is stored.
struct Plan {
    model: ModelName,
    /// The revision that the change replaces.
    replaces: Revision,
    /// The revision whose desired state comes back, if any.
    restores: Option<Revision>,
    draft: Draft,
    differences: Vec<Difference>,
    /// Whether the desired state stays the same, so that nothing is stored.
    unchanged: bool,
}

impl Plan {
    /// Returns the result for the caller. `revision` is the new revision, or the current one if nothing was stored.
    fn result(&self, revision: Revision) -> ChangeResult {
        ChangeResult {
            revision,
            restores: self.restores,
            differences: self.differences.clone(),
            confirm_by: self.draft.wanted.pending.map(Pending::until),
        }
    }
}

impl Writer {
    pub(super) async fn execute(&mut self, command: Command) {
        match command {
            Command::Change {
                model,
                edit,
                options,
                reply,
            } => {
                let outcome = self.change_and_audit(&model, &edit, &options).await;
                if let (Edit::Load(version) | Edit::Accept(version), Ok(_), false) =
                    (&edit, &outcome, options.dry_run)
                {
                    // An operator who loads a version does not want to wait for its next retry.
                    self.retry_if_failed(&model, *version);
                }
                // The caller may have disconnected. The audit log still has the outcome.
                let _ = reply.send(outcome);
            }
            Command::Retry {
                model,
                version,
                author,
                reply,
            } => {
                let outcome = self.retry(&model, version);
                let action = format!("retry version {version}");
                self.audit_outcome(&model, &action, author, &outcome).await;
                // The caller may have disconnected, as above.
                let _ = reply.send(outcome);
            }
            Command::RecordUpload {
                model,
                version,
                author,
                outcome,
                reply,
            } => {
                let action = format!("upload version {version}");
                self.audit_outcome(model.as_str(), &action, author, &outcome)
                    .await;
                // The caller may have disconnected, as above.
                let _ = reply.send(outcome);
            }
            Command::CheckStore { reply } => {
                self.check_store().await;
                // As above.
                let _ = reply.send(());
            }
        }
    }

    async fn change_and_audit(
        &mut self,
        model: &str,
        edit: &Edit,
        options: &ChangeOptions,
    ) -> Result<ChangeResult, AdminError> {
        match self.change(model, edit, options).await {
            Ok((result, committed)) => {
                if let Some(committed) = committed {
                    self.audit_change(&committed).await;
                }
                Ok(result)
            }
            Err(error) => {
                if !options.dry_run {
                    let (action, author) = (requested_action(edit), author(options));
                    self.audit_refusal(model, &action, author, options.expected, &error)
                        .await;
                }
                Err(error)
            }
        }
    }

    /// Makes one change. Returns its result, and the committed record if one was stored.
    ///
    /// If another writer is faster, an edit that [can be repeated](Edit::can_be_repeated) and names no expected revision is applied
    /// and checked again on the newer state.
    async fn change(
        &mut self,
        model: &str,
        edit: &Edit,
        options: &ChangeOptions,
    ) -> Result<(ChangeResult, Option<Committed>), AdminError> {
        options.check()?;
        for _ in 0..MAX_ATTEMPTS {
            self.follow_store().await?;
            let plan = self.plan(model, edit, options).await?;
            if options.dry_run || plan.unchanged {
                return Ok((plan.result(plan.replaces), None));
            }
            let draft = plan.draft.clone();
            match self.commit(&plan.model, plan.replaces, draft).await {
                Ok(committed) => {
                    return Ok((plan.result(committed.record.revision), Some(committed)));
                }
                Err(StoreError::Conflict { current }) => {
                    if options.expected.is_some() || !edit.can_be_repeated() {
                        return Err(AdminError::RevisionConflict {
                            expected: plan.replaces,
                            current,
                        });
                    }
                }
                Err(error) => return Err(store_error(error)),
            }
        }
        Err(AdminError::Busy {
            what: "attempts to store one change",
            limit: MAX_ATTEMPTS,
        })
    }

    /// Applies `edit` to the state in force and checks the result.
    async fn plan(
        &self,
        model: &str,
        edit: &Edit,
        options: &ChangeOptions,
    ) -> Result<Plan, AdminError> {
        let model = self
            .models
            .get(model)
            .ok_or_else(|| AdminError::unknown_model(model))?;
        let current = model.revision();
        if let Some(expected) = options.expected
            && expected != current
            && !(expected == Revision::default() && model.has_only_its_first_version())
        {
            return Err(AdminError::RevisionConflict { expected, current });
        }
        let restored = self.restored(model, edit).await?;
        let replaced = replaced(model, edit).await?;
        let restored_record = restored.as_ref().and_then(|to| to.record.as_ref());
        let initial = Wanted::default();
        let known: BTreeSet<VersionNumber> = model.versions.keys().copied().collect();
        let in_registry = model.versions_in_registry();
        let context = EditContext {
            model: &model.name,
            record: model.record.as_ref(),
            wanted: &model.wanted,
            highest: model.highest(),
            in_registry: &in_registry,
            replaced,
            known: &known,
            restored: restored.as_ref().map(|to| {
                let wanted = restored_record.map_or(&initial, |record| &record.wanted);
                (to.revision, wanted)
            }),
        };
        let edited = apply(edit, &context)?;
        if edited.needs_ready_versions {
            model.check_admissible(&edited.wanted)?;
        }
        let now_ms = unix_ms(self.clock.now());
        let EditResult {
            mut wanted, action, ..
        } = edited;
        wanted.pending = pending(model, &wanted, options, now_ms)?;
        Ok(Plan {
            model: model.name.clone(),
            replaces: current,
            restores: restored.as_ref().map(|to| to.revision),
            differences: differences(&model.wanted, &wanted),
            // An operator's request for what taper chose is a decision.
            unchanged: wanted == *model.wanted && !model.has_only_its_first_version(),
            draft: Draft {
                at_ms: now_ms,
                author: author(options),
                action,
                base: base(edit, model.record.as_ref(), restored_record),
                wanted,
                origin: origin(edit, restored_record),
                writer: self.name.clone(),
            },
        })
    }

    /// Returns the revision that `edit` restores; `None` for an edit that restores nothing.
    async fn restored(
        &self,
        model: &ModelState,
        edit: &Edit,
    ) -> Result<Option<Restored>, AdminError> {
        let revision = match edit {
            Edit::Undo => match &model.record {
                Some(record) => record.base,
                None => return Ok(None),
            },
            Edit::RollbackTo(revision) => *revision,
            _ => return Ok(None),
        };
        let record = self.record_of(&model.name, revision).await?;
        Ok(Some(Restored { revision, record }))
    }

    fn retry_if_failed(&mut self, model: &str, raw: u64) {
        let entry = self
            .models
            .get_mut(model)
            .zip(VersionNumber::try_from(raw).ok())
            .and_then(|(model, version)| model.versions.get_mut(&version));
        if let Some(entry) = entry.filter(|entry| entry.state() == State::Failed) {
            entry.retry_now(Instant::now());
        }
    }

    fn retry(&mut self, model: &str, raw: u64) -> Result<(), AdminError> {
        let state = self
            .models
            .get_mut(model)
            .ok_or_else(|| AdminError::unknown_model(model))?;
        let unknown = || AdminError::unknown_version(model, raw);
        let version = VersionNumber::try_from(raw).map_err(|_| unknown())?;
        let entry = state.versions.get_mut(&version).ok_or_else(unknown)?;
        if entry.state() != State::Failed {
            let state = entry.state().as_str();
            return Err(AdminError::NothingToChange(format!(
                "version {version} is {state}: only a FAILED version is tried again"
            )));
        }
        let now = Instant::now();
        entry.retry_now(now);
        if state.steps(now).contains(&Step::Load(version)) {
            Ok(())
        } else {
            Err(AdminError::NothingToChange(format!(
                "version {version} is not selected for loading: neither the version policy, the traffic policy, a label nor an \
                 operator names it. Load it first"
            )))
        }
    }
}

/// Returns what [`Edit::Accept`] would accept; `None` for other edits, and for a version that was never READY or has no folder.
///
/// # Errors
/// Returns the faults of the manifest in the folder.
async fn replaced(model: &ModelState, edit: &Edit) -> Result<Option<AcceptedDigest>, AdminError> {
    let Edit::Accept(version) = edit else {
        return Ok(None);
    };
    let version = VersionNumber::try_from(*version).ok();
    let entry = version.and_then(|version| Some((version, model.versions.get(&version)?)));
    let Some((was, folder)) = entry
        .and_then(|(version, entry)| Some((model.digests.first(version)?, entry.folder.as_ref()?)))
    else {
        return Ok(None);
    };
    let dir = folder.dir.clone();
    let read = spawn_blocking(move || Manifest::read(&dir)).await;
    let manifest = read.map_err(|error| AdminError::Storage(error.to_string()))?;
    let is = manifest.map_err(AdminError::InvalidVersion)?.digest;
    Ok(Some(AcceptedDigest { was, is }))
}

/// Returns the pending confirmation of the change to `wanted`; `None` if it needs none.
fn pending(
    model: &ModelState,
    wanted: &Wanted,
    options: &ChangeOptions,
    now_ms: u64,
) -> Result<Option<Pending>, AdminError> {
    let Some(wait) = options.confirm_within else {
        return Ok(wanted.pending);
    };
    if model.wanted.pending.is_some() {
        let got = format!("{wait:?}, but a change is already waiting for confirmation");
        let wanted = "no confirm_within on an edit that confirms, undoes or rolls back that change";
        let faults = InputFaults::one("terms.confirm_within", got, wanted);
        return Err(AdminError::InvalidChange(faults));
    }
    let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    Ok(Some(Pending {
        restores: model.revision(),
        until_ms: now_ms.saturating_add(wait),
    }))
}

/// Returns [`Record::origin`] for an operator's change with `edit`.
fn origin(edit: &Edit, restored: Option<&Record>) -> Origin {
    match (edit, restored) {
        (Edit::Undo, Some(restored)) => restored.origin,
        _ => Origin::Operator,
    }
}

fn author(options: &ChangeOptions) -> Author {
    Author {
        actor: options.actor.clone(),
        reason: options.reason.clone(),
    }
}

pub(super) fn store_error(error: StoreError) -> AdminError {
    match error {
        StoreError::Full => AdminError::DiskFull("state folder"),
        error => AdminError::Storage(error.to_string()),
    }
}

/// Returns the action of an edit for the audit log, as the caller requested it.
fn requested_action(edit: &Edit) -> String {
    match edit {
        Edit::SetPolicy(_) => "set policy".into(),
        Edit::SetLabel { label, version } => {
            format!("move label {} to {version}", shortened(label))
        }
        Edit::DeleteLabel { label } => format!("delete label {}", shortened(label)),
        Edit::Promote { label, to } => format!("promote {} to {}", shortened(label), shortened(to)),
        Edit::Load(version) => format!("load version {version}"),
        Edit::Unload(version) => format!("unload version {version}"),
        Edit::Accept(version) => format!("accept the files of version {version}"),
        Edit::Forget => "forget".into(),
        Edit::Undo => "undo".into(),
        Edit::RollbackTo(revision) => format!("roll back to revision {revision}"),
        Edit::Confirm => "confirm".into(),
    }
}

/// Returns a name that a caller sent, cut to the maximum length of a name.
fn shortened(raw: &str) -> String {
    truncate(raw, ModelName::MAX_LEN).to_owned()
}
