//! `registry htpasswd USER`: a line for a password file.

use std::io::{self, IsTerminal as _, Read as _};
use std::process::ExitCode;

use registry_auth::htpasswd_line;

/// As much as is read of standard input, in bytes: no password is longer than 72.
const MAX_INPUT: u64 = 4096;

/// Prints the line.
pub(super) fn run(user: &str, cost: u32) -> ExitCode {
    let line = password().and_then(|password| htpasswd_line(user, &password, cost).map_err(io::Error::other));
    match line {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("registry htpasswd: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Asks at the terminal, twice and without echo, or takes the first line of standard input.
fn password() -> io::Result<String> {
    if !io::stdin().is_terminal() {
        let mut text = String::new();
        io::stdin().lock().take(MAX_INPUT).read_to_string(&mut text)?;
        return Ok(text.lines().next().unwrap_or_default().to_owned());
    }
    let first = rpassword::prompt_password("Password: ")?;
    if rpassword::prompt_password("Again: ")? == first {
        Ok(first)
    } else {
        Err(io::Error::other("the passwords differ"))
    }
}
