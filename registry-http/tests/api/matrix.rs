//! Who gets where: every route and method, every caller, what is theirs, what is others' and what is not there, in each
//! mode of the registry. What should happen is said once, in [`outcome`]; everything else is generated.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use http::Method;
use registry_auth::{Action, Basic, OrAnonymous, Policy, Rule, Subject};
use registry_http::{ServiceBuilder, service};

use crate::client::{Api, OCI_MANIFEST, Reply, image, sha256};

/// Who asks. Nobody has a rule for what is not below `own`, but the admin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Anonymous,
    WrongPassword,
    Reader,
    Writer,
    Admin,
}

/// What is asked for: somebody's own, that of others, and what is not there on either side.
const REPOSITORIES: [&str; 4] = ["own/app", "own/none", "others/app", "others/none"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Normal,
    ReadOnly,
    DeletesDisabled,
}

/// What a caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// 401, with a challenge.
    LogIn,
    /// 403.
    Denied,
    /// 405.
    NotHere,
    /// 404: there is nothing that they may see.
    Nothing,
    /// Anything else but an error of the server.
    In,
}

/// A request for something in a repository.
#[derive(Debug, Clone)]
struct Case {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    /// The methods that the route has.
    route: &'static [&'static str],
    is_upload: bool,
    /// Whether the answer is 404 in a repository that is not there.
    needs_content: bool,
}

const METHODS: [&str; 7] = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "TRACE"];

fn cases(repository: &str) -> Vec<Case> {
    let (blob, manifest) = (sha256(b"{}"), sha256(image("").as_bytes()));
    let upload = "0190a0b0-0000-7000-8000-000000000000";
    let base = format!("/v2/{repository}");
    let manifests: &[_] = &["GET", "HEAD", "PUT", "DELETE"];
    let blobs: &[_] = &["GET", "HEAD", "DELETE"];
    let uploads: &[_] = &["GET", "HEAD", "PATCH", "PUT", "DELETE"];
    let read: &[_] = &["GET", "HEAD"];
    let routes = [
        (format!("{base}/tags/list"), read, false),
        (format!("{base}/referrers/{manifest}"), read, false),
        (format!("{base}/manifests/latest"), manifests, false),
        (format!("{base}/manifests/{manifest}"), manifests, false),
        (format!("{base}/manifests/{manifest}?tag=more"), manifests, false),
        (format!("{base}/blobs/{blob}"), blobs, false),
        (format!("{base}/blobs/uploads/"), &["POST"], false),
        (format!("{base}/blobs/uploads/?digest={blob}"), &["POST"], false),
        (format!("{base}/blobs/uploads/?mount={blob}&from=own/app"), &["POST"], false),
        (format!("{base}/blobs/uploads/?mount={blob}&from=others/app"), &["POST"], false),
        (format!("{base}/blobs/uploads/?mount={blob}"), &["POST"], false),
        (format!("{base}/blobs/uploads/{upload}?digest={blob}"), uploads, true),
    ];
    let mut all = Vec::new();
    for (path, route, is_upload) in routes {
        for method in METHODS {
            let needs_content = match method {
                "GET" | "HEAD" => !path.contains("/referrers/"),
                "DELETE" => true,
                _ => is_upload || (method == "PUT" && path.contains("/manifests/")),
            };
            let case = Case {
                method: method.parse().unwrap(),
                path: path.clone(),
                headers: Vec::new(),
                route,
                is_upload,
                needs_content,
            };
            if method == "GET" && path.contains("/blobs/sha256") {
                all.push(Case { headers: vec![("range", "bytes=0-0".into())], ..case.clone() });
            }
            all.push(case);
        }
    }
    all
}

/// What a caller may do to a repository.
fn may(caller: Caller, repository: &str) -> &'static [Action] {
    match (caller, repository.starts_with("own/")) {
        (Caller::Admin, _) => &Action::ALL,
        (Caller::Reader, true) => &[Action::Pull],
        (Caller::Writer, true) => &[Action::Pull, Action::Push],
        _ => &[],
    }
}

/// The design: a login first, then rights, then what the route and the mode have, then what is there.
fn outcome(caller: Caller, repository: &str, case: &Case, mode: Mode) -> Outcome {
    let needed = match case.method.as_str() {
        "GET" | "HEAD" => Action::Pull,
        "POST" | "PUT" | "PATCH" => Action::Push,
        "DELETE" => Action::Delete,
        // No route has it, whoever asks.
        _ => return Outcome::NotHere,
    };
    let changes = needed != Action::Pull;
    let deletes_content = needed == Action::Delete && !case.is_upload;
    if caller == Caller::WrongPassword {
        Outcome::LogIn
    } else if !may(caller, repository).contains(&needed) {
        if caller == Caller::Anonymous { Outcome::LogIn } else { Outcome::Denied }
    } else if !case.route.contains(&case.method.as_str())
        || (mode == Mode::ReadOnly && changes)
        || (mode == Mode::DeletesDisabled && deletes_content)
    {
        Outcome::NotHere
    } else if case.needs_content && (repository.ends_with("/none") || case.is_upload) {
        Outcome::Nothing
    } else {
        Outcome::In
    }
}

fn seen(case: &Case, reply: &Reply) -> Option<Outcome> {
    Some(match reply.status.as_u16() {
        401 if reply.has("www-authenticate") => Outcome::LogIn,
        403 => Outcome::Denied,
        405 => Outcome::NotHere,
        404 => Outcome::Nothing,
        // A manifest whose parts are not there yet is refused for that.
        400 if case.method == Method::PUT => Outcome::Nothing,
        200..=299 => Outcome::In,
        _ => return None,
    })
}

fn authorization(caller: Caller) -> Option<&'static str> {
    match caller {
        Caller::Anonymous => None,
        Caller::WrongPassword => Some("Basic YWRtaW46d3Jvbmc="),
        Caller::Reader => Some("Basic cmVhZGVyOng="),
        Caller::Writer => Some("Basic d3JpdGVyOng="),
        Caller::Admin => Some("Basic YWRtaW46eA=="),
    }
}

fn policy() -> Policy {
    let user = |name: &str| vec![Subject::User(name.into())];
    let own = || vec!["own/**".parse().unwrap()];
    let rules = vec![
        Rule::new(user("reader"), own(), [Action::Pull].into()),
        Rule::new(user("writer"), own(), [Action::Pull, Action::Push].into()),
        Rule::new(user("admin"), vec!["**".parse().unwrap()], Action::ALL.into()),
    ];
    Policy::new(rules, BTreeMap::new())
}

/// What is there, seen through logins, rules and a mode.
async fn guarded(mode: Mode) -> Api {
    let content = Api::open();
    for repository in ["own/app", "others/app"] {
        content.push_image(repository, Some("latest"), "").await;
    }
    let logins = Basic::new("test", |user: &str, password: &str| {
        ["reader", "writer", "admin"].contains(&user) && password == "x"
    });
    let builder: ServiceBuilder = service(content.service.registry().clone())
        .authenticator(Arc::new(OrAnonymous(Arc::new(logins))))
        .authorizer(Arc::new(policy()))
        .deletes(mode != Mode::DeletesDisabled)
        .read_only(mode == Mode::ReadOnly);
    Api { storage: content.storage, service: builder.build() }
}

async fn send(api: &Api, caller: Caller, case: &Case) -> Reply {
    let body = if case.path.contains("/manifests/") { image("") } else { "{}".into() };
    let mut headers = vec![("content-type", OCI_MANIFEST)];
    headers.extend(authorization(caller).map(|value| ("authorization", value)));
    headers.extend(case.headers.iter().map(|(name, value)| (*name, value.as_str())));
    api.request(case.method.clone(), &case.path, &headers, body).await
}

const CALLERS: [Caller; 5] = [Caller::Anonymous, Caller::WrongPassword, Caller::Reader, Caller::Writer, Caller::Admin];

#[tokio::test]
async fn everybody_gets_where_they_may_and_nowhere_else() {
    let (mut wrong, mut count) = (String::new(), 0);
    for mode in [Mode::Normal, Mode::ReadOnly, Mode::DeletesDisabled] {
        let kept = guarded(mode).await;
        let before = kept.snapshot().await;
        for caller in CALLERS {
            for repository in REPOSITORIES {
                for case in cases(repository) {
                    let expected = outcome(caller, repository, &case, mode);
                    // What changes something has content of its own to change.
                    let changes = expected == Outcome::In && !["GET", "HEAD"].contains(&case.method.as_str());
                    let api = if changes { guarded(mode).await } else { kept.clone() };
                    let reply = send(&api, caller, &case).await;
                    count += 1;
                    if seen(&case, &reply) != Some(expected) {
                        let Case { method, path, .. } = &case;
                        writeln!(wrong, "{mode:?} {caller:?}: {method} {path}: {}, not {expected:?}", reply.status)
                            .unwrap();
                    }
                }
            }
        }
        assert_eq!(kept.snapshot().await, before, "what was refused changed nothing");
    }
    assert!(wrong.is_empty(), "of {count}:\n{wrong}");
    assert!(count > 4000, "{count}");
}

#[tokio::test]
async fn what_is_others_looks_like_what_is_not_there() {
    for mode in [Mode::Normal, Mode::ReadOnly, Mode::DeletesDisabled] {
        let api = guarded(mode).await;
        for caller in [Caller::Anonymous, Caller::WrongPassword, Caller::Reader, Caller::Writer] {
            for (there, missing) in cases("others/app").into_iter().zip(cases("others/none")) {
                let (seen, unseen) = (send(&api, caller, &there).await, send(&api, caller, &missing).await);
                let told = |reply: &Reply| String::from_utf8_lossy(&reply.body).replace("others/none", "others/app");
                let lengthless = |reply: &Reply| {
                    let mut headers = reply.headers.clone();
                    // The two names differ in length.
                    headers.remove("content-length");
                    headers
                };
                let Case { method, path, .. } = &there;
                assert_eq!(seen.status, unseen.status, "{caller:?} {method} {path}");
                assert_eq!(told(&seen), told(&unseen), "{caller:?} {method} {path}");
                assert_eq!(lengthless(&seen), lengthless(&unseen), "{caller:?} {method} {path}");
            }
        }
    }
}

/// A mount takes content along only where both sides are the caller's to have.
#[tokio::test]
async fn a_mount_reads_what_its_caller_may_read() {
    let blob = sha256(b"{}");
    for (caller, from, mounted) in [
        (Caller::Writer, "own/app", true),
        (Caller::Writer, "others/app", false),
        (Caller::Writer, "own/none", false),
        (Caller::Admin, "others/app", true),
        (Caller::Admin, "others/none", false),
    ] {
        let api = guarded(Mode::Normal).await;
        let path = format!("/v2/own/new/blobs/uploads/?mount={blob}&from={from}");
        let headers = [("authorization", authorization(caller).unwrap())];
        let reply = api.request(Method::POST, &path, &headers, "").await;
        assert_eq!(reply.status.as_u16(), if mounted { 201 } else { 202 }, "{caller:?} from {from}");
    }
}
