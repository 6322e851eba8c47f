//! Selection of the version: pins, header rules, sticky keys, random draws.

use std::collections::{BTreeMap, HashSet};

use taper::proto::v1;
use taper::proto::v1::predict_request::Pin;

use crate::harness::{TestGateway, good, rows, single_score, with_header};
use crate::tiny;

const TOML: &str = r#"
    [models.m]
    labels = { stable = 1, canary = 2 }
    split = { 1 = 9000, 2 = 900, 3 = 100 }
    header_rules = [{ header = "x-tester", value = "yes", version = 3 }]
    sticky_header = "x-user-id"
"#;

async fn three_versions() -> TestGateway {
    TestGateway::start(TOML, |root| {
        (1..=3).for_each(|version| tiny::publish(root, "m", version))
    })
    .await
}

fn keyed(key: &str) -> v1::PredictRequest {
    v1::PredictRequest {
        routing_key: key.to_owned(),
        ..rows("m", [good()])
    }
}

#[tokio::test]
async fn pins_come_before_rules_and_rules_before_the_split() {
    let mut gateway = three_versions().await;
    for (pin, want) in [
        (Pin::Version(2), 2),
        (Pin::Label("stable".into()), 1),
        (Pin::Label("canary".into()), 2),
        (Pin::Label("latest".into()), 3),
    ] {
        let request = v1::PredictRequest {
            pin: Some(pin.clone()),
            ..keyed("somebody")
        };
        let answer = gateway
            .predict(with_header(request, "x-tester", "yes"))
            .await
            .expect("pinned");
        assert_eq!(answer.version, want, "{pin:?}");
    }
    let ruled = gateway
        .predict(with_header(keyed("somebody"), "x-tester", "yes"))
        .await;
    assert_eq!(ruled.expect("ruled").version, 3);
    gateway.drain().await;
}

#[tokio::test]
async fn every_answer_names_its_version() {
    let mut gateway = three_versions().await;
    let mut ids = HashSet::new();
    for _ in 0..50 {
        let answer = gateway
            .predict(rows("m", [good(), good()]))
            .await
            .expect("answer");
        assert_eq!(answer.model, "m");
        assert_eq!(answer.role, i32::from(v1::Role::Primary));
        assert_eq!(answer.policy_revision, 1);
        #[expect(clippy::cast_precision_loss, reason = "three versions")]
        let want = vec![answer.version as f32; 2];
        assert_eq!(
            answer.outputs[0].fp32_values, want,
            "the version that is named did answer"
        );
        assert_eq!(answer.outputs[0].shape, [2, 1]);
        assert!(ids.insert(answer.response_id), "response ids are unique");
    }
    let own = v1::PredictRequest {
        response_id: "order-17".into(),
        ..rows("m", [good()])
    };
    assert_eq!(
        gateway.predict(own).await.expect("answer").response_id,
        "order-17"
    );
    gateway.drain().await;
}

#[tokio::test]
async fn equal_keys_get_equal_versions_also_after_a_restart() {
    let mut first = three_versions().await;
    let mut second = three_versions().await;
    let mut seen = BTreeMap::new();
    for user in 0..300 {
        let key = format!("user-{user}");
        let answer = first.predict(keyed(&key)).await.expect("answer");
        let again = second.predict(keyed(&key)).await.expect("answer");
        let by_header = with_header(rows("m", [good()]), "x-user-id", &key);
        let by_header = first.predict(by_header).await.expect("answer");
        assert_eq!(answer.version, again.version, "{key}");
        assert_eq!(
            answer.version, by_header.version,
            "{key}: the header is the same key"
        );
        *seen.entry(answer.version).or_insert(0) += 1;
    }
    assert!(
        seen[&1] > 240 && seen[&2] > 5,
        "keys are spread by the shares: {seen:?}"
    );
    first.drain().await;
    second.drain().await;
}

/// The random draws of the pipeline, in addition to the pure function: 9000/900/100 on the whole request path. They have no seed. At
/// four standard deviations, one run in some 5,000 would fail by chance; at six it is one in some 10^8. The seeded draws of the
/// pure function stay within four.
#[tokio::test]
async fn requests_without_a_key_follow_the_shares_within_six_standard_deviations() {
    let mut gateway = three_versions().await;
    let mut seen = BTreeMap::new();
    let draws = 20_000_u32;
    for _ in 0..draws {
        let answer = gateway.predict(rows("m", [good()])).await.expect("answer");
        *seen.entry(answer.version).or_insert(0_u64) += 1;
    }
    for (version, share) in [(1, 0.9), (2, 0.09), (3, 0.01)] {
        let expected = f64::from(draws) * share;
        let deviation = (f64::from(draws) * share * (1.0 - share)).sqrt();
        #[expect(clippy::cast_precision_loss, reason = "twenty thousand")]
        let got = seen[&version] as f64;
        assert!(
            (got - expected).abs() < 6.0 * deviation,
            "version {version}: {got} of {expected}"
        );
    }
    let request = v1::GetTrafficPolicyRequest { model: "m".into() };
    let policy = gateway
        .admin
        .get_traffic_policy(request)
        .await
        .expect("policy")
        .into_inner();
    let counted: BTreeMap<_, _> = policy
        .counted
        .iter()
        .map(|c| (c.version, c.requests))
        .collect();
    assert_eq!(counted, seen, "the gateway counts what callers saw");
    gateway.drain().await;
}

#[tokio::test]
async fn a_model_without_a_policy_sends_everything_to_its_first_version() {
    let mut gateway = TestGateway::start("", |root| {
        tiny::publish(root, "m", 9);
        tiny::publish(root, "m", 10);
        tiny::publish_with(root, "m", 11, |manifest| {
            manifest["format"] = "unheard-of".into()
        });
    })
    .await;
    let answer = gateway.predict(rows("m", [good()])).await.expect("answer");
    assert_eq!(answer.version, 10);
    assert!((single_score(&answer) - 10.0).abs() < f32::EPSILON);
    let request = v1::GetModelRequest { model: "m".into() };
    let model = gateway
        .admin
        .get_model(request)
        .await
        .expect("model")
        .into_inner();
    let states: Vec<_> = model
        .versions
        .iter()
        .map(|v| (v.version, v.state(), v.faults.len()))
        .collect();
    use v1::VersionState::{Failed, Ready};
    assert_eq!(states, [(9, Ready, 0), (10, Ready, 0), (11, Failed, 1)]);
    let fault = &model.versions[2].faults[0];
    assert_eq!(fault.path, "$.format", "{fault:?}");
    gateway.drain().await;
}

const BY_LABEL: &str = r#"
    [models.m]
    labels = { stable = 1, canary = CANARY, old = 1 }
    split = { stable = 6000, canary = 2500, old = 1000, 3 = 500 }
    header_rules = [
        { header = "x-tester", value = "yes", label = "canary" },
        { header = "x-tester", value = "newest", label = "latest" },
    ]
"#;

/// Starts a gateway with four versions. Its split and rules name labels; `canary` names the version `canary`.
async fn by_label(canary: u64) -> TestGateway {
    TestGateway::start(&BY_LABEL.replace("CANARY", &canary.to_string()), |root| {
        (1..=4).for_each(|version| tiny::publish(root, "m", version))
    })
    .await
}

#[tokio::test]
async fn labels_in_splits_and_rules_select_the_versions_that_they_name() {
    let (mut two, mut four) = (by_label(2).await, by_label(4).await);
    let mut moved = 0;
    for user in 0..300 {
        let key = format!("user-{user}");
        let before = two.predict(keyed(&key)).await.expect("answer").version;
        let after = four.predict(keyed(&key)).await.expect("answer").version;
        assert!((1..=3).contains(&before), "{key} got version {before}");
        let want = if before == 2 { 4 } else { before };
        assert_eq!(after, want, "{key}: only the canary's callers move with it");
        moved += u32::from(after != before);
    }
    assert!((40..=110).contains(&moved), "a quarter of 300, not {moved}");
    for (value, want) in [("yes", [2, 4]), ("newest", [4, 4])] {
        for (gateway, want) in [&mut two, &mut four].into_iter().zip(want) {
            let request = with_header(keyed("somebody"), "x-tester", value);
            let answer = gateway.predict(request).await.expect("ruled");
            assert_eq!(answer.version, want, "{value}");
        }
    }
    two.drain().await;
    four.drain().await;
}

#[tokio::test]
async fn labels_of_one_version_add_up_in_the_metrics_and_are_counted_by_row() {
    let mut gateway = by_label(2).await;
    for _ in 0..200 {
        gateway.predict(rows("m", [good()])).await.expect("answer");
    }
    let (_, text) = gateway.http_get("/metrics").await;
    let value = |name: &str, version: u64| -> f64 {
        let series = format!(r#"{name}{{model="m",version="{version}"}} "#);
        let line = text.lines().find_map(|line| line.strip_prefix(&series));
        line.expect("a series").parse().expect("a number")
    };
    for (version, share) in [(1, 0.7), (2, 0.25), (3, 0.05), (4, 0.0)] {
        let target = value("taper_traffic_share", version);
        assert!((target - share).abs() < 1e-9, "version {version}: {target}");
    }
    let request = v1::GetTrafficPolicyRequest { model: "m".into() };
    let policy = gateway.admin.get_traffic_policy(request).await;
    let policy = policy.expect("policy").into_inner();
    let split = policy.policy.expect("a policy").split;
    let named = split.into_iter().filter_map(|share| share.target);
    use v1::share::Target::{Label, Version};
    assert_eq!(
        named.collect::<Vec<_>>(),
        [
            Version(3),
            Label("canary".into()),
            Label("old".into()),
            Label("stable".into())
        ]
    );
    let versions: Vec<_> = policy.counted.iter().map(|row| row.version).collect();
    assert_eq!(versions, [3, 2, 1, 1], "what each row names");
    let own = policy.counted[2].requests + policy.counted[3].requests;
    #[expect(clippy::cast_precision_loss, reason = "two hundred")]
    let counted = own as f64 / 200.0;
    let share = value("taper_traffic_share_counted", 1);
    assert!((share - counted).abs() < 1e-9, "{share}, not {counted}");
    gateway.drain().await;
}
