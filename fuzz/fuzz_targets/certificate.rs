//! Certificates, keys and authorities of TLS. The first part up to an empty line is the chain, the rest the key.
#![no_main]

use registry_http::{ClientRoots, Identity};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (chain, key) = text.split_once("\n\n").unwrap_or((text, ""));
    let _ = Identity::from_pem(chain.as_bytes(), key.as_bytes());
    let _ = ClientRoots::from_pem([chain.as_bytes()]);
});
