//! Finds inputs by the names in a request, and suggests a name for a misspelt one.

use super::value::{list, quote};
use crate::model::signature::Signature;

impl Signature {
    /// Returns the index of the input `name`. Tries `guess` first, because clients mostly use the same order.
    pub(super) fn find_from(&self, guess: usize, name: &str) -> Option<usize> {
        let guessed = self.inputs().get(guess);
        if guessed.is_some_and(|input| input.name == name) {
            Some(guess)
        } else {
            self.find(name)
        }
    }

    /// Describes what was expected instead of an unknown `name`. Compares it with every input, so call it only for faults that are kept.
    pub(super) fn expected_instead_of(&self, name: &str) -> String {
        let inputs = self.inputs().iter();
        let names: Vec<_> = inputs.map(|input| input.name.as_str()).collect();
        match nearest(name, &names) {
            Some(near) => format!("an input of the model; did you mean {}?", quote(near)),
            None => format!("an input of the model: {}", list(&names)),
        }
    }
}

/// Returns the most similar of `names`, if at most a third of its characters differ, and at most two.
fn nearest<'n>(name: &str, names: &[&'n str]) -> Option<&'n str> {
    // Bounds the quadratic cost of the distance. A longer name is rarely a typing error.
    const MAX_LEN: usize = 64;
    if name.len() > MAX_LEN {
        return None;
    }
    let max_distance = (name.chars().count() / 3).clamp(1, 2);
    let near = names.iter().filter(|candidate| candidate.len() <= MAX_LEN);
    near.map(|candidate| (distance(name, candidate), *candidate))
        .filter(|(distance, _)| *distance <= max_distance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Returns the number of characters to insert, delete, replace or swap with a neighbour, ignoring case (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().flat_map(char::to_lowercase).collect();
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut line = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            line[j] = replaced.min(above[j] + 1).min(line[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                line[j] = line[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, line);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suggestion_is_the_nearest_name_unless_all_are_far() {
        let names = ["temp", "carrier", "origin", "month", "a"];
        for (name, want, why) in [
            ("tmep", Some("temp"), "two letters swapped"),
            ("tmp", Some("temp"), "a missing letter"),
            ("Temp", Some("temp"), "another case"),
            ("carriers", Some("carrier"), "an extra letter"),
            ("orgin_", Some("origin"), "two errors"),
            ("b", Some("a"), "one error is always allowed"),
            ("wind", None, "no similar name"),
            ("", Some("a"), "one letter away"),
        ] {
            assert_eq!(nearest(name, &names), want, "{name:?}: {why}");
        }
    }
}
