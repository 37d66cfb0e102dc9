//! `headers`: names of headers and their values, in any section.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::section::Section;

/// Reads the `headers` of a section.
pub(super) fn read(section: &mut Section<'_>) -> HeaderMap {
    // Headers may be credentials.
    let mut section = section.secret_section("headers");
    let mut headers = HeaderMap::new();
    for key in section.keys() {
        let Ok(name) = key.parse::<HeaderName>() else {
            section.take(&key);
            section.refuse(&key, "not a name that a header can have");
            continue;
        };
        for value in section.texts(&key) {
            match HeaderValue::from_str(&value) {
                Ok(value) => {
                    headers.append(&name, value);
                }
                Err(_) => section.refuse(&key, "a value that a header cannot have"),
            }
        }
    }
    headers
}
