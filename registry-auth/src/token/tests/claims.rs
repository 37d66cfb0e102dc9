//! What tokens say.

use super::*;
use crate::{Action, Grants};

#[track_caller]
fn check(changes: Value) -> Option<Flaw> {
    flaw(&logins(), &issuer().token(&header(), &with(claims(), changes)))
}

#[test]
fn a_minute_of_leeway() {
    for (changes, wanted) in [
        (json!({"exp": NOW - 59}), None),
        (json!({"exp": NOW - 61}), Some(Flaw::Expired)),
        (json!({"exp": NOW - 60}), None),
        (json!({"exp": 0}), Some(Flaw::Expired)),
        (json!({"nbf": NOW + 59}), None),
        (json!({"nbf": NOW + 61}), Some(Flaw::Early)),
        (json!({"nbf": null}), None),
        (json!({"exp": 1_795_000_300.5}), None),
        (json!({"exp": null}), Some(Flaw::Claims)),
    ] {
        assert_eq!(check(changes.clone()), wanted, "{changes}");
    }
}

#[test]
fn times_that_are_none() {
    for time in
        ["-1", "-1e300", "1e300", "1e999", "253402300800", "18446744073709551616", "\"1795000300\"", "true", "[]"]
    {
        for name in ["exp", "nbf"] {
            let text = with(claims(), json!({name: "TIME"})).to_string().replace("\"TIME\"", time);
            let message = format!("{}.{}", part(&header()), URL_SAFE_NO_PAD.encode(text));
            let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &issuer().key, Algorithm::RS256).unwrap();
            assert_eq!(flaw(&logins(), &format!("{message}.{signature}")), Some(Flaw::Claims), "{name} {time}");
        }
    }
}

#[test]
fn a_clock_before_1970_lets_nobody_in() {
    let clock = Stopped(SystemTime::UNIX_EPOCH - Duration::from_secs(1));
    let logins = builder(issuer().keys()).clock(Arc::new(clock)).build();
    assert_eq!(flaw(&logins, &issuer().token(&header(), &claims())), Some(Flaw::Clock));
}

#[test]
fn from_the_issuer_and_for_the_service() {
    for (changes, wanted) in [
        (json!({"aud": ["other", "service"]}), None),
        (json!({"aud": ["other"]}), Some(Flaw::Audience)),
        (json!({"aud": []}), Some(Flaw::Audience)),
        (json!({"aud": "Service"}), Some(Flaw::Audience)),
        (json!({"aud": "service2"}), Some(Flaw::Audience)),
        (json!({"aud": ""}), Some(Flaw::Audience)),
        (json!({"aud": null}), Some(Flaw::Claims)),
        (json!({"aud": {"service": 1}}), Some(Flaw::Claims)),
        (json!({"iss": "issuer2"}), Some(Flaw::Issuer)),
        (json!({"iss": "ISSUER"}), Some(Flaw::Issuer)),
        (json!({"iss": null}), Some(Flaw::Claims)),
        (json!({"iss": ["issuer"]}), Some(Flaw::Claims)),
        (json!({"sub": "a\nb"}), Some(Flaw::Claims)),
        (json!({"access": "repository:a:pull"}), Some(Flaw::Claims)),
    ] {
        assert_eq!(check(changes.clone()), wanted, "{changes}");
    }
}

fn grants(access: &Value) -> Grants {
    let token = issuer().token(&header(), &with(claims(), json!({"access": access})));
    logins().check(&token).unwrap().grants().unwrap().clone()
}

fn actions(grants: &Grants, name: &str) -> Vec<Action> {
    let covered = |action| grants.cover(&Access::repository(name.parse().unwrap(), [action]));
    Action::ALL.into_iter().filter(|action| covered(*action)).collect()
}

#[test]
fn rights() {
    let held = grants(&json!([
        {"type": "repository", "name": "all", "actions": ["*"]},
        {"type": "repository", "class": "image", "name": "some", "actions": ["pull", "rule", "PUSH"]},
        {"type": "repository", "class": "plugin", "name": "some", "actions": ["delete"]},
        {"type": "registry", "name": "catalog", "actions": ["*"]},
        {"type": "repository", "name": "none"},
        {"type": "repository", "name": "none", "actions": null},
        {"type": "robot", "name": "none", "actions": ["*"]},
    ]));
    assert_eq!(actions(&held, "all"), Action::ALL);
    assert_eq!(actions(&held, "some"), [Action::Pull, Action::Delete]);
    assert_eq!(actions(&held, "none"), []);
    assert!(held.cover(&Access::Catalog));
    assert!(!held.cover(&Access::Maintenance));
    let held = grants(&json!([{"type": "registry", "name": "catalog", "actions": ["pull"]}]));
    assert!(!held.cover(&Access::Catalog));
    let held = grants(&json!([{"type": "registry", "name": "maintenance", "actions": ["*"]}]));
    assert!(held.cover(&Access::Maintenance) && !held.cover(&Access::Catalog));
}

#[test]
fn names_that_are_none_are_no_rights() {
    let names = ["", "*", "**", "A", "a/../b", "a//b", "a*", "../a", "a%2fb", "a:pull"];
    let entries: Vec<_> =
        names.iter().map(|name| json!({"type": "repository", "name": name, "actions": ["*"]})).collect();
    assert_eq!(grants(&json!(entries)), Grants::default());
}

#[test]
fn a_token_that_names_nobody_is_no_anonymous_request() {
    for sub in [json!(null), json!("")] {
        let token = issuer().token(&header(), &with(claims(), json!({"sub": sub, "access": null})));
        let somebody = logins().check(&token).unwrap();
        assert_eq!((somebody.name(), somebody.is_anonymous()), (None, false));
        assert_eq!(somebody.grants(), Some(&Grants::default()));
    }
}
