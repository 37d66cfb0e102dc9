//! Logins and rights of one's own: everybody with a login pulls, and a team pushes below its name.
//!
//! ```text
//! cargo run -p registry-examples --example custom_auth
//! ```

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use registry_auth::{
    Access, Asked, AuthenticationError, Authenticator, AuthorizationError, Authorizer, Challenge, Credentials,
    Decision, Principal, Shortfall,
};
use registry_http::TestRegistry;
use reqwest::{Client, StatusCode};

/// Who there is. A real directory would be asked over the network and keep no passwords, only what checks them.
#[derive(Debug)]
struct Staff(&'static [Member]);

#[derive(Debug)]
struct Member {
    name: &'static str,
    password: &'static str,
    team: &'static str,
}

const STAFF: &[Member] = &[
    Member { name: "ann", password: "apple", team: "web" },
    Member { name: "bob", password: "berry", team: "operations" },
];

#[async_trait]
impl Authenticator for Staff {
    async fn authenticate(&self, credentials: Option<&Credentials>) -> Result<Principal, AuthenticationError> {
        match credentials {
            None => Err(AuthenticationError::Missing),
            Some(Credentials::Basic { user, password }) => {
                let member = self.0.iter().find(|member| (member.name, member.password) == (user, password.expose()));
                member.map(|member| Principal::named(member.name)).ok_or(AuthenticationError::Rejected)
            }
            Some(_) => Err(AuthenticationError::Rejected),
        }
    }

    fn challenge(&self, asked: &Asked<'_>) -> Option<Challenge> {
        // Who is known and may not gets in no further with a password: that is a 403.
        (asked.shortfall != Shortfall::Insufficient).then(|| Challenge::basic("staff only"))
    }
}

#[async_trait]
impl Authorizer for Staff {
    async fn authorize(&self, principal: &Principal, access: &Access) -> Result<Decision, AuthorizationError> {
        let member = self.0.iter().find(|member| Some(member.name) == principal.name());
        Ok(Decision::allow_if(member.is_some_and(|member| match access {
            // The first component of a name is the team: `web/shop`, not `website/shop`.
            Access::Repository { name, .. } => access.is_read() || name.components().next() == Some(member.team),
            Access::Base | Access::Catalog => true,
            Access::Maintenance => false,
        })))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let registry = TestRegistry::builder().authenticator(Arc::new(Staff(STAFF))).authorizer(Arc::new(Staff(STAFF)));
    let registry = registry.start().await?;
    for (login, repository, expected) in [
        (None, "web/shop", StatusCode::UNAUTHORIZED),
        (Some(("ann", "guessed")), "web/shop", StatusCode::UNAUTHORIZED),
        (Some(("ann", "apple")), "web/shop", StatusCode::ACCEPTED),
        (Some(("ann", "apple")), "website/shop", StatusCode::FORBIDDEN),
        (Some(("bob", "berry")), "web/shop", StatusCode::FORBIDDEN),
        (Some(("bob", "berry")), "operations/tools/cron", StatusCode::ACCEPTED),
    ] {
        let status = start_push(&registry, login, repository).await?;
        println!("{} pushes to {repository}: {status}", login.map_or("somebody", |(user, _)| user));
        assert_eq!(status, expected);
    }
    Ok(())
}

async fn start_push(
    registry: &TestRegistry,
    login: Option<(&str, &str)>,
    repository: &str,
) -> Result<StatusCode, reqwest::Error> {
    let client = Client::builder().no_proxy().build()?;
    let mut request = client.post(format!("{}/v2/{repository}/blobs/uploads/", registry.url()));
    if let Some((user, password)) = login {
        request = request.basic_auth(user, Some(password));
    }
    Ok(request.send().await?.status())
}
