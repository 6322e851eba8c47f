//! The spread of a value over the rounds of a bench.

#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) lowest: f64,
    pub(crate) median: f64,
    highest: f64,
}

impl Spread {
    /// Returns the spread of `values`, of which there is at least one.
    pub(crate) fn of(values: &[f64]) -> Self {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        Self {
            lowest: values[0],
            median: values[values.len() / 2],
            highest: values[values.len() - 1],
        }
    }

    pub(crate) fn show(self, decimals: usize) -> String {
        let Self {
            lowest,
            median,
            highest,
        } = self;
        format!("{median:.decimals$} [{lowest:.decimals$} to {highest:.decimals$}]")
    }
}
