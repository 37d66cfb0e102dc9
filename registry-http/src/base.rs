//! `/v2/`: this is a registry, and whoever reads this may come in.

use http::Response;
use http::header::CONTENT_TYPE;

use crate::body::ResponseBody;
use crate::dispatch::Answer;

pub(crate) fn get() -> Answer {
    Ok(Response::builder().header(CONTENT_TYPE, "application/json").body(ResponseBody::from("{}"))?)
}
