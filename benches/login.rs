//! What does a login by password file cost at each request?
//!
//! `GET /v2/` on one connection to a server in this process: without logins, with a password of cost 12 that is
//! remembered, and what remembering saves: the same password, checked.

use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use registry_auth::{Authenticator, Credentials, Htpasswd, HtpasswdUsers, htpasswd_line};
use registry_benches::{Content, Place, Server};
use tokio::runtime::Builder;

fn logins(cost: u32) -> Arc<Htpasswd> {
    let line = htpasswd_line("ann", "secret", cost).expect("a good user");
    Arc::new(Htpasswd::builder("bench", HtpasswdUsers::parse(&line).0).build())
}

fn login(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("login");
    let parent = env!("CARGO_TARGET_TMPDIR");
    let open = Server::start(Place::Memory, parent).expect("starts");
    let mut anonymous = open.connect().expect("connects");
    group.bench_function("nobody asks", |bencher| {
        bencher.iter(|| anonymous.send("GET", "/v2/", Content::None, 200).expect("open"));
    });
    let guarded = Server::guarded(Place::Memory, parent, logins(12)).expect("starts");
    let mut known = guarded.connect().expect("connects").logged_in("ann", "secret");
    known.send("GET", "/v2/", Content::None, 200).expect("the password is good");
    group.bench_function("remembered, cost 12", |bencher| {
        bencher.iter(|| known.send("GET", "/v2/", Content::None, 200).expect("the password is good"));
    });
    group.sample_size(10);
    let runtime = Builder::new_current_thread().enable_all().build().expect("starts");
    let wrong = Credentials::parse("Basic YW5uOndyb25n").expect("well formed");
    let logins = logins(12);
    group.bench_function("checked, cost 12", |bencher| {
        bencher.iter(|| runtime.block_on(logins.authenticate(Some(&wrong))).expect_err("the password is wrong"));
    });
    group.finish();
}

criterion_group!(benches, login);
criterion_main!(benches);
