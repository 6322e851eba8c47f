//! Invalid named rows.

use super::*;

#[test]
fn an_invalid_cell_is_reported_by_its_field() {
    let big = "x".repeat(100);
    let list = |cells: &[f64]| Cell::List(cells.iter().map(|x| Cell::Number(*x)).collect());
    for (name, cell, want) in [
        (
            "temp",
            Cell::Missing,
            "rows[1].temp: got nothing, wants a finite FP32 number from -40 to 60",
        ),
        (
            "temp",
            Cell::Number(f64::NAN),
            "rows[1].temp: got nothing, wants a finite FP32 number from -40 to 60",
        ),
        (
            "temp",
            Cell::Number(f64::INFINITY),
            "rows[1].temp: got inf, wants a finite FP32 number from -40 to 60",
        ),
        (
            "temp",
            Cell::Number(1e300),
            "rows[1].temp: got 1e300, wants a finite FP32 number from -40 to 60",
        ),
        (
            "temp",
            Cell::Number(60.5),
            "rows[1].temp: got 60.5, wants a finite FP32 number from -40 to 60",
        ),
        (
            "temp",
            Cell::Text("hot".into()),
            "rows[1].temp: got \"hot\", wants a finite FP32 number from -40 to 60",
        ),
        (
            "temp",
            Cell::Bool(true),
            "rows[1].temp: got true, wants a finite FP32 number from -40 to 60",
        ),
        (
            "temp",
            Cell::Object,
            "rows[1].temp: got an object, wants a finite FP32 number from -40 to 60",
        ),
        (
            "temp",
            list(&[1.0, 2.0]),
            "rows[1].temp: got a list of 2, wants a finite FP32 number from -40 to 60",
        ),
        (
            "wind",
            Cell::Number(f64::INFINITY),
            "rows[1].wind: got inf, wants a finite number",
        ),
        (
            "day",
            Cell::Number(2.5),
            "rows[1].day: got 2.5, wants a whole number of 32 bits from 1 to 31",
        ),
        (
            "day",
            Cell::Number(3e9),
            "rows[1].day: got 3000000000, wants a whole number of 32 bits from 1 to 31",
        ),
        (
            "seats",
            Cell::Number(1e19),
            "rows[1].seats: got 1e19, wants a whole number of 64 bits",
        ),
        (
            "rain",
            Cell::Number(1.0),
            "rows[1].rain: got 1, wants true or false",
        ),
        (
            "carrier",
            Cell::Number(1.0),
            "rows[1].carrier: got 1, wants one of `UA`, `AA`, `B6`",
        ),
        (
            "carrier",
            Cell::Text("ZZ".into()),
            "rows[1].carrier: got `ZZ`, wants one of `UA`, `AA`, `B6`",
        ),
        (
            "note",
            Cell::Number(1.0),
            "rows[1].note: got 1, wants a string",
        ),
        (
            "pair",
            Cell::Number(1.0),
            "rows[1].pair: got 1, wants a list of 2, each a finite number",
        ),
        (
            "pair",
            Cell::Missing,
            "rows[1].pair: got nothing, wants a list of 2, each a finite number",
        ),
        (
            "pair",
            list(&[1.0]),
            "rows[1].pair: got a list of 1, wants a list of 2, each a finite number",
        ),
        (
            "pair",
            list(&[1.0, 1e300]),
            "rows[1].pair[1]: got 1e300, wants a number that fits FP32 when scaled",
        ),
        (
            "tmep",
            Cell::Number(1.0),
            "rows[1].tmep: got an unknown name, wants an input of the model; did you mean `temp`?",
        ),
        (
            &big,
            Cell::Missing,
            &format!(
                "rows[1].{}…: got an unknown name, wants an input of the model: `temp`, `wind`, `day`, `seats`, `rain`, `hour`, `carrier`, `origin` and 2 more",
                &big[..64]
            ),
        ),
    ] {
        let mut row = good();
        row.retain(|(given, _)| given != name);
        row.push((name.into(), cell));
        let payload = Payload::Rows(vec![good(), row, good()]);
        assert_eq!(lines(&signature().encode(&payload).unwrap_err()), [want]);
    }
}

#[test]
fn an_invalid_set_of_rows_is_reported_by_its_field() {
    let many = (0..60).map(|i| (format!("x{i}"), Cell::Missing)).collect();
    let mut twice = good();
    twice.push(("temp".into(), Cell::Number(1.0)));
    for (rows, want) in [
        (vec![], "rows: got 0 rows, wants 1 to 4 rows"),
        (vec![good(); 5], "rows: got 5 rows, wants 1 to 4 rows"),
        (
            vec![twice],
            "rows[0].temp: got a repeated name, wants each name once",
        ),
        (
            vec![many],
            "rows[0]: got 60 names, wants at most one for each of 10 inputs",
        ),
    ] {
        assert_eq!(
            lines(&signature().encode(&Payload::Rows(rows)).unwrap_err()),
            [want]
        );
    }
}

#[test]
fn all_faults_are_reported_at_once_up_to_the_limit() {
    let mut signature = signature();
    signature.max_rows = 1_000;
    let mut bad = good();
    bad.retain(|(name, _)| name != "day");
    bad.push(("tmep".into(), Cell::Missing));
    let payload = Payload::Rows(vec![bad.clone()]);
    let faults = signature.encode(&payload).unwrap_err();
    let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["rows[0].tmep", "rows[0].day"]);

    let faults = signature
        .encode(&Payload::Rows(vec![bad; 1_000]))
        .unwrap_err();
    assert_eq!(faults.iter().count(), InputFaults::MOST);
    // The one-line text contains three of them.
    assert!(faults.to_string().ends_with("and 1997 more"), "{faults}");
}

#[test]
fn a_sensitive_value_is_never_shown() {
    let mut inputs = signature().inputs().to_vec();
    inputs
        .iter_mut()
        .for_each(|input| input.sensitive = Sensitivity::Hidden);
    let signature = taking(inputs);
    for (name, cell) in [
        ("carrier", Cell::Text("secret".into())),
        ("temp", Cell::Text("secret".into())),
        ("temp", Cell::Number(4_242.0)),
        ("day", Cell::Number(4_242.5)),
    ] {
        let mut row = good();
        row.retain(|(given, _)| given != name);
        row.push((name.into(), cell));
        let text = signature
            .encode(&Payload::Rows(vec![row]))
            .unwrap_err()
            .to_string();
        assert!(!text.contains("secret") && !text.contains("4242"), "{text}");
        let known = ["UA", "AA", "B6"].iter().any(|known| text.contains(known));
        assert!(!known, "categories of a sensitive input are shown: {text}");
    }
    let mut row = good();
    row.retain(|(given, _)| given != "carrier");
    row.push(("carrier".into(), Cell::Text("ZZ".into())));
    let faults = signature.encode(&Payload::Rows(vec![row])).unwrap_err();
    let want = "rows[0].carrier: got a value that is not shown, wants a known category";
    assert_eq!(lines(&faults), [want]);
}
