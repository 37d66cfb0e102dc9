//! What to type to use an image.

/// The commands for one image, or for none yet.
#[derive(Debug)]
pub(super) struct Commands {
    host: String,
    image: String,
}

impl Commands {
    /// For what a repository has under a tag, or a digest with its `@`.
    pub(super) fn new(host: &str, name: &str, tag: Option<&str>) -> Self {
        let reference = match tag {
            Some(digest) if digest.contains(':') => format!("@{digest}"),
            Some(tag) => format!(":{tag}"),
            None => String::new(),
        };
        Self { host: host.to_owned(), image: format!("{host}/{name}{reference}") }
    }

    pub(super) fn login(&self) -> String {
        format!("docker login {}", self.host)
    }

    pub(super) fn tag(&self) -> String {
        format!("docker tag my-image {}", self.image)
    }

    pub(super) fn push(&self) -> String {
        format!("docker push {}", self.image)
    }

    pub(super) fn docker(&self) -> String {
        format!("docker pull {}", self.image)
    }

    /// Each program with its command.
    pub(super) fn pulls(&self) -> Vec<(&'static str, String)> {
        vec![
            ("docker", self.docker()),
            ("podman", format!("podman pull {}", self.image)),
            ("skopeo", format!("skopeo copy docker://{} oci:image", self.image)),
            ("crane", format!("crane pull {} image.tar", self.image)),
        ]
    }

    /// The same for a Helm chart, whose tag is its version.
    pub(super) fn chart(&self) -> Vec<(&'static str, String)> {
        let (chart, version) = match self.image.rsplit_once(':') {
            Some((chart, version)) if !self.image.contains('@') && !version.contains('/') => (chart, version),
            _ => (self.image.as_str(), ""),
        };
        let version = if version.is_empty() { String::new() } else { format!(" --version {version}") };
        vec![("helm", format!("helm pull oci://{chart}{version}"))]
    }

    /// The same for any artifact.
    pub(super) fn artifact(&self) -> Vec<(&'static str, String)> {
        vec![("oras", format!("oras pull {}", self.image)), ("crane", format!("crane manifest {}", self.image))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_name_the_image() {
        let tagged = Commands::new("h:5000", "a/b", Some("1.0"));
        assert_eq!(tagged.docker(), "docker pull h:5000/a/b:1.0");
        assert_eq!(tagged.chart(), [("helm", "helm pull oci://h:5000/a/b --version 1.0".to_owned())]);
        let by_digest = Commands::new("h:5000", "a/b", Some("sha256:00"));
        assert_eq!(by_digest.push(), "docker push h:5000/a/b@sha256:00");
        assert_eq!(by_digest.chart()[0].1, "helm pull oci://h:5000/a/b@sha256:00");
        assert_eq!(Commands::new("h", "a", None).docker(), "docker pull h/a");
    }
}
