//! Weights in other files.

use super::super::proto::StringStringEntryProto;
use super::super::proto::tensor_proto::{DataLocation, DataType};
use super::super::{Graph, Value, read};
use super::build::{File, shape};
use super::texts;

/// A file whose weights, `[4]`, are elsewhere.
fn file(entries: &[(&str, &str)]) -> File {
    let mut file = File::new(13)
        .floats("x", shape!["rows", 4])
        .weights("w", &[4], vec![])
        .node("Add", "x w", "y")
        .outputs(&["y"]);
    let tensor = &mut file.graph().initializer[0];
    tensor.data_location = DataLocation::External.into();
    let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
        key: (*key).into(),
        value: (*value).into(),
    };
    tensor.external_data = entries.iter().map(entry).collect();
    file
}

/// Parts of the other file that were asked for: path, offset and length in bytes.
type Asked = Vec<(String, u64, u64)>;

/// Reads a file. The other file has 32 bytes. Returns what was asked for, too.
fn read_with(file: &File) -> (Result<Graph, Vec<String>>, Asked) {
    let mut asked = Vec::new();
    let mut external = |path: &str, offset: u64, length: u64| {
        asked.push((path.to_owned(), offset, length));
        if offset + length > 32 {
            return Err("the file has 32 bytes".to_owned());
        }
        let numbers = (0..8_u8).flat_map(|x| f32::from(x).to_le_bytes());
        let start = usize::try_from(offset).unwrap();
        let end = start + usize::try_from(length).unwrap();
        Ok(numbers.collect::<Vec<u8>>()[start..end].to_vec())
    };
    let graph = read(file.bytes().into(), &mut external, &mut || {});
    (graph.map_err(|faults| texts(&faults)), asked)
}

#[test]
fn data_is_read_from_the_place_that_the_file_names() {
    for (entries, offset, first) in [
        (&[("location", "w.bin")][..], 0, 0.0),
        (
            &[
                ("location", "./w.bin"),
                ("offset", "16"),
                ("length", "16"),
                ("checksum", "x"),
            ],
            16,
            4.0,
        ),
    ] {
        let (graph, asked) = read_with(&file(entries));
        assert_eq!(asked, [("w.bin".to_owned(), offset, 16)]);
        let zeros = Value::of(vec![1, 4], vec![0.0_f32; 4]).unwrap();
        let answer = graph.unwrap().run(vec![zeros]).unwrap();
        assert_eq!(answer[0].elements::<f32>().unwrap()[0], first);
    }
}

#[test]
fn paths_outside_the_folder_are_refused_before_anything_is_read() {
    for location in [
        "/etc/passwd",
        "../w.bin",
        "a/../../w.bin",
        "a//w.bin",
        "a/./w.bin",
        "..",
        ".",
        "",
        "c:/w.bin",
        "a\\w.bin",
        "a\0b",
        &"a/".repeat(600),
    ] {
        let (result, asked) = read_with(&file(&[("location", location)]));
        let faults = result.unwrap_err();
        assert!(
            faults[0].contains("expected a path inside the model's folder"),
            "{faults:?}"
        );
        assert_eq!(asked, []);
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    for (entries, expected) in [
        (
            &[("offset", "0")][..],
            r#"initializer "w": external_data has no location"#,
        ),
        (
            &[("location", "w"), ("length", "12")],
            r#"initializer "w": external_data: got a length of 12 bytes, expected 16"#,
        ),
        (
            &[("location", "w"), ("offset", "-1")],
            r#"initializer "w": external_data: got offset "-1", expected a number"#,
        ),
        (
            &[("location", "w"), ("offset", "20")],
            r#"initializer "w": w: the file has 32 bytes"#,
        ),
        (
            &[("location", "w"), ("mode", "z")],
            r#"initializer "w": external_data: unknown key "mode""#,
        ),
    ] {
        assert_eq!(read_with(&file(entries)).0.unwrap_err()[0], expected);
    }
    let mut both = file(&[("location", "w")]);
    both.graph().initializer[0].float_data = vec![0.0; 4];
    let faults = read_with(&both).0.unwrap_err();
    assert_eq!(
        faults[0],
        r#"initializer "w": got data both in this file and in another one"#
    );
    let mut huge = file(&[("location", "w")]);
    huge.graph().initializer[0].dims = vec![1 << 40, 1 << 40];
    let (faults, asked) = read_with(&huge);
    assert!(faults.unwrap_err()[0].contains("has too many elements"));
    assert_eq!(asked, []);
    let mut texts = file(&[("location", "w")]);
    texts.graph().initializer[0].data_type = DataType::String.into();
    let faults = read_with(&texts).0.unwrap_err();
    assert_eq!(
        faults[0],
        r#"initializer "w": strings in another file are not supported"#
    );
}
