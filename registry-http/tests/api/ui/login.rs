use std::sync::Arc;

use http::Method;
use registry_auth::{
    Access, Action, Asked, AuthenticationError, Authenticator, Challenge, Credentials, Granted, Grants, Principal,
};
use registry_http::{Ui, service};

use super::{guarded, log_in, open, submit};
use crate::client::Api;

async fn with_images() -> Api {
    let open = open();
    for name in ["public/app", "secret/app"] {
        open.push_image(name, Some("1.0"), "").await;
    }
    guarded(&open)
}

async fn get_as(api: &Api, path: &str, cookie: &str) -> crate::client::Reply {
    api.request(Method::GET, path, &[("cookie", cookie)], "").await
}

#[tokio::test]
async fn a_session_holds_until_it_is_ended() {
    let api = with_images().await;
    let there = "/ui/repositories/secret/app";
    assert_eq!(api.get(there).await.assert(303).location(), format!("/ui/login?next={there}"));
    api.get(&format!("/ui/login?next={there}")).await.assert(200).shows(&format!(r#"value="{there}""#));

    let reply = submit(&api, "/ui/login", &[], &format!("user=bob&password=secret&next={there}")).await.assert(303);
    assert_eq!(reply.location(), there);
    let cookie = reply.header("set-cookie").to_owned();
    for part in ["; Path=/ui/", "; HttpOnly", "; SameSite=Strict", "; Max-Age=43200"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "there is no TLS: {cookie}");
    let cookie = cookie.split(';').next().unwrap();
    get_as(&api, there, cookie).await.assert(200).shows("bob").shows("Log out");
    // The API knows no cookies, so no other site can make a browser use it.
    get_as(&api, "/v2/secret/app/tags/list", cookie).await.assert(401);

    let ended = submit(&api, "/ui/logout", &[("cookie", cookie)], "").await.assert(303);
    assert!(ended.header("set-cookie").contains("Max-Age=0"));
    get_as(&api, there, cookie).await.assert(303);
}

#[tokio::test]
async fn a_wrong_password_begins_none() {
    let api = with_images().await;
    for form in ["user=bob&password=wrong", "user=&password=", "user=b%3Aob&password=secret", "user=bob", "", "%ff=%fe"]
    {
        let reply = submit(&api, "/ui/login", &[], form).await.assert(403);
        assert!(!reply.has("set-cookie") && !reply.has("www-authenticate"), "{reply:?}");
        reply.shows("there is no such user with this password").hides("secret");
    }
    // What the browser sends besides does not count.
    let ann = ("authorization", "Basic YW5uOnNlY3JldA==");
    submit(&api, "/ui/login", &[ann], "user=ann&password=wrong").await.assert(403);
}

#[tokio::test]
async fn a_login_leads_to_own_pages_alone() {
    let api = with_images().await;
    for next in
        ["https://evil.example/", "//evil.example", "/ui/\\evil", "/v2/", "javascript:alert(1)", "/ui/%0d%0aX:y"]
    {
        let reply = submit(&api, "/ui/login", &[], &format!("user=bob&password=secret&next={next}")).await.assert(303);
        assert_eq!(reply.location(), "/ui/", "{next}");
    }
}

#[tokio::test]
async fn under_tls_the_cookie_goes_nowhere_else() {
    let api = with_images().await;
    let https = ("x-forwarded-proto", "https");
    let reply = submit(&api, "/ui/login", &[https], "user=bob&password=secret").await.assert(303);
    assert!(reply.header("set-cookie").ends_with("; Secure"));
}

#[tokio::test]
async fn other_sites_cannot_log_anybody_in_or_out() {
    let api = with_images().await;
    let cookie = log_in(&api, "bob").await;
    let form = "user=ann&password=secret";
    for headers in [
        &[][..],
        &[("origin", "http://evil.example")],
        &[("origin", "null")],
        &[("origin", "http://registry.test"), ("sec-fetch-site", "cross-site")],
        &[("origin", "http://registry.test"), ("sec-fetch-site", "same-site")],
        &[("origin", "http://registry.test.evil.example")],
    ] {
        let reply = api.request(Method::POST, "/ui/login", headers, form).await.assert(403);
        assert!(!reply.has("set-cookie"));
        let mut headers = headers.to_vec();
        headers.push(("cookie", &cookie));
        api.request(Method::POST, "/ui/logout", &headers, "").await.assert(403);
    }
    get_as(&api, "/ui/repositories/secret/app", &cookie).await.assert(200);
    let fetched = [("sec-fetch-site", "same-origin")];
    api.request(Method::POST, "/ui/login", &fetched, form).await.assert(303);
}

#[tokio::test]
async fn a_password_in_the_header_will_do() {
    let api = with_images().await;
    let bob = [("authorization", "Basic Ym9iOnNlY3JldA==")];
    let reply = api.request(Method::GET, "/ui/repositories/secret/app", &bob, "").await.assert(200);
    reply.shows("bob").hides("Log out");
    let wrong = [("authorization", "Basic Ym9iOng=")];
    api.request(Method::GET, "/ui/repositories/secret/app", &wrong, "").await.assert(303);
}

#[tokio::test]
async fn everybody_sees_what_they_may() {
    let api = with_images().await;
    api.get("/ui/").await.assert(200).shows("public/").hides("secret/").shows("Log in");
    api.get("/ui/?q=app").await.assert(200).shows("public/").hides("secret/").shows("1 found");
    api.get("/ui/?sort=size").await.assert(200).shows("public/").hides("secret/");
    api.get("/ui/repositories/public/app").await.assert(200).hides("Delete");
    let bob = log_in(&api, "bob").await;
    get_as(&api, "/ui/", &bob).await.assert(200).shows("secret/");
    get_as(&api, "/ui/repositories/secret/app", &bob).await.assert(200).hides("Delete");
    let ann = log_in(&api, "ann").await;
    get_as(&api, "/ui/repositories/secret/app", &ann).await.assert(200).shows("Delete the repository");
    // Whether a repository is there is nobody's to know who may not see it.
    for name in ["secret/app", "secret/none"] {
        api.get(&format!("/ui/repositories/{name}")).await.assert(303);
        api.get(&format!("/ui/repositories/{name}/-/images/1.0")).await.assert(303);
    }
}

#[tokio::test]
async fn where_nobody_can_log_in_nobody_is_asked_to() {
    let api = open();
    api.push_image("a", Some("1"), "").await;
    assert_eq!(api.get("/ui/login").await.assert(303).location(), "/ui/");
    api.get("/ui/").await.assert(200).hides("Log in");
}

/// Takes one token, which lets its holder pull one repository.
#[derive(Debug)]
struct OneToken;

#[async_trait::async_trait]
impl Authenticator for OneToken {
    async fn authenticate(&self, credentials: Option<&Credentials>) -> Result<Principal, AuthenticationError> {
        match credentials {
            Some(Credentials::Bearer { token }) if token.expose() == "good.token" => {
                let mut grants = Grants::default();
                grants.add(Access::repository("secret/app".parse().unwrap(), [Action::Pull]));
                Ok(Principal::named("robot").with_grants(grants))
            }
            None => Err(AuthenticationError::Missing),
            Some(_) => Err(AuthenticationError::Rejected),
        }
    }

    fn challenge(&self, _: &Asked<'_>) -> Option<Challenge> {
        Some(Challenge::new("Bearer").with("realm", "https://auth.example/token"))
    }
}

#[tokio::test]
async fn where_tokens_are_taken_one_begins_a_session() {
    let open = open();
    for name in ["public/app", "secret/app"] {
        open.push_image(name, Some("1.0"), "").await;
    }
    let service = service(open.service.registry().clone()).authenticator(Arc::new(OneToken));
    let service = service.authorizer(Arc::new(Granted)).ui(Ui::new()).build();
    let api = Api { storage: open.storage.clone(), service };
    let there = "/ui/repositories/secret/app";
    assert_eq!(api.get(there).await.assert(303).location(), format!("/ui/login?next={there}"));
    api.get("/ui/login").await.assert(200).shows("Token").hides("Password").hides("does not reach");
    for form in ["token=bad.token", "token=", "user=robot&password=good.token", "token=a%0d%0ab"] {
        let reply = submit(&api, "/ui/login", &[], form).await.assert(403);
        assert!(!reply.has("set-cookie"));
        reply.shows("the token is not one for this registry");
    }
    let reply = submit(&api, "/ui/login", &[], &format!("token=+good.token+&next={there}")).await.assert(303);
    assert_eq!(reply.location(), there);
    let cookie = reply.header("set-cookie").split(';').next().unwrap().to_owned();
    get_as(&api, there, &cookie).await.assert(200).shows("robot").shows("Log out");
    // A token that does not reach as far leads to where another can be given, which says why.
    let beyond = "/ui/repositories/public/app";
    let reply = get_as(&api, beyond, &cookie).await.assert(303);
    assert_eq!(reply.location(), format!("/ui/login?next={beyond}"));
    get_as(&api, &reply.location(), &cookie).await.assert(200).shows("does not reach as far");
}
