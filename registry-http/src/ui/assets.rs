//! The style, the script and the icon of the pages.

use std::sync::LazyLock;

use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{Response, StatusCode};
use registry_core::{Algorithm, Digest};

use super::viewer::{compress, takes_gzip};
use crate::body::ResponseBody;
use crate::call::Call;
use crate::dispatch::Answer;
use crate::error::Refusal;

/// A file that pages need.
#[derive(Debug)]
pub(super) struct Asset {
    stem: &'static str,
    extension: &'static str,
    media_type: &'static str,
    content: &'static str,
    hash: LazyLock<String>,
    compressed: LazyLock<Option<Vec<u8>>>,
}

macro_rules! asset {
    ($name:ident, $stem:literal, $extension:literal, $media_type:literal) => {
        pub(super) static $name: Asset = Asset {
            stem: $stem,
            extension: $extension,
            media_type: $media_type,
            content: include_str!(concat!("../../assets/", $stem, ".", $extension)),
            hash: LazyLock::new(|| Digest::of(Algorithm::Sha256, $name.content.as_bytes()).hex()[..12].to_owned()),
            compressed: LazyLock::new(|| compress($name.content.as_bytes()).ok()),
        };
    };
}

asset!(STYLE, "style", "css", "text/css; charset=utf-8");
asset!(SCRIPT, "script", "js", "text/javascript; charset=utf-8");
asset!(ICON, "icon", "svg", "image/svg+xml");

impl Asset {
    /// Its name says what is in it, so that a browser may keep it for good.
    pub(super) fn name(&self) -> String {
        format!("{}.{}.{}", self.stem, *self.hash, self.extension)
    }
}

pub(super) fn get(call: &Call, name: &str) -> Answer {
    let asset = [&STYLE, &SCRIPT, &ICON].into_iter().find(|asset| asset.name() == name).ok_or_else(Refusal::no_page)?;
    let head = Response::builder()
        .status(StatusCode::OK)
        .header(CONTENT_TYPE, asset.media_type)
        .header(CACHE_CONTROL, "public, max-age=31536000, immutable")
        .header(VARY, "Accept-Encoding");
    match asset.compressed.as_deref().filter(|_| takes_gzip(call)) {
        Some(compressed) => Ok(head.header(CONTENT_ENCODING, "gzip").body(ResponseBody::from(compressed.to_vec()))?),
        None => Ok(head.body(ResponseBody::from(asset.content))?),
    }
}
