use std::path::Path;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::model::samples;

const SOON: Duration = Duration::from_secs(60);

fn order(root: &Path, version: u64) -> Order {
    Order {
        model: "m".parse().unwrap(),
        version: version.try_into().unwrap(),
        dir: root.join(version.to_string()),
        pace: Pace::Shared,
        room: None,
        batching: BatchingHints::default(),
    }
}

/// One line a report.
fn line(report: &Report) -> String {
    let Report {
        model,
        version,
        event,
    } = report;
    let what = match event {
        LoadEvent::Verifying => "verifying".to_owned(),
        LoadEvent::Warming => "warming".to_owned(),
        LoadEvent::Ready(serving) => format!("ready {}", serving.number()),
        LoadEvent::Failed(faults) => format!("failed: {faults}"),
    };
    format!("{model} {version} {what}")
}

/// Lines until `n` orders have ended.
fn lines(reports: &Receiver<Report>, n: usize) -> Vec<String> {
    let (mut lines, mut ended) = (Vec::new(), 0);
    while ended < n {
        let report = reports.recv_timeout(SOON).expect("every order ends");
        ended += usize::from(matches!(
            report.event,
            LoadEvent::Ready(_) | LoadEvent::Failed(_)
        ));
        lines.push(line(&report));
    }
    lines
}

fn sender() -> (impl FnMut(Report) + Send + 'static, Receiver<Report>) {
    let (reports, seen) = mpsc::channel();
    (move |report| drop(reports.send(report)), seen)
}

#[test]
fn orders_are_loaded_one_after_the_other_and_every_end_is_reported() {
    let root = tempfile::tempdir().unwrap();
    for version in 1..=3 {
        let mut document = samples::document("m", version);
        if version == 2 {
            document["golden"][0]["answer"] = json!([0.25]);
        }
        samples::write(&root.path().join(version.to_string()), &document);
    }
    let telemetry = Telemetry::new().unwrap();
    let (report, seen) = sender();
    let loader = Loader::start(Arc::clone(&telemetry), report).unwrap();
    for version in 1..=4 {
        assert!(loader.order(order(root.path(), version)));
    }
    let home = format!("{}/", root.path().display());
    let lines: Vec<_> = lines(&seen, 4)
        .iter()
        .map(|line| line.replace(&home, ""))
        .collect();
    assert_eq!(
        lines,
        [
            "m 1 verifying",
            "m 1 warming",
            "m 1 ready 1",
            "m 2 verifying",
            "m 2 failed: 2/metadata.json: $.golden[0].answer[0]: got 0.62245935, wants 0.25 within 1e-5",
            "m 3 verifying",
            "m 3 warming",
            "m 3 ready 3",
            "m 4 failed: 4/metadata.json: cannot be read: No such file or directory (os error 2)",
        ]
    );
    let text = telemetry.render();
    for line in [
        r#"taper_loads_total{outcome="ready"} 2"#,
        r#"taper_loads_total{outcome="failed"} 2"#,
        "taper_load_seconds_count 4",
        "taper_weights_bytes 0",
    ] {
        assert!(text.lines().any(|have| have == line), "{line} in {text}");
    }
}

/// A load that says that it has begun and then waits to be told to end.
fn waiting() -> (Load, Receiver<String>, Sender<()>) {
    let (begun, seen) = mpsc::channel();
    let (go, may) = mpsc::channel();
    let load = move |order: &Order, _: &mut dyn FnMut(Phase)| {
        let _ = begun.send(order.version.to_string());
        let _ = may.recv();
        Err(Faults::one(&order.dir, "told to"))
    };
    (Box::new(load), seen, go)
}

#[test]
fn a_full_queue_refuses_and_does_not_wait() {
    let (load, begun, go) = waiting();
    let (report, seen) = sender();
    let loader = Loader::with(load, report).unwrap();
    let root = Path::new("m");
    assert!(loader.order(order(root, 1)));
    assert_eq!(begun.recv_timeout(SOON), Ok("1".to_owned()));
    for version in 2..=1 + WAITING as u64 {
        assert!(loader.order(order(root, version)), "{version} waits");
    }
    assert!(!loader.order(order(root, 99)), "no place is left");
    drop(go);
    assert_eq!(lines(&seen, 1 + WAITING).len(), 1 + WAITING);
    assert!(loader.order(order(root, 99)), "now there is");
    assert_eq!(lines(&seen, 1), ["m 99 failed: m/99: told to"]);
}

#[test]
fn a_load_in_progress_does_not_hold_up_the_end_and_orders_that_wait_are_forgotten() {
    let (load, begun, go) = waiting();
    let (report, seen) = sender();
    let loader = Loader::with(load, report).unwrap();
    for version in 1..=3 {
        assert!(loader.order(order(Path::new("m"), version)));
    }
    assert_eq!(begun.recv_timeout(SOON), Ok("1".to_owned()));
    drop(loader);
    assert_eq!(seen.try_iter().count(), 0, "nobody waited for it");
    drop(go);
    assert_eq!(lines(&seen, 1), ["m 1 failed: m/1: told to"]);
    assert!(seen.recv_timeout(SOON).is_err(), "the thread has ended");
    assert_eq!(begun.try_iter().count(), 0, "and began nothing else");
}

#[test]
fn an_idle_loader_has_ended_when_it_is_dropped() {
    let (load, _begun, _go) = waiting();
    let (report, seen) = sender();
    drop(Loader::with(load, report).unwrap());
    let ended = seen.try_recv().map(|report| line(&report));
    assert_eq!(ended, Err(mpsc::TryRecvError::Disconnected));
}

/// The numbers of <linux/sched.h>.
#[cfg(target_os = "linux")]
const SCHED_OTHER: i32 = 0;
#[cfg(target_os = "linux")]
const SCHED_IDLE: i32 = 5;

/// The scheduling policy of the calling thread.
#[cfg(target_os = "linux")]
fn policy() -> i32 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    // Field 41; the second, the name, may hold blanks and ends with the last parenthesis.
    let (_, after_name) = stat.rsplit_once(") ").unwrap();
    after_name.split(' ').nth(38).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn loading_gives_way_to_every_other_thread_and_nobody_else_does() {
    let (name, seen) = mpsc::channel();
    let load = move |order: &Order, _: &mut dyn FnMut(Phase)| {
        let thread = thread::current().name().unwrap_or_default().to_owned();
        name.send((thread, policy())).unwrap();
        Err(Faults::one(&order.dir, "told to"))
    };
    let loader = Loader::with(Box::new(load), |_| {}).unwrap();
    assert!(loader.order(order(Path::new("m"), 1)));
    let told = seen.recv_timeout(SOON).unwrap();
    assert_eq!(told, ("taper-load".to_owned(), SCHED_IDLE));
    assert_eq!(policy(), SCHED_OTHER);
}
