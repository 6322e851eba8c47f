//! Faults of a request, by field. Their number is bounded, because the number of values in a request is not.

use std::{borrow::Cow, fmt};

/// One invalid value of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFault {
    /// Path of the field in the request: `rows[3].temp`, `tensors[carrier][3]`, `routing_key`.
    pub field: String,
    /// What the field contains.
    pub got: String,
    /// What was expected.
    pub wanted: String,
}

impl fmt::Display for InputFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: got {}, wants {}", self.field, self.got, self.wanted)
    }
}

/// The faults of one request. The first [`InputFaults::MOST`] are kept, further ones are only counted. As an error it contains at
/// least one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputFaults {
    listed: Vec<InputFault>,
    unlisted: usize,
}

impl InputFaults {
    /// The most faults that are kept: a batch of a million invalid rows must not create a million texts.
    pub const MOST: usize = 16;
    /// The most faults that the one-line text contains.
    const IN_TEXT: usize = 3;

    /// First part of the paths of tensors in the native protocol.
    pub const TENSORS: &'static str = "tensors";

    /// Returns the faults with paths for a protocol whose field for tensors is `name`.
    #[must_use]
    pub fn with_tensors_as(&self, name: &str) -> Cow<'_, Self> {
        if name == Self::TENSORS {
            return Cow::Borrowed(self);
        }
        let mut faults = self.clone();
        for fault in &mut faults.listed {
            if let Some(rest) = fault.field.strip_prefix(Self::TENSORS) {
                fault.field = format!("{name}{rest}");
            }
        }
        Cow::Owned(faults)
    }

    /// Returns the faults with the paths that `rename` returns for theirs.
    #[must_use]
    pub fn with_fields(mut self, rename: impl Fn(&str) -> String) -> Self {
        for fault in &mut self.listed {
            fault.field = rename(&fault.field);
        }
        self
    }

    /// Returns a single fault.
    #[must_use]
    pub fn one(
        field: impl Into<String>,
        got: impl Into<String>,
        wanted: impl Into<String>,
    ) -> Self {
        let mut faults = Self::default();
        faults.add(field, got, wanted);
        faults
    }

    /// Adds a fault.
    pub fn add(
        &mut self,
        field: impl Into<String>,
        got: impl Into<String>,
        wanted: impl Into<String>,
    ) {
        if self.listed.len() < Self::MOST {
            let (field, got, wanted) = (field.into(), got.into(), wanted.into());
            self.listed.push(InputFault { field, got, wanted });
        } else {
            self.unlisted += 1;
        }
    }

    /// Adds a fault. `fault` is called only if the fault will be kept; use this in loops over many rows.
    pub fn add_with(&mut self, fault: impl FnOnce() -> InputFault) {
        if self.is_full() {
            self.unlisted += 1;
        } else {
            self.listed.push(fault());
        }
    }

    /// Returns whether further faults are only counted.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.listed.len() >= Self::MOST
    }

    /// Returns whether there is no fault.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// Returns the number of faults that were found, including those that are only counted.
    #[must_use]
    pub fn found(&self) -> usize {
        self.listed.len() + self.unlisted
    }

    /// Returns the faults that are kept, in the order found.
    pub fn iter(&self) -> impl Iterator<Item = &InputFault> {
        self.listed.iter()
    }

    /// Returns `Ok` if there is no fault.
    ///
    /// # Errors
    /// Returns `self` if there is a fault.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

/// Formats the first few faults in one line. The error details contain more; both must fit into the trailers.
impl fmt::Display for InputFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.listed.iter().take(Self::IN_TEXT).enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            fault.fmt(f)?;
        }
        let more = self.found().saturating_sub(Self::IN_TEXT);
        if more > 0 {
            write!(f, "; and {more} more")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cost of rejecting a request must not grow with the number of its invalid values.
    #[test]
    fn beyond_the_limit_faults_are_only_counted() {
        let mut built = 0;
        let mut faults = InputFaults::default();
        for at in 0..1_000_000 {
            faults.add_with(|| {
                built += 1;
                InputFault {
                    field: format!("rows[{at}]"),
                    got: "nothing".into(),
                    wanted: "something".into(),
                }
            });
        }
        assert_eq!(built, InputFaults::MOST);
        assert!(
            faults.to_string().ends_with("; and 999997 more"),
            "{faults}"
        );
    }
}
