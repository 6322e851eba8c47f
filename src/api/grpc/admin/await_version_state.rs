//! Calls that are answered once a version has come out: READY, or why not.

use std::time::SystemTime;

use super::{Admin, changes};
use crate::control::{Author, ChangeOptions, Control, Edit, State, VersionView, View};
use crate::error::AdminError;
use crate::faults::Faults;
use crate::ident::VersionNumber;
use crate::proto::v1;

/// Faults that are told in one line; `GetModel` has all of them.
const FAULTS: usize = 3;

impl Admin {
    /// Wants a version loaded, and waits for what comes of it unless this is only a question.
    pub(super) async fn load(
        &self,
        model: String,
        number: u64,
        terms: ChangeOptions,
    ) -> Result<v1::ChangeResponse, AdminError> {
        let dry_run = terms.dry_run;
        // An answer about the last failure is none: this asks for another try.
        let past = past(&self.control, &model, number);
        let edit = Edit::Load(number);
        let changed = self.control.change(model.clone(), edit, terms).await?;
        if !dry_run {
            let wanted = |view: &View, version| {
                let model = view.models.get(model.as_str());
                model.is_some_and(|model| model.wanted.load.contains(&version))
            };
            self.settled(&model, number, |view, version| {
                if wanted(view, version) {
                    outcome(view, &model, version, past)
                } else {
                    let why = "somebody has changed meanwhile that it is to be loaded".into();
                    Some(Err(AdminError::NotReady(vec![(version, why)])))
                }
            })
            .await?;
        }
        Ok(changes::changed(changed))
    }

    /// Has a version tried again, and waits for what comes of it.
    pub(super) async fn retry(
        &self,
        model: String,
        number: u64,
        author: Author,
    ) -> Result<(), AdminError> {
        let past = past(&self.control, &model, number);
        self.control.retry(model.clone(), number, author).await?;
        self.settled(&model, number, |view, version| {
            outcome(view, &model, version, past)
        })
        .await
    }

    /// Waits until `outcome` has one.
    async fn settled(
        &self,
        model: &str,
        number: u64,
        outcome: impl Fn(&View, VersionNumber) -> Option<Result<(), AdminError>>,
    ) -> Result<(), AdminError> {
        let version = VersionNumber::try_from(number).map_err(|_| unknown(model, number))?;
        let (mut views, mut closing) = (self.control.views(), self.settings.closing.clone());
        loop {
            let found = outcome(&views.borrow_and_update(), version);
            if let Some(found) = found {
                return found;
            }
            tokio::select! {
                moved = views.changed() => moved.map_err(|_| AdminError::Draining)?,
                _ = closing.wait_for(|closing| *closing) => return Err(AdminError::Draining),
            }
        }
    }
}

/// How a version had failed before it was tried again.
#[derive(Clone, Copy, Debug)]
struct Past {
    failures: u32,
    since: SystemTime,
}

fn past(control: &Control, model: &str, number: u64) -> Option<Past> {
    let view = control.view();
    let version = VersionNumber::try_from(number).ok()?;
    let found = view.models.get(model)?.versions.get(&version)?;
    Some(Past {
        failures: found.failures,
        since: found.since,
    })
}

/// What has become of a version that is to be READY; `None` while it is on its way. A failure that is `past` is none.
fn outcome(
    view: &View,
    model: &str,
    version: VersionNumber,
    past: Option<Past>,
) -> Option<Result<(), AdminError>> {
    let found = view.models.get(model);
    let Some(found) = found.and_then(|model| model.versions.get(&version)) else {
        return Some(Err(unknown(model, version.get())));
    };
    let why = match (found.state, &found.waits_for) {
        (State::Ready, _) => return Some(Ok(())),
        (State::Failed, _) if is_news(found, past) => {
            let faults = found.faults.as_deref().map(in_short);
            format!("it failed to load: {}", faults.unwrap_or_default())
        }
        (State::Discovered, Some(waits)) => format!("it waits: {waits}"),
        // One that is wanted would be loaded now, as nothing else is.
        (state @ (State::Discovered | State::Retired), None) if !loads_any(view) => {
            format!(
                "it is {}, and the version policy does not want it",
                state.as_str()
            )
        }
        _ => return None,
    };
    Some(Err(AdminError::NotReady(vec![(version, why)])))
}

fn is_news(found: &VersionView, past: Option<Past>) -> bool {
    past.is_none_or(|past| found.failures > past.failures || found.since > past.since)
}

fn loads_any(view: &View) -> bool {
    let mut versions = view
        .models
        .values()
        .flat_map(|model| model.versions.values());
    versions.any(|version| version.state.is_loading())
}

fn in_short(faults: &Faults) -> String {
    let mut told: Vec<_> = faults
        .iter()
        .take(FAULTS)
        .map(ToString::to_string)
        .collect();
    let more = faults.iter().count().saturating_sub(FAULTS);
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    told.join("; ")
}

fn unknown(model: &str, version: u64) -> AdminError {
    AdminError::UnknownVersion {
        model: model.chars().take(128).collect(),
        version,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::control::{ModelView, Wanted};
    use crate::ident::Revision;

    const THEN: SystemTime = SystemTime::UNIX_EPOCH;

    fn in_state(state: State) -> VersionView {
        VersionView {
            state,
            since: THEN,
            faults: (state == State::Failed).then(|| Arc::new(Faults::one("m/1", "no weights"))),
            failures: u32::from(state == State::Failed),
            retry_at: None,
            waits_for: None,
            held_by: Vec::new(),
            manifest: None,
            weight_bytes: 0,
        }
    }

    /// A view of model `m`, whose versions are these, from 1 on.
    fn view(versions: impl IntoIterator<Item = VersionView>) -> View {
        let numbered = (1..).map(|number: u64| VersionNumber::try_from(number).unwrap());
        let name: crate::ident::ModelName = "m".parse().unwrap();
        let model = ModelView {
            name: name.clone(),
            revision: Revision::default(),
            wanted: Arc::new(Wanted::default()),
            labels: BTreeMap::new(),
            versions: numbered.zip(versions).collect(),
            problem: None,
        };
        View {
            models: BTreeMap::from([(name, Arc::new(model))]),
        }
    }

    fn told(view: &View, past: Option<Past>) -> String {
        match outcome(view, "m", VersionNumber::try_from(1).unwrap(), past) {
            None => "on its way".into(),
            Some(Ok(())) => "READY".into(),
            Some(Err(error)) => error.to_string(),
        }
    }

    #[test]
    fn every_state_is_waited_for_or_told() {
        for (state, want) in [
            (
                State::Discovered,
                "it is DISCOVERED, and the version policy does not want it",
            ),
            (State::Loading, "on its way"),
            (State::Verifying, "on its way"),
            (State::Warming, "on its way"),
            (State::Ready, "READY"),
            (State::Draining, "on its way"),
            (
                State::Retired,
                "it is RETIRED, and the version policy does not want it",
            ),
            (State::Failed, "it failed to load: m/1: no weights"),
        ] {
            let told = told(&view([in_state(state)]), None);
            assert!(told.ends_with(want), "{state:?}: {told}");
        }
        assert_eq!(told(&view([]), None), "model `m` has no version 1");
    }

    #[test]
    fn a_version_whose_turn_has_not_come_is_waited_for() {
        let others = |state| view([in_state(state), in_state(State::Loading)]);
        assert_eq!(told(&others(State::Discovered), None), "on its way");
        assert_eq!(told(&others(State::Retired), None), "on its way");
        let mut incomplete = in_state(State::Discovered);
        incomplete.waits_for = Some("weights.safetensors is missing".into());
        let told = told(&view([incomplete, in_state(State::Loading)]), None);
        assert!(
            told.ends_with("it waits: weights.safetensors is missing"),
            "{told}"
        );
    }

    #[test]
    fn a_failure_from_before_the_retry_is_not_its_outcome() {
        let past = Past {
            failures: 1,
            since: THEN,
        };
        let failed = in_state(State::Failed);
        assert_eq!(told(&view([failed.clone()]), Some(past)), "on its way");
        let again = VersionView {
            failures: 2,
            ..failed.clone()
        };
        assert!(told(&view([again]), Some(past)).contains("failed to load"));
        // Its folder was mended meanwhile, which begins the count anew, and it failed for another reason.
        let anew = VersionView {
            since: THEN + Duration::from_secs(1),
            ..failed
        };
        assert!(told(&view([anew]), Some(past)).contains("failed to load"));
    }
}
