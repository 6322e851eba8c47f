//! Checks what a file says about itself: versions, and features that are not supported at all.

use std::collections::BTreeMap;

use crate::model::format::FormatFault;
use crate::model::format::onnx::graph::Metadata;
use crate::model::format::onnx::proto::{GraphProto, ModelProto};

/// Versions of the file format that are read.
const IR_VERSIONS: std::ops::RangeInclusive<i64> = 3..=13;
/// Versions of the operators of ONNX itself that are read.
const OPERATORS: std::ops::RangeInclusive<i64> = 7..=25;
/// Versions of the operators of classical machine learning that are read.
const ML_OPERATORS: std::ops::RangeInclusive<i64> = 1..=5;
/// The domain of the operators of classical machine learning.
pub(super) const ML: &str = "ai.onnx.ml";

/// What a file says about itself.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) metadata: Metadata,
    /// Version of each domain that is imported, supported or not.
    versions: BTreeMap<String, i64>,
}

impl Header {
    /// Returns the version of a domain.
    pub(super) fn version(&self, domain: &str) -> Option<i64> {
        self.versions.get(canonical(domain)).copied()
    }
}

/// Returns the name of a domain. That of ONNX itself is empty.
pub(super) fn canonical(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}

/// Checks the header of a file.
pub(super) fn check(
    model: &ModelProto,
    graph: &GraphProto,
    faults: &mut Vec<FormatFault>,
) -> Header {
    let mut refuse = |at: &str, message: String| faults.push(FormatFault::new(at, message));
    let ir_version = model.ir_version;
    if !IR_VERSIONS.contains(&ir_version) {
        let (first, last) = IR_VERSIONS.into_inner();
        refuse(
            "ir_version",
            format!("got {ir_version}, expected {first} to {last}"),
        );
    }
    let mut versions = BTreeMap::new();
    for opset in &model.opset_import {
        let (domain, version) = (canonical(&opset.domain), opset.version);
        let supported = match domain {
            "" => Some(OPERATORS),
            ML => Some(ML_OPERATORS),
            // A fault only if a node uses it.
            _ => None,
        };
        if let Some(supported) = supported
            && !supported.contains(&version)
        {
            let (first, last) = supported.into_inner();
            let domain = if domain.is_empty() { "ai.onnx" } else { domain };
            refuse(
                "opset_import",
                format!("got version {version} of {domain}, expected {first} to {last}"),
            );
        }
        let before = versions.insert(domain.to_owned(), version);
        if before.is_some_and(|before| before != version) {
            refuse("opset_import", format!("got two versions of {domain:?}"));
        }
    }
    if model.opset_import.is_empty() {
        refuse("opset_import", "is empty".into());
    }
    for function in &model.functions {
        let name = super::names::shown(&function.name);
        refuse(
            "functions",
            format!("operators that the file itself defines are not supported: {name:?}"),
        );
    }
    for tensor in &graph.sparse_initializer {
        let name = tensor.values.as_ref().map_or("", |values| &*values.name);
        let at = format!("sparse_initializer {:?}", super::names::shown(name));
        refuse(&at, "sparse tensors are not supported".into());
    }
    let producer = format!("{} {}", model.producer_name, model.producer_version);
    let property = |entry: &crate::model::format::onnx::proto::StringStringEntryProto| {
        (entry.key.clone(), entry.value.clone())
    };
    Header {
        metadata: Metadata {
            producer: producer.trim().to_owned(),
            ir_version,
            opsets: versions
                .iter()
                .map(|(domain, version)| (domain.clone(), *version))
                .collect(),
            properties: model.metadata_props.iter().map(property).collect(),
        },
        versions,
    }
}
