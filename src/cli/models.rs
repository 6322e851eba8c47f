//! `taper models`: what a running gateway holds.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use crate::client::{AdminPort, Failure};
use crate::proto::v1::{
    Datatype, GetModelRequest, GetModelResponse, ListModelsRequest, ListModelsResponse,
    TensorSignature, VersionState, VersionStatus,
};
use crate::terminal::{output, table::table};

/// Arguments of `taper models`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Show this model with its versions, states, faults, metrics and inputs.
    name: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: AdminPort,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let mut client = args.port.connect().await?;
    let patience = args.port.patience;
    match args.name {
        Some(model) => {
            let request = patience.request(GetModelRequest { model });
            let model = Model::from(args.port.answer(client.get_model(request)).await?);
            if args.json {
                output::print_json(&model)
            } else {
                output::print(&model.readable())
            }
        }
        None => {
            let request = patience.request(ListModelsRequest {});
            let list = Listing::from(args.port.answer(client.list_models(request)).await?);
            if args.json {
                output::print_json(&list)
            } else {
                output::print(&list.readable())
            }
        }
    }
}

/// All models, one line each.
#[derive(Debug, Serialize)]
struct Listing {
    models: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    name: String,
    ready_versions: Vec<u64>,
    failed_versions: Vec<u64>,
    policy_revision: u64,
}

impl From<ListModelsResponse> for Listing {
    fn from(response: ListModelsResponse) -> Self {
        let models = response.models.into_iter().map(|model| Line {
            name: model.name,
            ready_versions: model.ready_versions,
            failed_versions: model.failed_versions,
            policy_revision: model.policy_revision,
        });
        Self {
            models: models.collect(),
        }
    }
}

impl Listing {
    fn readable(&self) -> String {
        if self.models.is_empty() {
            return "no models: the registry of this gateway is empty".into();
        }
        let rows = self.models.iter().map(|model| {
            vec![
                model.name.clone(),
                listed(&model.ready_versions),
                listed(&model.failed_versions),
                match model.policy_revision {
                    0 => "-".into(),
                    revision => revision.to_string(),
                },
            ]
        });
        table(&["model", "ready", "failed", "policy revision"], &[3], rows)
    }
}

/// One model.
#[derive(Debug, Serialize)]
pub(super) struct Model {
    model: String,
    revision: u64,
    confirm_by: Option<String>,
    problem: String,
    labels: BTreeMap<String, u64>,
    versions: Vec<Version>,
}

#[derive(Debug, Serialize)]
struct Version {
    version: u64,
    state: &'static str,
    held_by: Vec<String>,
    waits_for: String,
    retry_at: Option<String>,
    description: String,
    created_at: String,
    metrics: BTreeMap<String, f64>,
    classes: Vec<String>,
    inputs: Vec<TensorLine>,
    outputs: Vec<TensorLine>,
    faults: Vec<FaultLine>,
}

#[derive(Debug, PartialEq, Serialize)]
struct TensorLine {
    name: String,
    datatype: &'static str,
    shape: Vec<i64>,
    optional: bool,
    sensitive: bool,
}

#[derive(Debug, Serialize)]
struct FaultLine {
    file: String,
    path: String,
    message: String,
}

impl From<GetModelResponse> for Model {
    fn from(response: GetModelResponse) -> Self {
        Self {
            model: response.model,
            revision: response.revision,
            confirm_by: response.confirm_by.map(|time| time.to_string()),
            problem: response.problem,
            labels: sorted(response.labels),
            versions: response.versions.into_iter().map(Version::from).collect(),
        }
    }
}

impl From<VersionStatus> for Version {
    fn from(status: VersionStatus) -> Self {
        let faults = status.faults.iter().map(|fault| FaultLine {
            file: fault.file.clone(),
            path: fault.path.clone(),
            message: fault.message.clone(),
        });
        Self {
            state: word(status.state()),
            held_by: status.held_by,
            waits_for: status.waits_for,
            retry_at: status.retry_at.map(|time| time.to_string()),
            faults: faults.collect(),
            version: status.version,
            description: status.description,
            created_at: status.created_at,
            metrics: sorted(status.metrics),
            classes: status.classes,
            inputs: status.inputs.iter().map(TensorLine::from).collect(),
            outputs: status.outputs.iter().map(TensorLine::from).collect(),
        }
    }
}

/// The word for a state.
pub(super) fn word(state: VersionState) -> &'static str {
    match state {
        VersionState::Unspecified => "UNKNOWN",
        VersionState::Ready => "READY",
        VersionState::Failed => "FAILED",
        VersionState::Discovered => "DISCOVERED",
        VersionState::Loading => "LOADING",
        VersionState::Verifying => "VERIFYING",
        VersionState::Warming => "WARMING",
        VersionState::Draining => "DRAINING",
        VersionState::Retired => "RETIRED",
    }
}

impl From<&TensorSignature> for TensorLine {
    fn from(signature: &TensorSignature) -> Self {
        Self {
            name: signature.name.clone(),
            datatype: match signature.datatype() {
                Datatype::Unspecified => "UNKNOWN",
                Datatype::Bool => "BOOL",
                Datatype::Int32 => "INT32",
                Datatype::Int64 => "INT64",
                Datatype::Fp32 => "FP32",
                Datatype::Fp64 => "FP64",
                Datatype::Bytes => "BYTES",
            },
            shape: signature.shape.clone(),
            optional: signature.optional,
            sensitive: signature.sensitive,
        }
    }
}

impl Model {
    fn readable(&self) -> String {
        let mut text = self.model.clone();
        if !self.labels.is_empty() {
            let labels = self
                .labels
                .iter()
                .map(|(label, version)| format!("{label} = {version}"));
            text.push_str(&format!("   {}", labels.collect::<Vec<_>>().join(", ")));
        }
        if self.revision > 0 {
            text.push_str(&format!("   revision {}", self.revision));
        }
        text.push('\n');
        if !self.problem.is_empty() {
            text.push_str(&format!("problem: {}\n", self.problem));
        }
        if let Some(time) = &self.confirm_by {
            text.push_str(&format!("reverts at {time} unless it is confirmed\n"));
        }
        text.push_str(&self.version_table());
        if let Some(metrics) = self.metric_table() {
            text.push_str(&format!("\nmeasured on held-out rows\n{metrics}"));
        }
        for version in self
            .versions
            .iter()
            .filter(|version| !version.faults.is_empty())
        {
            text.push_str(&format!("\nversion {} cannot answer:", version.version));
            for fault in &version.faults {
                let path = if fault.path.is_empty() {
                    String::new()
                } else {
                    format!(": {}", fault.path)
                };
                text.push_str(&format!("\n  {}{path}: {}", fault.file, fault.message));
            }
        }
        // Versions under one policy have one signature, so it is shown once for all that share it.
        let mut shown: Vec<&[TensorLine]> = Vec::new();
        for version in self
            .versions
            .iter()
            .filter(|version| !version.inputs.is_empty())
        {
            if !shown.contains(&version.inputs.as_slice()) {
                shown.push(&version.inputs);
                text.push_str(&self.signature_of(version));
            }
        }
        text
    }

    fn version_table(&self) -> String {
        let rows = self.versions.iter().map(|version| {
            vec![
                version.version.to_string(),
                version.state.to_owned(),
                dash(&version.held_by.join(", ")),
                dash(&version.waits()),
                version.created_at.clone(),
                version.description.clone(),
            ]
        });
        table(
            &[
                "version",
                "state",
                "held by",
                "waits for",
                "created",
                "description",
            ],
            &[0],
            rows,
        )
    }

    /// What training measured: a column for each metric that some version has.
    fn metric_table(&self) -> Option<String> {
        let metrics = self
            .versions
            .iter()
            .flat_map(|version| version.metrics.keys());
        let names: BTreeSet<&str> = metrics.map(String::as_str).collect();
        if names.is_empty() {
            return None;
        }
        let header: Vec<_> = std::iter::once("version")
            .chain(names.iter().copied())
            .collect();
        let measured = self
            .versions
            .iter()
            .filter(|version| !version.metrics.is_empty());
        let rows = measured.map(|version| {
            let cells = names.iter().map(|name| {
                let metric = version.metrics.get(*name);
                metric.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
            });
            std::iter::once(version.version.to_string())
                .chain(cells)
                .collect()
        });
        let right: Vec<_> = (0..header.len()).collect();
        Some(table(&header, &right, rows))
    }

    fn signature_of(&self, version: &Version) -> String {
        let same = self
            .versions
            .iter()
            .filter(|other| other.inputs == version.inputs);
        let same: Vec<_> = same.map(|other| other.version).collect();
        let rows = version.inputs.iter().map(|input| {
            let mut notes = Vec::new();
            notes.extend(input.optional.then_some("optional"));
            notes.extend(input.sensitive.then_some("sensitive"));
            vec![
                input.name.clone(),
                input.datatype.to_owned(),
                format!("{:?}", input.shape),
                notes.join(", "),
            ]
        });
        let mut text = format!(
            "\ninputs of version {}\n{}",
            listed(&same),
            table(&["input", "type", "shape", "notes"], &[], rows)
        );
        for output in &version.outputs {
            text.push_str(&format!(
                "\noutput {} {} {:?}",
                output.name, output.datatype, output.shape
            ));
        }
        if !version.classes.is_empty() {
            text.push_str(&format!(", classes {}", version.classes.join(" | ")));
        }
        text
    }
}

impl Version {
    /// What it waits for: its turn, its files, or its next try.
    fn waits(&self) -> String {
        match &self.retry_at {
            Some(time) => format!("next try at {time}"),
            None => self.waits_for.clone(),
        }
    }
}

/// `text`; `-` for none.
fn dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}

/// `1, 2, 3`; `-` for none.
fn listed(versions: &[u64]) -> String {
    if versions.is_empty() {
        return "-".into();
    }
    let texts: Vec<_> = versions.iter().map(u64::to_string).collect();
    texts.join(", ")
}

fn sorted<V>(map: HashMap<String, V>) -> BTreeMap<String, V> {
    map.into_iter().collect()
}

#[cfg(test)]
mod tests;
