//! Manifests with a single fault.

use serde_json::{Value, json};

use super::{changed, check, digest};

#[test]
fn each_fault_is_reported_with_its_path() {
    let linear = |name: &str| json!({"kind": "linear", "name": name});
    for (pointer, value, want) in [
        (
            "/model_name",
            json!("../x"),
            "$.model_name: got \"../x\", wants 1 to 128 of a-z A-Z 0-9 . _ - starting with a letter or digit",
        ),
        (
            "/version",
            json!(0),
            "$.version: got 0, wants a positive integer up to 9223372036854775807",
        ),
        ("/version", json!(-1), "$.version: got -1, wants at least 0"),
        ("/version", json!(1.5), "$.version: got 1.5, wants integer"),
        (
            "/created_at",
            json!("yesterday"),
            "$.created_at: got \"yesterday\", wants an RFC 3339 time such as 2013-01-31T08:00:00Z",
        ),
        (
            "/features",
            json!(["pair", "temp", "hour", "carrier"]),
            "$.features: got [\"pair\", \"temp\", \"hour\", \"carrier\"], wants the inputs whose encoding is neither `ignore` nor `mask`, in order: [\"temp\", \"pair\", \"hour\", \"carrier\"]",
        ),
        (
            "/training_data/sha256",
            json!("AB"),
            "$.training_data.sha256: got \"AB\", wants 64 lower-case hexadecimal digits",
        ),
        (
            "/format",
            json!("pickle"),
            "$.format: got \"pickle\", wants one of \"dense\", \"xgboost\", \"lightgbm\", \"onnx\"",
        ),
        (
            "/architecture/layers/0",
            json!({"kind": "linear"}),
            "$.architecture.layers[0].name: missing: the prefix of its tensors",
        ),
        (
            "/architecture/layers/0",
            linear("a/b"),
            "$.architecture.layers[0].name: got \"a/b\", wants 1 to 128 of a-z A-Z 0-9 . _ - starting with a letter, a digit or _",
        ),
        (
            "/architecture/layers/0",
            linear("3"),
            "$.architecture.layers[3].name: got \"3\" again, wants each name once",
        ),
        (
            "/architecture/layers/2",
            json!({"kind": "relu", "name": "2"}),
            "$.architecture.layers[2].name: belongs to linear and batch_norm only",
        ),
        (
            "/architecture/layers/2",
            json!({"kind": "relu", "eps": 0.1}),
            "$.architecture.layers[2].eps: belongs to batch_norm only",
        ),
        (
            "/architecture/layers/2",
            json!({"kind": "relu", "negative_slope": 0.1}),
            "$.architecture.layers[2].negative_slope: belongs to leaky_relu only",
        ),
        (
            "/architecture/layers/1/eps",
            json!(-1.0),
            "$.architecture.layers[1].eps: got -1, wants a finite number, 0 or more",
        ),
        (
            "/architecture/layers",
            json!([{"kind": "relu"}]),
            "$.architecture.layers: the inputs have 7 columns and the output has 1, but no linear layer changes the width",
        ),
        (
            "/inputs/4/name",
            json!("a[0]"),
            "$.inputs[4].name: got \"a[0]\", expected 1 to 128 characters, none of them a control character, a bracket or a backtick",
        ),
        (
            "/inputs/4/name",
            json!("temp"),
            "$.inputs[4].name: got \"temp\" again, wants each name once",
        ),
        (
            "/inputs/0/datatype",
            json!("BYTES"),
            "$.inputs[0].datatype: got BYTES, wants a type of numbers or BOOL for this kind of encoding",
        ),
        (
            "/inputs/2/datatype",
            json!("BOOL"),
            "$.inputs[2].datatype: got BOOL, wants a type of numbers for this kind of encoding",
        ),
        (
            "/inputs/3/datatype",
            json!("INT32"),
            "$.inputs[3].datatype: got INT32, wants BYTES for this kind of encoding",
        ),
        (
            "/inputs/1/shape",
            json!([-1, 0]),
            "$.inputs[1].shape: got [-1, 0], wants [-1], or [-1, n] with n from 1 to 65536",
        ),
        (
            "/inputs/2/shape",
            json!([-1, 2]),
            "$.inputs[2].shape: got [-1, 2], wants [-1]",
        ),
        (
            "/inputs/1/encoding/min",
            json!([0.0]),
            "$.inputs[1].encoding.min: got 1 numbers, wants 2: one per column",
        ),
        (
            "/inputs/1/encoding/max/1",
            json!(1.0),
            "$.inputs[1].encoding.max[1]: got 1.0, wants a number more than min, 1.0",
        ),
        (
            "/inputs/0/encoding/std",
            json!([0.0]),
            "$.inputs[0].encoding.std[0]: got 0.0, wants a number more than 0",
        ),
        (
            "/inputs/0/encoding/std",
            json!([1e-320]),
            "$.inputs[0].encoding.std[0]: got 1e-320, wants a number more than 0",
        ),
        (
            "/inputs/0/encoding/mean",
            Value::Null,
            "$.inputs[0].encoding.mean: missing",
        ),
        (
            "/inputs/0/encoding/max",
            json!([1.0]),
            "$.inputs[0].encoding.max: belongs to scale min_max only",
        ),
        (
            "/inputs/0/encoding/period",
            json!(1.0),
            "$.inputs[0].encoding.period: belongs to kind cyclic only",
        ),
        (
            "/inputs/2/encoding/unknown",
            json!("bucket"),
            "$.inputs[2].encoding.unknown: belongs to kinds categorical and ordinal only",
        ),
        (
            "/inputs/3/encoding/scale",
            json!("none"),
            "$.inputs[3].encoding.scale: belongs to kind numeric only",
        ),
        (
            "/inputs/0/encoding/range/min",
            json!(1.0),
            "$.inputs[0].encoding.range: got 1 to 0.1, wants finite ends with min not above max",
        ),
        (
            "/inputs/0/encoding/impute",
            json!(0.2),
            "$.inputs[0].encoding.impute: got 0.2, wants a value in the range -0.1 to 0.1",
        ),
        (
            "/inputs/0/encoding/impute",
            json!("0.1"),
            "$.inputs[0].encoding.impute: got \"0.1\", wants a finite number",
        ),
        (
            "/inputs/0/encoding/impute",
            Value::Null,
            "$.inputs[0].encoding.impute: missing; policy `impute` needs it",
        ),
        (
            "/inputs/0/encoding/missing",
            json!("reject"),
            "$.inputs[0].encoding.impute: belongs to missing impute only",
        ),
        (
            "/inputs/1/encoding/missing",
            json!("accept"),
            "$.inputs[1].encoding.missing: got accept, wants reject or impute: the network needs a value",
        ),
        (
            "/inputs/2/encoding/period",
            json!(0.0),
            "$.inputs[2].encoding.period: got 0, wants a finite number more than 0",
        ),
        (
            "/inputs/2/encoding/period",
            Value::Null,
            "$.inputs[2].encoding.period: missing",
        ),
        (
            "/inputs/3/encoding/categories",
            json!(["AA", "AA"]),
            "$.inputs[3].encoding.categories[1]: got \"AA\" again, wants each name once",
        ),
        (
            "/inputs/3/encoding/categories",
            json!([]),
            "$.inputs[3].encoding.categories: got 0 categories, wants 1 to 65536",
        ),
        (
            "/inputs/3/encoding/impute",
            json!("ZZ"),
            "$.inputs[3].encoding.impute: got \"ZZ\", wants one of the categories",
        ),
        (
            "/inputs/4/encoding/missing",
            json!("impute"),
            "$.inputs[4].encoding.missing: got impute, wants reject or accept: the network does not use the value",
        ),
        (
            "/outputs/1",
            json!({"name": "more", "datatype": "FP32", "shape": [-1, 1]}),
            "$.outputs: this belongs to form 2; add \"manifest_version\": 2",
        ),
        (
            "/outputs/0/name",
            json!("a`b"),
            "$.outputs[0].name: got \"a`b\", expected 1 to 128 characters, none of them a control character, a bracket or a backtick",
        ),
        (
            "/outputs/0/datatype",
            json!("INT64"),
            "$.prediction: got INT64, wants a float type for an output of kind probabilities",
        ),
        (
            "/outputs/0/shape",
            json!([-1, 2]),
            "$.outputs[0].shape: got [-1, 2], wants [-1, 1]",
        ),
        (
            "/classes/2",
            json!("later"),
            "$.classes: got 3 classes, wants 2 for one column of probabilities",
        ),
        (
            "/classes/1",
            json!("on time"),
            "$.classes[1]: got \"on time\" again, wants each name once",
        ),
        (
            "/classes/1",
            json!(""),
            "$.classes[1]: got 0 characters, wants 1 to 128",
        ),
        (
            "/files/0/path",
            json!("other.bin"),
            "$.files: `weights.safetensors` is missing",
        ),
        (
            "/files/1",
            json!({"path": "weights.safetensors", "sha256": digest(), "bytes": 1}),
            "$.files[1].path: got \"weights.safetensors\" again, wants each name once",
        ),
        (
            "/files/0/sha256",
            json!(digest().to_uppercase()),
            "$.files[0].sha256: got \"ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB\", wants 64 lower-case hexadecimal digits",
        ),
        (
            "/reference/features/x",
            json!({"missing": 0}),
            "$.reference.features.x: no input has this name",
        ),
        (
            "/reference/features/note",
            json!({"missing": 0}),
            "$.reference.features.note: the input is sensitive and must not be profiled",
        ),
        (
            "/reference/features/temp/quantiles",
            json!([1.0]),
            "$.reference.features.temp.quantiles: got 1 numbers, wants 101 finite ones in ascending order",
        ),
        (
            "/reference/predictions/late",
            json!({"missing": 0}),
            "$.reference.predictions.late: no prediction has this name",
        ),
        (
            "/golden/0/row/temp",
            json!(0.2),
            "$.golden[0].row.temp: got 0.2, wants a finite FP32 number from -0.1 to 0.1",
        ),
        (
            "/golden/0/row/pair",
            json!([0, null]),
            "$.golden[0].row.pair[1]: got nothing, wants a finite number",
        ),
        (
            "/golden/0/answer",
            json!([0.5, 0.5]),
            "$.golden[0].answer: got 2 numbers, wants 1: one per output column",
        ),
        (
            "/batching/max_rows",
            json!(65_537),
            "$.batching.max_rows: got 65537, wants at most 65536",
        ),
        (
            "/batching/max_rows",
            json!(0),
            "$.batching.max_rows: got 0, wants at least 1",
        ),
    ] {
        let faults = check(changed(pointer, value.clone())).err();
        assert_eq!(
            faults,
            Some(vec![format!("m.json: {want}")]),
            "{pointer} = {value}"
        );
    }
}
