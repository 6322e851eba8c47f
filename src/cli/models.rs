//! `taper models`: the models of a running gateway.

use std::collections::BTreeSet;

use super::change::MutationFlags;
use super::model::ModelFlag;
use crate::client::v1::{
    ForgetModelRequest, GetModelRequest, GetModelResponse, JudgedOutput, ListModelsRequest,
    ListModelsResponse, TensorSignature, VersionStatus,
};
use crate::client::{AdminPort, Failure};
use crate::terminal::{output, table::table};

/// Arguments of `taper models`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    show: ShowArgs,
}

/// What to do with models.
#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Retire all versions of a model whose folder is gone from the registry, and remove its policy and labels.
    Forget(ForgetArgs),
}

#[derive(Debug, clap::Args)]
struct ForgetArgs {
    /// The model.
    name: String,
    #[command(flatten)]
    flags: MutationFlags,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// Show this model with its versions, states, faults, metrics and inputs.
    name: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    port: AdminPort,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    match args.verb {
        Some(Verb::Forget(args)) => forget(args).await,
        None => show(args.show).await,
    }
}

async fn forget(args: ForgetArgs) -> Result<(), Failure> {
    let request = |model, terms| ForgetModelRequest { model, terms };
    args.flags
        .apply(&ModelFlag::named(args.name), request)
        .await
}

async fn show(args: ShowArgs) -> Result<(), Failure> {
    match args.name {
        Some(model) => {
            let model = args.port.call(GetModelRequest { model }).await?;
            if args.json {
                output::print_json(&model)?;
            } else {
                output::print(&model_text(&model))?;
            }
        }
        None => {
            let models = args.port.call(ListModelsRequest {}).await?;
            if args.json {
                output::print_json(&models)?;
            } else {
                output::print(&list_text(&models))?;
            }
        }
    }
    Ok(())
}

/// Returns a table with one row for each model.
fn list_text(list: &ListModelsResponse) -> String {
    if list.models.is_empty() {
        return "no models: the registry of this gateway is empty".into();
    }
    let rows = list.models.iter().map(|model| {
        vec![
            model.name.clone(),
            version_list(&model.ready_versions),
            version_list(&model.failed_versions),
            match model.policy_revision {
                0 => "-".into(),
                revision => revision.to_string(),
            },
        ]
    });
    let models = table(&["model", "ready", "failed", "policy revision"], &[3], rows);
    match list.problem.as_str() {
        "" => models,
        problem => format!("problem: {problem}\n{models}"),
    }
}

/// Returns everything about one model as text.
fn model_text(model: &GetModelResponse) -> String {
    let mut text = head(model);
    text.push_str(&version_table(&model.versions));
    if let Some(metrics) = metric_table(&model.versions) {
        text.push_str(&format!("\nmeasured on held-out rows\n{metrics}"));
    }
    model.versions.iter().for_each(|version| {
        text.push_str(&fault_list(version));
    });
    // Versions under one policy usually have one signature, which is shown once for all versions that share it.
    let mut shown: Vec<&VersionStatus> = Vec::new();
    let loaded = model.versions.iter();
    for version in loaded.filter(|version| !version.inputs.is_empty()) {
        if !shown
            .iter()
            .any(|other| have_same_signature(other, version))
        {
            shown.push(version);
            text.push_str(&signature(version, &model.versions));
        }
    }
    text
}

/// Returns name, labels and revision, then what operators need to know first.
fn head(model: &GetModelResponse) -> String {
    let mut text = model.model.clone();
    if !model.labels.is_empty() {
        let labels = model.labels.iter();
        let labels = labels.map(|(label, version)| format!("{label} = {version}"));
        text.push_str(&format!("   {}", labels.collect::<Vec<_>>().join(", ")));
    }
    if model.revision > 0 {
        text.push_str(&format!("   revision {}", model.revision));
    }
    text.push('\n');
    if !model.problem.is_empty() {
        text.push_str(&format!("problem: {}\n", model.problem));
    }
    if let Some(time) = &model.confirm_by {
        text.push_str(&format!("reverts at {time} unless it is confirmed\n"));
    }
    text
}

fn version_table(versions: &[VersionStatus]) -> String {
    let rows = versions.iter().map(|version| {
        vec![
            version.version.to_string(),
            version.state().name().to_owned(),
            dash_if_empty(&version.held_by.join(", ")),
            dash_if_empty(&waits_for(version)),
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

/// Returns what a version waits for: its turn, its files, or its next attempt.
fn waits_for(version: &VersionStatus) -> String {
    match &version.retry_at {
        Some(time) => format!("next try at {time}"),
        None => version.waits_for.clone(),
    }
}

/// Returns the metrics of training: one column for each metric that any version has.
fn metric_table(versions: &[VersionStatus]) -> Option<String> {
    let metrics = versions.iter().flat_map(|version| version.metrics.keys());
    let names: BTreeSet<&str> = metrics.map(String::as_str).collect();
    if names.is_empty() {
        return None;
    }
    let header: Vec<_> = std::iter::once("version")
        .chain(names.iter().copied())
        .collect();
    let measured = versions.iter().filter(|one| !one.metrics.is_empty());
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

/// Returns why a version cannot answer; empty if it can.
fn fault_list(version: &VersionStatus) -> String {
    if version.faults.is_empty() {
        return String::new();
    }
    let mut text = format!("\nversion {} cannot answer:", version.version);
    for fault in &version.faults {
        let path = if fault.path.is_empty() {
            String::new()
        } else {
            format!(": {}", fault.path)
        };
        text.push_str(&format!("\n  {}{path}: {}", fault.file, fault.message));
    }
    text
}

/// Returns whether two signatures look the same as text: ranges and categories do not count.
fn have_same_signature(one: &VersionStatus, other: &VersionStatus) -> bool {
    have_same_tensors(&one.inputs, &other.inputs)
        && have_same_tensors(&one.outputs, &other.outputs)
        && (&one.prediction, &one.classes) == (&other.prediction, &other.classes)
}

fn have_same_tensors(one: &[TensorSignature], other: &[TensorSignature]) -> bool {
    let shown = |input: &TensorSignature| {
        let flags = (input.optional, input.sensitive);
        (
            input.name.clone(),
            input.datatype,
            input.shape.clone(),
            flags,
        )
    };
    one.iter().map(shown).eq(other.iter().map(shown))
}

/// Returns inputs, outputs and classes of `version`, with the numbers of all versions that have the same ones.
fn signature(version: &VersionStatus, all: &[VersionStatus]) -> String {
    let same = all.iter();
    let same = same.filter(|other| have_same_signature(other, version));
    let same: Vec<_> = same.map(|other| other.version).collect();
    let rows = version.inputs.iter().map(|input| {
        let mut notes = Vec::new();
        notes.extend(input.optional.then_some("optional"));
        notes.extend(input.sensitive.then_some("sensitive"));
        vec![
            input.name.clone(),
            input.datatype().name().to_owned(),
            format!("{:?}", input.shape),
            notes.join(", "),
        ]
    });
    let mut text = format!(
        "\ninputs of version {}\n{}",
        version_list(&same),
        table(&["input", "type", "shape", "notes"], &[], rows)
    );
    for output in &version.outputs {
        let datatype = output.datatype().name();
        text.push_str(&format!(
            "\noutput {} {datatype} {:?}",
            output.name, output.shape
        ));
    }
    if let Some(prediction) = &version.prediction {
        text.push_str(&format!("\nprediction {}", prediction_text(prediction)));
    }
    if !version.classes.is_empty() {
        text.push_str(&format!(", classes {}", version.classes.join(" | ")));
    }
    text
}

/// Returns what is predicted, `probabilities in output probability`.
fn prediction_text(prediction: &JudgedOutput) -> String {
    let kind = prediction.kind().name();
    let output = &prediction.output;
    let cosine = prediction
        .cosine
        .map(|cosine| format!(", vectors with a cosine below {cosine} disagree"));
    format!("{kind} in output {output}{}", cosine.unwrap_or_default())
}

/// Returns `text`, or `-` if it is empty.
fn dash_if_empty(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}

/// Returns `1, 2, 3`; `-` for no versions.
fn version_list(versions: &[u64]) -> String {
    let texts: Vec<_> = versions.iter().map(u64::to_string).collect();
    dash_if_empty(&texts.join(", "))
}

#[cfg(test)]
mod tests;
