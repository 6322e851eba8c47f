use std::path::Path;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::model::{LoadOptions, samples};
use crate::serving::batch::BatchingHints;

const SOON: Duration = Duration::from_secs(60);

fn request(root: &Path, version: u64) -> LoadRequest {
    LoadRequest {
        model: "m".parse().unwrap(),
        version: version.try_into().unwrap(),
        dir: root.join(version.to_string()),
        options: LoadOptions::default(),
        expected: None,
        room: None,
        batching: BatchingHints::default(),
    }
}

/// Formats a report as one line.
fn line(report: &LoadReport) -> String {
    let LoadReport {
        model,
        version,
        event,
    } = report;
    let what = match event {
        LoadEvent::Verifying => "verifying".to_owned(),
        LoadEvent::Warming => "warming".to_owned(),
        LoadEvent::Ready(serving) => format!("ready {}", serving.number()),
        LoadEvent::Failed(faults) => format!("failed: {faults}"),
        LoadEvent::Verified(compared) => format!("compared: {compared:?}"),
    };
    format!("{model} {version} {what}")
}

/// Returns the lines until `n` requests have ended.
fn lines(reports: &Receiver<LoadReport>, n: usize) -> Vec<String> {
    let (mut lines, mut ended) = (Vec::new(), 0);
    while ended < n {
        let report = reports.recv_timeout(SOON).expect("every request ends");
        ended += usize::from(matches!(
            report.event,
            LoadEvent::Ready(_) | LoadEvent::Failed(_)
        ));
        lines.push(line(&report));
    }
    lines
}

fn sender() -> (
    impl FnMut(LoadReport) + Send + 'static,
    Receiver<LoadReport>,
) {
    let (reports, seen) = mpsc::channel();
    (move |report| drop(reports.send(report)), seen)
}

#[test]
fn requests_are_loaded_one_after_the_other_and_every_result_is_reported() {
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
    let loader = Loader::start(Arc::clone(&telemetry), stats::Settings::default(), report).unwrap();
    for version in 1..=4 {
        assert!(loader.submit(LoaderRequest::Load(request(root.path(), version))));
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

/// Returns a load that reports its begin and then waits until the sender is dropped.
fn waiting() -> (Load, Receiver<String>, Sender<()>) {
    let (begun, seen) = mpsc::channel();
    let (go, may) = mpsc::channel();
    let load = move |request: &LoadRequest, _: &mut dyn FnMut(Phase)| {
        let _ = begun.send(request.version.to_string());
        let _ = may.recv();
        Err(Faults::one(&request.dir, "refused by the test"))
    };
    (Box::new(load), seen, go)
}

#[test]
fn a_full_queue_refuses_and_does_not_wait() {
    let (load, begun, go) = waiting();
    let (report, seen) = sender();
    let loader = Loader::with(load, report).unwrap();
    let root = Path::new("m");
    assert!(loader.submit(LoaderRequest::Load(request(root, 1))));
    assert_eq!(begun.recv_timeout(SOON), Ok("1".to_owned()));
    for version in 2..=1 + QUEUE_CAPACITY as u64 {
        assert!(
            loader.submit(LoaderRequest::Load(request(root, version))),
            "{version} is queued"
        );
    }
    assert!(
        !loader.submit(LoaderRequest::Load(request(root, 99))),
        "the queue is full"
    );
    drop(go);
    assert_eq!(lines(&seen, 1 + QUEUE_CAPACITY).len(), 1 + QUEUE_CAPACITY);
    assert!(
        loader.submit(LoaderRequest::Load(request(root, 99))),
        "the queue has room again"
    );
    assert_eq!(lines(&seen, 1), ["m 99 failed: m/99: refused by the test"]);
}

#[test]
fn dropping_the_loader_does_not_wait_for_a_load_and_discards_queued_requests() {
    let (load, begun, go) = waiting();
    let (report, seen) = sender();
    let loader = Loader::with(load, report).unwrap();
    for version in 1..=3 {
        assert!(loader.submit(LoaderRequest::Load(request(Path::new("m"), version))));
    }
    assert_eq!(begun.recv_timeout(SOON), Ok("1".to_owned()));
    drop(loader);
    assert_eq!(seen.try_iter().count(), 0, "the drop did not wait for it");
    drop(go);
    assert_eq!(lines(&seen, 1), ["m 1 failed: m/1: refused by the test"]);
    assert!(seen.recv_timeout(SOON).is_err(), "the thread has ended");
    assert_eq!(begun.try_iter().count(), 0, "no queued request was begun");
}

#[test]
fn dropping_an_idle_loader_ends_its_thread() {
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

/// Returns the scheduling policy of the calling thread.
#[cfg(target_os = "linux")]
fn scheduling_policy() -> i32 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    // Field 41; the second, the name, may hold blanks and ends with the last parenthesis.
    let (_, after_name) = stat.rsplit_once(") ").unwrap();
    after_name.split(' ').nth(38).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn only_the_loader_thread_has_idle_priority_once_requests_are_served() {
    let (name, seen) = mpsc::channel();
    let load = move |request: &LoadRequest, _: &mut dyn FnMut(Phase)| {
        let thread = thread::current().name().unwrap_or_default().to_owned();
        name.send((thread, scheduling_policy())).unwrap();
        Err(Faults::one(&request.dir, "refused by the test"))
    };
    let loader = Loader::with(Box::new(load), |_| {}).unwrap();
    let thread_of_a_load = || {
        assert!(loader.submit(LoaderRequest::Load(request(Path::new("m"), 1))));
        seen.recv_timeout(SOON).unwrap()
    };
    assert_eq!(thread_of_a_load(), ("taper-load".to_owned(), SCHED_OTHER));
    loader.give_way();
    assert_eq!(thread_of_a_load(), ("taper-load".to_owned(), SCHED_IDLE));
    assert_eq!(scheduling_policy(), SCHED_OTHER);
}
