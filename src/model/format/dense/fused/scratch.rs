//! Scratch memory for values between layers. Each thread keeps it from one pass to the next.

use std::cell::Cell;

/// The most values that a thread keeps: 256 KiB. For a pass that needs more, the cost of an allocation is negligible.
const KEPT: usize = 1 << 16;

thread_local! {
    static SCRATCH: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Calls `work` with scratch memory for `values` values. Their content is arbitrary.
pub(in crate::model::format) fn with<T>(values: usize, work: impl FnOnce(&mut [f32]) -> T) -> T {
    // Taken out of the thread-local variable, so that a panic or a nested call does not find it borrowed.
    let mut scratch = SCRATCH.take();
    if scratch.len() < values {
        scratch.resize(values, 0.0);
    }
    let result = work(&mut scratch[..values]);
    if scratch.capacity() <= KEPT {
        SCRATCH.set(scratch);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_only_the_memory_of_small_passes() {
        let kept = || {
            let scratch = SCRATCH.take();
            let kept = scratch.capacity();
            SCRATCH.set(scratch);
            kept
        };
        with(KEPT / 2, |scratch| scratch.fill(f32::NAN));
        assert!((KEPT / 2..=KEPT).contains(&kept()));
        with(3, |scratch| assert_eq!(scratch.len(), 3));
        assert!(kept() >= KEPT / 2, "kept for the next large pass");
        with(KEPT + 1, |scratch| assert_eq!(scratch.len(), KEPT + 1));
        assert_eq!(kept(), 0);
    }
}
