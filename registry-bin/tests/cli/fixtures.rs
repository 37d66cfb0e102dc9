//! Configurations as they are in use: which of them start, and what is told of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::program::Program;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config")
}

fn files() -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The values of lines such as `#= warns storage.cache`.
fn marked<'a>(text: &'a str, mark: &str) -> Vec<&'a str> {
    let mark = format!("#= {mark} ");
    text.lines().filter_map(|line| line.trim().strip_prefix(&mark)).collect()
}

/// The settings that are told of in lines of this kind.
fn told<'a>(output: &'a str, kind: &str) -> BTreeSet<&'a str> {
    let kind = format!("configuration {kind}: ");
    output.lines().filter_map(|line| line.strip_prefix(&kind)?.split(": ").next()).collect()
}

#[test]
fn each_is_told_of_as_it_says_itself() {
    assert!(files().len() > 11);
    for path in files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace("@ADDR@", "127.0.0.1:1").replace("@DEBUG@", "127.0.0.1:2").replace("@DIR@", "/x");
        let folder = tempfile::tempdir().unwrap();
        let mut program = Program::in_folder(&folder).args(&["check"]).config(&text);
        for variable in marked(&text, "env") {
            let (name, value) = variable.split_once('=').unwrap();
            program = program.env(name, value);
        }
        let output = program.output();
        let stderr = String::from_utf8(output.stderr).unwrap();
        let shown = path.display();
        let mut refused: BTreeSet<_> = marked(&text, "refused").into_iter().collect();
        for (setting, is_built) in [
            ("storage.s3", cfg!(feature = "s3")),
            ("storage.azure", cfg!(feature = "azure")),
            ("http.tls.letsencrypt", cfg!(feature = "letsencrypt")),
        ] {
            if is_built {
                refused.remove(setting);
            }
        }
        assert_eq!(told(&stderr, "error"), refused, "{shown}: {stderr}");
        assert_eq!(output.status.success(), refused.is_empty(), "{shown}: {stderr}");
        let mut warned: BTreeSet<_> = marked(&text, "warns").into_iter().collect();
        if cfg!(feature = "s3") {
            warned.extend(marked(&text, "s3-warns"));
        }
        assert_eq!(told(&stderr, "warning"), warned, "{shown}: {stderr}");
        for line in stderr.lines() {
            assert!(!line.contains("hush"), "{shown}: {line}");
        }
    }
}

/// A name of a setting below another, down to the settings themselves.
fn leaves(node: &registry_bin::config::node::Node, path: &str, found: &mut BTreeSet<String>) {
    use registry_bin::config::node::Node;
    match node {
        Node::Map(fields) => {
            for (key, node) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(node, &path, found);
            }
        }
        Node::List(items) if items.iter().any(|item| matches!(item, Node::Map(_))) => {
            for item in items {
                leaves(item, path, found);
            }
        }
        Node::Null | Node::Scalar(_) | Node::List(_) => {
            found.insert(path.to_owned());
        }
    }
}

/// Distribution is started with the fullest of the files, so what only this server has must not be missing there.
#[test]
fn every_setting_of_our_own_is_in_the_fullest_file() {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("CONFIGURATION.md");
    let manual = std::fs::read_to_string(manual).unwrap();
    let fullest = std::fs::read_to_string(folder().join("fullest.yml")).unwrap();
    let mut written = BTreeSet::new();
    leaves(&registry_bin::config::yaml::parse(&fullest).unwrap(), "", &mut written);
    let rows = manual.lines().filter(|line| line.contains("| ours |"));
    let own: Vec<_> = rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2)).collect();
    let is_written = |setting: &str| written.iter().any(|name| name.starts_with(setting));
    let missing: Vec<_> = own.iter().filter(|setting| !is_written(setting)).collect();
    assert!(missing.is_empty() && own.len() > 25, "{missing:?} of {own:?}");
}

/// The manual names every setting of every file here, those of Distribution and those of this server.
#[test]
fn every_setting_is_in_the_manual() {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("CONFIGURATION.md");
    let manual = std::fs::read_to_string(manual).unwrap();
    let mut settings = BTreeSet::new();
    for path in files() {
        let text = std::fs::read_to_string(&path).unwrap();
        leaves(&registry_bin::config::yaml::parse(&text).unwrap(), "", &mut settings);
    }
    // What anybody names as they like, and one that is misspelt on purpose.
    let free = [
        "access.groups.",
        "http.headers.",
        "health.http.headers.",
        "log.fields.",
        "notifications.endpoints.headers.",
        "log.hooks.",
    ];
    settings.retain(|setting| !free.iter().any(|free| setting.starts_with(free)) && setting != "log.reportcaler");
    settings.retain(|setting| !["middleware.", "redis."].iter().any(|section| setting.starts_with(section)));
    let missing: Vec<_> = settings.iter().filter(|setting| !manual.contains(&format!("`{setting}`"))).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(settings.len() > 80, "{}", settings.len());
}
