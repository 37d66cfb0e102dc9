//! Traces, and what a program says that has none.

#[cfg(feature = "otel")]
mod collected;

use crate::program::Program;

/// What the log has from the start and the end of a server in this environment.
fn told(environment: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::in_folder(&folder);
    for (name, value) in environment {
        program = program.env(name, value);
    }
    let mut server = program.config("version: 0.1\nstorage: inmemory\nhttp: {addr: '127.0.0.1:0'}\n").serve();
    server.signal(rustix::process::Signal::TERM);
    assert!(server.end().success(), "{:?}", server.told);
    server.told.join("\n")
}

#[test]
fn nothing_is_said_unless_asked_for() {
    let told = told(&[("OTEL_TRACES_EXPORTER", "none")]);
    assert!(!told.contains("trace"), "{told}");
}

#[test]
fn what_cannot_be_had_is_named() {
    let told = told(&[("OTEL_TRACES_EXPORTER", "console")]);
    assert!(told.contains("OTEL_TRACES_EXPORTER=") && told.contains("write otlp or none"), "{told}");
}

#[cfg(not(feature = "otel"))]
#[test]
fn a_program_without_traces_says_so() {
    let told = told(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")]);
    assert!(told.contains("built without the feature `otel`"), "{told}");
}
