//! Manifests: what is pushed can be served as what it was taken for.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &[u8]| {
    let _ = registry_core::is_manifest(content);
});
