//! Digests: what is taken has one spelling.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(digest) = text.parse::<registry_core::Digest>() {
        assert_eq!(digest.to_string(), text);
    }
});
