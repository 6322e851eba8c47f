//! The flights that are replayed.

use csv::{ReaderBuilder, StringRecord};
use flate2::read::GzDecoder;
use serde_json::{Map, Value};

use crate::client::v1::TensorSignature;
use crate::client::{Failure, input};

/// Flights in order of time, as in the CSV file.
#[derive(Debug)]
pub(super) struct Flights {
    header: StringRecord,
    records: Vec<StringRecord>,
    date: usize,
    late: usize,
}

impl Flights {
    /// Reads a gzipped CSV file with at least the columns `date` and `late`.
    ///
    /// # Errors
    /// Returns an error if it is not such a file, or contains no flights.
    pub(super) fn read(gzipped: &[u8]) -> Result<Self, Failure> {
        let invalid =
            |error: &dyn std::fmt::Display| Failure::new(format!("the embedded flights: {error}"));
        let mut reader = ReaderBuilder::new().from_reader(GzDecoder::new(gzipped));
        let header = reader.headers().map_err(|error| invalid(&error))?.clone();
        let column = |name: &str| {
            header
                .iter()
                .position(|column| column == name)
                .ok_or_else(|| invalid(&format!("there is no column `{name}`")))
        };
        let (date, late) = (column("date")?, column("late")?);
        let records: Vec<_> = reader
            .records()
            .collect::<Result<_, _>>()
            .map_err(|error| invalid(&error))?;
        if records.is_empty() {
            return Err(invalid(&"there are none"));
        }
        Ok(Self {
            header,
            records,
            date,
            late,
        })
    }

    /// Returns how many there are; at least one.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Returns the day of departure of flight `at`. After the last flight comes the first again.
    pub(super) fn date(&self, at: usize) -> &str {
        self.cell(at, self.date)
    }

    /// Returns whether flight `at` was late.
    pub(super) fn was_late(&self, at: usize) -> bool {
        self.cell(at, self.late) == "1"
    }

    /// Returns the row of flight `at` for a model with these inputs.
    pub(super) fn row(&self, at: usize, inputs: &[TensorSignature]) -> Map<String, Value> {
        let mut row = Map::new();
        for one in inputs {
            let Some(column) = self.header.iter().position(|name| name == one.name) else {
                continue;
            };
            let text = self.cell(at, column);
            let value = input::cell(text, one.datatype());
            row.insert(one.name.clone(), value);
        }
        row
    }

    fn cell(&self, at: usize, column: usize) -> &str {
        self.records[at % self.records.len()]
            .get(column)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use serde_json::json;

    use super::*;
    use crate::client::v1::Datatype;

    fn gzipped(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn input(name: &str, datatype: Datatype) -> TensorSignature {
        TensorSignature {
            name: name.into(),
            datatype: datatype.into(),
            ..TensorSignature::default()
        }
    }

    #[test]
    fn a_row_has_only_the_inputs_of_the_model() {
        let flights = Flights::read(&gzipped(
            "date,carrier,month,temp,late\nd1,9E,7,37.5,1\nd2,UA,8,,0\n",
        ))
        .unwrap();
        let inputs = [
            input("carrier", Datatype::Bytes),
            input("month", Datatype::Int32),
            input("temp", Datatype::Fp32),
        ];
        assert_eq!(
            Value::from(flights.row(0, &inputs)),
            json!({"carrier": "9E", "month": 7, "temp": 37.5})
        );
        assert_eq!(
            Value::from(flights.row(1, &inputs)),
            json!({"carrier": "UA", "month": 8, "temp": null})
        );
        assert_eq!((flights.was_late(0), flights.was_late(1)), (true, false));
        assert_eq!(flights.date(3), "d2", "repeats");
    }

    #[test]
    fn a_file_without_outcomes_is_refused() {
        let error = Flights::read(&gzipped("date,carrier\nd1,9E\n"))
            .unwrap_err()
            .to_string();
        assert_eq!(error, "the embedded flights: there is no column `late`");
    }
}
