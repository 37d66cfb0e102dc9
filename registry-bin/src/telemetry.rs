//! The log: lines on standard error in the form that the configuration asks for.
//!
//! The forms and the names of fields are those of Distribution, so that what reads its log reads this one.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use registry_core::{Clock, SystemClock};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;

use crate::config::{LogConfig, LogFormat, LogLevel};
use crate::lines::Lines;

/// Sends what the program tells to standard error, from now on and for the whole process. What this gives is to be
/// [finished](Lines::finish) before the end of the program.
///
/// # Errors
/// If somebody else did so before, or there can be no further thread.
pub fn install(config: &LogConfig) -> Result<Lines, Box<dyn std::error::Error>> {
    let lines = Lines::start("log", io::stderr(), |lines| tracing::warn!(lines, "lines of the log were lost"))?;
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(filter(config.level))
        .with_writer(move || writer.clone())
        // It would be told on standard error, by a macro that panics where that is gone.
        .log_internal_errors(false)
        .event_format(Formatting::new(config))
        .finish()
        .with(filter_fn(is_told));
    tracing::subscriber::set_global_default(subscriber)?;
    Ok(lines)
}

/// What libraries do is of interest where it goes wrong. Of the rest they tell much, with what was sent to them in it.
fn is_told(metadata: &Metadata<'_>) -> bool {
    #[cfg(feature = "otel")]
    if crate::traces::is_repeated(metadata) {
        return false;
    }
    *metadata.level() <= Level::WARN || metadata.target().starts_with("registry_")
}

/// Tells a warning also where the log has errors alone: whoever starts or changes a server has to know.
pub fn warn_in_any_case(warning: &str) {
    if tracing::enabled!(Level::WARN) {
        tracing::warn!("{warning}");
    } else {
        tracing::error!("{warning}");
    }
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    }
}

/// Writes events as lines.
#[derive(Debug)]
struct Formatting {
    format: LogFormat,
    fields: BTreeMap<String, String>,
    report_caller: bool,
    clock: Box<dyn Clock>,
}

impl Formatting {
    fn new(config: &LogConfig) -> Self {
        Self {
            format: config.formatter,
            fields: config.fields.clone(),
            report_caller: config.report_caller,
            clock: Box::new(SystemClock),
        }
    }

    /// The fields of a line, without time, level and message.
    fn fields(&self, event: &Event<'_>) -> (String, Map<String, Value>) {
        let mut collected = Collected::default();
        for (name, value) in &self.fields {
            collected.fields.insert(name.clone(), value.clone().into());
        }
        if self.report_caller
            && let (Some(file), Some(line)) = (event.metadata().file(), event.metadata().line())
        {
            collected.fields.insert("file".into(), format!("{file}:{line}").into());
        }
        event.record(&mut collected);
        (collected.message, collected.fields)
    }
}

impl<S, N> FormatEvent<S, N> for Formatting
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let time = humantime::format_rfc3339_millis(self.clock.now()).to_string();
        let level = level_name(*event.metadata().level());
        let (message, fields) = self.fields(event);
        let line = match self.format {
            LogFormat::Text => text(&time, level, &message, &fields),
            LogFormat::Json => json(fields, [("time", time), ("level", level.into()), ("msg", message)]),
            LogFormat::Logstash => json(
                fields,
                [("@timestamp", time), ("@version", "1".into()), ("level", level.into()), ("message", message)],
            ),
        };
        writeln!(writer, "{line}")
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

fn text(time: &str, level: &str, message: &str, fields: &Map<String, Value>) -> String {
    let mut line = format!("time={time:?} level={level} msg={message:?}");
    for (name, value) in fields {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        line.push(' ');
        line.push_str(&quoted_if_needed(name));
        line.push('=');
        line.push_str(&quoted_if_needed(&value));
    }
    line
}

/// Text that came from outside must not look like another field or another line.
fn quoted_if_needed(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/@^+:".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) { text.to_owned() } else { format!("{text:?}") }
}

fn json<const N: usize>(mut fields: Map<String, Value>, own: [(&str, String); N]) -> String {
    for (name, value) in own {
        fields.insert(name.to_owned(), value.into());
    }
    Value::Object(fields).to_string()
}

/// The fields of one event.
#[derive(Default)]
struct Collected {
    message: String,
    fields: Map<String, Value>,
}

impl Collected {
    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => {
                self.fields.insert(name.to_owned(), value);
            }
        }
    }
}

impl Visit for Collected {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        self.add(field, text.into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, SystemTime};

    use super::*;

    #[derive(Debug)]
    struct Stopped;

    impl Clock for Stopped {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + Duration::from_millis(1500)
        }
    }

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(formatter: LogFormat, level: LogLevel, tell: impl FnOnce()) -> String {
        let fields = BTreeMap::from([("service".to_owned(), "registry".to_owned())]);
        let config = LogConfig { level, formatter, fields, ..LogConfig::default() };
        let lines = Formatting { clock: Box::new(Stopped), ..Formatting::new(&config) };
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(filter(level))
            .with_writer(move || writer.clone())
            .event_format(lines)
            .finish();
        tracing::subscriber::with_default(subscriber, tell);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn text_lines() {
        let line = written(LogFormat::Text, LogLevel::Info, || {
            tracing::info!(count = 3, path = "/a b", forged = "x\ntime=1", "hello \"you\"");
        });
        assert_eq!(
            line,
            "time=\"1970-01-01T00:00:01.500Z\" level=info msg=\"hello \\\"you\\\"\" count=3 \
             forged=\"x\\ntime=1\" path=\"/a b\" service=registry\n"
        );
    }

    #[test]
    fn json_lines() {
        let line = written(LogFormat::Json, LogLevel::Info, || {
            let error = io::Error::other("broken");
            tracing::warn!(error = &error as &dyn std::error::Error, on = true, "hello");
        });
        let value: Value = serde_json::from_str(&line).unwrap();
        let expected = serde_json::json!({
            "time": "1970-01-01T00:00:01.500Z", "level": "warning", "msg": "hello",
            "error": "broken", "on": true, "service": "registry",
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn logstash_lines() {
        let line = written(LogFormat::Logstash, LogLevel::Info, || tracing::error!("hello"));
        let value: Value = serde_json::from_str(&line).unwrap();
        let expected = serde_json::json!({
            "@timestamp": "1970-01-01T00:00:01.500Z", "@version": "1", "level": "error", "message": "hello",
            "service": "registry",
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn libraries_tell_of_what_goes_wrong_alone() {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::DEBUG)
            .with_writer(move || writer.clone())
            .event_format(Formatting::new(&LogConfig::default()))
            .finish()
            .with(filter_fn(is_told));
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!(target: "h2::codec", "frame");
            tracing::warn!(target: "hyper", "broken");
            tracing::debug!(target: "registry_core::uploads", "ours");
        });
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert!(!text.contains("frame") && text.contains("broken") && text.contains("ours"), "{text}");
    }

    #[test]
    fn the_level_decides_what_is_written() {
        let tell = || {
            tracing::debug!("debug");
            tracing::info!("info");
            tracing::warn!("warn");
            tracing::error!("error");
        };
        for (level, lines) in [(LogLevel::Error, 1), (LogLevel::Warn, 2), (LogLevel::Info, 3), (LogLevel::Debug, 4)] {
            assert_eq!(written(LogFormat::Text, level, tell).lines().count(), lines, "{level:?}");
        }
    }
}
