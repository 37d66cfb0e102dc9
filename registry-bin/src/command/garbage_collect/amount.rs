//! Numbers of bytes, for people.

/// A number of bytes with a unit of 1024.
pub(in crate::command) fn bytes(bytes: u64) -> String {
    let mut unit = "bytes";
    let (mut whole, mut rest) = (bytes, 0);
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if whole < 1024 {
            break;
        }
        (whole, rest, unit) = (whole / 1024, whole % 1024, larger);
    }
    if unit == "bytes" { format!("{whole} bytes") } else { format!("{whole}.{} {unit}", rest * 10 / 1024) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_a_unit() {
        for (number, text) in
            [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (3 << 30, "3.0 GiB"), (u64::MAX, "16383.9 PiB")]
        {
            assert_eq!(bytes(number), text);
        }
    }
}
