//! `taper demo` with the real binary, the embedded models and real flights.

use std::net::TcpListener;

use crate::process::{Process, free_ports, run, taper};

#[test]
fn once_replays_moves_the_split_shows_a_summary_and_exits_with_0() {
    let base = free_ports().to_string();
    let ended = run(&["demo", "--once", "--port-base", &base]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for expected in [
        "24,000 real flights",
        "version 4  XGBoost trees",
        "versions 3 and 4 get copies of all requests",
        "the split moves: version 1 from 95% to 50%",
        "2,000 answered, no errors",
        "mean P(late)",
        "drained in ",
    ] {
        assert!(
            ended.stdout.contains(expected),
            "{expected:?} is missing in {}",
            ended.stdout
        );
    }
    let table: Vec<_> = ended
        .stdout
        .lines()
        .filter(|line| line.starts_with('│'))
        .collect();
    let [_, first, second, _, one, two, three, four] = &table[..] else {
        panic!("two versions, then four that are judged: {table:?}")
    };
    for (row, start) in [
        (one, "│       1 ┆ primary ┆"),
        (two, "│       2 ┆ primary ┆"),
        (three, "│       3 ┆  shadow ┆"),
        (four, "│       4 ┆  shadow ┆"),
    ] {
        assert!(row.starts_with(start), "{row}");
        assert!(row.contains('%'), "an accuracy: {row}");
    }
    for row in [three, four] {
        assert_eq!(
            row.matches('%').count(),
            2,
            "it is compared with the primary: {row}"
        );
    }
    assert!(first.starts_with("│       1 ┆    50% ┆"), "{first}");
    assert!(second.starts_with("│       2 ┆    50% ┆"), "{second}");
    assert_eq!(ended.stderr, "");
}

#[test]
fn a_split_that_an_operator_changed_is_left_alone() {
    let base = free_ports();
    let first = base.to_string();
    let mut demo = Process::start(&mut taper(&[
        "demo",
        "--once",
        "--rate",
        "400",
        "--port-base",
        &first,
    ]));
    demo.line_with("/metrics | grep");
    let admin = format!("127.0.0.1:{}", base + 2);
    let moved = run(&[
        "split",
        "set",
        "flight-delay",
        "2=20%",
        "3=80%",
        "--address",
        &admin,
    ]);
    assert_eq!(moved.code, Some(0), "{moved:?}");
    let ended = demo.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stdout.contains("you have changed the policy"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("│       3 ┆    80% ┆"),
        "{}",
        ended.stdout
    );
}

#[test]
fn ports_in_use_are_reported_with_the_flag_that_helps() {
    let base = free_ports();
    let _taken = [base, base + 2].map(|port| TcpListener::bind(("127.0.0.1", port)).expect("free"));
    let ended = run(&["demo", "--once", "--port-base", &base.to_string()]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for expected in [
        &format!("127.0.0.1:{base}"),
        &format!("127.0.0.1:{}", base + 2),
        "--port-base",
    ] {
        assert!(
            ended.stderr.contains(expected),
            "{expected:?} is missing in {}",
            ended.stderr
        );
    }
    assert!(
        !ended.stderr.contains(&(base + 1).to_string()),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_signal_ends_the_demo_with_a_summary_and_exit_code_0() {
    let base = free_ports().to_string();
    let mut demo = Process::start(&mut taper(&["demo", "--rate", "200", "--port-base", &base]));
    demo.line_with("/metrics | grep");
    demo.line_with("answered");
    demo.signal("INT");
    let ended = demo.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stdout.contains("│ version ┆ target ┆"),
        "{}",
        ended.stdout
    );
}

#[test]
fn the_demo_ends_when_stdout_has_no_reader() {
    let base = free_ports().to_string();
    let mut demo = Process::start(&mut taper(&["demo", "--rate", "200", "--port-base", &base]));
    demo.line_with("/metrics | grep");
    assert_eq!(demo.end_unread(), Some(0));
}
