//! The sample files work without changes.

use std::path::Path;

use taper::app::Gateway;
use taper::config::{Config, Overrides};

fn file(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[tokio::test]
async fn the_sample_configuration_starts_a_gateway() {
    let any = || Some("127.0.0.1:0".to_owned());
    let state = tempfile::tempdir().expect("temporary folder");
    let overrides = Overrides {
        registry: None,
        state: Some(state.path().to_path_buf()),
        data: any(),
        admin: any(),
        http: any(),
    };
    let config = Config::load(Some(&file("deploy/taper.toml")), overrides).expect("a good file");
    let gateway = Gateway::start(config).await.expect("it can be honoured");
    let snapshot = gateway.snapshot();
    let model = &snapshot.models["flight-delay"];
    assert_eq!(model.ready.len(), 4, "{:?}", model.others);
    assert_eq!(model.labels.len(), 3, "stable, canary, latest");
    gateway.drain().await;
}

/// The rows of the table below `heading` in a page: the text of each cell.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, section) = page.split_once(heading).expect("the section");
    let lines = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
    let cells = |row: &str| {
        let cells = row.trim_matches('|').split(" | ");
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    rows.map(cells).collect()
}

/// Reads `1,024`, `16 MiB` or `30 s`; `None` for other texts.
fn number(text: &str) -> Option<u64> {
    let (digits, unit) = text.split_once(' ').unwrap_or((text, ""));
    let digits: u64 = digits.replace(',', "").parse().ok()?;
    match unit {
        "" | "s" => Some(digits),
        "KiB" => Some(digits << 10),
        "MiB" => Some(digits << 20),
        "GiB" => Some(digits << 30),
        _ => None,
    }
}

#[test]
fn the_table_of_limits_has_every_setting_with_its_default_and_metrics_that_exist() {
    let page = std::fs::read_to_string(file("docs/operations.md")).expect("the page");
    let metrics = std::fs::read_to_string(file("docs/metrics.md")).expect("the page");
    let schema = crate::process::stdout_of(&["schema", "config"]);
    let schema: serde_json::Value = serde_json::from_str(&schema).expect("JSON");
    let settings = schema["$defs"]["RawLimits"]["properties"]
        .as_object()
        .expect("the settings");
    let rows = rows(&page, "## Limits");
    let of_setting = |name: &str| rows.iter().find(|row| row[2] == format!("`{name}`"));
    for (name, setting) in settings {
        let row = of_setting(name).unwrap_or_else(|| panic!("{name} is missing in the table"));
        assert_eq!(
            number(&row[1]),
            setting["default"].as_u64(),
            "{name}: {row:?}"
        );
    }
    for row in &rows {
        assert_eq!(row.len(), 5, "{row:?}");
        let setting = row[2].trim_matches('`');
        assert!(setting == "-" || settings.contains_key(setting), "{row:?}");
        let mut named = row[3].split(", ").filter(|metric| *metric != "-");
        assert!(named.all(|metric| metrics.contains(metric)), "{row:?}");
    }
}
