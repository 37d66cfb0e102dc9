//! Variables over the configuration: lines of NAME=VALUE, without the prefix.
#![no_main]

use registry_bin::config;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let variables = text.lines().filter_map(|line| line.split_once('='));
    let variables = variables.map(|(name, value)| (format!("{}{name}", config::environment::PREFIX), value.to_owned()));
    let _ = config::parse(None, variables, &mut |_| Ok(text.to_owned()));
});
