//! The parameters behind the question mark.

/// The parameters of a request, decoded, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the text behind the question mark. Whatever it is, it can be read: broken escapes stand for themselves.
    pub(crate) fn parse(text: Option<&str>) -> Self {
        Self(form_urlencoded::parse(text.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    /// The first value of a parameter that has one.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        values.find(|value| !value.is_empty())
    }

    /// All values of a parameter.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded() {
        let query = Query::parse(Some("digest=sha256%3Aab&tag=a&tag=b,c&n=&n=5&x=%zz&artifactType=a%2Fb%2Bjson"));
        assert_eq!(query.get("digest"), Some("sha256:ab"));
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["a", "b,c"]);
        assert_eq!(query.get("n"), Some("5"));
        assert_eq!(query.get("x"), Some("%zz"));
        assert_eq!(query.get("artifactType"), Some("a/b+json"));
        assert_eq!(query.get("none"), None);
        assert_eq!(Query::parse(None), Query::default());
    }
}
