//! `registry check`: tells what a configuration says, without acting on it.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use super::configuration;

/// Prints what holds, or everything that is wrong.
pub(super) fn run(path: Option<PathBuf>) -> ExitCode {
    match configuration::load(path) {
        Ok(parsed) => {
            for warning in &parsed.warnings {
                // Where standard error is closed there is nobody to tell.
                let _ = writeln!(io::stderr(), "configuration warning: {warning}");
            }
            let written = writeln!(io::stdout(), "configuration ok\n{}", parsed.config);
            if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(lines) => {
            for line in lines {
                let _ = writeln!(io::stderr(), "{line}");
            }
            ExitCode::FAILURE
        }
    }
}
