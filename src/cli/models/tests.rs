use super::*;
use crate::client::v1::{Datatype, Fault, ModelSummary, PredictionKind, VersionState};
use crate::client::well_known::Timestamp;

fn input(name: &str, datatype: Datatype, optional: bool) -> TensorSignature {
    TensorSignature {
        name: name.into(),
        datatype: datatype.into(),
        shape: vec![-1],
        optional,
        sensitive: false,
        ..TensorSignature::default()
    }
}

fn ready(version: u64, auc: f64) -> VersionStatus {
    VersionStatus {
        version,
        state: VersionState::Ready.into(),
        inputs: vec![
            input("carrier", Datatype::Bytes, false),
            input("temp", Datatype::Fp32, true),
        ],
        outputs: vec![TensorSignature {
            shape: vec![-1, 1],
            ..input("probability", Datatype::Fp32, false)
        }],
        classes: vec!["on time".into(), "late".into()],
        prediction: Some(JudgedOutput {
            output: "probability".into(),
            kind: PredictionKind::Probabilities.into(),
            cosine: None,
        }),
        metrics: [("auc".into(), auc)].into(),
        created_at: "2013-07-01T00:00:00Z".into(),
        description: "logistic regression".into(),
        ..VersionStatus::default()
    }
}

#[test]
fn a_listing_separates_ready_from_failed_versions() {
    let list = ListModelsResponse {
        models: vec![
            ModelSummary {
                name: "flight-delay".into(),
                ready_versions: vec![1, 2],
                failed_versions: vec![3],
                policy_revision: 4,
            },
            ModelSummary {
                name: "broken".into(),
                failed_versions: vec![1],
                ..ModelSummary::default()
            },
        ],
        problem: String::new(),
    };
    insta::assert_snapshot!(list_text(&list), @r"
    ┌──────────────┬───────┬────────┬─────────────────┐
    │ model        ┆ ready ┆ failed ┆ policy revision │
    ╞══════════════╪═══════╪════════╪═════════════════╡
    │ flight-delay ┆ 1, 2  ┆ 3      ┆               4 │
    │ broken       ┆ -     ┆ 1      ┆               - │
    └──────────────┴───────┴────────┴─────────────────┘
    ");
}

#[test]
fn an_empty_registry_says_so() {
    let list = ListModelsResponse::default();
    assert_eq!(
        list_text(&list),
        "no models: the registry of this gateway is empty"
    );
}

#[test]
fn a_model_shows_states_metrics_faults_and_one_signature_for_all_versions_that_share_it() {
    let failed = VersionStatus {
        version: 3,
        retry_at: Some(Timestamp::default()),
        state: VersionState::Failed.into(),
        faults: vec![Fault {
            file: "models/flight-delay/3/metadata.json".into(),
            path: "$.inputs[0].std".into(),
            message: "got 0, wants more than 0".into(),
        }],
        ..VersionStatus::default()
    };
    let model = GetModelResponse {
        model: "flight-delay".into(),
        versions: vec![
            VersionStatus {
                held_by: vec!["split".into(), "label stable".into()],
                ..ready(1, 0.625)
            },
            ready(2, 0.71),
            failed,
        ],
        revision: 7,
        confirm_by: Some(Timestamp::default()),
        problem: "version 4 is missing".into(),
        labels: [("stable".into(), 1), ("latest".into(), 2)].into(),
    };
    insta::assert_snapshot!(model_text(&model), @r"
    flight-delay   latest = 2, stable = 1   revision 7
    problem: version 4 is missing
    reverts at 1970-01-01T00:00:00Z unless it is confirmed
    ┌─────────┬────────┬─────────────────────┬──────────────────────────────────┬──────────────────────┬─────────────────────┐
    │ version ┆ state  ┆ held by             ┆ waits for                        ┆ created              ┆ description         │
    ╞═════════╪════════╪═════════════════════╪══════════════════════════════════╪══════════════════════╪═════════════════════╡
    │       1 ┆ READY  ┆ split, label stable ┆ -                                ┆ 2013-07-01T00:00:00Z ┆ logistic regression │
    │       2 ┆ READY  ┆ -                   ┆ -                                ┆ 2013-07-01T00:00:00Z ┆ logistic regression │
    │       3 ┆ FAILED ┆ -                   ┆ next try at 1970-01-01T00:00:00Z ┆                      ┆                     │
    └─────────┴────────┴─────────────────────┴──────────────────────────────────┴──────────────────────┴─────────────────────┘
    measured on held-out rows
    ┌─────────┬────────┐
    │ version ┆    auc │
    ╞═════════╪════════╡
    │       1 ┆ 0.6250 │
    │       2 ┆ 0.7100 │
    └─────────┴────────┘
    version 3 cannot answer:
      models/flight-delay/3/metadata.json: $.inputs[0].std: got 0, wants more than 0
    inputs of version 1, 2
    ┌─────────┬───────┬───────┬──────────┐
    │ input   ┆ type  ┆ shape ┆ notes    │
    ╞═════════╪═══════╪═══════╪══════════╡
    │ carrier ┆ BYTES ┆ [-1]  ┆          │
    │ temp    ┆ FP32  ┆ [-1]  ┆ optional │
    └─────────┴───────┴───────┴──────────┘
    output probability FP32 [-1, 1]
    prediction probabilities in output probability, classes on time | late
    ");
}

#[test]
fn versions_that_predict_something_else_are_shown_apart() {
    let embedding = |version, cosine| VersionStatus {
        classes: Vec::new(),
        prediction: Some(JudgedOutput {
            output: "probability".into(),
            kind: PredictionKind::Embedding.into(),
            cosine: Some(cosine),
        }),
        ..ready(version, 0.5)
    };
    let model = GetModelResponse {
        versions: vec![embedding(1, 0.9), embedding(2, 0.5), embedding(3, 0.9)],
        ..GetModelResponse::default()
    };
    let text = model_text(&model);
    let lines: Vec<_> = text.lines().collect();
    for line in [
        "inputs of version 1, 3",
        "inputs of version 2",
        "prediction embedding in output probability, vectors with a cosine below 0.9 disagree",
        "prediction embedding in output probability, vectors with a cosine below 0.5 disagree",
    ] {
        assert!(lines.contains(&line), "{text}");
    }
}

#[test]
fn json_has_every_version_with_its_signature() {
    let failed = VersionStatus {
        version: 3,
        retry_at: Some(Timestamp {
            seconds: 60,
            nanos: 250_000_000,
        }),
        state: VersionState::Failed.into(),
        faults: vec![Fault {
            file: "metadata.json".into(),
            path: "$.inputs[0].std".into(),
            message: "got 0, wants more than 0".into(),
        }],
        since: Some(Timestamp::default()),
        weight_bytes: 12,
        failures: 2,
        waits_for: "its turn".into(),
        ..VersionStatus::default()
    };
    let model = GetModelResponse {
        model: "flight-delay".into(),
        versions: vec![
            VersionStatus {
                held_by: vec!["split".into()],
                ..ready(1, 0.625)
            },
            failed,
        ],
        revision: 7,
        confirm_by: Some(Timestamp::default()),
        problem: "version 4 is missing".into(),
        labels: [("stable".into(), 1), ("latest".into(), 2)].into(),
    };
    insta::assert_snapshot!(serde_json::to_string_pretty(&model).unwrap());
    let list = ListModelsResponse {
        problem: String::new(),
        models: vec![ModelSummary {
            name: "m".into(),
            ready_versions: vec![1, 2],
            failed_versions: vec![3],
            policy_revision: 4,
        }],
    };
    insta::assert_snapshot!(serde_json::to_string_pretty(&list).unwrap());
}
