//! `Range` and `Content-Range`: what is served lies inside, and a chunk that is told is a chunk that is read.
#![no_main]

use registry_core::{ByteRange, ContentRange};

libfuzzer_sys::fuzz_target!(|text: &str| {
    for size in [0, 1, 2048, u64::MAX] {
        let span = text.parse::<ByteRange>().ok().and_then(|range| range.of(size));
        assert!(span.is_none_or(|span| span.length() > 0 && span.end() <= size));
    }
    if let Ok(range) = text.parse::<ContentRange>() {
        assert_eq!(range.to_string().parse(), Ok(range));
    }
});
