//! What is there: logins, rules, repositories, and uploads that were begun.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use http::Method;
use registry_auth::{Htpasswd, HtpasswdUsers, OrAnonymous, Policy, Rule, Subject, htpasswd_line};
use registry_http::{ServiceBuilder, service};

use super::design::{About, CALLERS, Caller, Case, Mode, Upload, has_upload, may};
use crate::client::{Api, OCI_MANIFEST, Reply, image};

pub(super) fn name(caller: Caller) -> Option<&'static str> {
    match caller {
        Caller::Anonymous => None,
        Caller::WrongPassword | Caller::Admin => Some("admin"),
        Caller::Stranger => Some("stranger"),
        Caller::Reader => Some("reader"),
        Caller::Pusher => Some("pusher"),
        Caller::Writer => Some("writer"),
        Caller::Cleaner => Some("cleaner"),
    }
}

pub(super) fn authorization(caller: Caller) -> Option<String> {
    let password = if caller == Caller::WrongPassword { "wrong" } else { "x" };
    let login = format!("{}:{password}", name(caller)?);
    Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(login)))
}

/// The users, hashed once.
pub(super) static USERS: LazyLock<HtpasswdUsers> = LazyLock::new(|| {
    let known = CALLERS.into_iter().filter(|caller| *caller != Caller::WrongPassword);
    let lines: Vec<_> = known.filter_map(name).map(|name| htpasswd_line(name, "x", 4).unwrap()).collect();
    HtpasswdUsers::parse(lines.join("\n")).0
});

pub(super) fn policy() -> Policy {
    let rules = CALLERS.into_iter().filter(|caller| *caller != Caller::WrongPassword).filter_map(|caller| {
        let (pattern, repository) = if caller == Caller::Admin { ("**", "others/app") } else { ("own/**", "own/app") };
        let who = vec![Subject::User(name(caller)?.into())];
        Some(Rule::new(who, vec![pattern.parse().unwrap()], may(caller, repository).iter().copied().collect()))
    });
    Policy::new(rules.collect(), BTreeMap::new())
}

/// What is there, seen through logins, rules and a mode, and the uploads that were begun before.
pub(super) struct Ground {
    pub(super) api: Api,
    /// By who began it, and where.
    uploads: BTreeMap<(Caller, &'static str), String>,
}

pub(super) fn guarded(content: &Api, mode: Mode) -> Api {
    let logins = Htpasswd::builder("test", USERS.clone()).build();
    let builder: ServiceBuilder = service(content.service.registry().clone())
        .authenticator(Arc::new(OrAnonymous(Arc::new(logins))))
        .authorizer(Arc::new(policy()))
        .deletes(mode != Mode::DeletesDisabled)
        .read_only(mode == Mode::ReadOnly);
    Api { storage: content.storage.clone(), service: builder.build() }
}

pub(super) async fn ground(mode: Mode) -> Ground {
    let content = Api::open();
    for repository in ["own/app", "others/app"] {
        content.push_image(repository, Some("latest"), "").await;
    }
    let begun = guarded(&content, Mode::Normal);
    let mut uploads = BTreeMap::new();
    for repository in ["own/app", "others/app"] {
        for caller in CALLERS.into_iter().filter(|caller| has_upload(*caller, repository)) {
            let login = authorization(caller).unwrap();
            let path = format!("/v2/{repository}/blobs/uploads/");
            let reply = begun.request(Method::POST, &path, &[("authorization", &login)], "").await.assert(202);
            uploads.insert((caller, repository), reply.header("docker-upload-uuid").to_owned());
        }
    }
    Ground { api: guarded(&content, mode), uploads }
}

impl Ground {
    /// The upload that a request names.
    pub(super) fn id(&self, caller: Caller, repository: &str, whose: Upload) -> String {
        let missing = || "0190a0b0-0000-7000-8000-000000000000".to_owned();
        let of = |wanted: &dyn Fn(Caller, &str) -> bool| {
            let found = self.uploads.iter().find(|((by, place), _)| wanted(*by, place));
            found.map_or_else(missing, |(_, id)| id.clone())
        };
        match whose {
            Upload::Mine => of(&|by, place| by == caller && place == repository),
            Upload::AnotherUsers => of(&|by, place| by != caller && place == repository),
            Upload::OfAnotherRepository if has_upload(caller, "others/app") || repository != "own/app" => {
                of(&|by, place| place != repository && (by == caller || !has_upload(caller, place)))
            }
            Upload::OfAnotherRepository => of(&|_, place| place != repository),
            Upload::Missing => missing(),
        }
    }

    pub(super) async fn send(&self, caller: Caller, repository: &str, case: &Case) -> Reply {
        let body = if case.path.contains("/manifests/") { image("") } else { "{}".into() };
        let path = match case.about {
            About::Upload(whose) => case.path.replace("ID", &self.id(caller, repository, whose)),
            _ => case.path.clone(),
        };
        let login = authorization(caller);
        let content_type = if case.path.contains("/manifests/") { OCI_MANIFEST } else { "application/octet-stream" };
        let mut headers = vec![("content-type", content_type)];
        headers.extend(login.iter().map(|login| ("authorization", login.as_str())));
        headers.extend(case.headers.iter().map(|(name, value)| (*name, value.as_str())));
        self.api.request(case.method.clone(), &path, &headers, body).await
    }
}
