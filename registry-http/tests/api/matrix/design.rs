//! What should happen: who may what, and what the routes have.

use std::collections::BTreeMap;

use http::Method;
use registry_auth::Action;

use crate::client::{image, sha256};

/// Who asks. Nobody has a rule for what is not below `own`, but the admin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Caller {
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

pub(super) const CALLERS: [Caller; 8] = [
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
pub(super) const REPOSITORIES: [&str; 4] = ["own/app", "own/none", "others/app", "others/none"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Normal,
    ReadOnly,
    DeletesDisabled,
}

pub(super) const MODES: [Mode; 3] = [Mode::Normal, Mode::ReadOnly, Mode::DeletesDisabled];

/// What a caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
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
pub(super) enum Upload {
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
pub(super) enum About {
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
pub(super) struct Case {
    pub(super) method: Method,
    /// With `ID` for that of an upload.
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) about: About,
}

pub(super) const METHODS: [&str; 8] = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE"];

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

pub(super) fn cases(repository: &str) -> Vec<Case> {
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
pub(super) fn may(caller: Caller, repository: &str) -> &'static [Action] {
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
pub(super) fn needed(method: &str) -> Option<&'static [Action]> {
    match method {
        "GET" | "HEAD" => Some(&[Action::Pull]),
        "POST" | "PUT" | "PATCH" => Some(&[Action::Pull, Action::Push]),
        "DELETE" => Some(&[Action::Delete]),
        _ => None,
    }
}

/// The design: a login first, then rights, then what the route and the mode have, then what is there.
pub(super) fn outcome(caller: Caller, repository: &str, case: &Case, mode: Mode) -> Outcome {
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
pub(super) fn found(caller: Caller, repository: &str, case: &Case) -> Outcome {
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

/// Whether a caller has begun an upload in a repository.
pub(super) fn has_upload(caller: Caller, repository: &str) -> bool {
    match caller {
        Caller::Writer => repository == "own/app",
        Caller::Admin => repository.ends_with("/app"),
        _ => false,
    }
}
