//! Why somebody is refused, or nobody can say.

/// The cause of a failure, as whoever was asked tells it.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Nobody was authenticated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthenticationError {
    /// The request came without credentials, and none will not do.
    #[error("credentials are required")]
    Missing,
    /// The header cannot be read.
    #[error("the credentials are malformed")]
    Malformed,
    /// The credentials are not, or no longer, good.
    #[error("the credentials were refused")]
    Rejected,
    /// Too many logins are being checked; try again later.
    #[error("too many logins at once")]
    Busy,
    /// Whoever knows the logins cannot be asked.
    #[error("credentials cannot be checked")]
    Unavailable(#[source] Source),
}

/// Nobody could decide. Denying is no error: see [`Decision::Deny`](crate::Decision::Deny).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorizationError {
    /// Whoever knows the rules cannot be asked.
    #[error("access cannot be checked")]
    Unavailable(#[source] Source),
}
