//! Paths of requests.
#![no_main]

libfuzzer_sys::fuzz_target!(|path: &str| {
    let _ = registry_http::fuzzing::Route::parse(path);
});
