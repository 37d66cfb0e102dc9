//! Requests that depend on what the client has already.

use http::HeaderMap;
use http::header::IF_NONE_MATCH;
use registry_core::Digest;

/// The entity tag of content: its digest, in quotes.
pub(crate) fn entity_tag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// Whether `If-None-Match` (RFC 9110 §13.1.2) names the content, or any. Weak tags count, and so do those that came
/// without quotes: a digest is never anything else.
pub(crate) fn is_known_to_client(headers: &HeaderMap, digest: &Digest) -> bool {
    if !headers.contains_key(IF_NONE_MATCH) {
        return false;
    }
    let digest = digest.to_string();
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).any(|tag| {
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        tag == "*" || tag.trim_matches('"') == digest
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_weak_tags_and_the_star_count() {
        let digest = Digest::of(registry_core::Algorithm::Sha256, b"{}");
        let known = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, value.parse().unwrap());
            is_known_to_client(&headers, &digest)
        };
        assert!(known(&entity_tag(&digest)));
        assert!(known(&digest.to_string()));
        assert!(known(&format!("\"x\", W/\"{digest}\"")));
        assert!(known("*"));
        assert!(!known("\"x\"") && !known("") && !known(&format!("\"{digest}x\"")));
        assert!(!is_known_to_client(&HeaderMap::new(), &digest));
    }
}
