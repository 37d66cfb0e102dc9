//! Keeps to a rate.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use registry_core::storage;
use registry_core::verify::Pacer;
use tokio::time::Instant;

/// Lets so many bytes, or operations, through in a second.
#[derive(Debug)]
pub struct Pace {
    per_second: u64,
    /// When what was let through is paid for.
    free_at: Mutex<Instant>,
}

/// Timers are late by a millisecond or two; who was held up so can make up for it.
const LATE: Duration = Duration::from_millis(20);

impl Pace {
    /// Lets `per_second` of them through in a second.
    #[must_use]
    pub fn new(per_second: u64) -> Self {
        Self { per_second, free_at: Mutex::new(Instant::now()) }
    }

    async fn take(&self, count: u64) {
        // Nanoseconds for the bytes of one frame fit by far.
        let nanoseconds = u128::from(count) * 1_000_000_000 / u128::from(self.per_second.max(1));
        let cost = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        let now = Instant::now();
        let until = {
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            *free_at = (*free_at).max(now.checked_sub(LATE).unwrap_or(now)) + cost;
            *free_at
        };
        tokio::time::sleep_until(until).await;
    }
}

#[async_trait]
impl Pacer for Pace {
    async fn pace(&self, bytes: u64) {
        self.take(bytes).await;
    }
}

#[async_trait]
impl storage::Pace for Pace {
    async fn turn(&self) {
        self.take(1).await;
    }
}

/// Reads a rate such as `50MB`, with units of 1024 as the configuration has them.
pub(crate) fn read_rate(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kb" | "kib" => Some(1 << 10),
        "m" | "mb" | "mib" => Some(1 << 20),
        "g" | "gb" | "gib" => Some(1 << 30),
        _ => None,
    };
    let rate = factor.and_then(|factor: u64| digits.trim_end().parse::<u64>().ok()?.checked_mul(factor));
    rate.ok_or_else(|| "a rate is a number of bytes such as 1048576, 512KB, 64MB or 2GB".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_kept_by_all_readers_together() {
        let pace = Pace::new(1000);
        let begun = Instant::now();
        tokio::join!(pace.pace(500), pace.pace(1500), pace.pace(1000));
        let took = begun.elapsed();
        assert!(took >= Duration::from_secs(3) && took < Duration::from_millis(3100), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn many_small_operations_are_not_slower_than_the_rate() {
        let pace = Pace::new(10_000);
        let begun = Instant::now();
        for _ in 0..5_000 {
            storage::Pace::turn(&pace).await;
        }
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(480) && took < Duration::from_millis(550), "{took:?}");
    }

    #[test]
    fn rates_have_units() {
        for (text, rate) in [("0", 0), ("12", 12), ("2k", 2048), ("200MB", 200 << 20), ("1GiB", 1 << 30)] {
            assert_eq!(read_rate(text), Ok(rate));
        }
        for text in ["", "MB", "1.5M", "-1", "1TB", "18446744073709551615k"] {
            assert!(read_rate(text).is_err(), "{text}");
        }
    }
}
