//! What a manifest refers to, as events tell it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A descriptor of the OCI image specification, in the order of Go's fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reference {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: i64,
    #[serde(default, skip_serializing_if = "is_empty_list")]
    urls: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "is_empty_map")]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "is_empty_text")]
    data: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "is_empty_text")]
    artifact_type: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(default, rename = "os.version", skip_serializing_if = "is_empty_text")]
    os_version: Option<String>,
    #[serde(default, rename = "os.features", skip_serializing_if = "is_empty_list")]
    os_features: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "is_empty_text")]
    variant: Option<String>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Option<Reference>,
    layers: Option<Vec<Reference>>,
    manifests: Option<Vec<Reference>>,
}

fn is_empty_text(text: &Option<String>) -> bool {
    text.as_deref().is_none_or(str::is_empty)
}

fn is_empty_list(list: &Option<Vec<String>>) -> bool {
    list.as_deref().is_none_or(<[String]>::is_empty)
}

fn is_empty_map(map: &Option<BTreeMap<String, String>>) -> bool {
    map.as_ref().is_none_or(BTreeMap::is_empty)
}

/// The configuration and the layers of an image, or the manifests of an index; none if the bytes cannot be read.
pub(super) fn of(manifest: &[u8]) -> Vec<Reference> {
    let Ok(manifest) = serde_json::from_slice::<Manifest>(manifest) else { return Vec::new() };
    let layers = manifest.layers.into_iter().flatten();
    manifest.config.into_iter().chain(layers).chain(manifest.manifests.into_iter().flatten()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_in_the_order_of_go() {
        let descriptor = r#"{"mediaType":"a/b","digest":"sha256:1","size":2,"urls":["http://x"],"annotations":{"a":"b"},"data":"e30=","platform":{"architecture":"arm","os":"linux","os.version":"1","os.features":["x"],"variant":"v7"},"artifactType":"c/d"}"#;
        let references = of(format!(r#"{{"manifests":[{descriptor}]}}"#).as_bytes());
        assert_eq!(serde_json::to_string(&references).unwrap(), format!("[{descriptor}]"));
    }

    #[test]
    fn what_is_empty_is_left_out_and_what_cannot_be_read_has_none() {
        let manifest = r#"{"config":{"digest":"sha256:1","size":2,"urls":[],"annotations":{},"data":"","platform":null},"layers":null}"#;
        let json = serde_json::to_string(&of(manifest.as_bytes())).unwrap();
        assert_eq!(json, r#"[{"mediaType":"","digest":"sha256:1","size":2}]"#);
        assert_eq!(of(b"{"), []);
    }
}
