//! `taper check`: would these versions serve?

use std::path::{Path, PathBuf};

use super::{failure::Failure, out};
use crate::registry::{self, Checked};

/// Arguments of `taper check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A registry, the folder of one model, or that of one version.
    dir: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    folder(&args.dir)
}

/// Loads every version in `dir` as a gateway would, and lists what is good and what is wrong.
///
/// # Errors
/// Where any version would not serve; every fault is on stdout then.
pub(super) fn folder(dir: &Path) -> Result<(), Failure> {
    let checked = registry::check(dir)?;
    out::print(&listing(&checked))?;
    match checked.iter().filter(|one| one.outcome.is_err()).count() {
        0 => Ok(()),
        wrong => Err(Failure::new(format!(
            "{wrong} of {} would not serve",
            checked.len()
        ))),
    }
}

fn listing(checked: &[Checked]) -> String {
    let told = checked.iter().map(|one| match &one.outcome {
        Ok(summary) => format!("good  {summary}"),
        Err(faults) => {
            let lines = faults.to_string().replace('\n', "\n        ");
            format!("wrong {}\n        {lines}", one.dir.display())
        }
    });
    told.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Faults;
    use crate::registry::Summary;

    #[test]
    fn good_versions_get_a_line_and_bad_ones_a_line_a_fault() {
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
            Checked {
                dir: "m/1".into(),
                outcome: Ok(summary),
            },
            Checked {
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
