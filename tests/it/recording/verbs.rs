//! Records every verb that prints JSON.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::names::until_there;
use super::{Gateway, args, flights, folder, publish_m, row_of_m};
use crate::process::Process;
use crate::tiny;

/// Number of requests to `flight-delay`, and of flights in each.
const REQUESTS: usize = 20;
const FLIGHTS: usize = 20;
/// Number of flights per request whose outcome is reported.
const REPORTED: usize = 10;
/// Flags that select all statistics of `flight-delay`.
const ALL: &str = "--window all --model flight-delay";

/// JSON of every verb, and the series of the metrics afterwards.
pub struct RecordedOutput {
    /// Documents by the name of the command.
    pub documents: BTreeMap<&'static str, Value>,
    /// Types and series of the metrics page.
    pub series: Vec<String>,
}

/// Runs every verb of `binary` with JSON, then reads the metrics until all of `series` are exported or a time limit passes.
pub fn all_verbs(binary: &Path, series: &[String]) -> RecordedOutput {
    let dir = folder();
    let models = dir.path().join("models");
    tiny::publish_with(&models, "extra", 1, |manifest| {
        manifest["version"] = 9.into()
    });
    let gateway = Gateway::start(binary, dir.path());
    let mut conversation = Conversation {
        gateway: &gateway,
        dir: dir.path(),
        documents: BTreeMap::new(),
    };
    conversation.changes();
    conversation.predictions();
    conversation.versions();
    conversation.history();
    conversation.load(binary);
    let documents = conversation.documents;
    let series = until_there(&gateway, series);
    gateway.end();
    RecordedOutput { documents, series }
}

struct Conversation<'a> {
    gateway: &'a Gateway<'a>,
    dir: &'a Path,
    documents: BTreeMap<&'static str, Value>,
}

/// The reason of the change that the recorded release did not need.
const FOLLOWS: &str = "a model without a policy followed its newest version";

impl Conversation<'_> {
    fn keep(&mut self, name: &'static str, document: Value) {
        let before = self.documents.insert(name, document);
        assert_eq!(before, None, "{name} is printed twice");
    }

    fn read(&mut self, name: &'static str, command: &str) {
        self.keep(name, self.gateway.json(&args(command)));
    }

    fn change(&mut self, name: &'static str, command: &str) {
        self.keep(name, self.gateway.change("ann", "why not", &args(command)));
    }

    /// Writes `text` into a new file and returns its path.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.dir.join(name);
        fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    }

    #[rustfmt::skip]
    fn changes(&mut self) {
        // As in the recorded release, in which a model without a policy followed its newest version.
        self.gateway.change("ann", FOLLOWS, &args("split set flight-delay latest=100%"));
        self.change("label-set", "label set stable 1 --model flight-delay");
        self.change("label-set-new", "label set blue 3 --model flight-delay");
        self.change("label-delete", "label delete blue --model flight-delay");
        self.change("split-set", "split set flight-delay stable=50% 2=50% --rule x-team=ops:2 --rule x-tier=gold:stable \
            --sticky-header x-user --salt spring");
        self.change("split-set-confirm", "split set flight-delay 1=100% --confirm-within 1h");
        self.read("models-confirm", "models flight-delay");
        self.change("confirm", "confirm --model flight-delay");
        self.change("undo", "undo --model flight-delay");
        self.change("promote-dry-run", "promote stable --to gold --model flight-delay --dry-run --confirm-within 1h");
        self.change("promote", "promote stable --to gold --model flight-delay");
        self.change("rollback", "rollback 7 --model flight-delay");
        self.change("shadow-set", "shadow set flight-delay 3=100% --deadline-ms 60000 --max-queue 1000");
        self.read("shadow-list", "shadow list flight-delay");
        self.change("fallback-set", "fallback set m 1 --within-ms 5000");
        self.change("fallback-clear", "fallback clear m");
        self.change("fallback-set-again", "fallback set m 1");
        self.change("shadow-set-m", "shadow set m 1=50%");
        self.change("shadow-clear", "shadow clear m");
        self.change("split-set-m", "split set m 2=100%");
        self.read("label-list", "label list --model flight-delay");
        self.read("models", "models");
        self.read("models-one", "models flight-delay");
    }

    fn predictions(&mut self) {
        let mut outcomes = String::from("response_id,row,truth\n");
        // Number of flights that version 1 answered.
        let mut of_one = 0;
        for (at, flights) in flights(REQUESTS * FLIGHTS).chunks(FLIGHTS).enumerate() {
            let rows: String = flights.iter().map(|(row, _)| format!("{row}\n")).collect();
            let (file, key) = (self.file("rows.jsonl", &rows), format!("k{at}"));
            let predict = ["predict", "flight-delay", "--file", &file, "--key", &key];
            let answer = self.gateway.json(&predict);
            of_one += if answer["version"] == 1 { FLIGHTS } else { 0 };
            let id = answer["response_id"].as_str().expect("an id");
            for (row, (_, late)) in flights.iter().enumerate().take(REPORTED) {
                let class = if *late { "late" } else { "on time" };
                outcomes.push_str(&format!("{id},{row},{class}\n"));
            }
            if at == 0 {
                outcomes.push_str(&format!("{id},{FLIGHTS},late\nnobody,0,late\n"));
                self.keep("predict", answer);
            }
        }
        let number = self
            .gateway
            .json(&["predict", "m", "--row", &row_of_m(0.0)]);
        let id = number["response_id"].as_str().expect("an id");
        let outcome = format!("{{\"response_id\": \"{id}\", \"row\": 0, \"truth\": 1.5}}\n");
        self.keep("predict-number", number);
        let fails = ["predict", "m", "--row", &row_of_m(100.0)];
        self.keep("predict-fallback", self.gateway.json(&fails));
        self.statistics(of_one);
        self.outcomes(&outcomes, &outcome);
    }

    /// Version 1 answered `of_one` flights, and the shadow answered all of them.
    fn statistics(&mut self, of_one: usize) {
        let complete = |printed: &Value| {
            let all = (REQUESTS * FLIGHTS) as u64;
            rows(printed, "primary") == all && rows(printed, "shadow") == all
        };
        let stats = format!("stats --features {ALL}");
        self.keep("stats", self.gateway.until(&args(&stats), complete));
        let of_m = args("stats --window all --model m --version 1 --role fallback");
        let complete = |printed: &Value| rows(printed, "fallback") == 1;
        self.keep("stats-number", self.gateway.until(&of_m, complete));

        let compare = format!("compare 1 3 --examples 2 {ALL}");
        let complete =
            |printed: &Value| printed["paired"][0]["disagreement"]["total"] == of_one as u64;
        self.keep(
            "compare-shadow",
            self.gateway.until(&args(&compare), complete),
        );
        self.read("compare-split", &format!("compare 1 2 {ALL}"));
        self.read("drift", &format!("drift {ALL}"));
        let other = "--version 2 --against-version 1 --against-window all";
        self.read("drift-version", &format!("drift {ALL} {other}"));
        let earlier = "drift --model flight-delay --window 1h --earlier all";
        self.read("drift-earlier", earlier);
        self.read("drift-no-profile", "drift --model m");
        self.read("split-get", "split get flight-delay");
    }

    fn outcomes(&mut self, classes: &str, number: &str) {
        let file = self.file("outcomes.csv", classes);
        let report = ["outcomes", "report", "--file", &file];
        self.keep("outcomes-report", self.gateway.json(&report));
        let file = self.file("outcomes.jsonl", number);
        let report = ["outcomes", "report", "--file", &file];
        self.keep("outcomes-report-number", self.gateway.json(&report));
        self.read("outcomes", "outcomes --model flight-delay");
        self.read("outcomes-number", "outcomes --model m");
    }

    fn versions(&mut self) {
        publish_m(&self.dir.join("elsewhere"), 3);
        let next = self.dir.join("elsewhere/m/3");
        let push = ["push", next.to_str().expect("UTF-8")];
        self.keep("push", self.gateway.change("carol", "", &push));
        self.change("versions-unload", "versions unload 3 --model m");
        self.change("versions-load", "versions load 3 --model m");
        self.read("versions-list", "versions list --model flight-delay");
        self.read("versions-failed", "versions list --model extra");
    }

    fn history(&mut self) {
        let mut history = self.gateway.json(&args("history --all"));
        let revisions = history["revisions"].as_array_mut().expect("revisions");
        let newest = revisions[0]["revision"].as_u64().expect("a revision");
        revisions.retain(|one| one["actor"] != "taper" && one["reason"] != FOLLOWS);
        self.keep("history", history);
        self.read("audit", "audit --last 100");
        // Every change, then the state of each of the three models.
        let count = newest + 3;
        let watch = format!("watch --after 0 --count {count} --json");
        let ended = self.gateway.run(&args(&watch));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let lines = ended.stdout.lines();
        let mut lines = lines.map(|line| serde_json::from_str(line).expect("JSON"));
        self.keep("watch-change", lines.next().expect("a change"));
        self.keep("watch-model", lines.next_back().expect("a model"));
        let watch = args("watch --model extra --json");
        let mut watching = Process::start(&mut self.gateway.verb(&watch));
        watching.line_with("\"model\"");
        fs::remove_dir_all(self.dir.join("models/extra")).expect("removed");
        let gone = watching.line_with("\"gone\"");
        self.keep("watch-gone", serde_json::from_str(&gone).expect("JSON"));
    }

    /// Runs a load and a request with enough rows for the compute pool, whose metrics are exported from then on.
    fn load(&mut self, binary: &Path) {
        let rows = flights(500);
        let rows: String = rows.iter().map(|(row, _)| format!("{row}\n")).collect();
        let file = self.file("many.jsonl", &rows);
        let many = ["predict", "flight-delay", "--version", "2", "--file", &file];
        self.keep("predict-many", self.gateway.json(&many));

        let other = folder();
        let second = Gateway::start(binary, other.path());
        let admin = &self.gateway.admin;
        let bench =
            format!("bench flight-delay --version 1 --admin {admin} --duration 0.2 --warmup 0");
        let open = "--rate 50 --uniform";
        self.read("bench-open", &format!("{bench} {open}"));
        self.read("bench-closed", &format!("{bench} --concurrency 2"));
        let against = format!("--against {} --slice 0.1", second.data);
        self.read("bench-compare", &format!("{bench} {open} {against}"));
        second.end();
    }
}

/// Returns the rows of all versions in a role, from the JSON of `taper stats`.
fn rows(stats: &Value, role: &str) -> u64 {
    let all = stats["stats"].as_array().into_iter().flatten();
    let of_role = all.filter(|one| one["role"] == role);
    of_role.filter_map(|one| one["rows"].as_u64()).sum()
}
