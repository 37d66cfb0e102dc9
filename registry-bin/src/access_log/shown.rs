//! Addresses as a log may show them.

use std::fmt::Write as _;

use http::Uri;

/// The parameters of the API. Their values are no secrets; any other may be one.
const PLAIN: [&str; 9] = ["artifactType", "digest", "digest-algorithm", "from", "last", "mount", "n", "ns", "tag"];
/// What stands for a value that is not shown.
const HIDDEN: &str = "…";

/// The target of a request, without the values of parameters that the API does not have, such as the state of an upload
/// or a token, and without user and password.
pub(super) fn target(target: &Uri) -> String {
    let mut shown = String::new();
    if let (Some(scheme), Some(authority)) = (target.scheme_str(), target.authority()) {
        // Writing to a text does not fail.
        let _ = write!(shown, "{scheme}://{}", self::authority(authority.as_str()));
    }
    shown.push_str(target.path());
    query(&mut shown, target.query());
    shown
}

/// A host, without user and password.
pub(super) fn authority(text: &str) -> String {
    text.rsplit_once('@').map_or(text, |(_, host)| host).to_owned()
}

/// What a client says that it comes from; nothing if that is no address.
pub(super) fn referer(text: &str) -> String {
    text.parse().map_or_else(|_| String::new(), |uri| target(&uri))
}

/// What follows the `?` of a target, likewise.
#[cfg(feature = "otel")]
pub(crate) fn query_alone(text: &str) -> String {
    let mut shown = String::new();
    query(&mut shown, Some(text));
    shown.split_off(1)
}

fn query(shown: &mut String, query: Option<&str>) {
    let Some(query) = query else { return };
    for (index, pair) in query.split('&').enumerate() {
        shown.push(if index == 0 { '?' } else { '&' });
        match pair.split_once('=') {
            Some((name, value)) if PLAIN.contains(&name) && is_plain(value) => shown.push_str(pair),
            Some((name, _)) => {
                shown.push_str(name);
                shown.push('=');
                shown.push_str(HIDDEN);
            }
            None if pair.is_empty() || PLAIN.contains(&pair) => shown.push_str(pair),
            None => shown.push_str(HIDDEN),
        }
    }
}

/// What the values of the API are made of. What else there is may be another parameter, set apart in another way.
fn is_plain(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+%".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_does_not_have_is_not_shown() {
        for (text, wanted) in [
            ("/v2/", "/v2/"),
            ("/v2/_catalog?n=5&last=a", "/v2/_catalog?n=5&last=a"),
            ("/v2/a/blobs/uploads/x?_state=hush&digest=sha256:1", "/v2/a/blobs/uploads/x?_state=…&digest=sha256:1"),
            ("/?token=hush&n&", "/?token=…&n&"),
            ("/v2/?hush", "/v2/?…"),
            ("/v2/?digest=a;token=hush", "/v2/?digest=…"),
            ("http://ann:hush@host:1/v2/?a=b=c", "http://host:1/v2/?a=…"),
        ] {
            assert_eq!(target(&text.parse().unwrap()), wanted);
        }
        assert_eq!(referer("https://ann:hush@host/a?code=hush"), "https://host/a?code=…");
        assert_eq!(referer("not an address hush"), "");
        assert_eq!((authority("ann:hush@host:1").as_str(), authority("host").as_str()), ("host:1", "host"));
    }
}
