//! Makes every kind of change, for the state folder and the logs that a gateway writes.

use std::path::Path;

use tempfile::TempDir;

use super::{Gateway, args, flights, folder, publish_m, row_of_m};

/// Actor, reason and arguments of a change.
type Change = (&'static str, &'static str, &'static str);

#[rustfmt::skip]
const FIRST: [Change; 5] = [
    ("ann", "the first label", "label set stable 1 --model flight-delay"),
    ("ann", "", "label set canary 2 --model flight-delay"),
    ("bob", "a first look", "split set flight-delay stable=95% canary=5% --rule x-team=ops:2 --rule x-tier=gold:canary \
        --sticky-header x-user --salt spring"),
    ("bob", "", "shadow set flight-delay 3=25% canary=1% --deadline-ms 5000 --max-queue 128 --max-concurrent 2"),
    ("bob", "", "fallback set flight-delay stable --within-ms 250"),
];

/// Arguments of changes that are refused after [`FIRST`], and the error reason.
const REFUSED: [(&str, &str); 2] = [
    (
        "split set flight-delay stable=95% canary=5% --expect 2",
        "REVISION_CONFLICT",
    ),
    ("label set gold 9 --model flight-delay", "UNKNOWN_VERSION"),
];

#[rustfmt::skip]
const BACK: [Change; 3] = [
    ("ann", "it is better", "promote canary --model flight-delay"),
    ("ann", "it is not", "undo --model flight-delay"),
    ("ann", "", "label set blue 3 --model flight-delay"),
];

#[rustfmt::skip]
const LAST: [Change; 9] = [
    ("carol", "", "versions unload 2 --model m"),
    ("carol", "", "versions load 2 --model m"),
    ("carol", "may revert", "split set m 1=10% 2=90% --confirm-within 1h"),
    ("carol", "does not", "confirm --model m"),
    ("carol", "", "fallback set m 1"),
    ("carol", "", "split set m 2=100%"),
    ("ann", "as it was", "rollback 4 --model flight-delay"),
    ("ann", "after all", "rollback 9 --model flight-delay"),
    ("ann", "", "label delete blue --model flight-delay"),
];

/// Makes every kind of change, requests three refused ones, and predicts. Returns the folder of the gateway of `binary` after
/// its end.
pub fn changes(binary: &Path) -> TempDir {
    let dir = folder();
    let gateway = Gateway::start(binary, dir.path());
    let change = |&(actor, reason, change): &Change| {
        gateway.change(actor, reason, &args(change));
    };
    FIRST.iter().for_each(change);
    for (change, why) in REFUSED {
        gateway.refused(&args(change), why);
    }
    BACK.iter().for_each(change);
    gateway.refused(
        &args("versions unload 3 --model flight-delay"),
        "VERSION_HELD",
    );
    LAST.iter().for_each(change);
    let elsewhere = dir.path().join("elsewhere");
    publish_m(&elsewhere, 3);
    let next = elsewhere.join("m/3");
    let push = ["push", next.to_str().expect("UTF-8")];
    gateway.change("carol", "the next", &push);
    predict(&gateway);
    change(&("carol", "half of it", "undo --model m"));
    gateway.end();
    dir
}

/// Sends four requests that are answered, one of them by the fallback after version 2 of `m` failed, and one that is refused.
fn predict(gateway: &Gateway<'_>) {
    for ((row, _), key) in flights(2).into_iter().zip(["k0", "k1"]) {
        gateway.json(&[
            "predict",
            "flight-delay",
            "--row",
            &row.to_string(),
            "--key",
            key,
        ]);
    }
    for x in [0.0, 100.0] {
        gateway.json(&["predict", "m", "--row", &row_of_m(x)]);
    }
    let ended = gateway.run(&["predict", "m", "--row", &row_of_m(1_000.0)]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
}
