//! What a proxy says of a request: nothing but a scheme and a host comes out, whatever goes in.
#![no_main]

use http::{HeaderMap, HeaderValue, Uri};
use registry_http::fuzzing::Origin;

libfuzzer_sys::fuzz_target!(|value: &[u8]| {
    let Ok(value) = HeaderValue::from_bytes(value) else { return };
    for name in ["forwarded", "host", "x-forwarded-host", "x-forwarded-proto"] {
        let mut headers = HeaderMap::from_iter([(http::header::HOST, HeaderValue::from_static("registry.example"))]);
        headers.insert(name, value.clone());
        if let Some(origin) = Origin::of(&headers, &Uri::from_static("/v2/"), false, true) {
            let uri: Uri = origin.address().parse().expect("an address");
            assert_eq!(uri.authority().map(|authority| authority.as_str()), Some(origin.authority()));
        }
    }
});
