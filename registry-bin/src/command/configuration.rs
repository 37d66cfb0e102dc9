//! Where a configuration comes from: a file, and the variables of the process.

use std::env;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::config::environment::{CONFIGURATION_PATH, PREFIX};
use crate::config::{self, Parsed, yaml};

/// Reads the configuration and the variables.
///
/// # Errors
/// One line for each thing that is wrong, or has no effect.
pub(crate) fn load(path: Option<PathBuf>) -> Result<Parsed, Vec<String>> {
    let path = path.or_else(|| env::var_os(CONFIGURATION_PATH).filter(|path| !path.is_empty()).map(PathBuf::from));
    let document = match &path {
        Some(path) => Some(read(path).map_err(|error| vec![problem(&path.display().to_string(), &error)])?),
        None => None,
    };
    let (variables, mut lines) = variables();
    let parsed = config::parse(document.as_deref(), variables, &mut read);
    match parsed {
        Ok(parsed) if lines.is_empty() => Ok(parsed),
        Ok(_) => Err(lines),
        Err(rejected) => {
            lines.extend(rejected.problems.iter().map(|told| format!("configuration error: {told}")));
            lines.extend(rejected.warnings.iter().map(|told| format!("configuration warning: {told}")));
            Err(lines)
        }
    }
}

fn problem(origin: &str, reason: &dyn std::fmt::Display) -> String {
    format!("configuration error: {origin}: {reason}")
}

/// The variables with our prefix; those that are no text are problems.
fn variables() -> (Vec<(String, String)>, Vec<String>) {
    let mut variables = Vec::new();
    let mut problems = Vec::new();
    for (name, value) in env::vars_os() {
        if !name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => variables.push((name, value)),
            (name, _) => {
                let name = name.unwrap_or_else(|name| name.to_string_lossy().into_owned());
                problems.push(problem(&name, &"name or value is not UTF-8"));
            }
        }
    }
    (variables, problems)
}

/// Reads a file, but no more of it than a configuration may have: the path may name something without an end.
fn read(path: &Path) -> io::Result<String> {
    let limit = yaml::MAX_BYTES as u64 + 1;
    let mut text = String::new();
    File::open(path)?.take(limit).read_to_string(&mut text)?;
    if text.len() > yaml::MAX_BYTES {
        return Err(io::Error::other(format!("longer than {} bytes", yaml::MAX_BYTES)));
    }
    Ok(text)
}
