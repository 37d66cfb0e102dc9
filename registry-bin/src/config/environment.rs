//! `REGISTRY_*` variables laid over a document.
//!
//! The names and the order are those of CNCF Distribution: `REGISTRY_HTTP_ADDR` sets `http.addr`, the variables are
//! applied in the order of their names, so that a short one (`REGISTRY_STORAGE=inmemory`, which replaces the whole
//! section) comes before the longer ones that build on it, and a value is YAML. A variable sets the key of that name in
//! lower case, as all keys are written; only headers and log fields, which may be called anything, are matched without
//! regard to case. What is no setting is told and stops nothing, for a cluster brings variables of its own: a service
//! called `registry` sets `REGISTRY_PORT`. With `_FILE` behind the name, the value is the content of that file, word for word.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::known;
use super::node::Node;
use super::report::Report;
use super::yaml;

/// What all variables begin with.
pub const PREFIX: &str = "REGISTRY_";
/// The variable that names the configuration file, which is no setting.
pub const CONFIGURATION_PATH: &str = "REGISTRY_CONFIGURATION_PATH";

/// Sections that may be written as the bare name of what they choose.
pub(super) const NAMED: [&str; 2] = ["auth", "storage"];
/// How many parts a name may have.
const MAX_PARTS: usize = 24;

/// Applies the variables to the document.
///
/// `read_file` reads the file that a variable with `_FILE` names.
pub(super) fn apply(
    document: &mut Node,
    variables: impl IntoIterator<Item = (String, String)>,
    read_file: &mut dyn FnMut(&Path) -> io::Result<String>,
    report: &Report,
) {
    for (setting, sources) in by_setting(variables) {
        let path: Vec<String> = setting.split('_').map(str::to_ascii_lowercase).collect();
        if let Some(reason) = why_ignored(&setting, &path, &sources) {
            for source in &sources {
                report.warn(&source.name, reason);
            }
            continue;
        }
        let [source] = sources.as_slice() else {
            let names: Vec<_> = sources.iter().map(|source| source.name.as_str()).collect();
            report.unreadable(&names.join(" and "), "set the same thing twice");
            continue;
        };
        if !is_well_formed(&path) {
            report.unreadable(&source.name, "not a name that a setting can have");
            continue;
        }
        match source.value(&path, read_file).and_then(|value| set(document, &path, value)) {
            Ok(path) => report.set_by(&path, &source.name),
            Err(reason) => report.unreadable(&source.name, reason),
        }
    }
}

/// Why variables are no settings of ours and stop nothing. What names a login or the like is always ours.
fn why_ignored(setting: &str, path: &[String], sources: &[Source]) -> Option<&'static str> {
    if known::is_door(path) {
        None
    } else if sources.iter().any(|source| is_service_link(setting, &source.value)) {
        Some("looks like the address of a service in a cluster, and is ignored")
    } else if !is_well_formed(path) || !known::is_known(path) {
        Some("not a known setting, and ignored")
    } else {
        None
    }
}

fn is_well_formed(path: &[String]) -> bool {
    path.len() <= MAX_PARTS && !path.iter().any(String::is_empty)
}

/// One variable.
struct Source {
    name: String,
    value: String,
    from_file: bool,
}

impl Source {
    fn value(&self, path: &[String], read_file: &mut dyn FnMut(&Path) -> io::Result<String>) -> Result<Node, String> {
        if self.from_file {
            // What a file says must not become the name of a section, which is told.
            if let [section] = path
                && NAMED.contains(&section.as_str())
            {
                let of_podman =
                    if section == "auth" { "; if it is meant for podman and its kin, unset it here" } else { "" };
                return Err(format!("a whole section cannot come out of a file{of_podman}"));
            }
            let content = read_file(Path::new(&self.value)).map_err(|error| format!("{:?}: {error}", self.value))?;
            return Ok(Node::Scalar(content.trim_end_matches(['\r', '\n']).to_owned()));
        }
        yaml::parse(&self.value).map_err(|error| format!("the value is not YAML (quotes may help): {error}"))
    }
}

/// The variables by what they set, the prefix and `_FILE` taken off, in the order of names.
fn by_setting(variables: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, Vec<Source>> {
    let mut settings = BTreeMap::<String, Vec<Source>>::new();
    for (name, value) in variables {
        let Some(setting) = name.strip_prefix(PREFIX) else { continue };
        if name == CONFIGURATION_PATH {
            continue;
        }
        let (setting, from_file) = match setting.strip_suffix("_FILE") {
            Some(base) if !is_key_called_file(base) => (base, true),
            _ => (setting, false),
        };
        settings.entry(setting.to_owned()).or_default().push(Source { name, value, from_file });
    }
    for sources in settings.values_mut() {
        sources.sort_by(|left, right| left.name.cmp(&right.name));
    }
    settings
}

/// Whether a cluster set this of its own accord, for a service that is called like a section: `registry-http` brings
/// `REGISTRY_HTTP_PORT=tcp://…`, `REGISTRY_HTTP_PORT_5000_TCP_ADDR` and `REGISTRY_HTTP_SERVICE_HOST`.
fn is_service_link(setting: &str, value: &str) -> bool {
    let setting = setting.to_ascii_uppercase();
    let address = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    setting.ends_with("_SERVICE_HOST")
        || setting.contains("_SERVICE_PORT")
        || (setting.ends_with("_PORT") && address)
        || setting.split_once("_PORT_").is_some_and(|(_, rest)| {
            let mut parts = rest.split('_');
            let port = parts.next().is_some_and(|port| port.parse::<u16>().is_ok());
            port && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
        })
}

/// Whether `_FILE` behind this setting is a key of that name: `health.file`, `health.file.0.file`, and a log field
/// or a header that is called so.
fn is_key_called_file(base: &str) -> bool {
    let base = base.to_ascii_uppercase();
    base == "HEALTH" || base.starts_with("HEALTH_FILE_") || base == "LOG_FIELDS" || base == "HTTP_HEADERS"
}

/// Puts a value at a path and returns the path as the document spells it.
fn set(document: &mut Node, path: &[String], mut value: Node) -> Result<Vec<String>, String> {
    if path.len() == 1 && NAMED.contains(&path[0].as_str()) {
        value.name_to_section();
    }
    let mut spelt = Vec::with_capacity(path.len());
    let mut node = document;
    for (depth, part) in path.iter().enumerate() {
        let (key, child) = child(node, part, may_be_called_anything(&path[..depth]))
            .map_err(|reason| if spelt.is_empty() { reason } else { format!("{}: {reason}", spelt.join(".")) })?;
        spelt.push(key);
        node = child;
    }
    *node = value;
    Ok(spelt)
}

/// Whether the keys below a path are names of the user's own.
fn may_be_called_anything(path: &[String]) -> bool {
    matches!(path, [section, names] if matches!((section.as_str(), names.as_str()), ("http", "headers") | ("log", "fields")))
}

/// The value below `node` with that name, made where there is none.
fn child<'n>(node: &'n mut Node, part: &str, any_case: bool) -> Result<(String, &'n mut Node), String> {
    let index = part.parse::<usize>().ok();
    if matches!(node, Node::Null) {
        *node = if index.is_some() { Node::List(Vec::new()) } else { Node::Map(BTreeMap::new()) };
    }
    match node {
        Node::Map(fields) => {
            let known = fields.keys().find(|key| any_case && key.eq_ignore_ascii_case(part)).cloned();
            let key = known.unwrap_or_else(|| part.to_owned());
            let value = fields.entry(key.clone()).or_default();
            Ok((key, value))
        }
        Node::List(items) => {
            let index = index.ok_or_else(|| format!("{part} is not a place in a list"))?;
            if index == items.len() {
                items.push(Node::Null);
            }
            let length = items.len();
            let value =
                items.get_mut(index).ok_or_else(|| format!("{index} is beyond the end of a list of {length}"))?;
            Ok((index.to_string(), value))
        }
        Node::Scalar(_) | Node::Null => Err(format!("a single value, so {part} cannot lie below it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn applied(document: &str, variables: &[(&str, &str)]) -> (Node, Vec<String>, Vec<String>) {
        let report = Report::default();
        let mut node = yaml::parse(document).unwrap();
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut read = |path: &Path| match path.to_str() {
            Some("/run/secret") => Ok("s: [e]cret\n".to_owned()),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        apply(&mut node, variables, &mut read, &report);
        let (problems, warnings) = report.into_parts();
        (node, problems.iter().map(ToString::to_string).collect(), warnings)
    }

    #[track_caller]
    fn becomes(document: &str, variables: &[(&str, &str)], expected: &str) {
        let (node, problems, _) = applied(document, variables);
        assert_eq!((node, problems), (yaml::parse(expected).unwrap(), vec![]));
    }

    #[test]
    fn sets_replaces_and_makes() {
        becomes("http: {addr: ':1'}", &[("REGISTRY_HTTP_ADDR", ":2")], "http: {addr: ':2'}");
        becomes("", &[("REGISTRY_STORAGE_DELETE_ENABLED", "true")], "storage: {delete: {enabled: true}}");
        becomes("http:", &[("registry_http_addr", "x"), ("REGISTRY_HTTP_HOST", "")], "http: {host: }");
    }

    /// A key that is written otherwise is unknown, and must not take the place of the known one.
    #[test]
    fn the_known_key_is_set_whatever_stands_beside_it() {
        becomes(
            "http: {relativeURLs: no}",
            &[("REGISTRY_HTTP_RELATIVEURLS", "on")],
            "http: {relativeURLs: no, relativeurls: on}",
        );
        becomes("Auth: {}", &[("REGISTRY_AUTH", "htpasswd")], "{Auth: {}, auth: {htpasswd: }}");
        becomes("http: {Tls: }", &[("REGISTRY_HTTP_TLS_KEY", "k")], "http: {Tls: , tls: {key: k}}");
    }

    #[test]
    fn what_a_cluster_sets_for_its_services_is_left_alone() {
        let variables = [
            ("REGISTRY_HTTP_PORT", "tcp://10.0.0.1:5000"),
            ("REGISTRY_HTTP_PORT_5000_TCP", "tcp://10.0.0.1:5000"),
            ("REGISTRY_HTTP_PORT_5000_TCP_ADDR", "10.0.0.1"),
            ("REGISTRY_HTTP_PORT_5000_TCP_PROTO", "tcp"),
            ("REGISTRY_HTTP_SERVICE_HOST", "10.0.0.1"),
            ("REGISTRY_HTTP_SERVICE_PORT", "5000"),
            ("REGISTRY_HTTP_SERVICE_PORT_WEB", "5000"),
            ("REGISTRY_STORAGE_PORT_9000_SCTP", "sctp://10.0.0.2:9000"),
        ];
        let (node, problems, warnings) = applied("", &variables);
        assert_eq!((node, problems, warnings.len()), (Node::Null, vec![], variables.len()));
        becomes("", &[("REGISTRY_AUTH_TOKEN_SERVICE", "s")], "auth: {token: {service: s}}");
    }

    /// Whoever names a login must not get a server without one, even if it is a cluster that does so.
    #[test]
    fn nothing_below_a_door_is_left_alone() {
        let link = "tcp://10.0.0.2:5001";
        becomes("", &[("REGISTRY_AUTH_PORT", link)], &format!("auth: {{port: '{link}'}}"));
        becomes("", &[("REGISTRY_AUTH_SERVICE_HOST", "h")], "auth: {service: {host: h}}");
        becomes("", &[("REGISTRY_HTTP_TLS_PORT", link)], &format!("http: {{tls: {{port: '{link}'}}}}"));
        becomes("", &[("REGISTRY_PROXY_SERVICE_PORT", "1")], "proxy: {service: {port: 1}}");
        becomes("", &[("REGISTRY_MIDDLEWARE_PORT", link)], &format!("middleware: {{port: '{link}'}}"));
        for name in ["REGISTRY_AUTH__HTPASSWD", "REGISTRY_HTTP_TLS_"] {
            let (node, problems, _) = applied("", &[(name, "x")]);
            assert_eq!((node, problems), (Node::Null, vec![format!("{name}: not a name that a setting can have")]));
        }
    }

    #[test]
    fn what_leaves_the_known_keys_is_left_alone() {
        let variables = [
            ("REGISTRY_HTTP_COLOUR", "[not yaml"),
            ("REGISTRY_HTTP_COLOUR_DEEP", "x"),
            ("REGISTRY_HTTP_ADDR_DEEP", "x"),
            ("REGISTRY_HTTP_SHADE_FILE", "/nowhere"),
            ("REGISTRY_LOG_TWICE", "x"),
            ("REGISTRY_LOG_TWICE_FILE", "/run/secret"),
        ];
        let (node, problems, warnings) = applied("", &variables);
        assert_eq!((node, problems, warnings.len()), (Node::Null, vec![], variables.len()));
        assert_eq!(warnings[0], "REGISTRY_HTTP_ADDR_DEEP: not a known setting, and ignored");
    }

    #[test]
    fn a_short_name_comes_first_and_replaces() {
        let variables = [("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/x"), ("REGISTRY_STORAGE", "filesystem")];
        becomes(
            "storage: {inmemory: , delete: {enabled: true}}",
            &variables,
            "storage: {filesystem: {rootdirectory: /x}}",
        );
        becomes("storage: {delete: {enabled: true}}", &[("REGISTRY_STORAGE", "inmemory")], "storage: {inmemory: }");
    }

    #[test]
    fn the_usual_compose_form_of_auth() {
        let variables = [
            ("REGISTRY_AUTH", "htpasswd"),
            ("REGISTRY_AUTH_HTPASSWD_REALM", "Registry Realm"),
            ("REGISTRY_AUTH_HTPASSWD_PATH", "/auth/htpasswd"),
        ];
        becomes("", &variables, "auth: {htpasswd: {realm: Registry Realm, path: /auth/htpasswd}}");
    }

    #[test]
    fn headers_are_matched_without_case() {
        let variables = [("REGISTRY_HTTP_HEADERS_Access-Control-Allow-Origin", "['https://ui.example']")];
        becomes("", &variables, "http: {headers: {access-control-allow-origin: ['https://ui.example']}}");
        becomes(
            "http: {headers: {Access-Control-Allow-Origin: ['*']}}",
            &variables,
            "http: {headers: {Access-Control-Allow-Origin: ['https://ui.example']}}",
        );
    }

    #[test]
    fn both_spellings_of_nested_sections() {
        let expected = "storage: {maintenance: {readonly: {enabled: true}}}";
        becomes("", &[("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true")], expected);
        becomes("", &[("REGISTRY_STORAGE_MAINTENANCE_READONLY", "{\"enabled\":true}")], expected);
        let expected = "storage: {maintenance: {uploadpurging: {enabled: false}}}";
        becomes("", &[("REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING_ENABLED", "false")], expected);
        becomes("", &[("REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING", "{enabled: false}")], expected);
    }

    #[test]
    fn lists_are_changed_in_place_and_grow_by_one() {
        let allow = |items: &str| format!("validation: {{manifests: {{urls: {{allow: {items}}}}}}}");
        becomes(&allow("[a, b]"), &[("REGISTRY_VALIDATION_MANIFESTS_URLS_ALLOW_1", "c")], &allow("[a, c]"));
        becomes(&allow("[a, b]"), &[("REGISTRY_VALIDATION_MANIFESTS_URLS_ALLOW_2", "c")], &allow("[a, b, c]"));
        becomes("", &[("REGISTRY_VALIDATION_MANIFESTS_URLS_ALLOW_0", "c")], &allow("[c]"));
        let (_, problems, _) = applied(&allow("[a]"), &[("REGISTRY_VALIDATION_MANIFESTS_URLS_ALLOW_2", "c")]);
        assert_eq!(
            problems,
            ["REGISTRY_VALIDATION_MANIFESTS_URLS_ALLOW_2: validation.manifests.urls.allow: \
              2 is beyond the end of a list of 1"]
        );
    }

    #[test]
    fn a_value_from_a_file_is_taken_word_for_word() {
        let (node, problems, _) = applied("", &[("REGISTRY_HTTP_SECRET_FILE", "/run/secret")]);
        assert_eq!((node, problems), (yaml::parse("http: {secret: 's: [e]cret'}").unwrap(), vec![]));
    }

    #[test]
    fn files_that_cannot_be_read_and_double_settings_are_problems() {
        let (_, problems, _) = applied("", &[("REGISTRY_HTTP_SECRET_FILE", "/nowhere")]);
        assert_eq!(problems, ["REGISTRY_HTTP_SECRET_FILE: \"/nowhere\": entity not found"]);
        let both = [("REGISTRY_HTTP_SECRET_FILE", "/run/secret"), ("REGISTRY_HTTP_SECRET", "x")];
        assert_eq!(
            applied("", &both).1,
            ["REGISTRY_HTTP_SECRET and REGISTRY_HTTP_SECRET_FILE: set the same thing twice"]
        );
    }

    #[test]
    fn real_keys_called_file_stay_keys() {
        becomes("", &[("REGISTRY_HEALTH_FILE", "[{file: /x}]")], "health: {file: [{file: /x}]}");
        becomes("", &[("REGISTRY_HEALTH_FILE_0_FILE", "/x")], "health: {file: [{file: /x}]}");
        becomes("", &[("REGISTRY_LOG_FIELDS_FILE", "x")], "log: {fields: {file: x}}");
    }

    #[test]
    fn unknown_names_warn_and_go_on() {
        let variables = [
            ("REGISTRY_PORT", "tcp://10.0.0.1:5000"),
            ("REGISTRY_SERVICE_HOST", "10.0.0.1"),
            ("REGISTRY_", "x"),
            ("REGISTRY_HTTP_", "x"),
            ("REGISTRY_CONFIGURATION_PATH", "/x"),
            ("PATH", "/bin"),
        ];
        let (node, problems, warnings) = applied("", &variables);
        assert_eq!((node, problems, warnings.len()), (Node::Null, vec![], 4));
        assert_eq!(warnings[0], "REGISTRY_: not a known setting, and ignored");
    }

    #[test]
    fn values_that_are_not_yaml_are_told_without_the_value() {
        let (_, problems, _) = applied("", &[("REGISTRY_HTTP_SECRET", "@hush")]);
        assert!(problems[0].starts_with("REGISTRY_HTTP_SECRET: the value is not YAML"), "{problems:?}");
        assert!(!problems[0].contains("hush"), "{problems:?}");
    }

    #[test]
    fn nothing_lies_below_a_single_value() {
        let (_, problems, _) = applied("http: x", &[("REGISTRY_HTTP_ADDR", ":1")]);
        assert_eq!(problems, ["REGISTRY_HTTP_ADDR: http: a single value, so addr cannot lie below it"]);
    }

    proptest! {
        #[test]
        fn never_panics(
            document in "((http|log|storage|validation): ?(\\{a: b\\}|\\[x\\]|y)?\n){0,2}",
            names in proptest::collection::vec("REGISTRY_(HTTP|STORAGE|LOG|VALIDATION)(_([A-Z]{1,3}|[0-9]{1,20}|)){0,4}(_FILE)?", 0..5),
            value in "(?s).{0,12}",
        ) {
            let Ok(mut node) = yaml::parse(&document) else { return Ok(()) };
            let report = Report::default();
            let variables = names.into_iter().map(|name| (name, value.clone()));
            apply(&mut node, variables, &mut |_| Ok(value.clone()), &report);
        }
    }
}
