//! What refers to a manifest: signatures, bills of material, attestations.

use registry_core::{Digest, Error, Referrer, Repository};

use super::shown::Size;

/// So many referrers of one manifest are shown.
const MOST: usize = 100;

/// How deep referrers of referrers are shown.
const DEPTH: usize = 3;

/// One referrer in the tree.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) depth: usize,
    pub(super) digest: Digest,
    pub(super) kind: String,
    pub(super) badge: Option<&'static str>,
    pub(super) size: Size,
    pub(super) created: Option<String>,
}

/// What refers to a manifest, and to that, depth first.
pub(super) async fn tree(repository: &Repository, subject: &Digest) -> Result<Vec<Node>, Error> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut pending = vec![(0, None, *subject)];
    while let Some((depth, referrer, digest)) = pending.pop() {
        if let Some(referrer) = referrer {
            nodes.push(node(depth, referrer));
        }
        // A chain of digests cannot come back to where it began, but it may be as long as somebody likes.
        if nodes.len() + pending.len() >= MOST || depth == DEPTH {
            continue;
        }
        let page = repository.referrers().list(&digest, None, None, MOST).await?;
        for referrer in page.referrers.into_iter().rev() {
            let digest = referrer.digest;
            pending.push((depth + 1, Some(referrer), digest));
        }
    }
    nodes.truncate(MOST);
    Ok(nodes)
}

fn node(depth: usize, referrer: Referrer) -> Node {
    let kind = referrer.artifact_type.unwrap_or_else(|| referrer.media_type.as_str().to_owned());
    Node {
        depth,
        digest: referrer.digest,
        badge: badge(&kind),
        kind,
        size: Size(referrer.size),
        created: referrer.annotations.get("org.opencontainers.image.created").cloned(),
    }
}

/// What the referrers of a manifest say of it, each once.
pub(super) async fn badges(repository: &Repository, subject: &Digest) -> Result<Vec<&'static str>, Error> {
    let page = repository.referrers().list(subject, None, None, MOST).await?;
    let kinds = page.referrers.iter().filter_map(|referrer| referrer.artifact_type.as_deref());
    let mut badges: Vec<_> = kinds.filter_map(badge).collect();
    badges.sort_unstable();
    badges.dedup();
    Ok(badges)
}

/// What an artifact type stands for.
fn badge(kind: &str) -> Option<&'static str> {
    let kind = kind.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| kind.contains(word));
    if has(&["cosign.artifact.sig", "notary.signature", "sigstore.bundle", "simplesigning"]) {
        Some("signed")
    } else if has(&["spdx", "cyclonedx", "sbom", "syft"]) {
        Some("SBOM")
    } else if has(&["in-toto", "attestation", "dsse", "slsa"]) {
        Some("attested")
    } else {
        None
    }
}

/// What a tag stands for that signers of old made out of the digest of an image, such as `sha256-….sig`.
pub(super) fn badge_of_tag(tag: &str) -> Option<(&str, &'static str)> {
    let (subject, kind) = tag.strip_prefix("sha256-")?.split_once('.')?;
    let badge = match kind {
        "sig" => "signed",
        "sbom" => "SBOM",
        "att" => "attested",
        _ => return None,
    };
    Some((subject, badge))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_artifacts() {
        for (kind, expected) in [
            ("application/vnd.dev.cosign.artifact.sig.v1+json", Some("signed")),
            ("application/vnd.cncf.notary.signature", Some("signed")),
            ("application/vnd.dev.sigstore.bundle.v0.3+json", Some("signed")),
            ("application/spdx+json", Some("SBOM")),
            ("application/vnd.cyclonedx+json", Some("SBOM")),
            ("application/vnd.in-toto+json", Some("attested")),
            ("text/plain", None),
        ] {
            assert_eq!(badge(kind), expected, "{kind}");
        }
        assert_eq!(badge_of_tag("sha256-ab.sig"), Some(("ab", "signed")));
        assert_eq!(badge_of_tag("sha256-ab.att"), Some(("ab", "attested")));
        assert_eq!(badge_of_tag("sha256-ab"), None);
        assert_eq!(badge_of_tag("1.0.sig"), None);
    }
}
