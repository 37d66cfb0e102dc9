//! Names of repositories: what is taken has a place in a storage, below the others.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(name) = text.parse::<registry_core::RepositoryName>() {
        let place = registry_core::layout::tags(&name);
        assert_eq!(place.as_str().parse(), Ok(place));
    }
});
