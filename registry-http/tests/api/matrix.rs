//! Who gets where: every route and method, every caller, what is theirs, what is others' and what is not there, in each
//! mode of the registry. What should happen is said once, in [`outcome`]; everything else is generated.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use http::Method;
use registry_auth::{Action, Htpasswd, HtpasswdUsers, OrAnonymous, Policy, Rule, Subject, htpasswd_line};
use registry_http::{ServiceBuilder, service};

use crate::client::{Api, OCI_MANIFEST, Reply, image, sha256};

/// Who asks. Nobody has a rule for what is not below `own`, but the admin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Caller {
    Anonymous,
    WrongPassword,
    Stranger,
    /// Pulls.
    Reader,
    /// Pushes, and may not even pull what it pushes on.
    Pusher,
    /// Pulls and pushes.
    Writer,
    /// Pulls and deletes.
    Cleaner,
    Admin,
}

const CALLERS: [Caller; 8] = [
    Caller::Anonymous,
    Caller::WrongPassword,
    Caller::Stranger,
    Caller::Reader,
    Caller::Pusher,
    Caller::Writer,
    Caller::Cleaner,
    Caller::Admin,
];

/// What is asked for: somebody's own, that of others, and what is not there on either side.
const REPOSITORIES: [&str; 4] = ["own/app", "own/none", "others/app", "others/none"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Normal,
    ReadOnly,
    DeletesDisabled,
}

const MODES: [Mode; 3] = [Mode::Normal, Mode::ReadOnly, Mode::DeletesDisabled];

/// What a caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// 401 `UNAUTHORIZED`, with a challenge.
    LogIn,
    /// 403 `DENIED`.
    Denied,
    /// 405 `UNSUPPORTED`, and the methods that there are.
    NotHere,
    /// An error with this status and code.
    Error(u16, &'static str),
    /// This status.
    In(u16),
}

/// Whose upload a request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Upload {
    /// The caller's own, begun here, where there is one.
    Mine,
    /// Somebody else's, begun here.
    AnotherUsers,
    /// Begun in another repository, if possible by the caller.
    OfAnotherRepository,
    /// Nobody's.
    Missing,
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    Base,
    Catalog,
    /// What is answered as if it were empty where it is not there.
    Referrers,
    Tags,
    Manifest,
    Blob,
    NewUpload,
    Upload(Upload),
}

/// A request.
#[derive(Debug, Clone)]
struct Case {
    method: Method,
    /// With `ID` for that of an upload.
    path: String,
    headers: Vec<(&'static str, String)>,
    about: About,
}

const METHODS: [&str; 8] = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE"];

impl About {
    /// The methods that the route has.
    fn methods(self) -> &'static [&'static str] {
        match self {
            Self::Base | Self::Catalog | Self::Tags | Self::Referrers => &["GET", "HEAD"],
            Self::Manifest => &["DELETE", "GET", "HEAD", "PUT"],
            Self::Blob => &["DELETE", "GET", "HEAD"],
            Self::NewUpload => &["POST"],
            Self::Upload(_) => &["DELETE", "GET", "HEAD", "PATCH", "PUT"],
        }
    }
}

fn cases(repository: &str) -> Vec<Case> {
    let (blob, manifest) = (sha256(b"{}"), sha256(image("").as_bytes()));
    let base = format!("/v2/{repository}");
    let mut routes = vec![
        ("/v2/".to_owned(), About::Base),
        ("/v2/_catalog".to_owned(), About::Catalog),
        (format!("{base}/tags/list"), About::Tags),
        (format!("{base}/referrers/{manifest}"), About::Referrers),
        (format!("{base}/manifests/latest"), About::Manifest),
        (format!("{base}/manifests/{manifest}"), About::Manifest),
        (format!("{base}/manifests/{manifest}?tag=more"), About::Manifest),
        (format!("{base}/blobs/{blob}"), About::Blob),
        (format!("{base}/blobs/uploads/"), About::NewUpload),
        (format!("{base}/blobs/uploads/?digest={blob}"), About::NewUpload),
        (format!("{base}/blobs/uploads/?mount={blob}&from=own/app"), About::NewUpload),
        (format!("{base}/blobs/uploads/?mount={blob}&from=others/app"), About::NewUpload),
        (format!("{base}/blobs/uploads/?mount={blob}&from=others/none"), About::NewUpload),
        (format!("{base}/blobs/uploads/?mount={blob}"), About::NewUpload),
    ];
    for whose in [Upload::Mine, Upload::AnotherUsers, Upload::OfAnotherRepository, Upload::Missing] {
        routes.push((format!("{base}/blobs/uploads/ID?digest={blob}"), About::Upload(whose)));
    }
    let mut all = Vec::new();
    for (path, about) in routes {
        for method in METHODS {
            let case = Case { method: method.parse().unwrap(), path: path.clone(), headers: Vec::new(), about };
            let conditions = match (about, method) {
                (About::Blob, "GET" | "HEAD") => {
                    vec![("range", "bytes=0-0".to_owned()), ("if-none-match", format!("\"{blob}\""))]
                }
                (About::Manifest, "GET" | "HEAD") => vec![("if-none-match", format!("\"{manifest}\""))],
                _ => Vec::new(),
            };
            all.extend(conditions.into_iter().map(|header| Case { headers: vec![header], ..case.clone() }));
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
        (Caller::Pusher, true) => &[Action::Push],
        (Caller::Writer, true) => &[Action::Pull, Action::Push],
        (Caller::Cleaner, true) => &[Action::Pull, Action::Delete],
        _ => &[],
    }
}

/// What is needed for a method on what lies in a repository; `None` for one that no route has.
fn needed(method: &str) -> Option<&'static [Action]> {
    match method {
        "GET" | "HEAD" => Some(&[Action::Pull]),
        "POST" | "PUT" | "PATCH" => Some(&[Action::Pull, Action::Push]),
        "DELETE" => Some(&[Action::Delete]),
        _ => None,
    }
}

/// The design: a login first, then rights, then what the route and the mode have, then what is there.
fn outcome(caller: Caller, repository: &str, case: &Case, mode: Mode) -> Outcome {
    let method = case.method.as_str();
    if method == "OPTIONS" {
        // Browsers ask before they log in.
        return Outcome::In(204);
    }
    let is_known = !matches!(caller, Caller::Anonymous | Caller::WrongPassword);
    // Whoever has logged in gets in here, with any method: that is what the route is for.
    if case.about == About::Base {
        return if is_known { Outcome::In(200) } else { Outcome::LogIn };
    }
    let Some(needed) = needed(method) else { return Outcome::NotHere };
    let has_rights = match case.about {
        About::Catalog => may(caller, "own/app").contains(&Action::Pull),
        _ => needed.iter().all(|action| may(caller, repository).contains(action)),
    };
    let changes = !matches!(method, "GET" | "HEAD");
    let deletes_content = method == "DELETE" && !matches!(case.about, About::Upload(_));
    if !is_known || (!has_rights && caller == Caller::Anonymous) {
        Outcome::LogIn
    } else if !has_rights {
        Outcome::Denied
    } else if !case.about.methods().contains(&method)
        || (mode == Mode::ReadOnly && changes)
        || (mode == Mode::DeletesDisabled && deletes_content)
    {
        Outcome::NotHere
    } else {
        found(caller, repository, case)
    }
}

/// What those get who may.
fn found(caller: Caller, repository: &str, case: &Case) -> Outcome {
    let is_there = repository.ends_with("/app");
    let condition = case.headers.first().map(|(name, _)| *name);
    match (case.about, case.method.as_str(), condition) {
        (About::Upload(Upload::Mine), method, _) if has_upload(caller, repository) => {
            Outcome::In(BTreeMap::from([("PATCH", 202), ("PUT", 201)]).get(method).copied().unwrap_or(204))
        }
        (About::Upload(_), ..) => Outcome::Error(404, "BLOB_UPLOAD_UNKNOWN"),
        (About::NewUpload, ..) if case.path.contains("?digest") => Outcome::In(201),
        (About::NewUpload, ..) if case.path.contains("?mount") => {
            // Anybody who may push here may pull from `own/app`; from others only the admin.
            let mounts = caller == Caller::Admin && case.path.ends_with("from=others/app");
            let from_own = case.path.ends_with("from=own/app") || !case.path.contains("from=");
            Outcome::In(if mounts || from_own { 201 } else { 202 })
        }
        (About::Manifest, "PUT", _) if !is_there => Outcome::Error(400, "MANIFEST_BLOB_UNKNOWN"),
        (About::Manifest, "PUT", _) => Outcome::In(201),
        (About::Manifest, ..) if !is_there => Outcome::Error(404, "MANIFEST_UNKNOWN"),
        (About::Blob, ..) if !is_there => Outcome::Error(404, "BLOB_UNKNOWN"),
        (About::Tags, ..) if !is_there => Outcome::Error(404, "NAME_UNKNOWN"),
        (About::NewUpload, ..) | (_, "DELETE", _) => Outcome::In(202),
        (_, _, Some("if-none-match")) => Outcome::In(304),
        (About::Blob, _, Some("range")) => Outcome::In(206),
        _ => Outcome::In(200),
    }
}

fn seen(reply: &Reply, method: &Method) -> Option<Outcome> {
    let status = reply.status.as_u16();
    if status < 400 {
        return Some(Outcome::In(status));
    }
    // HEAD has no body to say it in.
    let code = (*method != Method::HEAD).then(|| reply.json()["errors"][0]["code"].as_str().unwrap().to_owned());
    let is = |expected: &str| code.as_deref().is_none_or(|code| code == expected);
    match status {
        401 if reply.has("www-authenticate") && is("UNAUTHORIZED") => Some(Outcome::LogIn),
        403 if is("DENIED") => Some(Outcome::Denied),
        405 if reply.has("allow") && is("UNSUPPORTED") => Some(Outcome::NotHere),
        _ => None,
    }
}

fn agrees(reply: &Reply, case: &Case, expected: Outcome) -> bool {
    match expected {
        Outcome::Error(status, code) => {
            reply.status.as_u16() == status
                && (case.method == Method::HEAD || reply.json()["errors"][0]["code"] == code)
        }
        expected => seen(reply, &case.method) == Some(expected),
    }
}

fn name(caller: Caller) -> Option<&'static str> {
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

fn authorization(caller: Caller) -> Option<String> {
    let password = if caller == Caller::WrongPassword { "wrong" } else { "x" };
    let login = format!("{}:{password}", name(caller)?);
    Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(login)))
}

/// The users, hashed once.
static USERS: LazyLock<HtpasswdUsers> = LazyLock::new(|| {
    let known = CALLERS.into_iter().filter(|caller| *caller != Caller::WrongPassword);
    let lines: Vec<_> = known.filter_map(name).map(|name| htpasswd_line(name, "x", 4).unwrap()).collect();
    HtpasswdUsers::parse(lines.join("\n")).0
});

fn policy() -> Policy {
    let rules = CALLERS.into_iter().filter(|caller| *caller != Caller::WrongPassword).filter_map(|caller| {
        let (pattern, repository) = if caller == Caller::Admin { ("**", "others/app") } else { ("own/**", "own/app") };
        let who = vec![Subject::User(name(caller)?.into())];
        Some(Rule::new(who, vec![pattern.parse().unwrap()], may(caller, repository).iter().copied().collect()))
    });
    Policy::new(rules.collect(), BTreeMap::new())
}

/// What is there, seen through logins, rules and a mode, and the uploads that were begun before.
struct Ground {
    api: Api,
    /// By who began it, and where.
    uploads: BTreeMap<(Caller, &'static str), String>,
}

/// Whether a caller has begun an upload in a repository.
fn has_upload(caller: Caller, repository: &str) -> bool {
    match caller {
        Caller::Writer => repository == "own/app",
        Caller::Admin => repository.ends_with("/app"),
        _ => false,
    }
}

fn guarded(content: &Api, mode: Mode) -> Api {
    let logins = Htpasswd::builder("test", USERS.clone()).build();
    let builder: ServiceBuilder = service(content.service.registry().clone())
        .authenticator(Arc::new(OrAnonymous(Arc::new(logins))))
        .authorizer(Arc::new(policy()))
        .deletes(mode != Mode::DeletesDisabled)
        .read_only(mode == Mode::ReadOnly);
    Api { storage: content.storage.clone(), service: builder.build() }
}

async fn ground(mode: Mode) -> Ground {
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
    fn id(&self, caller: Caller, repository: &str, whose: Upload) -> String {
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

    async fn send(&self, caller: Caller, repository: &str, case: &Case) -> Reply {
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

#[tokio::test]
async fn everybody_gets_where_they_may_and_nowhere_else() {
    let (mut wrong, mut count, mut uploads) = (String::new(), 0, 0);
    for mode in MODES {
        let kept = ground(mode).await;
        let before = kept.api.snapshot().await;
        for caller in CALLERS {
            for repository in REPOSITORIES {
                for case in cases(repository) {
                    let expected = outcome(caller, repository, &case, mode);
                    // What changes something has content of its own to change.
                    let changes = matches!(expected, Outcome::In(_))
                        && !["GET", "HEAD", "OPTIONS"].contains(&case.method.as_str());
                    let fresh = if changes { Some(ground(mode).await) } else { None };
                    let reply = fresh.as_ref().unwrap_or(&kept).send(caller, repository, &case).await;
                    count += 1;
                    uploads += usize::from(case.about == About::Upload(Upload::Mine) && reply.status.is_success());
                    if !agrees(&reply, &case, expected) {
                        let Case { method, path, about, headers } = &case;
                        writeln!(
                            wrong,
                            "{mode:?} {caller:?}: {method} {path} {about:?} {headers:?}: {}, not {expected:?}",
                            reply.status
                        )
                        .unwrap();
                    }
                }
            }
        }
        assert_eq!(kept.api.snapshot().await, before, "what was refused changed nothing");
    }
    assert!(wrong.is_empty(), "of {count}:\n{wrong}");
    assert!(count > 13_000 && uploads > 30, "{count} {uploads}");
}

/// What differs between any two answers, or may: the length of the names.
fn told(reply: &Reply, name: &str, id: &str) -> (u16, Vec<(String, String)>, String) {
    let plain = |text: &str| text.replace(name, "NAME").replace(id, "ID");
    let headers = reply.headers.iter().filter(|(name, _)| *name != "content-length");
    let headers = headers.map(|(name, value)| (name.to_string(), plain(value.to_str().unwrap())));
    (reply.status.as_u16(), headers.collect(), plain(&String::from_utf8_lossy(&reply.body)))
}

#[tokio::test]
async fn what_is_others_looks_like_what_is_not_there() {
    for mode in MODES {
        let ground = ground(mode).await;
        for caller in CALLERS.into_iter().filter(|caller| *caller != Caller::Admin) {
            for (there, missing) in cases("others/app").into_iter().zip(cases("others/none")) {
                let seen = ground.send(caller, "others/app", &there).await;
                let unseen = ground.send(caller, "others/none", &missing).await;
                let Case { method, path, .. } = &there;
                // Both may name the source of a mount besides.
                let plain = |reply: Reply| {
                    let body = String::from_utf8_lossy(&reply.body).replace("others/app", "others/none");
                    told(&Reply { body: body.into(), ..reply }, "others/none", "ID")
                };
                let (seen, unseen) = (plain(seen), plain(unseen));
                assert_eq!(seen, unseen, "{mode:?} {caller:?} {method} {path}");
            }
        }
    }
}

/// Not even to those who may do everything to the repository.
#[tokio::test]
async fn an_upload_of_others_looks_like_one_that_is_not_there() {
    let ground = ground(Mode::Normal).await;
    for (caller, repository) in CALLERS.into_iter().flat_map(|caller| REPOSITORIES.map(|name| (caller, name))) {
        for case in cases(repository).into_iter().filter(|case| case.about == About::Upload(Upload::Missing)) {
            let missing = ground.send(caller, repository, &case).await;
            let no_id = ground.id(caller, repository, Upload::Missing);
            for whose in [Upload::AnotherUsers, Upload::OfAnotherRepository] {
                let id = ground.id(caller, repository, whose);
                let foreign =
                    ground.send(caller, repository, &Case { about: About::Upload(whose), ..case.clone() }).await;
                let (foreign, missing) = (told(&foreign, repository, &id), told(&missing, repository, &no_id));
                assert_eq!(foreign, missing, "{caller:?} {} {} {whose:?}", case.method, case.path);
            }
        }
    }
}

/// A mount takes content along only where both sides are the caller's to have; what is others' is not there.
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
        let ground = ground(Mode::Normal).await;
        let login = authorization(caller).unwrap();
        let mount = async |from: &str| {
            let path = format!("/v2/own/new/blobs/uploads/?mount={blob}&from={from}");
            ground.api.request(Method::POST, &path, &[("authorization", &login)], "").await
        };
        let reply = mount(from).await;
        assert_eq!(reply.status.as_u16(), if mounted { 201 } else { 202 }, "{caller:?} from {from}");
        if !mounted {
            let missing = mount("others/nothing").await;
            let id = |reply: &Reply| reply.header("docker-upload-uuid").to_owned();
            assert_eq!(told(&reply, from, &id(&reply)), told(&missing, "others/nothing", &id(&missing)));
        }
    }
}
