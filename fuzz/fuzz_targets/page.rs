//! What pages read of paths and configurations: a page that is named is named by its own link as well.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(link) = registry_http::fuzzing::read(bytes) {
        assert_eq!(registry_http::fuzzing::read(link.as_bytes()), Some(link));
    }
});
