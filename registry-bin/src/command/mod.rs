//! The command line.

mod check;
pub(crate) mod configuration;
mod copy_storage;
mod garbage_collect;
mod health;
mod htpasswd;
mod quarantine;
mod serve;
mod status_line;
mod verify;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgAction, Parser, Subcommand};

use crate::causes::with_causes;
use crate::config::Config;
use crate::telemetry;

const AFTER_HELP: &str = "\
Without arguments it serves from ./registry-data at 127.0.0.1:5000. A configuration is
CNCF Distribution's config.yml, version 0.1, named on the command line or by
REGISTRY_CONFIGURATION_PATH. Every setting can be overridden by a variable such as
REGISTRY_HTTP_ADDR, or read from a file by one such as REGISTRY_HTTP_SECRET_FILE.";

/// An OCI registry server: a drop-in for CNCF Distribution.
#[derive(Debug, Parser)]
#[command(name = "registry", version, disable_version_flag = true, after_help = AFTER_HELP)]
struct Arguments {
    /// Print the version.
    #[arg(short = 'v', long, action = ArgAction::Version)]
    version: Option<bool>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until told to end by SIGTERM or SIGINT. This is also what happens without a command.
    Serve(ConfigurationArgument),
    /// Read a configuration and the environment, and tell what holds or all that is wrong.
    Check(ConfigurationArgument),
    /// Take away what nothing needs. A server may run meanwhile; without one everything is purged at once.
    GarbageCollect(garbage_collect::GarbageCollectArguments),
    /// List what the collector took away, or put it back.
    #[command(subcommand)]
    Quarantine(quarantine::QuarantineCommand),
    /// Read everything, tell what is not as it should be, and repair what can be. A server may run meanwhile. The exit
    /// code is 0 if everything is whole, or is again.
    Verify(verify::VerifyArguments),
    /// Copy all that the storage of one configuration has into that of another: bytes that are there are not copied again,
    /// and all are verified. The exit code is 0 if nothing had to be left out.
    CopyStorage(copy_storage::CopyStorageArguments),
    /// Ask a running server whether it is well; the exit code is 0 if it is, as a container's health check needs it.
    Health(health::HealthArguments),
    /// Print a line for a password file. The password comes from the terminal, or from standard input.
    Htpasswd {
        /// The user.
        user: String,
        /// How much work one guess takes, as a power of two.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(4..=14))]
        cost: u32,
    },
}

#[derive(Debug, Default, clap::Args)]
struct ConfigurationArgument {
    /// The configuration file; by default the one that the environment names.
    config: Option<PathBuf>,
}

/// Runs the program with these arguments, the name of the program first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(with_command(arguments)) {
        Ok(arguments) => arguments,
        Err(answer) => return answer_usage(&answer),
    };
    match arguments.command.unwrap_or_else(|| Command::Serve(ConfigurationArgument::default())) {
        Command::Serve(argument) => serve::run(argument.config),
        Command::Check(argument) => check::run(argument.config),
        Command::GarbageCollect(arguments) => garbage_collect::run(&arguments),
        Command::Quarantine(command) => quarantine::run(&command),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::CopyStorage(arguments) => copy_storage::run(&arguments),
        Command::Health(arguments) => health::run(arguments),
        Command::Htpasswd { user, cost } => htpasswd::run(&user, cost),
    }
}

/// The configuration; `None` where it was told what is wrong with it.
fn configured(path: Option<PathBuf>) -> Option<Config> {
    configuration::load(path).map(|parsed| parsed.config).map_err(|lines| complain(&lines)).ok()
}

/// Does what a command is for, with its log, which is at its end afterwards; a success if the work says so. `failed` tells what
/// could not be done.
fn logged(config: &Config, failed: &str, work: impl FnOnce() -> Result<bool, Box<dyn std::error::Error>>) -> ExitCode {
    let ended = telemetry::install(&config.log).and_then(|log| {
        let ended = work();
        // Where nobody reads the end of the log there is nobody to tell.
        let _ = log.finish();
        ended
    });
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(&[format!("{failed}: {}", with_causes(&*error))]);
            ExitCode::FAILURE
        }
    }
}

/// Tells what is to be told outside of the log.
fn complain(lines: &[String]) {
    for line in lines {
        // Where standard error is closed there is nobody to tell.
        let _ = writeln!(io::stderr(), "{line}");
    }
}

/// Help and version, or what is wrong with the arguments.
fn answer_usage(answer: &clap::Error) -> ExitCode {
    // Where the output is closed there is nobody left to tell.
    let _ = answer.print();
    u8::try_from(answer.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// `registry CONFIG.yml` means `registry serve CONFIG.yml`, as the entry point of the usual image has it.
fn with_command(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<_> = arguments.into_iter().collect();
    let is_config = |argument: &OsString| {
        let extension = Path::new(argument).extension();
        extension.is_some_and(|extension| extension == "yml" || extension == "yaml")
    };
    if arguments.get(1).is_some_and(is_config) {
        arguments.insert(1, "serve".into());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Option<Command> {
        let arguments = arguments.iter().map(OsString::from);
        Arguments::try_parse_from(with_command(arguments)).unwrap().command
    }

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_configuration_alone_is_served() {
        for arguments in [["registry", "/etc/config.yml"].as_slice(), &["registry", "serve", "/etc/config.yml"]] {
            let Some(Command::Serve(argument)) = parsed(arguments) else { panic!("{arguments:?}") };
            assert_eq!(argument.config.unwrap(), Path::new("/etc/config.yml"));
        }
        assert!(matches!(parsed(&["registry", "c.yaml"]), Some(Command::Serve(_))));
        assert!(matches!(parsed(&["registry", "check", "c.yaml"]), Some(Command::Check(_))));
        assert!(parsed(&["registry"]).is_none());
    }
}
