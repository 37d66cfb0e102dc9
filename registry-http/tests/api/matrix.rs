//! Who gets where: every route and method, every caller, what is theirs, what is others' and what is not there, in each
//! mode of the registry. What should happen is said once, in `design`; everything else is generated.

mod design;
mod ground;

use std::fmt::Write as _;

use http::Method;

use self::design::{About, CALLERS, Caller, Case, MODES, Mode, Outcome, REPOSITORIES, Upload, cases, outcome};
use self::ground::{authorization, ground};
use crate::client::{Reply, sha256};

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
