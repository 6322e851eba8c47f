//! Dense networks give the answers of the library that trained them.

use taper::model::payload::{Cell, Payload, Row, Tensor, TensorData};
use taper::model::{Version, load};
use taper::proto::v1;

use crate::fixtures::{Fixture, NAMES};
use crate::harness::TestGateway;

#[test]
fn networks_from_torch_give_the_answers_of_torch() {
    let root = tempfile::tempdir().expect("temporary folder");
    for name in NAMES {
        let fixture = Fixture::read(name);
        let dir = fixture.publish(root.path(), 3);
        let number = 3.try_into().expect("version");
        let version = load(&dir, &name.parse().expect("name"), number).expect("loaded");
        for batch in [1, 7, 48] {
            for (at, rows) in fixture.rows.chunks(batch).enumerate() {
                for payload in [tensors(rows), cells(rows)] {
                    let answers = answers(&version, &payload);
                    assert_eq!(answers.len(), rows.len());
                    for (row, got) in answers.iter().enumerate() {
                        let row = at * batch + row;
                        let wanted = &fixture.answers[row];
                        assert!(
                            fixture.agrees(row, got),
                            "{name}[{row}] by {batch}: {got:?}, wants {wanted:?}"
                        );
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn networks_from_torch_give_the_answers_of_torch_over_grpc() {
    let fixtures = NAMES.map(Fixture::read);
    let mut gateway = TestGateway::start("", |root| {
        for fixture in &fixtures {
            fixture.publish(root, 1);
        }
    })
    .await;
    for fixture in &fixtures {
        for batch in [1, 48] {
            for (at, rows) in fixture.rows.chunks(batch).enumerate() {
                let axis = |n: usize| i64::try_from(n).expect("short axis");
                let tensor = v1::Tensor {
                    name: "features".into(),
                    datatype: v1::Datatype::Fp32.into(),
                    shape: vec![axis(rows.len()), axis(rows[0].len())],
                    fp32_values: rows.concat(),
                    ..Default::default()
                };
                let request = v1::PredictRequest {
                    model: fixture.name.into(),
                    tensors: vec![tensor],
                    ..Default::default()
                };
                let answer = gateway.predict(request).await.expect("answer");
                let [output] = &answer.outputs[..] else {
                    panic!("one output: {answer:?}")
                };
                let columns = usize::try_from(output.shape[1]).expect("columns");
                assert_eq!(output.fp32_values.len(), rows.len() * columns);
                for (row, got) in output.fp32_values.chunks(columns).enumerate() {
                    let row = at * batch + row;
                    let wanted = &fixture.answers[row];
                    let name = fixture.name;
                    assert!(
                        fixture.agrees(row, got),
                        "{name}[{row}] by {batch}: {got:?}, wants {wanted:?}"
                    );
                }
            }
        }
    }
    gateway.drain().await;
}

#[test]
fn a_registry_of_networks_from_torch_passes_its_check() {
    let root = tempfile::tempdir().expect("temporary folder");
    for name in NAMES {
        Fixture::read(name).publish(root.path(), 1);
    }
    let checked = taper::registry::check(root.path(), &taper::model::ContentStores::default())
        .expect("a registry");
    assert_eq!(checked.len(), NAMES.len());
    for checked in checked {
        let summary = checked.outcome.expect("no fault");
        assert_eq!(summary.golden, 4, "{summary}");
    }
}

fn answers(version: &Version, payload: &Payload) -> Vec<Vec<f32>> {
    let rows = version.signature().encode(payload).expect("good rows");
    let scores = version.forward(&rows).expect("scored");
    scores.scores.rows().map(<[f32]>::to_vec).collect()
}

fn tensors(rows: &[Vec<f32>]) -> Payload {
    let axis = |n: usize| i64::try_from(n).expect("short axis");
    Payload::Tensors(vec![Tensor {
        name: "features".into(),
        shape: vec![axis(rows.len()), axis(rows[0].len())],
        data: TensorData::Fp32(rows.concat()),
    }])
}

fn cells(rows: &[Vec<f32>]) -> Payload {
    let row = |row: &Vec<f32>| -> Row {
        let cells = row.iter().map(|x| Cell::Number(f64::from(*x))).collect();
        vec![("features".into(), Cell::List(cells))]
    };
    Payload::Rows(rows.iter().map(row).collect())
}
