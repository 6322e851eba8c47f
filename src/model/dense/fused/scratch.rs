//! What lies between two layers: memory of the thread that scores, kept from one pass to the next.

use std::cell::Cell;

/// Values that a thread keeps: 256 KiB. A pass that needs more costs so much that its allocation does not count.
const KEPT: usize = 1 << 16;

thread_local! {
    static SCRATCH: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Lends `work` as many values, of whatever the last pass left in them.
pub(super) fn lend<T>(values: usize, work: impl FnOnce(&mut [f32]) -> T) -> T {
    // Taken out, so that a pass that panics or that starts another leaves nothing half borrowed.
    let mut scratch = SCRATCH.take();
    if scratch.len() < values {
        scratch.resize(values, 0.0);
    }
    let done = work(&mut scratch[..values]);
    if scratch.capacity() <= KEPT {
        SCRATCH.set(scratch);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_what_a_small_pass_needed_and_no_more() {
        let kept = || {
            let scratch = SCRATCH.take();
            let kept = scratch.capacity();
            SCRATCH.set(scratch);
            kept
        };
        lend(KEPT / 2, |scratch| scratch.fill(f32::NAN));
        assert!((KEPT / 2..=KEPT).contains(&kept()));
        lend(3, |scratch| assert_eq!(scratch.len(), 3));
        assert!(kept() >= KEPT / 2, "kept for the next large one");
        lend(KEPT + 1, |scratch| assert_eq!(scratch.len(), KEPT + 1));
        assert_eq!(kept(), 0);
    }
}
