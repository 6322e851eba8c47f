//! Published clients with models that were not made by taper.

/// Tests that call programs from PyPI. `make check` leaves them out.
mod peers {
    use std::path::Path;

    use crate::harness::TestGateway;
    use crate::process::stdout_of;
    use crate::python::{Environment, python, python_in};

    const FIXTURES: &str = "tests/fixtures/formats";

    /// Imports files as models.
    fn import(root: &Path, files: &[(String, &str)]) {
        let registry = root.to_str().expect("a path");
        for (file, model) in files {
            stdout_of(&["import", file, "--model", model, "--registry", registry]);
        }
    }

    #[tokio::test]
    async fn tritonclient_works_with_general_tensors() {
        let made = tempfile::tempdir().expect("temporary folder");
        let folder = made.path().to_str().expect("a path");
        python("general_models.py", &[folder]).await;
        let mut files = ["two", "image", "kinds", "halves", "exact"]
            .map(|name| (format!("{folder}/{name}.onnx"), name))
            .to_vec();
        files.push((format!("{FIXTURES}/skl_columns.onnx"), "columns"));
        let gateway = TestGateway::start("", |root| import(root, &files)).await;
        let addresses = gateway.addresses();
        let (data, http) = (addresses.data.to_string(), addresses.http.to_string());
        let case = format!("{FIXTURES}/skl_columns.json");
        let output = python("triton_tensors.py", &[&data, &http, folder, &case]).await;
        assert!(output.ends_with("all as it should be\n"), "{output}");
        gateway.drain().await;
    }

    #[tokio::test]
    async fn clients_of_kserve_and_mlserver_work() {
        let files = [
            ("xgb_categorical.model.json", "xgb_categorical"),
            ("xgb_binary.model.ubj", "xgb_binary"),
            ("torch_two_ts.onnx", "torch_two_ts"),
        ];
        let files = files.map(|(file, model)| (format!("{FIXTURES}/{file}"), model));
        let gateway = TestGateway::start("", |root| import(root, &files)).await;
        let addresses = gateway.addresses();
        let (data, http) = (addresses.data.to_string(), addresses.http.to_string());
        for (script, args) in [
            ("kserve_client.py", &[&*data, &http, FIXTURES][..]),
            ("mlserver_codecs.py", &[&*http, FIXTURES]),
        ] {
            let script = format!("tests/python/{script}");
            let output = python_in(Environment::KServe, &script, args).await;
            assert!(
                output.ends_with("all as it should be\n"),
                "{script}: {output}"
            );
        }
        gateway.drain().await;
    }
}
