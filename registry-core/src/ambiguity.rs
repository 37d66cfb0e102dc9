//! JSON that every reader understands alike.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Walks over any JSON, and refuses objects that name a key twice, or a known one in other letters. Readers disagree on
/// which of two values counts, and some do not tell `layers` from `Layers`; so a manifest with both would be one thing to
/// the registry and another to its client.
#[derive(Clone, Copy)]
pub(crate) enum Unambiguous {
    /// The manifest itself.
    Manifest,
    /// A descriptor in it, or a list of them.
    Descriptors,
    /// What the rules do not look into.
    Other,
}

impl Unambiguous {
    fn known(self) -> &'static [&'static str] {
        match self {
            Self::Manifest => &[
                "schemaVersion",
                "mediaType",
                "artifactType",
                "config",
                "layers",
                "manifests",
                "subject",
                "annotations",
            ],
            Self::Descriptors => {
                &["mediaType", "digest", "size", "urls", "platform", "artifactType", "annotations", "data"]
            }
            Self::Other => &[],
        }
    }

    fn below(self, key: &str) -> Self {
        match (self, key) {
            (Self::Manifest, "config" | "layers" | "manifests" | "subject") => Self::Descriptors,
            _ => Self::Other,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Unambiguous {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unambiguous {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // There may be hundreds of thousands of keys. Their hashes take little memory, and that two of them are the same
        // by chance is less likely than that the machine errs.
        let (hash, mut keys) = (RandomState::new(), HashSet::new());
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            if !keys.insert(hash.hash_one(&key)) {
                return Err(A::Error::custom(format_args!("the key {key:?} stands twice in one object")));
            }
            if let Some(known) = self.known().iter().find(|known| known.eq_ignore_ascii_case(&key) && **known != key) {
                return Err(A::Error::custom(format_args!("the key {key:?} looks like {known:?}")));
            }
            map.next_value_seed(self.below(&key))?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}
