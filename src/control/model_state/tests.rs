use std::time::Duration;

use super::*;
use crate::control::clock::{Moment, SystemClock, from_unix_ms};
use crate::control::store::{Author, Origin};
use crate::control::test_support::{START_MS, TestRegistry, model, v, with_other_classes};
use crate::control::wanted::Pending;
use crate::ident::RawTarget;
use crate::insight::metrics::Telemetry;
use crate::model::samples;
use crate::registry::Listing;
use crate::serving::route::{RawFallback, RawShadow};

/// A model whose versions can be made READY one by one.
struct Fixture {
    registry: TestRegistry,
    telemetry: Arc<Telemetry>,
    state: ModelState,
}

fn wall() -> SystemTime {
    from_unix_ms(START_MS)
}

fn moment() -> Moment {
    Moment {
        wall: wall(),
        monotonic: Instant::now(),
    }
}

impl Fixture {
    fn of(registry: TestRegistry, choice: VersionChoice) -> Self {
        let telemetry = Telemetry::new().unwrap();
        let meters = telemetry.model(&model("m")).unwrap();
        let mut fixture = Self {
            registry,
            telemetry,
            state: ModelState::new(model("m"), choice, KnownDigests::default(), meters),
        };
        fixture.list();
        fixture
    }

    /// A model with READY versions.
    fn ready(versions: &[u64]) -> Self {
        let mut fixture = Self::of(TestRegistry::of_m(versions), VersionChoice::All);
        versions
            .iter()
            .for_each(|version| fixture.set_ready(*version));
        fixture
    }

    /// Scans the registry. Returns whether anything differs.
    fn list(&mut self) -> bool {
        let Listing { versions, .. } = self.registry.listing();
        self.state.update_folders(versions.get("m"), wall())
    }

    fn entry(&mut self, version: u64) -> &mut VersionEntry {
        self.state.versions.get_mut(&v(version)).unwrap()
    }

    fn set_ready(&mut self, version: u64) {
        let serving = self.registry.load(version, &self.telemetry);
        let entry = self.entry(version);
        for phase in [State::Loading, State::Verifying, State::Warming] {
            entry.move_to(phase, wall());
        }
        entry.set_ready(serving, wall());
    }

    fn set_failed(&mut self, version: u64) {
        let entry = self.entry(version);
        entry.move_to(State::Loading, wall());
        entry.set_failed(Faults::one("f", "broken"), moment());
    }

    /// Makes `wanted` the desired state with `revision`.
    fn follow(&mut self, revision: u64, wanted: Wanted) {
        let record = Record {
            revision: Revision(revision),
            model: model("m"),
            at_ms: START_MS,
            author: Author::default(),
            action: String::new(),
            previous: self.state.revision(),
            base: self.state.revision(),
            wanted,
            origin: Origin::Operator,
            writer: String::new(),
        };
        self.state.follow(record, None, Moment::now(&SystemClock));
    }

    fn steps(&self) -> Vec<Step> {
        self.state.steps(Instant::now())
    }

    fn problem(&mut self) -> String {
        self.state.serving().1.unwrap_or_default()
    }
}

fn split(targets: &[(RawTarget, u32)]) -> Wanted {
    Wanted {
        policy: Some(RawPolicy {
            split: targets.to_vec(),
            ..RawPolicy::default()
        }),
        ..Wanted::default()
    }
}

#[tokio::test]
async fn a_model_without_ready_versions_does_not_route_and_says_why() {
    let mut fixture = Fixture::of(TestRegistry::of_m(&[1, 2]), VersionChoice::All);
    let (serving, problem) = fixture.state.serving();
    assert!(serving.routing.is_none() && serving.ready.is_empty());
    assert_eq!(
        serving.others,
        [(v(1), "DISCOVERED"), (v(2), "DISCOVERED")].into()
    );
    assert_eq!(problem.as_deref(), Some("no version is READY"));
    assert_eq!(fixture.steps(), [Step::Load(v(2)), Step::Load(v(1))]);

    fixture.set_ready(1);
    let change = fixture.state.automatic_change().unwrap();
    assert_eq!(change.action, "first version 1");
    fixture.state.use_first_version();
    let (serving, problem) = fixture.state.serving();
    assert_eq!((fixture.state.highest(), problem), (Some(v(1)), None));
    fixture.set_ready(2);
    assert_eq!(
        fixture.state.automatic_change(),
        Some(change),
        "a higher version does not become the first while the change is not stored"
    );
    let shares = serving.routing.unwrap().shares();
    assert_eq!(
        shares
            .iter()
            .map(|(version, _)| *version)
            .collect::<Vec<_>>(),
        [v(1)]
    );
}

#[tokio::test]
async fn the_routing_stays_the_same_where_nothing_changes_for_requests() {
    let mut fixture = Fixture::ready(&[1, 2]);
    fixture.follow(1, split(&[(1.into(), 10_000)]));
    let first = fixture.state.serving().0.routing.unwrap();
    let again = fixture.state.serving().0.routing.unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    fixture.follow(2, split(&[(2.into(), 10_000)]));
    let other = fixture.state.serving().0.routing.unwrap();
    assert!(!Arc::ptr_eq(&first, &other));
    assert_eq!(other.revision, Revision(2));
}

#[tokio::test]
async fn a_label_that_names_an_unavailable_version_is_a_problem_and_does_not_stop_routing() {
    let mut fixture = Fixture::ready(&[1, 2]);
    let mut wanted = split(&[(1.into(), 10_000)]);
    wanted.labels.insert("next".parse().unwrap(), v(9));
    fixture.follow(1, wanted);
    let (serving, problem) = fixture.state.serving();
    let problem = problem.unwrap();
    assert!(
        problem.contains("revision 1 cannot be honoured: version 9"),
        "{problem}"
    );
    assert!(serving.routing.is_some());
    assert!(
        !serving.labels.contains_key("next"),
        "it names no version that can answer"
    );
    let view = fixture.state.view(None, moment());
    assert_eq!(
        view.labels.get("next"),
        Some(&v(9)),
        "operators still see it"
    );
}

#[tokio::test]
async fn shadows_and_the_fallback_that_cannot_be_honoured_are_left_out_one_by_one() {
    let mut fixture = Fixture::ready(&[1, 2]);
    let mut wanted = split(&[(1.into(), 10_000)]);
    let shadow = |target: u64| RawShadow {
        target: target.into(),
        basis_points: 100,
        ..RawShadow::default()
    };
    if let Some(policy) = &mut wanted.policy {
        policy.shadows = vec![shadow(9), shadow(2)];
        policy.fallback = Some(RawFallback {
            target: 8.into(),
            within_ms: None,
        });
    }
    fixture.follow(1, wanted);
    let (serving, problem) = fixture.state.serving();
    let policy = &serving.routing.unwrap().policy;
    let shadows: Vec<_> = policy
        .shadows()
        .iter()
        .map(|shadow| shadow.target().to_string())
        .collect();
    assert_eq!(shadows, ["2"]);
    assert!(policy.fallback().is_none());
    let problem = problem.unwrap();
    assert!(
        problem.contains("version 8") && problem.contains("version 9"),
        "{problem}"
    );

    fixture.follow(2, split(&[(9.into(), 10_000)]));
    assert!(
        fixture.state.serving().0.routing.is_none(),
        "a split has no substitute"
    );
}

#[tokio::test]
async fn the_versions_of_an_unconfirmed_change_and_of_its_revert_are_held() {
    let mut fixture = Fixture::ready(&[1, 2, 3]);
    let mut wanted = split(&[(2.into(), 10_000)]);
    wanted.pending = Some(Pending {
        restores: Revision(1),
        until_ms: START_MS,
    });
    wanted.unload = [v(1), v(2), v(3)].into();
    fixture.follow(2, wanted);
    fixture.state.restored_by_revert = Some(Arc::new(split(&[(1.into(), 10_000)])));
    let holders = fixture.state.holders();
    assert_eq!(holders[&v(2)], ["split (2: 100%)"]);
    assert_eq!(
        holders[&v(1)],
        ["the revert of revision 2 unless it is confirmed"]
    );
    assert_eq!(fixture.steps(), [Step::Retire(v(3))]);
}

#[tokio::test]
async fn before_the_first_change_a_removed_folder_is_retired_once_another_version_can_answer() {
    let mut fixture = Fixture::ready(&[1, 2]);
    fixture.registry.remove(2);
    assert!(fixture.list());
    assert!(!fixture.list(), "nothing differs the second time");
    assert_eq!(fixture.steps(), [Step::Retire(v(2))]);

    let mut changed = Fixture::ready(&[1, 2]);
    changed.follow(1, split(&[(2.into(), 10_000)]));
    changed.registry.remove(2);
    changed.list();
    assert!(changed.steps().is_empty(), "a policy holds it");
    let problem = changed.problem();
    let expected = "the registry no longer has 2, which still answers from memory";
    assert!(problem.contains(expected), "{problem}");
}

#[tokio::test]
async fn a_model_is_gone_when_neither_folders_nor_versions_nor_changes_are_left() {
    let mut fixture = Fixture::of(TestRegistry::of_m(&[1]), VersionChoice::All);
    assert!(!fixture.state.is_gone());
    fixture.state.update_folders(None, wall());
    assert_eq!(fixture.steps(), [Step::Forget(v(1))]);
    fixture.state.versions.clear();
    assert!(fixture.state.is_gone());
    fixture.follow(1, split(&[(1.into(), 10_000)]));
    assert!(!fixture.state.is_gone());
    let expected = "revision 1 is in force, and the registry has no such model";
    assert_eq!(fixture.problem(), expected);
    let forgotten = Wanted {
        forgotten: true,
        ..Wanted::default()
    };
    fixture.follow(2, forgotten);
    assert!(fixture.state.is_gone());
}

#[tokio::test(start_paused = true)]
async fn a_failed_version_is_retried_with_backoff_while_it_is_wanted() {
    let mut fixture = Fixture::of(TestRegistry::of_m(&[1]), VersionChoice::All);
    for wait in [1, 2, 4] {
        fixture.set_failed(1);
        let due = Instant::now() + Duration::from_secs(wait);
        assert_eq!(fixture.state.next_retry(), Some(due));
        assert!(fixture.steps().is_empty());
        tokio::time::advance(Duration::from_secs(wait)).await;
        assert_eq!(fixture.steps(), [Step::Load(v(1))]);
        assert!(fixture.state.steps_with(Instant::now(), false).is_empty());
    }
    let view = fixture.state.view(None, moment());
    assert_eq!(
        (view.versions[&v(1)].failures, view.versions[&v(1)].retry_at),
        (3, Some(wall()))
    );
    let mut wanted = Wanted::default();
    wanted.unload.insert(v(1));
    fixture.follow(1, wanted);
    assert_eq!(
        fixture.state.next_retry(),
        None,
        "an unloaded version is not retried"
    );
}

#[tokio::test]
async fn a_repaired_folder_is_loaded_at_once() {
    let mut fixture = Fixture::of(TestRegistry::of_m(&[1]), VersionChoice::All);
    fixture.set_failed(1);
    assert!(fixture.steps().is_empty());
    let mut document = samples::document("m", 1);
    document["description"] = "repaired".into();
    fixture.registry.add(1, &document);
    assert!(fixture.list());
    assert_eq!(fixture.steps(), [Step::Load(v(1))]);
}

#[tokio::test]
async fn a_new_version_that_would_share_a_split_through_latest_must_have_its_signature() {
    let registry = TestRegistry::of_m(&[1, 2]);
    registry.add(3, &with_other_classes(samples::document("m", 3)));
    let mut fixture = Fixture::of(registry, VersionChoice::All);
    fixture.set_ready(1);
    fixture.set_ready(2);
    let other = fixture.registry.load(3, &fixture.telemetry);
    assert_eq!(
        fixture.state.check_signature(&other),
        Ok(()),
        "`latest` alone may change"
    );
    fixture.follow(1, split(&[(1.into(), 5_000), ("latest".into(), 5_000)]));
    let faults = fixture
        .state
        .check_signature(&other)
        .unwrap_err()
        .to_string();
    for expected in ["m/3: would share the split through `latest`", "class 1 is"] {
        assert!(faults.contains(expected), "{faults}: expected {expected}");
    }
    let same = fixture.registry.load(2, &fixture.telemetry);
    assert_eq!(fixture.state.check_signature(&same), Ok(()));
}
