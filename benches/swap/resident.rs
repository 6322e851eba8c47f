//! The memory of a process.

use std::fs;

/// Returns the resident memory of process `id` in kB.
pub(crate) fn of(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("alive");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    resident.expect("the size of a process")
}
