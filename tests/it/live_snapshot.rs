//! Builds the live snapshot of one model without loader and writer. It accepts versions that the loader would refuse.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use taper::ident::{ModelName, Revision};
use taper::insight::{VersionInsight, metrics::Telemetry, stats};
use taper::model::Version;
use taper::serving::live::{Live, Routing, ServingModel, Snapshot};
use taper::serving::route::{Policy, RawPolicy};
use taper::serving::version::{ServingVersion, VersionRuntime};

/// Returns the snapshot of the model `name`. All of its `versions` are READY, under `policy`.
pub fn live(
    telemetry: &Telemetry,
    name: &str,
    versions: impl IntoIterator<Item = Version>,
    policy: RawPolicy,
) -> Arc<Live> {
    let name: ModelName = name.parse().expect("a name");
    let versions = versions.into_iter().map(|version| {
        let insight =
            VersionInsight::new(telemetry, version.manifest(), stats::Settings::default())
                .expect("insight");
        let weights = telemetry.weights(version.weight_bytes());
        let serving = VersionRuntime::new(ServingVersion::new(version, weights), insight);
        (serving.number(), Arc::new(serving))
    });
    let ready: BTreeMap<_, _> = versions.collect();
    let policy = Policy::check(policy, &name).expect("a policy");
    let routing = Routing::resolve(Revision(1), policy, &BTreeMap::new(), &ready);
    let model = ServingModel {
        name: name.clone(),
        ready,
        others: BTreeMap::new(),
        labels: BTreeMap::new(),
        routing: Some(Arc::new(routing.expect("all versions exist"))),
    };
    let models = HashMap::from([(name, Arc::new(model))]);
    Arc::new(Live::new(Snapshot { models }))
}
