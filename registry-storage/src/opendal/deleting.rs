//! Deletes that were signed before they are sent.

use ::opendal::Operator;
use ::opendal::raw::PresignedRequest;
use registry_core::storage::{Deletion, Error, Key};

use super::error;

/// Sends a request that was signed earlier, once. The service refuses it when its time is over.
pub(super) async fn send(operator: Operator, key: Key, signed: PresignedRequest) -> Result<Deletion, Error> {
    // Not through the operator, which would sign anew.
    let sent = operator.base_context().http_transport().send(signed.into()).await;
    match sent.map(|answer| answer.status().as_u16()) {
        Ok(status) => judge(key, status),
        Err(error) => error::deletion(&key, Err(error)),
    }
}

/// What is known after an answer.
fn judge(key: Key, status: u16) -> Result<Deletion, Error> {
    match status {
        200..=299 | 404 => Ok(Deletion::Acked),
        // The service is too slow, or too busy; it may have begun.
        408 | 429 | 500.. => {
            tracing::warn!(%key, status, "unknown whether a delete took effect");
            Ok(Deletion::Unknown)
        }
        _ => Err(Error::Failed { key, source: Refused(status).into() }),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the service refused to delete it, with status {0}")]
struct Refused(u16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_refusal_says_that_it_is_there() {
        let key: Key = "key".parse().unwrap();
        for status in [200, 204, 404] {
            assert_eq!(judge(key.clone(), status).unwrap(), Deletion::Acked, "{status}");
        }
        for status in [408, 429, 500, 503, 504] {
            assert_eq!(judge(key.clone(), status).unwrap(), Deletion::Unknown, "{status}");
        }
        for status in [301, 400, 403, 405] {
            assert!(matches!(judge(key.clone(), status), Err(Error::Failed { .. })), "{status}");
        }
    }
}
