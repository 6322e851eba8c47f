//! Files that people copy, and tables that people read, say what the code does.

use std::{collections::BTreeSet, fs, path::Path};

use taper::app::Gateway;
use taper::config::{Config, Overrides};
use taper::proto::v1;

use crate::harness::{eventually, good, rows, seen};
use crate::metrics::two_versions;
use crate::shadow_policy::with_shadows_and_fallback;

fn file(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[tokio::test]
async fn the_sample_configuration_starts_a_gateway() {
    let any = || Some("127.0.0.1:0".to_owned());
    let state = tempfile::tempdir().expect("temporary folder");
    let overrides = Overrides {
        registry: None,
        state: Some(state.path().to_path_buf()),
        data: any(),
        admin: any(),
        http: any(),
    };
    let config = Config::load(Some(&file("deploy/taper.toml")), overrides).expect("a good file");
    let gateway = Gateway::start(config).await.expect("it can be honoured");
    let snapshot = gateway.snapshot();
    let model = &snapshot.models["flight-delay"];
    assert_eq!(model.ready.len(), 3, "{:?}", model.others);
    assert_eq!(model.labels.len(), 3, "stable, canary, latest");
    gateway.drain().await;
}

#[tokio::test]
async fn the_readme_lists_the_metrics_that_there_are() {
    let readme = fs::read_to_string(file("README.md")).expect("README");
    let listed: BTreeSet<_> = readme
        .lines()
        .skip_while(|line| *line != "## Metrics")
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect();
    let mut gateway = two_versions().await;
    let read = v1::GetTrafficPolicyRequest { model: "m".into() };
    let read = gateway.admin.get_traffic_policy(read).await.expect("read");
    let set = v1::SetTrafficPolicyRequest {
        model: "m".into(),
        policy: Some(with_shadows_and_fallback(2)),
        terms: seen(read.into_inner().revision),
    };
    gateway.admin.set_traffic_policy(set).await.expect("set");
    // So many rows that they are computed in the pool.
    let request = rows("m", std::array::from_fn::<_, 64, _>(|_| good()));
    gateway.predict(request).await.expect("copied");
    let compared = "taper_shadow_compared_rows_total{";
    let text = eventually("the copy is compared", || async {
        let text = gateway.http_get("/metrics").await.1;
        text.contains(compared).then_some(text)
    });
    let there: BTreeSet<_> = text
        .await
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .map(str::to_owned)
        .collect();
    assert_eq!(listed, there);
    gateway.drain().await;
}
