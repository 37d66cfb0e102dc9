//! Patterns of repositories, and what they match: the first line is a pattern, the second a name.
#![no_main]

use registry_auth::RepositoryPattern;
use registry_core::RepositoryName;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Some((pattern, name)) = text.split_once('\n') else { return };
    let (Ok(pattern), Ok(name)) = (pattern.parse::<RepositoryPattern>(), name.parse::<RepositoryName>()) else {
        return;
    };
    let matches = pattern.matches(&name, Some("ann"));
    let text = pattern.to_string();
    if !text.contains(['*', '{']) {
        assert_eq!(matches, text == name.as_str());
    } else if matches {
        let fixed = text.split(['*', '{']).next().unwrap_or_default();
        // `a/**` matches nothing but what lies below `a/`.
        assert!(name.as_str().starts_with(fixed));
    }
});
