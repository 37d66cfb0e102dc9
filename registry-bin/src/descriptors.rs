//! How many files and connections the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the process opens beside connections and the files that they read.
const RESERVED: u64 = 64;
/// Fewer connections than this are worth a word.
const FEW: usize = 1024;

/// How many connections, and how many requests on them, there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Each takes a file.
    pub connections: usize,
    /// Each may read or write another one. Over HTTP/2 there are many on one connection.
    pub requests: usize,
}

/// Raises the limit of open files to what the system allows, and gives as much of what is wanted as that leaves room for.
/// With `is_told` every connection that there is no room for is worth a word.
#[must_use]
pub fn room(wanted: Room, is_told: bool) -> Room {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let allowed = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            limit.current
        }
    };
    let room = affordable(wanted, allowed);
    if room.connections < wanted.connections && (is_told || room.connections < FEW) {
        let Room { connections, requests } = room;
        tracing::warn!(connections, requests, "the limit of open files leaves room for fewer connections");
    }
    room
}

/// Connections have half of what is left, or less if they want less.
fn affordable(wanted: Room, allowed: Option<u64>) -> Room {
    let Some(allowed) = allowed else { return wanted };
    let left = usize::try_from(allowed.saturating_sub(RESERVED)).unwrap_or(usize::MAX);
    let connections = (left / 2).clamp(1, wanted.connections.max(1));
    let requests = left.saturating_sub(connections).clamp(1, wanted.requests.max(1));
    Room { connections, requests }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(connections: usize, requests: usize, allowed: Option<u64>) -> (usize, usize) {
        let room = affordable(Room { connections, requests }, allowed);
        (room.connections, room.requests)
    }

    #[test]
    fn files_keep_their_share() {
        assert_eq!(of(16_384, 16_384, None), (16_384, 16_384));
        assert_eq!(of(16_384, 16_384, Some(1_048_576)), (16_384, 16_384));
        assert_eq!(of(16_384, 16_384, Some(20_000)), (9_968, 9_968));
        assert_eq!(of(16_384, 16_384, Some(1_024)), (480, 480));
        assert_eq!(of(100, 16_384, Some(1_024)), (100, 860));
        assert_eq!(of(16_384, 16_384, Some(10)), (1, 1));
    }

    #[test]
    fn the_limit_is_raised() {
        let one = Room { connections: 1, requests: 1 };
        assert_eq!(room(one, true), one);
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
