//! The sample files work without changes.

use std::path::Path;

use taper::app::Gateway;
use taper::config::{Config, Overrides};

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
    assert_eq!(model.ready.len(), 4, "{:?}", model.others);
    assert_eq!(model.labels.len(), 3, "stable, canary, latest");
    gateway.drain().await;
}
