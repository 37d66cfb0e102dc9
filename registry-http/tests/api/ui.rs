//! The pages for people.

mod activity;
mod collection;
mod delete;
mod login;
mod monitoring;
mod pages;

use std::sync::Arc;

use http::Method;
use registry_auth::{Action, Policy, Rule, Subject};
use registry_http::{Ui, service};

use crate::client::{Api, Reply, optional_logins};

/// A registry with pages that anybody may do everything with.
fn open() -> Api {
    Api::with(|service| service.ui(Ui::new().title("Our images")))
}

/// Logins of ann, who may do everything, and of bob, who may pull; everybody may pull what is public.
fn guarded(open: &Api) -> Api {
    guarded_with(open, Ui::new())
}

fn guarded_with(open: &Api, ui: Ui) -> Api {
    let rule = |who, pattern: &str, actions| Rule::new(vec![who], vec![pattern.parse().unwrap()], actions);
    let policy = Policy::new(
        vec![
            rule(Subject::Anyone, "public/**", [Action::Pull].into()),
            rule(Subject::User("ann".into()), "**", Action::ALL.into()),
            rule(Subject::User("bob".into()), "**", [Action::Pull].into()),
        ],
        [].into(),
    );
    let service = service(open.service.registry().clone())
        .authenticator(optional_logins("secret"))
        .authorizer(Arc::new(policy))
        .deletes(true)
        .ui(ui)
        .build();
    Api { storage: open.storage.clone(), service }
}

const SAME_ORIGIN: (&str, &str) = ("origin", "http://registry.test");

/// Sends a form as a browser does from a page of the registry.
async fn submit(api: &Api, path: &str, more: &[(&str, &str)], form: &str) -> Reply {
    let mut headers = vec![SAME_ORIGIN, ("content-type", "application/x-www-form-urlencoded")];
    headers.extend_from_slice(more);
    api.request(Method::POST, path, &headers, form.to_owned()).await
}

/// Logs somebody in; gives the cookie as a browser sends it back.
async fn log_in(api: &Api, user: &str) -> String {
    let reply = submit(api, "/ui/login", &[], &format!("user={user}&password=secret")).await.assert(303);
    reply.header("set-cookie").split(';').next().unwrap().to_owned()
}

impl Reply {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    fn shows(self, text: &str) -> Self {
        assert!(self.text().contains(text), "{text:?} is not in {}", self.text());
        self
    }

    #[track_caller]
    fn hides(self, text: &str) -> Self {
        assert!(!self.text().contains(text), "{text:?} is in {}", self.text());
        self
    }
}
