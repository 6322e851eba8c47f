//! Files that people copy, and tables that people read, say what the code does.

use std::{collections::BTreeSet, fs, path::Path};

use taper::app::Gateway;
use taper::config::{Config, Overrides};

use crate::metrics::two_versions;

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
    let gateway = two_versions().await;
    let (_, text) = gateway.http_get("/metrics").await;
    let there: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .map(str::to_owned)
        .collect();
    assert_eq!(listed, there);
    gateway.drain().await;
}
