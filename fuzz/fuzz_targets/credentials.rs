//! `Authorization` headers.
#![no_main]

libfuzzer_sys::fuzz_target!(|header: &str| {
    let _ = registry_auth::Credentials::parse(header);
});
