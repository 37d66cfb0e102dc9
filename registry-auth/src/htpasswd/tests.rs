use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// Counts the checks, and holds them back if told to.
#[derive(Default)]
struct Held {
    count: AtomicUsize,
    hold: bool,
    work: Mutex<VecDeque<Box<dyn FnOnce() + Send>>>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

impl Blocking for Held {
    fn execute(&self, work: Box<dyn FnOnce() + Send>) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if self.hold { self.work.lock().unwrap().push_back(work) } else { work() }
    }
}

#[derive(Debug)]
struct Settable(Mutex<SystemTime>);

impl Clock for Settable {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}

fn users(names: &[&str]) -> HtpasswdUsers {
    let lines: Vec<_> = names.iter().map(|name| htpasswd_line(name, "secret", 4).unwrap()).collect();
    HtpasswdUsers::parse(lines.join("\n")).0
}

fn credentials(user: &str, password: &str) -> Credentials {
    Credentials::parse(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))).unwrap()
}

async fn login(logins: &Htpasswd, user: &str, password: &str) -> Result<Principal, AuthenticationError> {
    logins.authenticate(Some(&credentials(user, password))).await
}

#[tokio::test]
async fn good_credentials_are_checked_once() {
    let held = Arc::new(Held::default());
    let clock = Arc::new(Settable(Mutex::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1000))));
    let builder = Htpasswd::builder("r", users(&["ann"])).blocking(Arc::clone(&held) as _);
    let logins = builder.clock(Arc::clone(&clock) as _).cache_ttl(Duration::from_secs(10)).build();
    for _ in 0..3 {
        assert_eq!(login(&logins, "ann", "secret").await.unwrap(), Principal::named("ann"));
    }
    assert_eq!(held.count.load(Ordering::Relaxed), 1);
    let calm = HtpasswdStats { checks: 1, cache_hits: 2, cache_misses: 1, ..HtpasswdStats::default() };
    assert_eq!(logins.stats(), calm);
    *clock.0.lock().unwrap() += Duration::from_secs(10);
    assert!(login(&logins, "ann", "secret").await.is_ok());
    assert_eq!(held.count.load(Ordering::Relaxed), 2);
    // A clock that was set back makes nothing last longer.
    *clock.0.lock().unwrap() -= Duration::from_secs(100);
    assert!(login(&logins, "ann", "secret").await.is_ok());
    assert_eq!(held.count.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn credentials_that_keep_coming_are_not_forgotten() {
    let held = Arc::new(Held::default());
    let clock = Arc::new(Settable(Mutex::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1000))));
    let builder = Htpasswd::builder("r", users(&["ann"])).blocking(Arc::clone(&held) as _);
    let logins = builder.clock(Arc::clone(&clock) as _).cache_ttl(Duration::from_secs(10)).build();
    assert_eq!(logins.recall(&credentials("ann", "secret")), None);
    for _ in 0..5 {
        assert!(login(&logins, "ann", "secret").await.is_ok());
        assert_eq!(logins.recall(&credentials("ann", "secret")), Some(Principal::named("ann")));
        *clock.0.lock().unwrap() += Duration::from_secs(9);
    }
    assert_eq!(held.count.load(Ordering::Relaxed), 1);
    assert_eq!(logins.recall(&credentials("ann", "wrong")), None);
}

/// As when a service with many workers starts, or the file changes under them.
#[tokio::test]
async fn the_same_credentials_are_checked_once_however_many_come() {
    let held = Arc::new(Held { hold: true, ..Held::default() });
    let builder = Htpasswd::builder("r", users(&["ann"])).blocking(Arc::clone(&held) as _);
    let logins = Arc::new(builder.queue(1).build());
    let all: Vec<_> = (0..100)
        .map(|_| {
            let logins = Arc::clone(&logins);
            tokio::spawn(async move { login(&logins, "ann", "secret").await })
        })
        .collect();
    while logins.stats().cache_misses < 100 {
        tokio::task::yield_now().await;
    }
    let work = held.work.lock().unwrap().pop_front().unwrap();
    work();
    for one in all {
        assert!(one.await.unwrap().is_ok());
    }
    assert_eq!((logins.stats().checks, logins.stats().turned_away), (1, 0));
}

#[tokio::test]
async fn a_reload_forgets_those_who_changed_and_nobody_else() {
    let held = Arc::new(Held::default());
    let (ann, bob) = (htpasswd_line("ann", "secret", 4).unwrap(), htpasswd_line("bob", "secret", 4).unwrap());
    let of = |lines: &[&str]| HtpasswdUsers::parse(lines.join("\n")).0;
    let logins = Htpasswd::builder("r", of(&[&ann, &bob])).blocking(Arc::clone(&held) as _).build();
    for user in ["ann", "bob"] {
        assert!(login(&logins, user, "secret").await.is_ok());
    }
    logins.reload(of(&[&ann]));
    logins.reload(of(&[&ann, &bob]));
    assert!(login(&logins, "ann", "secret").await.is_ok());
    assert_eq!(held.count.load(Ordering::Relaxed), 2, "ann was not touched");
    assert!(login(&logins, "bob", "secret").await.is_ok());
    assert_eq!(held.count.load(Ordering::Relaxed), 3, "bob was gone in between");
}

/// Each request has a time of its own, and they come in any order.
#[test]
fn requests_side_by_side_forget_nothing() {
    let logins = Arc::new(Htpasswd::builder("r", users(&["ann"])).build());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(login(&logins, "ann", "secret")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let credentials = credentials("ann", "secret");
                for _ in 0..50_000 {
                    assert!(logins.recall(&credentials).is_some());
                }
            });
        }
    });
    assert_eq!(logins.stats().checks, 1);
}

#[test]
fn a_wrong_password_is_hashed_with_each_cost_once() {
    let lines =
        [("ann", 4), ("bob", 5), ("eve", 7), ("zoe", 5)].map(|(user, cost)| htpasswd_line(user, "x", cost).unwrap());
    let users = HtpasswdUsers::parse(lines.join("\n")).0;
    // Who is not there is checked against the stand-in.
    for hash in ["ann", "bob", "eve", "zoe", "nobody"].map(|user| users.hash(user).or(users.stand_in()).unwrap()) {
        let mut costs = users.other_costs(hash);
        costs.push(file::cost(hash).unwrap());
        costs.sort_unstable();
        assert_eq!(costs, [4, 5, 7]);
        assert!(matches(b"x", hash, &users.other_costs(hash)).unwrap());
        assert!(!matches(b"wrong", hash, &users.other_costs(hash)).unwrap());
    }
}

#[tokio::test]
async fn wrong_ones_cost_a_check_each_and_so_do_strangers() {
    let held = Arc::new(Held::default());
    let logins = Htpasswd::builder("r", users(&["ann"])).blocking(Arc::clone(&held) as _).build();
    for (user, password) in [("ann", "wrong"), ("ann", "wrong"), ("bob", "secret"), ("ann", "")] {
        let refused = login(&logins, user, password).await;
        assert!(matches!(refused, Err(AuthenticationError::Rejected)), "{user} {password}: {refused:?}");
    }
    assert_eq!(held.count.load(Ordering::Relaxed), 4);
    let unreadable = logins.authenticate(Some(&Credentials::Unreadable)).await;
    assert!(matches!(unreadable, Err(AuthenticationError::Rejected)));
    let bearer = Credentials::parse("Bearer x").unwrap();
    assert!(matches!(logins.authenticate(Some(&bearer)).await, Err(AuthenticationError::Rejected)));
    assert!(matches!(logins.authenticate(None).await, Err(AuthenticationError::Missing)));
}

#[tokio::test]
async fn nothing_is_cut_off_a_long_password() {
    let long = "x".repeat(72);
    let (users, _) = HtpasswdUsers::parse(htpasswd_line("ann", &long, 4).unwrap());
    let logins = Htpasswd::builder("r", users).build();
    assert!(login(&logins, "ann", &long).await.is_ok());
    assert!(matches!(login(&logins, "ann", &format!("{long}y")).await, Err(AuthenticationError::Rejected)));
}

#[tokio::test]
async fn whoever_is_removed_is_out_and_whoever_changes_is_new() {
    let logins = Htpasswd::builder("r", users(&["ann", "bob"])).build();
    assert!(login(&logins, "ann", "secret").await.is_ok() && login(&logins, "bob", "secret").await.is_ok());
    let line = htpasswd_line("bob", "other", 4).unwrap();
    logins.reload(HtpasswdUsers::parse(&line).0);
    for (user, password, good) in [("ann", "secret", false), ("bob", "secret", false), ("bob", "other", true)] {
        assert_eq!(login(&logins, user, password).await.is_ok(), good, "{user}");
    }
    logins.reload(HtpasswdUsers::default());
    assert!(matches!(login(&logins, "bob", "other").await, Err(AuthenticationError::Rejected)));
}

#[tokio::test]
async fn a_check_that_began_before_a_reload_lets_nobody_back_in() {
    let held = Arc::new(Held { hold: true, ..Held::default() });
    let logins = Arc::new(Htpasswd::builder("r", users(&["ann"])).blocking(Arc::clone(&held) as _).build());
    let early = tokio::spawn({
        let logins = Arc::clone(&logins);
        async move { login(&logins, "ann", "secret").await }
    });
    while held.count.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    logins.reload(users(&["bob"]));
    let work = held.work.lock().unwrap().pop_front().unwrap();
    work();
    assert!(early.await.unwrap().is_ok(), "it began while ann was known");
    let late = tokio::spawn(async move { login(&logins, "ann", "secret").await });
    while held.count.load(Ordering::Relaxed) == 1 {
        tokio::task::yield_now().await;
    }
    let work = held.work.lock().unwrap().pop_front().unwrap();
    work();
    assert!(matches!(late.await.unwrap(), Err(AuthenticationError::Rejected)));
}

#[tokio::test]
async fn a_flood_is_busy_and_those_who_gave_up_take_no_place() {
    let held = Arc::new(Held { hold: true, ..Held::default() });
    let builder = Htpasswd::builder("r", users(&["ann"])).blocking(Arc::clone(&held) as _);
    let logins = Arc::new(builder.concurrency(1).queue(1).build());
    let spawn = |password: &'static str| {
        let logins = Arc::clone(&logins);
        tokio::spawn(async move { login(&logins, "ann", password).await })
    };
    let (first, second) = (spawn("one"), spawn("two"));
    while logins.waiting.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    assert!(matches!(login(&logins, "ann", "wrong").await, Err(AuthenticationError::Busy)));
    let busy = HtpasswdStats { running: 1, waiting: 1, checks: 1, cache_misses: 3, turned_away: 1, cache_hits: 0 };
    assert_eq!(logins.stats(), busy);
    second.abort();
    assert!(second.await.unwrap_err().is_cancelled());
    assert_eq!(logins.waiting.load(Ordering::Relaxed), 0);
    let third = spawn("three");
    while logins.waiting.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    for task in [first, third] {
        let work = loop {
            if let Some(work) = held.work.lock().unwrap().pop_front() {
                break work;
            }
            tokio::task::yield_now().await;
        };
        work();
        assert!(matches!(task.await.unwrap(), Err(AuthenticationError::Rejected)));
    }
    assert_eq!(held.count.load(Ordering::Relaxed), 2);
}
