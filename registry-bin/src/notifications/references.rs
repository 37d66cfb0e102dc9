//! What a manifest refers to, as events tell it.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// A descriptor of the OCI image specification, in the order of Go's fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reference {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: i64,
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    urls: Vec<String>,
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    data: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    platform: Option<Platform>,
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    artifact_type: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(
        default,
        deserialize_with = "null_as_default",
        rename = "os.version",
        skip_serializing_if = "String::is_empty"
    )]
    os_version: String,
    #[serde(
        default,
        deserialize_with = "null_as_default",
        rename = "os.features",
        skip_serializing_if = "Vec::is_empty"
    )]
    os_features: Vec<String>,
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    variant: String,
}

/// As Go reads it.
fn null_as_default<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Deserialize)]
struct Manifest {
    config: Option<Reference>,
    layers: Option<Vec<Reference>>,
    manifests: Option<Vec<Reference>>,
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
