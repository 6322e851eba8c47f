//! `taper check`: whether a gateway could serve the versions in a folder.

use std::path::{Path, PathBuf};

use crate::client::Failure;
use crate::model::ContentStores;
use crate::registry::{self, CheckResult};
use crate::terminal::output;

/// Arguments of `taper check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A registry, the folder of a model, or the folder of a version.
    dir: PathBuf,
    /// A folder into which files of versions may be links, as `content_stores` of the configuration. May be repeated.
    #[arg(long, value_name = "DIR")]
    content_store: Vec<PathBuf>,
}

/// Checks the folder that the arguments name.
///
/// # Errors
/// Returns an error if any version cannot be served; every fault is printed first.
pub fn run(args: &Args) -> Result<(), Failure> {
    let stores = ContentStores::new(&args.content_store);
    folder(
        &args.dir,
        &stores.map_err(|(_, why)| Failure::new(format!("--content-store: {why}")))?,
    )
}

/// Loads every version in `dir` as a gateway does, and prints the result for each.
///
/// # Errors
/// Returns an error if any version cannot be served; every fault is printed first.
pub fn folder(dir: &Path, stores: &ContentStores) -> Result<(), Failure> {
    let checked = registry::check(dir, stores)?;
    output::print(&listing(&checked))?;
    match checked.iter().filter(|one| one.outcome.is_err()).count() {
        0 => Ok(()),
        faulty => Err(Failure::new(format!(
            "{faulty} of {} versions cannot be served",
            checked.len()
        ))),
    }
}

fn listing(checked: &[CheckResult]) -> String {
    let lines = checked.iter().map(|one| match &one.outcome {
        Ok(summary) => format!("good  {summary}"),
        Err(faults) => {
            let lines = faults.to_string().replace('\n', "\n        ");
            format!("wrong {}\n        {lines}", one.dir.display())
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Faults;
    use crate::registry::Summary;

    #[test]
    fn a_good_version_has_one_line_and_a_faulty_one_a_line_per_fault() {
        let mut faults = Faults::one("m/2/metadata.json", "cannot be read");
        faults.add("m/2/metadata.json", "$.head", "missing");
        let summary = Summary {
            model: "m".parse().unwrap(),
            version: "1".parse().unwrap(),
            inputs: 2,
            columns: 5,
            outputs: 1,
            cost_per_row: 80,
            golden: 3,
        };
        let checked = [
            CheckResult {
                dir: "m/1".into(),
                outcome: Ok(summary),
            },
            CheckResult {
                dir: "m/2".into(),
                outcome: Err(faults),
            },
        ];
        insta::assert_snapshot!(listing(&checked), @r"
        good  m 1: 2 inputs in 5 columns, 1 outputs, 80 multiply-adds per row, 3 golden requests passed
        wrong m/2
                m/2/metadata.json: cannot be read
                m/2/metadata.json: $.head: missing
        ");
    }
}
