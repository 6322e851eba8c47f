//! Tables, and the texts of numbers in them.

use comfy_table::{CellAlignment, Table, presets};

use super::output::escape;

/// Returns a table with a header. The columns listed in `right` hold numbers and are aligned to the right. Cells are escaped here,
/// so that the width of a column is that of the text as it is shown.
pub fn table(
    header: &[&str],
    right: &[usize],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(header.iter().map(|cell| escape(cell)));
    for row in rows {
        table.add_row(row.iter().map(|cell| escape(cell)));
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        if right.contains(&at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// Returns the width of the terminal in characters; `usize::MAX` without a terminal.
pub(crate) fn terminal_width() -> usize {
    Table::new().width().map_or(usize::MAX, usize::from)
}

/// Returns the text of `value`; `-` without one.
pub(crate) fn or_dash<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "-".into(), text)
}

/// Returns `12345` as `12,345`.
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

/// Returns `part` as a percentage of `whole` with two decimals; `-` if `whole` is 0.
pub(crate) fn percentage(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".into();
    }
    format!("{:.2}%", part as f64 * 100.0 / whole as f64)
}

/// Returns basis points as a percentage: `95%`, `0.5%`.
pub(crate) fn per_cent(basis_points: u32) -> String {
    format!("{}%", f64::from(basis_points) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_the_escaped_text() {
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
    fn a_percentage_of_nothing_is_a_dash() {
        assert_eq!(percentage(0, 0), "-");
        assert_eq!(percentage(1, 3), "33.33%");
    }
}
