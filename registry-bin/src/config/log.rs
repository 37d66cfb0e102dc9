//! `log`: what is told, how, and the access log.

use std::collections::BTreeMap;

use super::node::Node;
use super::section::Section;

/// What is told, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogConfig {
    /// From which severity on lines are written.
    pub level: LogLevel,
    /// The form of a line.
    pub formatter: LogFormat,
    /// Fields that every line has, by name.
    pub fields: BTreeMap<String, String>,
    /// Whether a line tells where in the program it comes from.
    pub report_caller: bool,
    /// Whether each request is written to the access log.
    pub access_log: bool,
}

/// From which severity on lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    /// What went wrong.
    Error,
    /// And what looks wrong.
    Warn,
    /// And what the server does.
    #[default]
    Info,
    /// And how it does it.
    Debug,
}

impl LogLevel {
    /// The word for it in a configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// The form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// `time=… level=info msg="…"`.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// One JSON object with the names that Logstash wants.
    Logstash,
}

impl LogFormat {
    /// The word for it in a configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Logstash => "logstash",
        }
    }
}

const LEVELS: [(&str, LogLevel); 4] =
    [("error", LogLevel::Error), ("warn", LogLevel::Warn), ("info", LogLevel::Info), ("debug", LogLevel::Debug)];

const FORMATS: [(&str, LogFormat); 3] =
    [("text", LogFormat::Text), ("json", LogFormat::Json), ("logstash", LogFormat::Logstash)];

/// Reads `log`, and `loglevel`, which is the old name of `log.level`.
pub(super) fn read(root: &mut Section<'_>) -> LogConfig {
    let old_level = root.choice("loglevel", &LEVELS);
    if old_level.is_some() {
        root.warn("loglevel", "the old name of log.level, which is used where both are set");
    }
    let mut log = root.section("log");
    let config = LogConfig {
        level: log.choice("level", &LEVELS).or(old_level).unwrap_or_default(),
        formatter: log.choice("formatter", &FORMATS).unwrap_or_default(),
        fields: fields(&mut log),
        report_caller: log.boolean("reportcaller").unwrap_or(false),
        access_log: access_log(&mut log),
    };
    log.without_effect(&[("hooks", "nothing is sent by mail; let what reads the log do that")]);
    log.finish();
    config
}

fn fields(log: &mut Section<'_>) -> BTreeMap<String, String> {
    let mut section = log.section("fields");
    let mut fields = BTreeMap::new();
    for key in section.keys() {
        match section.take(&key) {
            Some(Node::Scalar(text)) => drop(fields.insert(key, text)),
            Some(Node::Null) | None => {}
            Some(other) => drop(fields.insert(key, other.to_json().to_string())),
        }
    }
    fields
}

fn access_log(log: &mut Section<'_>) -> bool {
    let mut section = log.section("accesslog");
    let disabled = section.boolean("disabled").unwrap_or(false);
    section.finish();
    !disabled
}
