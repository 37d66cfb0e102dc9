//! Sections of Distribution's configuration that this server does not act on, and what takes their place.

use super::section::Section;

/// Sections that say nothing about who may do what.
const WITHOUT_EFFECT: [(&str, &str); 4] = [
    ("compatibility", "manifests of schema 1 are not taken; Distribution 3 takes none either"),
    ("policy", "repositories have no classes; access has rules for them"),
    ("redis", "nothing is kept outside of the storage, so no cache is shared"),
    ("reporting", "the log goes to standard error; let what reads it report"),
];

/// Refuses what would open a door if it were left out, and warns of the rest.
pub(super) fn read(root: &mut Section<'_>) {
    proxy(root);
    if root.take("middleware").is_some_and(|node| !node.is_blank()) {
        root.refuse(
            "middleware",
            "not available: nothing can be put between the server and its storage; for other addresses of content put a \
             proxy before the server",
        );
    }
    root.without_effect(&WITHOUT_EFFECT);
}

/// Without an address there is nothing to fetch from, to Distribution as well.
fn proxy(root: &mut Section<'_>) {
    const WITHOUT_ADDRESS: [&str; 6] = ["cachewritetimeout", "exec", "password", "remoteurl", "ttl", "username"];
    let mut proxy = root.section("proxy");
    if proxy.is_blank() {
        return;
    }
    let is_harmless = proxy.keys().iter().all(|key| WITHOUT_ADDRESS.contains(&key.as_str()));
    if proxy.says("remoteurl") || !is_harmless {
        root.refuse("proxy", "a registry that fetches from another one is not available in this version");
        return;
    }
    for key in WITHOUT_ADDRESS {
        if proxy.take(key).is_some_and(|node| !node.is_blank()) {
            proxy.warn(key, "has no effect: there is no proxy.remoteurl");
        }
    }
}
