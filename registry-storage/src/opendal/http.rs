//! The HTTP client of the services.

use std::time::Duration;

use ::opendal::{Error, ErrorKind, HttpTransporter, Operator};
use opendal_http_transport_reqwest::ReqwestTransport;

/// A service that does not even take the connection will not answer either.
const CONNECT: Duration = Duration::from_secs(10);
/// The longest silence after a request: a service may copy gigabytes before it answers.
const SILENCE: Duration = Duration::from_mins(5);

/// Gives the operator an HTTP client of its own, which waits 10 s for a connection and 5 minutes for the next bytes
/// of an answer.
///
/// Without it, an operator uses what the process installed for all of them, which this crate never does by itself.
///
/// ```
/// use registry_storage::opendal_crate::{Operator, services};
/// use registry_storage::{Opendal, over_http};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # #[cfg(feature = "s3")]
/// # {
/// let bucket = services::S3::default().bucket("registry").region("eu-central-1");
/// let storage = Opendal::new(over_http(Operator::new(bucket)?)?)?;
/// # }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the client cannot be made, as where the machine has no certificates to trust.
pub fn over_http(operator: Operator) -> ::opendal::Result<Operator> {
    over(operator, reqwest::Client::builder())
}

/// The same, over TLS with whomever: certificates are not verified, so that anybody in between can read and change what
/// goes by, credentials included.
///
/// # Errors
/// As [`over_http`].
pub fn over_http_unverified(operator: Operator) -> ::opendal::Result<Operator> {
    over(operator, reqwest::Client::builder().tls_danger_accept_invalid_certs(true))
}

fn over(operator: Operator, client: reqwest::ClientBuilder) -> ::opendal::Result<Operator> {
    let client = client.connect_timeout(CONNECT).read_timeout(SILENCE).build();
    let client = client
        .map_err(|error| Error::new(ErrorKind::ConfigInvalid, "the HTTP client cannot be made").set_source(error))?;
    let transport = HttpTransporter::new(ReqwestTransport::new(client));
    let context = operator.base_context().with_http_transport(transport);
    Ok(operator.with_context(context))
}
