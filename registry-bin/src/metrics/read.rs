//! Series whose values lie elsewhere, and are read when somebody asks.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, Opts};

/// Series whose values lie elsewhere, and are read when somebody asks. What cannot be read stays as it was.
#[derive(Default)]
pub struct Read {
    series: Vec<(Series, Value)>,
    /// Two that ask at once would both add what a counter lacks.
    turn: Mutex<()>,
}

type Value = Box<dyn Fn() -> Option<f64> + Send + Sync>;

enum Series {
    Counter(Counter),
    Gauge(Gauge),
}

impl Read {
    /// With a number that only grows.
    ///
    /// # Errors
    /// If the name is none.
    pub fn counter(
        mut self,
        opts: Opts,
        value: impl Fn() -> Option<f64> + Send + Sync + 'static,
    ) -> prometheus::Result<Self> {
        self.series.push((Series::Counter(Counter::with_opts(opts)?), Box::new(value)));
        Ok(self)
    }

    /// With a number that goes up and down.
    ///
    /// # Errors
    /// If the name is none.
    pub fn gauge(
        mut self,
        opts: Opts,
        value: impl Fn() -> Option<f64> + Send + Sync + 'static,
    ) -> prometheus::Result<Self> {
        self.series.push((Series::Gauge(Gauge::with_opts(opts)?), Box::new(value)));
        Ok(self)
    }
}

impl Collector for Read {
    fn desc(&self) -> Vec<&Desc> {
        let descriptions = self.series.iter().flat_map(|(series, _)| match series {
            Series::Counter(counter) => counter.desc(),
            Series::Gauge(gauge) => gauge.desc(),
        });
        descriptions.collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let families = self.series.iter().flat_map(|(series, value)| match (series, value()) {
            (Series::Counter(counter), value) => {
                counter.inc_by(value.map_or(0.0, |value| (value - counter.get()).max(0.0)));
                counter.collect()
            }
            (Series::Gauge(gauge), value) => {
                gauge.set(value.unwrap_or_else(|| gauge.get()));
                gauge.collect()
            }
        });
        families.collect()
    }
}

impl fmt::Debug for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Read({} series)", self.series.len())
    }
}

/// A count as Prometheus has it.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "Prometheus counts so")]
pub fn as_float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use prometheus::{Registry, TextEncoder};

    use super::*;

    #[test]
    fn values_are_read_when_somebody_asks() {
        let value = Arc::new(AtomicU64::new(3));
        let read = || {
            let value = Arc::clone(&value);
            move || Some(value.load(Ordering::Relaxed)).filter(|value| *value < 100).map(as_float)
        };
        let numbers = Read::default().counter(Opts::new("a_total", "a"), read()).unwrap();
        let registry = Registry::new();
        registry.register(Box::new(numbers.gauge(Opts::new("b", "b"), read()).unwrap())).unwrap();
        let told = || {
            let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
            text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(told(), "a_total 3, b 3");
        assert_eq!(told(), "a_total 3, b 3");
        value.store(5, Ordering::Relaxed);
        assert_eq!(told(), "a_total 5, b 5");
        value.store(4, Ordering::Relaxed);
        assert_eq!(told(), "a_total 5, b 4");
        value.store(100, Ordering::Relaxed);
        assert_eq!(told(), "a_total 5, b 4");
    }
}
