//! Links, as any program may have left them on a volume.
#![no_main]

use registry_core::layout;

libfuzzer_sys::fuzz_target!(|content: &[u8]| {
    if let Some(digest) = layout::parse_link(content) {
        assert_eq!(layout::link(&digest), content);
    }
});
