use super::*;
use crate::serving::route::Policy;

fn load(text: &str) -> Result<Config, Faults> {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("models")).unwrap();
    let path = dir.path().join("taper.toml");
    fs::write(&path, text).unwrap();
    Config::load(Some(&path), Overrides::default())
}

fn faults(text: &str) -> Vec<String> {
    let faults = load(text).unwrap_err();
    faults
        .iter()
        .map(|fault| format!("{}: {}", fault.path, fault.message))
        .collect()
}

#[test]
fn an_empty_file_gives_the_defaults() {
    let config = load("").unwrap();
    assert_eq!(config.data, "127.0.0.1:8001".parse().unwrap());
    assert_eq!(config.admin, "127.0.0.1:8002".parse().unwrap());
    assert_eq!(config.http, "127.0.0.1:8000".parse().unwrap());
    assert_eq!(config.max_message_bytes, 16 * 1024 * 1024);
}

#[test]
fn a_policy_is_read_as_a_whole() {
    let config = load(
        r#"
        [models.flight-delay]
        labels = { stable = 1 }
        split = { stable = 500, 10 = 500, 9 = 9000 }
        header_rules = [
            { header = "x-canary", value = "yes", version = 10 },
            { header = "x-canary", value = "newest", label = "latest" },
        ]
        "#,
    )
    .unwrap();
    let settings = &config.control.models["flight-delay"];
    let policy = settings.policy.clone().unwrap();
    let policy = Policy::check(policy, &"flight-delay".parse().unwrap()).unwrap();
    let rows: Vec<_> = policy
        .split()
        .rows()
        .iter()
        .map(|(target, share)| (target.to_string(), share.basis_points()))
        .collect();
    assert_eq!(
        rows,
        [
            ("9".to_owned(), 9000),
            ("10".to_owned(), 500),
            ("stable".to_owned(), 500)
        ],
        "in the order of the numbers, not of the texts"
    );
    assert_eq!(settings.labels.len(), 1);
    let rules = policy.header_rules().iter();
    let rules: Vec<_> = rules.map(|rule| rule.target().to_string()).collect();
    assert_eq!(rules, ["10", "latest"]);
}

#[test]
fn all_structural_faults_are_reported_at_once() {
    let mut found = faults("registry = 3\n[listen]\nport = 1\n[limits]\nmax_in_flight = 0\n");
    found.sort();
    assert_eq!(
        found,
        [
            "$.limits.max_in_flight: got 0, wants at least 1",
            "$.listen.port: unknown field",
            "$.registry: got 3, wants null or string",
        ]
    );
}

#[test]
fn all_faults_of_values_are_reported_at_once() {
    let found = faults(
        r#"
        registry = "elsewhere"
        [listen]
        data = "localhost"
        admin = "0.0.0.0:8002"
        [models."a/b"]
        [models.m]
        labels = { latest = 1, 7 = 1 }
        split = { 1 = 9000, 02 = 1000 }
        "#,
    );
    let paths: Vec<_> = found
        .iter()
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "$.listen.data",
            "$.listen.admin",
            "$.registry",
            "$.models.a/b",
            "$.models.m.labels.7",
            "$.models.m.labels.latest",
            "$.models.m.split.02",
            "$.models.m.split",
        ],
        "{found:#?}"
    );
}

#[test]
fn a_model_has_at_most_64_initial_labels() {
    let labels = |most: usize| {
        let rows: Vec<_> = (0..most).map(|at| format!("l{at} = 1")).collect();
        format!("[models.m]\nlabels = {{ {} }}", rows.join(", "))
    };
    let found = faults(&labels(65));
    assert_eq!(
        found,
        ["$.models.m.labels: got 65 labels, wants at most 64"]
    );
    assert!(load(&labels(64)).is_ok());
}

#[test]
fn content_stores_are_existing_folders() {
    let config = load("content_stores = [\"models\"]").unwrap();
    assert_ne!(config.control.content_stores, ContentStores::default());
    let found = faults("content_stores = [\"models\", \"no-such-folder\"]");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].starts_with("$.content_stores[1]: folder ") && found[0].contains("cannot be read"),
        "{found:#?}"
    );
}

#[test]
fn the_key_of_the_prediction_log_is_read_while_the_configuration_is_checked() {
    let found = faults("[prediction_log]\npath = \"log\"\nhash_key_file = \"no-such-key\"\n");
    assert_eq!(found.len(), 1, "{found:#?}");
    let begin = "$.prediction_log.hash_key_file: ";
    assert!(
        found[0].starts_with(begin) && found[0].contains("no-such-key cannot be read"),
        "{found:#?}"
    );
}

#[test]
fn the_path_of_the_prediction_log_is_checked_with_the_configuration() {
    let path = "[prediction_log]\npath = ";
    let found = faults(&format!("{path}\"no-such-folder/log\"\n"));
    assert_eq!(found.len(), 1, "{found:#?}");
    let begin = "$.prediction_log.path: ";
    assert!(
        found[0].starts_with(begin)
            && found[0].ends_with("no-such-folder is not a folder: create it first"),
        "{found:#?}"
    );
    let found = faults(&format!("{path}\"/dev/null\"\n"));
    assert_eq!(found, [format!("{begin}/dev/null is not a regular file")]);
}

#[test]
fn a_header_rule_names_a_version_or_a_label_and_not_both() {
    let found = faults(
        r#"
        [models.m]
        split = { 1 = 10000 }
        header_rules = [
            { header = "x-a", value = "1", version = 1 },
            { header = "x-b", value = "1", version = 1, label = "canary" },
            { header = "x-c", value = "1" },
            { header = "x-d", value = "1", label = "7" },
        ]
        "#,
    );
    assert_eq!(
        found,
        [
            "$.models.m.header_rules[1]: got both `version` and `label`, wants one of them",
            "$.models.m.header_rules[2].target: got nothing, wants a version or a label",
            "$.models.m.header_rules[3].label: got \"7\", wants 1 to 64 of a-z A-Z 0-9 . _ - starting with a letter or \
             digit, and not a number",
        ]
    );
}

#[test]
fn flags_take_precedence_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let overrides = Overrides {
        registry: Some(dir.path().to_path_buf()),
        data: Some("127.0.0.1:0".into()),
        ..Overrides::default()
    };
    let config = Config::load(None, overrides).unwrap();
    assert_eq!(config.registry, dir.path());
    assert_eq!(config.data.port(), 0);
}
