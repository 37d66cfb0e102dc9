//! Password files.
#![no_main]

use registry_auth::HtpasswdUsers;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (users, skipped) = HtpasswdUsers::parse(text);
    assert!(users.len() + skipped.len() <= text.lines().count());
    for line in skipped {
        let _ = line.to_string();
    }
});
