//! What a manifest says. The bytes are kept verbatim elsewhere; this is only for the rules.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::{Deserialize as Derive, Serialize};

use crate::ambiguity::Unambiguous;
use crate::{Digest, InvalidManifest, MediaType};

/// A reference to some content, with its size: the descriptor of the OCI image specification, as far as the rules look
/// into it.
#[derive(Debug, Clone, PartialEq, Eq, Derive)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    /// Where it may be had if it is not in the registry.
    #[serde(default, deserialize_with = "null_as_default")]
    pub(crate) urls: Vec<String>,
    #[serde(default)]
    pub(crate) platform: Option<Platform>,
    #[serde(default, rename = "annotations")]
    _annotations: Option<Texts>,
}

/// For what machine an image is.
#[derive(Debug, Clone, PartialEq, Eq, Derive, Serialize)]
pub struct Platform {
    /// The processor, as Go calls it.
    #[serde(default)]
    pub architecture: String,
    /// The operating system, as Go calls it.
    #[serde(default)]
    pub os: String,
}

impl Descriptor {
    /// Whether its media type says that it need not be in the registry.
    pub(crate) fn is_non_distributable(&self) -> bool {
        self.media_type == "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
            || self.media_type.starts_with("application/vnd.oci.image.layer.nondistributable.v1.tar")
    }
}

/// A manifest, as far as the rules look into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) media_type: MediaType,
    pub(crate) content: Content,
    pub(crate) subject: Option<Digest>,
    /// As the referrers API tells it.
    pub(crate) artifact_type: Option<String>,
}

/// What a manifest holds together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// An image or an artifact: a configuration and layers.
    Image { config: Box<Descriptor>, layers: Vec<Descriptor> },
    /// An index or a manifest list: other manifests.
    Index { manifests: Vec<Descriptor> },
}

#[derive(Derive)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: Option<u64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    #[serde(rename = "annotations")]
    _annotations: Option<Texts>,
}

impl Document {
    /// Parses and checks what is being pushed, as `media_type` says or else as the body says.
    pub(crate) fn parse(content: &[u8], media_type: Option<&MediaType>) -> Result<Self, InvalidManifest> {
        let mut json = serde_json::Deserializer::from_slice(content);
        Unambiguous::Manifest.deserialize(&mut json)?;
        json.end()?;
        let raw: Raw = serde_json::from_slice(content)?;
        if raw.schema_version != Some(2) {
            return Err(InvalidManifest::SchemaVersion);
        }
        let kind = Kind::of(&raw, media_type)?;
        Self::from_raw(raw, kind)
    }

    /// Parses what was pushed earlier, by this registry or another: only what is needed is asked for.
    pub(crate) fn parse_stored(content: &[u8]) -> Result<Self, InvalidManifest> {
        let raw: Raw = serde_json::from_slice(content)?;
        let kind = match raw.media_type.as_deref() {
            Some(text) => Kind::from_media_type(text)?,
            None if raw.manifests.is_some() => Kind::OciIndex,
            None => Kind::OciManifest,
        };
        Self::from_raw(raw, kind)
    }

    fn from_raw(raw: Raw, kind: Kind) -> Result<Self, InvalidManifest> {
        let media_type = kind.media_type();
        let refuse = |present: bool, field| {
            if present { Err(InvalidManifest::Ambiguous { field, media_type }) } else { Ok(()) }
        };
        let config_type = raw.config.as_ref().map(|config| config.media_type.clone());
        let (content, artifact_type) = if kind.is_index() {
            refuse(raw.config.is_some(), "config")?;
            refuse(raw.layers.is_some(), "layers")?;
            (Content::Index { manifests: raw.manifests.unwrap_or_default() }, raw.artifact_type)
        } else {
            refuse(raw.manifests.is_some(), "manifests")?;
            let config = raw.config.ok_or(InvalidManifest::Missing { field: "config" })?;
            let layers = raw.layers.unwrap_or_default();
            (
                Content::Image { config: Box::new(config), layers },
                raw.artifact_type.filter(|text| !text.is_empty()).or(config_type),
            )
        };
        Ok(Self {
            media_type: media_type.parse().map_err(|_| InvalidManifest::UnsupportedMediaType(media_type.into()))?,
            content,
            subject: raw.subject.map(|subject| subject.digest),
            artifact_type: artifact_type.filter(|text| !text.is_empty()),
        })
    }
}

/// The annotations of a manifest, as many as it has.
pub(crate) fn annotations(content: &[u8]) -> BTreeMap<String, String> {
    #[derive(Derive)]
    struct Annotated {
        annotations: Option<BTreeMap<String, String>>,
    }
    serde_json::from_slice::<Annotated>(content).ok().and_then(|it| it.annotations).unwrap_or_default()
}

/// The media type to serve stored bytes with: what they say, or what their fields tell.
pub(crate) fn stored_media_type(content: &[u8]) -> Option<MediaType> {
    #[derive(Derive)]
    #[serde(rename_all = "camelCase")]
    struct Head {
        schema_version: Option<u64>,
        media_type: Option<String>,
        manifests: Option<serde::de::IgnoredAny>,
    }
    let head: Head = serde_json::from_slice(content).ok()?;
    let stated = head.media_type.and_then(|text| text.parse().ok());
    stated.or_else(|| {
        let fallback = match (head.schema_version == Some(1), head.manifests.is_some()) {
            (true, _) => MediaType::DOCKER_SCHEMA_1,
            (false, true) => MediaType::OCI_INDEX,
            (false, false) => MediaType::OCI_MANIFEST,
        };
        fallback.parse().ok()
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    OciManifest,
    OciIndex,
    DockerManifest,
    DockerList,
}

impl Kind {
    fn of(raw: &Raw, header: Option<&MediaType>) -> Result<Self, InvalidManifest> {
        let body = raw.media_type.as_deref();
        let Some(header) = header.map(MediaType::as_str) else {
            return Self::from_media_type(body.unwrap_or_default());
        };
        let kind = Self::from_media_type(header)?;
        let optional = matches!(kind, Self::OciManifest | Self::OciIndex);
        match body {
            Some(body) if body == header => Ok(kind),
            None if optional => Ok(kind),
            _ => {
                Err(InvalidManifest::MediaTypeMismatch { body: body.unwrap_or_default().into(), header: header.into() })
            }
        }
    }

    fn from_media_type(text: &str) -> Result<Self, InvalidManifest> {
        match text {
            MediaType::OCI_MANIFEST => Ok(Self::OciManifest),
            MediaType::OCI_INDEX => Ok(Self::OciIndex),
            MediaType::DOCKER_MANIFEST => Ok(Self::DockerManifest),
            MediaType::DOCKER_LIST => Ok(Self::DockerList),
            _ => Err(InvalidManifest::UnsupportedMediaType(text.into())),
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::OciManifest => MediaType::OCI_MANIFEST,
            Self::OciIndex => MediaType::OCI_INDEX,
            Self::DockerManifest => MediaType::DOCKER_MANIFEST,
            Self::DockerList => MediaType::DOCKER_LIST,
        }
    }

    fn is_index(self) -> bool {
        matches!(self, Self::OciIndex | Self::DockerList)
    }
}

/// An object whose values are texts. It is looked at and not kept: a manifest may have hundreds of thousands of
/// annotations, which take many times their bytes in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Texts;

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
                while map.next_entry::<Cow<'_, str>, Cow<'_, str>>()?.is_some() {}
                Ok(Texts)
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// Go encodes an empty slice or map that was never made as `null`.
fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Whether `content` is a manifest that a push would take, for fuzzing the parser.
#[doc(hidden)]
#[must_use]
pub fn is_manifest(content: &[u8]) -> bool {
    let pushed = Document::parse(content, None);
    if let Ok(document) = &pushed {
        // What is taken must be served as what it was taken for.
        assert_eq!(stored_media_type(content).as_ref(), Some(&document.media_type));
        assert!(Document::parse_stored(content).is_ok());
    }
    pushed.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = r#"{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}"#;

    fn image(extra: &str) -> String {
        format!(r#"{{"schemaVersion":2,"config":{EMPTY},"layers":[{EMPTY}]{extra}}}"#)
    }

    fn pushed(content: &str, media_type: &str) -> Result<Document, InvalidManifest> {
        Document::parse(content.as_bytes(), Some(&media_type.parse().unwrap()))
    }

    #[test]
    fn an_oci_manifest_need_not_say_its_media_type_but_a_docker_one_must() {
        assert!(pushed(&image(""), MediaType::OCI_MANIFEST).is_ok());
        assert!(matches!(
            pushed(&image(""), MediaType::DOCKER_MANIFEST),
            Err(InvalidManifest::MediaTypeMismatch { .. })
        ));
        let docker = image(&format!(r#","mediaType":"{}""#, MediaType::DOCKER_MANIFEST));
        assert!(pushed(&docker, MediaType::DOCKER_MANIFEST).is_ok());
        assert!(pushed(&docker, MediaType::OCI_MANIFEST).is_err());
    }

    #[test]
    fn both_forms_in_one_are_refused() {
        for (content, media_type, field) in [
            (image(r#","manifests":[]"#), MediaType::OCI_MANIFEST, "manifests"),
            (image(""), MediaType::OCI_INDEX, "config"),
            (r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#.into(), MediaType::OCI_INDEX, "layers"),
        ] {
            match pushed(&content, media_type) {
                Err(InvalidManifest::Ambiguous { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{content}: {other:?}"),
            }
        }
    }

    #[test]
    fn hostile_json_is_refused() {
        let deep = format!(r#"{{"schemaVersion":2,"x":{}"#, "[".repeat(100_000));
        for bad in [
            String::new(),
            "null".into(),
            "[]".into(),
            "{}".into(),
            "\u{feff}{}".into(),
            deep,
            image(r#","layers":[]"#),
            image(r#","annotations":{"a":"1","a":"2"}"#),
            image(r#","x":{"y":[{"z":1,"z":2}]}"#),
            image(r#","annotations":{"a":1}"#),
            image(r#","annotations":{"a":"\ud800"}"#),
            image(r#","x":NaN"#),
            image(r#","Layers":[]"#),
            image(r#","MANIFESTS":[]"#),
            image("").replacen("\"digest\"", "\"Digest\":\"x\",\"digest\"", 1),
            image("") + " trailing",
            image("").replace("\"schemaVersion\":2", "\"schemaVersion\":1"),
            image("").replace("\"schemaVersion\":2", "\"schemaVersion\":\"2\""),
            image("").replace("\"size\":2", "\"size\":-2"),
            image("").replace("\"size\":2", "\"size\":1e99"),
            image("").replace("sha256:44", "md5:44"),
            image("").replace("sha256:44", "sha256:ZZ"),
            r#"{"schemaVersion":2,"layers":[]}"#.into(),
        ] {
            assert!(pushed(&bad, MediaType::OCI_MANIFEST).is_err(), "{}", &bad[..bad.len().min(200)]);
        }
    }

    #[test]
    fn other_keys_may_be_written_in_any_letters() {
        for extra in [r#","annotations":{"a":"1","A":"2","Layers":"3"}"#, r#","x":{"Layers":[],"layers":[]}"#] {
            assert!(pushed(&image(extra), MediaType::OCI_MANIFEST).is_ok(), "{extra}");
        }
    }

    #[test]
    fn unknown_media_types_are_refused() {
        for unknown in ["application/json", MediaType::DOCKER_SCHEMA_1, "application/vnd.oci.image.config.v1+json"] {
            assert!(matches!(pushed(&image(""), unknown), Err(InvalidManifest::UnsupportedMediaType(_))));
        }
        assert!(matches!(Document::parse(image("").as_bytes(), None), Err(InvalidManifest::UnsupportedMediaType(_))));
    }

    #[test]
    fn the_artifact_type_is_that_of_the_referrers_api() {
        let of = |extra: &str| pushed(&image(extra), MediaType::OCI_MANIFEST).unwrap().artifact_type;
        assert_eq!(of("").as_deref(), Some("application/vnd.oci.empty.v1+json"));
        assert_eq!(of(r#","artifactType":"application/x""#).as_deref(), Some("application/x"));
        let index = r#"{"schemaVersion":2,"manifests":null}"#;
        assert_eq!(pushed(index, MediaType::OCI_INDEX).unwrap().artifact_type, None);
    }

    #[test]
    fn stored_bytes_are_served_as_what_they_are() {
        let of = |content: &str| stored_media_type(content.as_bytes()).map(|media_type| media_type.to_string());
        assert_eq!(of(&image("")).as_deref(), Some(MediaType::OCI_MANIFEST));
        assert_eq!(of(r#"{"schemaVersion":2,"manifests":[]}"#).as_deref(), Some(MediaType::OCI_INDEX));
        assert_eq!(of(r#"{"schemaVersion":1,"signatures":[]}"#).as_deref(), Some(MediaType::DOCKER_SCHEMA_1));
        assert_eq!(of("\0"), None);
    }
}
