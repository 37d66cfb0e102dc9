//! In the place of `metrics` where these are not built in: nobody is told anything.

use http::Response;
use http::request::Parts;

use crate::access::Admission;
use crate::body::ResponseBody;
use crate::content::Content;
use crate::route::Route;

#[derive(Debug, Default)]
pub(crate) struct Observer(());

impl Observer {
    #[expect(clippy::unused_self, reason = "as `metrics` has it")]
    pub(crate) fn begin(&self, _: Option<&Route>, _: &Parts, _: Option<u64>) -> Observation {
        Observation
    }

    #[expect(clippy::unused_self, reason = "as `metrics` has it")]
    pub(crate) fn decided(&self, _: Admission) {}
}

#[derive(Debug)]
pub(crate) struct Observation;

impl Observation {
    #[expect(clippy::unused_self, reason = "as `metrics` has it")]
    pub(crate) fn content(&self, content: Content) -> Content {
        content
    }

    #[expect(clippy::unused_self, reason = "as `metrics` has it")]
    pub(crate) fn finish(self, response: Response<ResponseBody>) -> Response<ResponseBody> {
        response
    }
}
