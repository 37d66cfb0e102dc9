//! Who is told of requests: those who count them for Prometheus, and those who show them to people.

use http::Response;
use http::StatusCode;
use http::request::Parts;

use crate::access::Admission;
use crate::body::ResponseBody;
use crate::content::Content;
#[cfg(feature = "metrics")]
use crate::metrics::{Counted, HttpMetrics};
use crate::route::Route;
#[cfg(feature = "ui")]
use crate::ui::{Noticed, Traffic};

/// What a request is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject<'a> {
    /// The API.
    #[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "only metrics ask which"))]
    Api(&'a Route),
    /// A page for people.
    #[cfg(feature = "ui")]
    Page,
    /// Nothing that there is.
    Nothing,
}

/// Who is told of each request, if anybody.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    #[cfg(feature = "metrics")]
    pub(crate) metrics: Option<HttpMetrics>,
    #[cfg(feature = "ui")]
    pub(crate) traffic: Option<Traffic>,
}

impl Observer {
    /// A request begins, of which so many bytes of content are announced.
    #[cfg_attr(not(feature = "metrics"), expect(unused_variables, reason = "only metrics ask for it"))]
    pub(crate) fn begin(&self, subject: Subject<'_>, parts: &Parts, length: Option<u64>) -> Observation {
        #[cfg(feature = "metrics")]
        let counted = self.metrics.as_ref().map(|metrics| Counted::begin(metrics, subject, parts, length));
        #[cfg(feature = "ui")]
        let noticed = match subject {
            Subject::Api(_) => self.traffic.as_ref().map(|traffic| traffic.begin(&parts.method)),
            _ => None,
        };
        let running = Running {
            #[cfg(feature = "metrics")]
            counted,
            #[cfg(feature = "ui")]
            noticed,
        };
        Observation(running.is_watched().then(|| Box::new(running)))
    }

    /// It was decided whether a request comes in.
    #[cfg_attr(not(feature = "metrics"), expect(unused_variables, clippy::unused_self, reason = "only metrics ask"))]
    pub(crate) fn decided(&self, admission: Admission) {
        #[cfg(feature = "metrics")]
        if let Some(metrics) = &self.metrics {
            metrics.decided(admission);
        }
    }
}

/// A request that somebody is told of, if anybody is.
#[derive(Debug)]
pub(crate) struct Observation(Option<Box<Running>>);

impl Observation {
    /// The content, whose bytes are told as they come.
    pub(crate) fn content(&self, content: Content) -> Content {
        let Some(running) = self.0.as_ref().filter(|_| !content.is_empty()) else { return content };
        #[cfg(feature = "metrics")]
        let content = match &running.counted {
            Some(counted) => content.inspect(counted.receiving()),
            None => content,
        };
        #[cfg(feature = "ui")]
        let content = match &running.noticed {
            Some(noticed) => content.inspect(noticed.receiving()),
            None => content,
        };
        content
    }

    /// The answer, which begins; at its end the request is over.
    pub(crate) fn finish(self, mut response: Response<ResponseBody>) -> Response<ResponseBody> {
        if let Some(mut running) = self.0 {
            running.answered(response.status());
            response.body_mut().observe(running);
        }
        response
    }
}

/// A request under way. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Running {
    #[cfg(feature = "metrics")]
    counted: Option<Counted>,
    #[cfg(feature = "ui")]
    noticed: Option<Noticed>,
}

impl Running {
    fn is_watched(&self) -> bool {
        let mut is_watched = false;
        #[cfg(feature = "metrics")]
        {
            is_watched |= self.counted.is_some();
        }
        #[cfg(feature = "ui")]
        {
            is_watched |= self.noticed.is_some();
        }
        is_watched
    }

    fn answered(&mut self, status: StatusCode) {
        #[cfg(feature = "metrics")]
        if let Some(counted) = &mut self.counted {
            counted.answered(status);
        }
        #[cfg(feature = "ui")]
        if let Some(noticed) = &mut self.noticed {
            noticed.answered(status);
        }
    }

    /// Further bytes of the answer were taken.
    pub(crate) fn sent(&mut self, bytes: u64) {
        #[cfg(feature = "metrics")]
        if let Some(counted) = &mut self.counted {
            counted.sent(bytes);
        }
        #[cfg(feature = "ui")]
        if let Some(noticed) = &self.noticed {
            noticed.sent(bytes);
        }
    }
}
