//! How tables look. What a terminal would obey is spelt out here already, so that the columns are as wide as what is seen.

use super::output::harmless;
use comfy_table::{CellAlignment, Table, presets};

/// A table with a header. The columns listed in `right` hold numbers and are aligned to the right.
pub(crate) fn table(
    header: &[&str],
    right: &[usize],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(header.iter().map(|cell| harmless(cell)));
    for row in rows {
        table.add_row(row.iter().map(|cell| harmless(cell)));
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        if right.contains(&at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// `12345` as `12,345`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `part` of `whole` in per cent with two decimals; `-` of nothing.
pub(crate) fn part_of(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".into();
    }
    format!("{:.2}%", part as f64 * 100.0 / whole as f64)
}

/// Basis points as per cent: `95%`, `0.5%`.
pub(crate) fn per_cent(basis_points: u32) -> String {
    format!("{}%", f64::from(basis_points) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_seen() {
        let row = vec!["\x1b[31mred".into(), "1".into()];
        insta::assert_snapshot!(table(&["a\x07", "b"], &[1], [row]), @r"
        ┌───────────────┬───┐
        │ a\u0007       ┆ b │
        ╞═══════════════╪═══╡
        │ \u001b[31mred ┆ 1 │
        └───────────────┴───┘
        ");
    }

    #[test]
    fn long_numbers_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (123_456, "123,456"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(thousands(number), text);
        }
    }

    #[test]
    fn a_part_of_nothing_is_not_a_number() {
        assert_eq!(part_of(0, 0), "-");
        assert_eq!(part_of(1, 3), "33.33%");
    }
}
