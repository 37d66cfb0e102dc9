//! How much memory this process takes.

use std::fs;

/// From now on the peak is that of what comes.
pub fn forget_peak() {
    // Where the kernel does not offer it, the peak is that of all that was, which is only stricter.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// The most memory that was taken since, in mebibytes; 0 where the kernel does not tell.
#[must_use]
pub fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|text| text.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}
