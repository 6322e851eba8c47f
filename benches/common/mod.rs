//! Real flights for benches: the versions of `examples/flights` and the golden rows that belong to them.

use std::path::{Path, PathBuf};

use serde_json::Value;
use taper::ident::VersionNumber;
use taper::model::Version;
use taper::model::payload::{Datatype, Tensor, TensorData};

/// Name of the model.
pub(crate) const MODEL: &str = "flight-delay";

/// Returns the path of the registry with all versions.
pub(crate) fn registry() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flights/models")
}

/// Loads one version.
pub(crate) fn version(number: u64) -> Version {
    let dir = registry().join(MODEL).join(number.to_string());
    let model = MODEL.parse().expect("a name");
    let number = VersionNumber::try_from(number).expect("a version");
    taper::model::load(&dir, &model, number).expect("the example loads")
}

/// Returns the first `rows` golden rows of `version`, repeated if there are fewer, with one tensor per input.
pub(crate) fn tensors(version: &Version, rows: usize) -> Vec<Tensor> {
    let golden = &version.manifest().golden;
    let inputs = &version.signature().inputs();
    let column = |name: &str| -> Vec<Value> {
        let rows = golden.iter().cycle().take(rows);
        rows.map(|golden| golden.row.get(name).cloned().unwrap_or_default())
            .collect()
    };
    inputs
        .iter()
        .map(|input| Tensor {
            name: input.name.clone(),
            shape: vec![i64::try_from(rows).expect("few rows")],
            data: data(input.datatype, &column(&input.name)),
        })
        .collect()
}

fn data(datatype: Datatype, values: &[Value]) -> TensorData {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    match datatype {
        Datatype::Int32 => TensorData::Int32(values.iter().map(|v| number(v) as i32).collect()),
        Datatype::Fp64 => TensorData::Fp64(values.iter().map(number).collect()),
        Datatype::Bytes => {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned().into();
            TensorData::Bytes(values.iter().map(text).collect())
        }
        other => panic!("no flight has a {other}"),
    }
}
