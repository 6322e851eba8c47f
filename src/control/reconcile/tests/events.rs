//! Events in any order lead to the wanted versions.

use proptest::prelude::*;

use super::*;

/// A simulated registry and loader.
#[derive(Clone, Debug, Default)]
struct World {
    versions: BTreeMap<VersionNumber, VersionFacts>,
    bad: BTreeSet<VersionNumber>,
}

impl World {
    /// Changes the state of a version. Fails the test on an illegal transition.
    fn move_to(&mut self, version: VersionNumber, next: State) {
        let facts = self.versions.get_mut(&version).unwrap();
        assert!(
            facts.state.may_become(next),
            "{:?} to {next:?}",
            facts.state
        );
        facts.state = next;
    }

    /// Takes steps until none is left. Every load and every drain ends.
    fn take_all_steps(
        &mut self,
        choice: &VersionChoice,
        held: &BTreeSet<VersionNumber>,
        unload: &BTreeSet<VersionNumber>,
    ) {
        for _ in 0..100 {
            let none = BTreeSet::new();
            let situation = Situation {
                versions: &self.versions,
                choice,
                held,
                load: &none,
                unload,
            };
            let steps = reconcile(&situation);
            if steps.is_empty() {
                return;
            }
            for step in steps {
                match step {
                    Step::Load(version) => {
                        self.move_to(version, State::Loading);
                        if self.bad.contains(&version) {
                            self.move_to(version, State::Failed);
                        } else {
                            self.move_to(version, State::Verifying);
                            self.move_to(version, State::Warming);
                            self.move_to(version, State::Ready);
                        }
                    }
                    Step::Retire(version) => {
                        assert!(!held.contains(&version), "{version} is held");
                        self.move_to(version, State::Draining);
                        self.move_to(version, State::Retired);
                    }
                    Step::Forget(version) => drop(self.versions.remove(&version)),
                }
            }
        }
        panic!("there is always another step: {self:?}");
    }

    fn ready(&self) -> BTreeSet<VersionNumber> {
        let ready = self
            .versions
            .iter()
            .filter(|(_, facts)| facts.state == State::Ready);
        ready.map(|(version, _)| *version).collect()
    }
}

proptest! {
    /// Folders are added and removed in any order, and the loop runs at any time in between. In the end, the READY versions are
    /// those that the version policy chooses among the valid folders.
    #[test]
    fn any_order_of_events_ends_with_the_wanted_versions(
        events in prop::collection::vec((1..8_u64, prop::bool::ANY, prop::bool::ANY), 1..40),
        bad in prop::collection::btree_set(1..8_u64, 0..3),
        most in 1..4_usize,
    ) {
        let choice = latest(most);
        let none = BTreeSet::new();
        let mut world = World { bad: bad.iter().map(|number| v(*number)).collect(), ..World::default() };
        for (number, is_listed, runs) in events {
            let facts = world.versions.entry(v(number)).or_insert(VersionFacts { listed: false, ..FOUND });
            facts.listed = is_listed;
            if runs {
                world.take_all_steps(&choice, &none, &none);
            }
        }
        world.take_all_steps(&choice, &none, &none);
        let good = world.versions.iter().filter(|(version, facts)| facts.listed && !world.bad.contains(version));
        let wanted: BTreeSet<_> = good.map(|(version, _)| *version).rev().take(most).collect();
        prop_assert_eq!(world.ready(), wanted);
    }

    #[test]
    fn held_versions_stay(
        numbers in prop::collection::btree_set(1..8_u64, 2..6),
        unload in prop::collection::btree_set(1..8_u64, 0..6),
    ) {
        let held: BTreeSet<_> = numbers.iter().take(2).map(|number| v(*number)).collect();
        let unload = unload.iter().map(|number| v(*number)).collect();
        let versions = numbers.iter().map(|number| (v(*number), at(State::Ready))).collect();
        let mut world = World { versions, ..World::default() };
        world.take_all_steps(&latest(1), &held, &unload);
        prop_assert!(world.ready().is_superset(&held));
    }
}
