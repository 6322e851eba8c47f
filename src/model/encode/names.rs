//! Finding inputs by the names a caller gives, and guessing what a misspelt one meant.

use super::value::{list, quote};
use crate::model::signature::Signature;

impl Signature {
    /// Which input `name` is; `guess` is looked at first, since callers mostly keep to an order.
    pub(super) fn find_from(&self, guess: usize, name: &str) -> Option<usize> {
        let guessed = self.inputs().get(guess);
        if guessed.is_some_and(|input| input.name == name) {
            Some(guess)
        } else {
            self.find(name)
        }
    }

    /// What to say of a name that is no input. Looks at every input: only for faults that are told.
    pub(super) fn wanted_instead_of(&self, name: &str) -> String {
        let inputs = self.inputs().iter();
        let names: Vec<_> = inputs.map(|input| input.name.as_str()).collect();
        match nearest(name, &names) {
            Some(near) => format!("an input of the model; did you mean {}?", quote(near)),
            None => format!("an input of the model: {}", list(&names)),
        }
    }
}

/// The one of `names` that `name` most likely is: at most a third of it mistyped, and at most two characters.
fn nearest<'n>(name: &str, names: &[&'n str]) -> Option<&'n str> {
    // Longer than any name that a person types; not worth the quadratic distance.
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return None;
    }
    let most = (name.chars().count() / 3).clamp(1, 2);
    let near = names.iter().filter(|candidate| candidate.len() <= LONGEST);
    near.map(|candidate| (distance(name, candidate), *candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Characters to insert, delete, replace or swap with a neighbour, ignoring case (optimal string alignment).
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
    fn the_hint_is_the_nearest_name_and_none_when_all_are_far() {
        let names = ["temp", "carrier", "origin", "month", "a"];
        for (name, want, why) in [
            ("tmep", Some("temp"), "neighbours swapped"),
            ("tmp", Some("temp"), "a letter left out"),
            ("Temp", Some("temp"), "another case"),
            ("carriers", Some("carrier"), "a letter more"),
            ("orgin_", Some("origin"), "two slips"),
            ("b", Some("a"), "one slip is always allowed"),
            ("wind", None, "nothing alike"),
            ("", Some("a"), "one letter away"),
        ] {
            assert_eq!(nearest(name, &names), want, "{name:?}: {why}");
        }
    }
}
