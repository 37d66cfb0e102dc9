//! The `registry` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    registry_bin::command::run(std::env::args_os())
}
