use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::*;

const SPEC: &str = r#"
model = "m"
[data]
train = "a.csv"
date = "day"
[target]
column = "late"
classes = ["no", "yes"]
[[features]]
name = "temp"
column = "Temperature"
datatype = "FP64"
kind = "numeric"
[[features]]
name = "seats"
datatype = "INT32"
kind = "numeric"
[[features]]
name = "wifi"
datatype = "BOOL"
kind = "ignore"
sensitive = true
[[features]]
name = "carrier"
datatype = "BYTES"
kind = "categorical"
"#;

const VALID: &str = "day,Temperature,seats,wifi,carrier,late,surplus
2013-02-02,1.5,100,true,UA,yes,x
2013-02-01,,NA,0,NA,no,x
2013-02-03T10:30,-3,7,False,\"B, 6\",no,x
";

fn read_text(name: &str, bytes: &[u8]) -> Result<Table, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    std::fs::write(&file, bytes).unwrap();
    let spec = Spec::parse(&folder.path().join("spec.toml"), SPEC).unwrap();
    let prefix = format!("{}/", folder.path().display());
    read(&file, &spec, None, None).map_err(|faults| faults.to_string().replace(&prefix, ""))
}

#[test]
fn rows_are_typed_and_ordered_by_time() {
    let table = read_text("a.csv", VALID.as_bytes()).unwrap();
    let lines: Vec<u64> = table.samples.iter().map(|sample| sample.line).collect();
    assert_eq!(lines, [3, 2, 4]);
    let cells: Vec<&Cell> = table.samples[0]
        .cells
        .iter()
        .map(|(_, cell)| cell)
        .collect();
    let na = Cell::Text("NA".into());
    assert_eq!(
        cells,
        [&Cell::Missing, &Cell::Missing, &Cell::Bool(false), &na],
        "NA is missing in a column of numbers, and a category in a column of strings"
    );
    let (name, cell) = &table.samples[2].cells[3];
    assert_eq!(
        (name.as_str(), cell),
        ("carrier", &Cell::Text("B, 6".into()))
    );
    assert_eq!(
        table.samples[1].target.to_string(),
        "1",
        "the index of `yes`"
    );
}

#[test]
fn a_gzipped_file_is_decompressed_and_its_digest_is_of_the_file_on_disk() {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(VALID.as_bytes()).unwrap();
    let packed = packer.finish().unwrap();
    let table = read_text("a.csv.gz", &packed).unwrap();
    assert_eq!(table.samples.len(), 3);
    assert_eq!(table.sha256, HEXLOWER.encode(&Sha256::digest(&packed)));
    let broken = read_text("a.csv.gz", VALID.as_bytes()).unwrap_err();
    assert!(
        broken.starts_with("a.csv.gz: cannot be read: invalid gzip header"),
        "{broken}"
    );
}

#[test]
fn rows_outside_of_the_given_days_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.csv");
    std::fs::write(&file, VALID).unwrap();
    let spec = Spec::parse(&folder.path().join("spec.toml"), SPEC).unwrap();
    let lines = |from: &str, to: &str| -> Vec<u64> {
        let table = read(&file, &spec, from.parse().ok(), to.parse().ok()).unwrap();
        table.samples.iter().map(|sample| sample.line).collect()
    };
    assert_eq!(lines("2013-02-02", ""), [2, 4]);
    assert_eq!(lines("", "2013-02-02"), [3, 2], "the last day is included");
    assert_eq!(
        lines("2013-02-03", "2013-02-03"),
        [4],
        "at any time of the day"
    );
}

#[test]
fn every_invalid_value_is_reported_by_line_and_column() {
    let text = "day,Temperature,seats,wifi,carrier,late
2013-02-01,warm,1.5,secret,UA,yes
2013-13-01,inf,99999999999,1,UA,maybe
2013-02-01,1,1,1,UA,
";
    assert_eq!(
        read_text("a.csv", text.as_bytes()).unwrap_err(),
        "\
a.csv: line 2, column `Temperature`: got \"warm\", wants a finite number
a.csv: line 2, column `seats`: got \"1.5\", wants a whole number
a.csv: line 2, column `wifi`: got \"a value that is not shown\", wants true, false, 1 or 0
a.csv: line 3, column `Temperature`: got \"inf\", wants a finite number
a.csv: line 3, column `seats`: got \"99999999999\", wants a whole number
a.csv: line 3, column `late`: got \"maybe\", wants one of no, yes
a.csv: line 3, column `day`: got \"2013-13-01\", wants a date or a time such as 2013-01-31 or 2013-01-31T14:05
a.csv: line 4, column `late`: got \"\", wants one of no, yes"
    );
}

#[test]
fn invalid_headers_and_lines_are_reported() {
    let text = "day,temp,seats,seats,wifi,late\n";
    assert_eq!(
        read_text("a.csv", text.as_bytes()).unwrap_err(),
        "\
a.csv: column `Temperature`: no such column; the file has day, temp, seats, seats, wifi, late
a.csv: column `seats`: is repeated
a.csv: column `carrier`: no such column; the file has day, temp, seats, seats, wifi, late"
    );
    for text in ["", "\n\n", ",,\n1,2,3\n"] {
        assert_eq!(
            read_text("a.csv", text.as_bytes()).unwrap_err(),
            "a.csv: has no header, wants the names of the columns in the first line",
            "{text:?}"
        );
    }
    let text = format!("{VALID}2013-02-04,1\n");
    assert_eq!(
        read_text("a.csv", text.as_bytes()).unwrap_err(),
        "a.csv: line 5: got 2 values, wants 7, like the header"
    );
    let missing = read(
        Path::new("no/such.csv"),
        &Spec::parse(Path::new("spec.toml"), SPEC).unwrap(),
        None,
        None,
    );
    let faults = missing.unwrap_err().to_string();
    assert!(
        faults.starts_with("no/such.csv: cannot be read"),
        "{faults}"
    );
}
