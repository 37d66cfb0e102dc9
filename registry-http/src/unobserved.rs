//! In the place of `observer` where neither metrics nor pages are built in: nobody is told anything.

use http::Response;
use http::request::Parts;

use crate::access::Admission;
use crate::body::ResponseBody;
use crate::content::Content;
use crate::route::Route;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject<'a> {
    #[expect(dead_code, reason = "as `observer` has it")]
    Api(&'a Route),
    Nothing,
}

#[derive(Debug, Default)]
pub(crate) struct Observer(());

impl Observer {
    #[expect(clippy::unused_self, reason = "as `observer` has it")]
    pub(crate) fn begin(&self, _: Subject<'_>, _: &Parts, _: Option<u64>) -> Observation {
        Observation
    }

    #[expect(clippy::unused_self, reason = "as `observer` has it")]
    pub(crate) fn decided(&self, _: Admission) {}
}

#[derive(Debug)]
pub(crate) struct Observation;

impl Observation {
    #[expect(clippy::unused_self, reason = "as `observer` has it")]
    pub(crate) fn content(&self, content: Content) -> Content {
        content
    }

    #[expect(clippy::unused_self, reason = "as `observer` has it")]
    pub(crate) fn finish(self, response: Response<ResponseBody>) -> Response<ResponseBody> {
        response
    }
}
