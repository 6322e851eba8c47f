//! What is wrong with a request's values, by field: bounded, since requests are not.

use std::{borrow::Cow, fmt};

/// One value of a request that cannot be used, named so that its sender can mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFault {
    /// Path of the field in the request: `rows[3].temp`, `tensors[carrier][3]`, `routing_key`.
    pub field: String,
    /// What came.
    pub got: String,
    /// What was wanted.
    pub wanted: String,
}

impl fmt::Display for InputFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: got {}, wants {}", self.field, self.got, self.wanted)
    }
}

/// The faults of one request, at least one; past [`InputFaults::MOST`] only their number is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputFaults {
    listed: Vec<InputFault>,
    unlisted: usize,
}

impl InputFaults {
    /// How many faults are kept: a batch of a million bad rows must not make a million texts.
    pub const MOST: usize = 16;
    /// How many of them its one-line text names.
    const IN_TEXT: usize = 3;

    /// What paths of tensors begin with, where no protocol calls them otherwise.
    pub const TENSORS: &'static str = "tensors";

    /// The same for a protocol that calls tensors `name`.
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

    /// A single fault.
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

    /// Adds a fault whose texts are built only if it will be named: for loops over many bad rows.
    pub fn add_with(&mut self, fault: impl FnOnce() -> InputFault) {
        if self.is_full() {
            self.unlisted += 1;
        } else {
            self.listed.push(fault());
        }
    }

    /// Whether further faults are only counted.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.listed.len() >= Self::MOST
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// How many were found, named or not.
    #[must_use]
    pub fn found(&self) -> usize {
        self.listed.len() + self.unlisted
    }

    /// The faults that are named, in the order found.
    pub fn iter(&self) -> impl Iterator<Item = &InputFault> {
        self.listed.iter()
    }

    /// `Ok` where nothing was wrong.
    ///
    /// # Errors
    /// All faults, where there is any.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

/// The first few, so that the details, which name more, still fit beside it.
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

    /// Whoever sends a million bad values must not choose how much work their refusal is.
    #[test]
    fn past_the_limit_faults_are_counted_without_being_told() {
        let mut told = 0;
        let mut faults = InputFaults::default();
        for at in 0..1_000_000 {
            faults.add_with(|| {
                told += 1;
                InputFault {
                    field: format!("rows[{at}]"),
                    got: "nothing".into(),
                    wanted: "something".into(),
                }
            });
        }
        assert_eq!(told, InputFaults::MOST);
        assert!(
            faults.to_string().ends_with("; and 999997 more"),
            "{faults}"
        );
    }
}
