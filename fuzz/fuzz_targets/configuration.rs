//! Configuration files.
#![no_main]

libfuzzer_sys::fuzz_target!(|document: &str| {
    let _ = registry_bin::config::parse(Some(document), [], &mut |_| Err(std::io::ErrorKind::NotFound.into()));
});
