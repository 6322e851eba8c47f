//! Calls that wait until a version is READY, or until it is known why it is not.

use std::time::SystemTime;

use super::{Admin, changes};
use crate::api::lifecycle::Stage;
use crate::control::{Author, ChangeOptions, Control, Edit, State, VersionView, View};
use crate::error::AdminError;
use crate::faults::Faults;
use crate::ident::VersionNumber;
use crate::proto::v1;

/// Limit on the faults in one line; `GetModel` lists all of them.
const MAX_FAULTS: usize = 3;

impl Admin {
    /// Loads a version, and waits for the outcome unless this is a dry run.
    pub(super) async fn load(
        &self,
        model: String,
        number: u64,
        options: ChangeOptions,
    ) -> Result<v1::ChangeResponse, AdminError> {
        let dry_run = options.dry_run;
        // An earlier failure is not the outcome, since the call asks for another attempt.
        let earlier = earlier_failure(&self.control, &model, number);
        let edit = Edit::Load(number);
        let changed = self.control.change(model.clone(), edit, options).await?;
        if !dry_run {
            let wanted = |view: &View, version| {
                let model = view.models.get(model.as_str());
                model.is_some_and(|model| model.wanted.load.contains(&version))
            };
            self.wait_for_outcome(&model, number, |view, version| {
                if wanted(view, version) {
                    outcome(view, &model, version, earlier)
                } else {
                    let why = "another change has cancelled the load".into();
                    Some(Err(AdminError::NotReady(vec![(version, why)])))
                }
            })
            .await?;
        }
        Ok(changes::write_response(changed))
    }

    /// Tries to load a version again, and waits for the outcome.
    pub(super) async fn retry(
        &self,
        model: String,
        number: u64,
        author: Author,
    ) -> Result<(), AdminError> {
        let earlier = earlier_failure(&self.control, &model, number);
        self.control.retry(model.clone(), number, author).await?;
        self.wait_for_outcome(&model, number, |view, version| {
            outcome(view, &model, version, earlier)
        })
        .await
    }

    /// Waits until `outcome` returns one, and returns it.
    async fn wait_for_outcome(
        &self,
        model: &str,
        number: u64,
        outcome: impl Fn(&View, VersionNumber) -> Option<Result<(), AdminError>>,
    ) -> Result<(), AdminError> {
        let version = VersionNumber::try_from(number)
            .map_err(|_| AdminError::unknown_version(model, number))?;
        let (mut views, mut stage) = (self.control.views(), self.settings.stage.clone());
        loop {
            let found = outcome(&views.borrow_and_update(), version);
            if let Some(found) = found {
                return found;
            }
            tokio::select! {
                changed = views.changed() => changed.map_err(|_| AdminError::Draining)?,
                () = stage.reached(Stage::Draining) => return Err(AdminError::Draining),
            }
        }
    }
}

/// The failures of a version before it is tried again.
#[derive(Clone, Copy, Debug)]
struct EarlierFailure {
    failures: u32,
    since: SystemTime,
}

fn earlier_failure(control: &Control, model: &str, number: u64) -> Option<EarlierFailure> {
    let view = control.view();
    let version = VersionNumber::try_from(number).ok()?;
    let found = view.models.get(model)?.versions.get(&version)?;
    Some(EarlierFailure {
        failures: found.failures,
        since: found.since,
    })
}

/// Returns the outcome for a version that should become READY; `None` while it is loading. The `earlier` failure does not count.
fn outcome(
    view: &View,
    model: &str,
    version: VersionNumber,
    earlier: Option<EarlierFailure>,
) -> Option<Result<(), AdminError>> {
    let found = view.models.get(model);
    let Some(found) = found.and_then(|model| model.versions.get(&version)) else {
        return Some(Err(AdminError::unknown_version(model, version.get())));
    };
    let why = match (found.state, &found.waits_for) {
        (State::Ready, _) => return Some(Ok(())),
        (State::Failed, _) if is_new(found, earlier) => {
            let faults = found.faults.as_deref().map(summarize);
            format!("it failed to load: {}", faults.unwrap_or_default())
        }
        (State::Discovered, Some(waits)) => format!("it waits: {waits}"),
        // Nothing is loading, so a version that the policy wants would be.
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

fn is_new(found: &VersionView, earlier: Option<EarlierFailure>) -> bool {
    earlier.is_none_or(|earlier| found.failures > earlier.failures || found.since > earlier.since)
}

fn loads_any(view: &View) -> bool {
    let mut versions = view
        .models
        .values()
        .flat_map(|model| model.versions.values());
    versions.any(|version| version.state.is_loading())
}

fn summarize(faults: &Faults) -> String {
    let mut texts: Vec<_> = faults
        .iter()
        .take(MAX_FAULTS)
        .map(ToString::to_string)
        .collect();
    let more = faults.iter().count().saturating_sub(MAX_FAULTS);
    if more > 0 {
        texts.push(format!("and {more} more"));
    }
    texts.join("; ")
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
            replaced: None,
            manifest: None,
            weight_bytes: 0,
        }
    }

    /// A view of model `m` with these versions, numbered from 1.
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
            store_problem: None,
        }
    }

    fn describe(view: &View, earlier: Option<EarlierFailure>) -> String {
        let version = VersionNumber::try_from(1).unwrap();
        match outcome(view, "m", version, earlier) {
            None => "loading".into(),
            Some(Ok(())) => "READY".into(),
            Some(Err(error)) => error.to_string(),
        }
    }

    #[test]
    fn every_state_is_waited_for_or_reported() {
        for (state, want) in [
            (
                State::Discovered,
                "it is DISCOVERED, and the version policy does not want it",
            ),
            (State::Loading, "loading"),
            (State::Verifying, "loading"),
            (State::Warming, "loading"),
            (State::Ready, "READY"),
            (State::Draining, "loading"),
            (
                State::Retired,
                "it is RETIRED, and the version policy does not want it",
            ),
            (State::Failed, "it failed to load: m/1: no weights"),
        ] {
            let text = describe(&view([in_state(state)]), None);
            assert!(text.ends_with(want), "{state:?}: {text}");
        }
        assert_eq!(describe(&view([]), None), "model `m` has no version 1");
    }

    #[test]
    fn a_version_that_waits_for_the_loader_is_waited_for() {
        let others = |state| view([in_state(state), in_state(State::Loading)]);
        assert_eq!(describe(&others(State::Discovered), None), "loading");
        assert_eq!(describe(&others(State::Retired), None), "loading");
        let mut incomplete = in_state(State::Discovered);
        incomplete.waits_for = Some("weights.safetensors is missing".into());
        let text = describe(&view([incomplete, in_state(State::Loading)]), None);
        assert!(
            text.ends_with("it waits: weights.safetensors is missing"),
            "{text}"
        );
    }

    #[test]
    fn a_failure_from_before_the_retry_is_not_its_outcome() {
        let earlier = EarlierFailure {
            failures: 1,
            since: THEN,
        };
        let failed = in_state(State::Failed);
        assert_eq!(describe(&view([failed.clone()]), Some(earlier)), "loading");
        let again = VersionView {
            failures: 2,
            ..failed.clone()
        };
        assert!(describe(&view([again]), Some(earlier)).contains("failed to load"));
        // Its folder was repaired meanwhile, which resets the count, and it failed for another reason.
        let anew = VersionView {
            since: THEN + Duration::from_secs(1),
            ..failed
        };
        assert!(describe(&view([anew]), Some(earlier)).contains("failed to load"));
    }
}
