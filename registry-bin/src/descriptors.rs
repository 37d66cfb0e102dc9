//! How many files and connections the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the process opens beside connections and the files that they read.
const RESERVED: u64 = 64;
/// Fewer connections than this are worth a word.
const FEW: usize = 1024;

/// Raises the limit of open files to what the system allows, and gives the number of connections that leaves each of
/// them a file.
#[must_use]
pub fn connections(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let allowed = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            limit.current
        }
    };
    let connections = affordable(wanted, allowed);
    if connections < wanted.min(FEW) {
        tracing::warn!(connections, "the limit of open files leaves room for few connections");
    }
    connections
}

/// Half of what is left: a connection may read or write a file.
fn affordable(wanted: usize, allowed: Option<u64>) -> usize {
    let Some(allowed) = allowed else { return wanted };
    let affordable = allowed.saturating_sub(RESERVED) / 2;
    usize::try_from(affordable).unwrap_or(usize::MAX).clamp(1, wanted.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_keep_their_share() {
        assert_eq!(affordable(16_384, None), 16_384);
        assert_eq!(affordable(16_384, Some(1_048_576)), 16_384);
        assert_eq!(affordable(16_384, Some(1_024)), 480);
        assert_eq!(affordable(16_384, Some(10)), 1);
    }

    #[test]
    fn the_limit_is_raised() {
        assert!(connections(1) == 1);
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
