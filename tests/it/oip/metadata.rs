//! Metadata of the server, of models and of versions, on both ports.

use taper::proto::inference as wire;
use taper::proto::inference::DataType;
use tonic::Code;

use super::{Client, data, two_versions};
use crate::harness::{TestGateway, connect, fields, reason};
use crate::tiny;

const LABELLED: &str =
    "[models.m]\nlabels = { stable = 1 }\nsplit = { stable = 4000, latest = 6000 }";

async fn both_ports(gateway: &TestGateway) -> [Client; 2] {
    let admin = Client::new(connect(gateway.addresses().admin).await);
    [data(gateway).await, admin]
}

#[tokio::test]
async fn the_server_is_live_and_ready_and_reports_the_extensions_that_it_supports() {
    let (gateway, _) = two_versions(LABELLED).await;
    for mut client in both_ports(&gateway).await {
        let live = client.server_live(wire::ServerLiveRequest {}).await;
        assert!(live.expect("alive").into_inner().live);
        let ready = client.server_ready(wire::ServerReadyRequest {}).await;
        assert!(ready.expect("an answer").into_inner().ready);
        let about = client.server_metadata(wire::ServerMetadataRequest {}).await;
        let about = about.expect("an answer").into_inner();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            (about.name.as_str(), about.version.as_str()),
            ("taper", version)
        );
        let extensions = [
            "classification",
            "model_repository",
            "model_configuration",
            "binary_tensor_data",
            "parameters",
            "statistics",
        ];
        assert_eq!(about.extensions, extensions);
    }
    gateway.drain().await;
}

#[tokio::test]
async fn a_strict_gateway_with_a_model_that_cannot_answer_is_not_ready() {
    let gateway = TestGateway::start("strict_readiness = true", |root| {
        tiny::publish(root, "m", 1);
        tiny::publish_with(root, "broken", 1, |manifest| {
            manifest["golden"][0]["answer"] = serde_json::json!([1000]);
        });
    })
    .await;
    let mut client = data(&gateway).await;
    let ready = client.server_ready(wire::ServerReadyRequest {}).await;
    assert!(!ready.expect("an answer").into_inner().ready);
    let is_ready = async |name: &str, version: &str| {
        let (name, version) = (name.to_owned(), version.to_owned());
        let request = wire::ModelReadyRequest { name, version };
        let answer = client.clone().model_ready(request).await;
        answer.map(|answer| answer.into_inner().ready)
    };
    for (name, version, ready) in [
        ("m", "", true),
        ("m", "1", true),
        ("m", "latest", true),
        ("m", "2", false),
        ("m", "stable", false),
        ("broken", "", false),
        ("broken", "1", false),
        ("nobody", "", false),
    ] {
        assert_eq!(
            is_ready(name, version).await.expect("an answer"),
            ready,
            "{name} {version}"
        );
    }
    let unnamed = is_ready("", "").await.expect_err("which one?");
    assert_eq!(
        (unnamed.code(), fields(&unnamed)),
        (Code::InvalidArgument, vec!["name".into()])
    );
    let about = wire::ModelMetadataRequest {
        name: "broken".into(),
        ..Default::default()
    };
    let status = client.model_metadata(about).await.expect_err("no version");
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Unavailable, "VERSION_NOT_READY")
    );
    let index = client
        .repository_index(wire::RepositoryIndexRequest::default())
        .await;
    let index = index.expect("an index").into_inner().models;
    let listed: Vec<_> = index
        .iter()
        .map(|one| [&one.name, &one.version, &one.state, &one.reason].map(String::as_str))
        .collect();
    assert_eq!(
        listed,
        [
            ["broken", "1", "UNAVAILABLE", "failed to load"],
            ["m", "1", "READY", ""]
        ],
        "the reason of the failure is for operators only"
    );
    let only_ready = wire::RepositoryIndexRequest {
        ready: true,
        ..Default::default()
    };
    let index = client
        .repository_index(only_ready)
        .await
        .expect("an index")
        .into_inner();
    assert_eq!(index.models.len(), 1);
    let elsewhere = wire::RepositoryIndexRequest {
        repository_name: "s3".into(),
        ready: false,
    };
    let status = client
        .repository_index(elsewhere)
        .await
        .expect_err("there is one");
    assert_eq!(
        (status.code(), fields(&status)),
        (Code::InvalidArgument, vec!["repository_name".into()])
    );
    gateway.drain().await;
}

#[tokio::test]
async fn model_metadata_lists_inputs_and_outputs() {
    let (gateway, _) = two_versions(LABELLED).await;
    for mut client in both_ports(&gateway).await {
        for (asked, version) in [
            ("", "answers 2"),
            ("stable", "answers 1"),
            ("1", "answers 1"),
        ] {
            let request = wire::ModelMetadataRequest {
                name: "m".into(),
                version: asked.into(),
            };
            let about = client
                .model_metadata(request)
                .await
                .expect("metadata")
                .into_inner();
            assert_eq!(
                (about.name.as_str(), about.platform.as_str()),
                ("m", "taper_dense")
            );
            assert_eq!(about.versions, ["1", "2"]);
            let tensors = about.inputs.iter().chain(&about.outputs);
            let tensors: Vec<_> = tensors
                .map(|tensor| {
                    (
                        tensor.name.as_str(),
                        tensor.datatype.as_str(),
                        &tensor.shape[..],
                    )
                })
                .collect();
            let want = [
                ("x", "FP64", &[-1][..]),
                ("n", "INT64", &[-1]),
                ("color", "BYTES", &[-1]),
                ("pair", "FP32", &[-1, 2]),
                ("value", "FP32", &[-1, 1]),
            ];
            assert_eq!(tensors, want);
            // Clients of MLServer and Seldon have another type there.
            assert!(about.properties.is_empty(), "{asked:?}");
            let path = match asked {
                "" => "/v2/models/m".to_owned(),
                version => format!("/v2/models/m/versions/{version}"),
            };
            let (_, body) = gateway.http_get(&path).await;
            let about: serde_json::Value = serde_json::from_str(&body).expect("JSON");
            assert_eq!(about["properties"]["description"], version, "{asked:?}");
            assert_eq!(about["properties"]["labels"], "latest=2,stable=1");
        }
    }
    gateway.drain().await;
}

#[tokio::test]
async fn model_config_describes_how_a_model_is_served() {
    let toml = format!("{LABELLED}\nbatching = {{ max_batch_rows = 16, max_queue_delay_ms = 2 }}");
    let (gateway, mut client) = two_versions(&toml).await;
    let request = wire::ModelConfigRequest {
        name: "m".into(),
        ..Default::default()
    };
    let config = client
        .model_config(request)
        .await
        .expect("an answer")
        .into_inner();
    let config = config.config.expect("a configuration");
    assert_eq!(
        (config.platform.as_str(), config.backend.as_str()),
        ("taper_dense", "taper")
    );
    assert_eq!(config.max_batch_size, 64, "rows of a request");
    let inputs: Vec<_> = config
        .input
        .iter()
        .map(|input| {
            (
                input.name.as_str(),
                input.data_type(),
                &input.dims[..],
                input.optional,
            )
        })
        .collect();
    let want = [
        ("x", DataType::TypeFp64, &[][..], false),
        ("n", DataType::TypeInt64, &[], true),
        ("color", DataType::TypeString, &[], false),
        ("pair", DataType::TypeFp32, &[2], false),
    ];
    assert_eq!(inputs, want);
    let [output] = &config.output[..] else {
        panic!("one output")
    };
    assert_eq!(
        (output.name.as_str(), output.data_type(), &output.dims[..]),
        ("value", DataType::TypeFp32, &[1][..])
    );
    let batching = config.dynamic_batching.clone().expect("batching");
    assert_eq!(
        (
            &batching.preferred_batch_size[..],
            batching.max_queue_delay_microseconds
        ),
        (&[16][..], 2_000)
    );
    // The JSON form has names in place of the numbers on the wire.
    let json = serde_json::to_value(&config).expect("JSON");
    assert_eq!(json["input"][2]["data_type"], "TYPE_STRING");
    assert_eq!(json["input"][2]["format"], "FORMAT_NONE");
    assert_eq!(
        json["version_policy"],
        serde_json::json!({"specific": {"versions": [1, 2]}})
    );
    let unknown = wire::ModelConfigRequest {
        name: "m".into(),
        version: "canary".into(),
    };
    let status = client
        .model_config(unknown)
        .await
        .expect_err("no such label");
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::NotFound, "UNKNOWN_LABEL")
    );
    gateway.drain().await;
}
