//! Whatever happens in whatever order, what is wanted comes about.

use proptest::prelude::*;

use super::*;

/// A registry and a loader that events happen to.
#[derive(Clone, Debug, Default)]
struct World {
    versions: BTreeMap<VersionNumber, VersionFacts>,
    bad: BTreeSet<VersionNumber>,
}

impl World {
    /// Moves the version, and fails the test on a move that is not in the table.
    fn become_(&mut self, version: VersionNumber, next: State) {
        let standing = self.versions.get_mut(&version).unwrap();
        assert!(
            standing.state.may_become(next),
            "{:?} to {next:?}",
            standing.state
        );
        standing.state = next;
    }

    /// Takes steps until none is left; every load ends, every drain too.
    fn settle(
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
                        self.become_(version, State::Loading);
                        if self.bad.contains(&version) {
                            self.become_(version, State::Failed);
                        } else {
                            self.become_(version, State::Verifying);
                            self.become_(version, State::Warming);
                            self.become_(version, State::Ready);
                        }
                    }
                    Step::Retire(version) => {
                        assert!(!held.contains(&version), "{version} is held");
                        self.become_(version, State::Draining);
                        self.become_(version, State::Retired);
                    }
                    Step::Forget(version) => drop(self.versions.remove(&version)),
                }
            }
        }
        panic!("never settles: {self:?}");
    }

    fn ready(&self) -> BTreeSet<VersionNumber> {
        let ready = self
            .versions
            .iter()
            .filter(|(_, standing)| standing.state == State::Ready);
        ready.map(|(version, _)| *version).collect()
    }
}

proptest! {
    /// Whatever order folders come and go in, and however often the loop runs in between, what is READY in the end is what
    /// the version policy chooses of the folders that are there and good.
    #[test]
    fn any_order_of_events_ends_in_what_is_wanted(
        events in prop::collection::vec((1..8_u64, prop::bool::ANY, prop::bool::ANY), 1..40),
        bad in prop::collection::btree_set(1..8_u64, 0..3),
        most in 1..4_usize,
    ) {
        let choice = latest(most);
        let none = BTreeSet::new();
        let mut world = World { bad: bad.iter().map(|number| v(*number)).collect(), ..World::default() };
        for (number, comes, look) in events {
            let standing = world.versions.entry(v(number)).or_insert(VersionFacts { listed: false, ..FOUND });
            standing.listed = comes;
            if look {
                world.settle(&choice, &none, &none);
            }
        }
        world.settle(&choice, &none, &none);
        let good = world.versions.iter().filter(|(version, standing)| standing.listed && !world.bad.contains(version));
        let wanted: BTreeSet<_> = good.map(|(version, _)| *version).rev().take(most).collect();
        prop_assert_eq!(world.ready(), wanted);
    }

    #[test]
    fn whoever_is_held_stays(
        numbers in prop::collection::btree_set(1..8_u64, 2..6),
        unload in prop::collection::btree_set(1..8_u64, 0..6),
    ) {
        let held: BTreeSet<_> = numbers.iter().take(2).map(|number| v(*number)).collect();
        let unload = unload.iter().map(|number| v(*number)).collect();
        let versions = numbers.iter().map(|number| (v(*number), at(State::Ready))).collect();
        let mut world = World { versions, ..World::default() };
        world.settle(&latest(1), &held, &unload);
        prop_assert!(world.ready().is_superset(&held));
    }
}
