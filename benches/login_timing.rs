//! Can one tell by the time of an answer whether a user exists?
//!
//! A wrong password for a user who is there, and one for a user who is not, in an order of chance, so often that 2,000 of
//! each are left without the slowest: with a file of cost 5, and with one in which another user has cost 7. Welch's t of the
//! two tells: below 4.5 there is no telling. Exits with 1 otherwise.

use std::process::ExitCode;
use std::time::Instant;

use registry_auth::{Authenticator as _, Credentials, Htpasswd, HtpasswdUsers, htpasswd_line};
use tokio::runtime::Builder;

/// How often each.
const SAMPLES: usize = 2_106;
/// How often with one file.
const BATCH: usize = 100;
const LIMIT: f64 = 4.5;
/// So many of the slowest are left out of each: the machine did something else then.
const OUTLIERS: usize = SAMPLES / 20;

fn main() -> ExitCode {
    let outcomes = [("one cost", &[5][..]), ("two costs", &[5, 7])].map(|(name, costs)| is_hidden(name, costs));
    if outcomes.into_iter().all(|is_hidden| is_hidden) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether time does not tell, with the first of these costs for the user who is asked for.
fn is_hidden(name: &str, costs: &[u32]) -> bool {
    let samples = if std::env::args().any(|argument| argument == "--test") { 20 } else { SAMPLES };
    let runtime = Builder::new_current_thread().enable_all().build().expect("starts");
    // ann:wrong and eve:wrong
    let credentials =
        ["Basic YW5uOndyb25n", "Basic ZXZlOndyb25n"].map(|text| Credentials::parse(text).expect("well formed"));
    let mut times = [Vec::new(), Vec::new()];
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut logins = made(costs);
    while times.iter().any(|times| times.len() < samples) {
        // Where things lie in memory has a time of its own: each place for a while.
        if (times[0].len() + times[1].len()).is_multiple_of(BATCH) {
            logins = made(costs);
        }
        // A generator of Marsaglia's: the order has to be none, and need not be a secret.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let which = usize::from(random & (1 << 20) != 0);
        if times[which].len() == samples {
            continue;
        }
        #[expect(clippy::disallowed_methods, reason = "what is measured is the time of the machine")]
        let start = Instant::now();
        runtime.block_on(logins.authenticate(Some(&credentials[which]))).expect_err("the password is wrong");
        times[which].push(start.elapsed().as_secs_f64() * 1e6);
    }
    let [known, unknown] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times.truncate(times.len() - OUTLIERS.min(times.len() / 20));
        Summary::of(&times)
    });
    let t = (known.mean - unknown.mean) / (known.error + unknown.error).sqrt();
    println!("{name}: known:   {:.1} us in the mean of {}", known.mean, known.count);
    println!("{name}: unknown: {:.1} us in the mean of {}", unknown.mean, unknown.count);
    println!("{name}: t = {t:.2}, wanted below {LIMIT}");
    samples < SAMPLES || t.abs() < LIMIT
}

/// A file with a user of each cost, with salts of its own.
fn made(costs: &[u32]) -> Htpasswd {
    let users = ["ann", "zoe"].into_iter().zip(costs);
    let lines: Vec<_> = users.map(|(user, cost)| htpasswd_line(user, "secret", *cost).expect("a good user")).collect();
    Htpasswd::builder("bench", HtpasswdUsers::parse(lines.join("\n")).0).build()
}

struct Summary {
    count: usize,
    mean: f64,
    /// The square of the standard error of the mean.
    error: f64,
}

impl Summary {
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    fn of(times: &[f64]) -> Self {
        let count = times.len() as f64;
        let mean = times.iter().sum::<f64>() / count;
        let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Self { count: times.len(), mean, error: variance / count }
    }
}
