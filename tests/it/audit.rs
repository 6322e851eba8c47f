//! The audit log over the wire.

use taper::proto::v1;

use crate::harness::TestGateway;
use crate::tiny;

async fn lines(gateway: &mut TestGateway, after_sequence: u64) -> Vec<String> {
    let request = v1::ReadAuditRequest { after_sequence };
    let mut stream = gateway
        .admin
        .read_audit(request)
        .await
        .expect("audit")
        .into_inner();
    let mut lines = Vec::new();
    while let Some(some) = stream.message().await.expect("no error") {
        assert!(
            (1..=256).contains(&some.lines.len()),
            "{} lines in one message",
            some.lines.len()
        );
        lines.extend(some.lines);
    }
    lines
}

#[tokio::test]
async fn every_change_and_refusal_is_one_line_and_reading_can_resume_after_any_line() {
    let mut gateway = TestGateway::start("", |root| {
        (1..=2).for_each(|version| tiny::publish(root, "m", version));
    })
    .await;
    let before = lines(&mut gateway, 0).await.len() as u64;
    let label = |version, dry_run| v1::SetLabelRequest {
        model: "m".into(),
        label: "stable".into(),
        version,
        terms: Some(v1::ChangeTerms {
            actor: "ann".into(),
            reason: "why not".into(),
            dry_run,
            ..Default::default()
        }),
    };
    gateway
        .admin
        .set_label(label(1, false))
        .await
        .expect("changed");
    gateway
        .admin
        .set_label(label(9, false))
        .await
        .expect_err("refused");
    gateway
        .admin
        .set_label(label(2, true))
        .await
        .expect("a dry run");
    let written: Vec<serde_json::Value> = lines(&mut gateway, before)
        .await
        .iter()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let [done, refused] = &written[..] else {
        panic!("a change and a refusal, and no dry run: {written:?}")
    };
    for line in [done, refused] {
        assert_eq!(
            (&line["actor"], &line["reason"]),
            (&"ann".into(), &"why not".into())
        );
        assert_eq!(line["model"], "m");
    }
    assert_eq!(
        (&done["revision"], &done["action"]),
        (&2.into(), &"move label stable to 1".into())
    );
    assert_eq!(refused["outcome"], "UNKNOWN_VERSION");
    assert_eq!(lines(&mut gateway, before + 1).await.len(), 1);
    assert_eq!(lines(&mut gateway, before + 2).await, [""; 0]);
    gateway.drain().await;
}

#[tokio::test]
async fn a_long_log_is_sent_completely_in_several_messages() {
    let mut gateway = TestGateway::start("", |root| tiny::publish(root, "m", 1)).await;
    for _ in 0..600 {
        let request = v1::UndoRequest {
            model: "m".into(),
            terms: None,
        };
        gateway
            .admin
            .undo(request)
            .await
            .expect_err("nothing to undo");
    }
    let all = lines(&mut gateway, 0).await;
    assert!(all.len() >= 600, "only {} lines", all.len());
    gateway.drain().await;
}
