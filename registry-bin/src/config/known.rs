//! The settings that there are, for variables: a name that leads elsewhere is none of ours.

/// Every setting. Below those that end in `**` anything may be named.
const SETTINGS: [&str; 47] = [
    "access.**",
    "auth.**",
    "catalog.maxentries",
    "compatibility.**",
    "health.**",
    "http.addr",
    "http.debug.**",
    "http.draintimeout",
    "http.h2c.enabled",
    "http.headers.**",
    "http.host",
    "http.http2.disabled",
    "http.maxbody",
    "http.net",
    "http.prefix",
    "http.relativeurls",
    "http.secret",
    "http.tls.**",
    "http.trustedproxies.**",
    "http.trustforwarded",
    "limits.**",
    "log.accesslog.disabled",
    "log.fields.**",
    "log.formatter",
    "log.hooks.**",
    "log.level",
    "log.reportcaller",
    "loglevel",
    "middleware.**",
    "notifications.**",
    "policy.**",
    "proxy.**",
    "redis.**",
    "reporting.**",
    "storage.**",
    "tags.maxtags",
    "ui.enabled",
    "ui.pulls",
    "ui.session",
    "ui.title",
    "validation.disabled",
    "validation.enabled",
    "validation.manifests.indexes.**",
    "validation.manifests.references",
    "validation.manifests.urls.**",
    "validation.tags.**",
    "version",
];
/// Sections that decide who gets in. What names them is never left out as unknown.
const DOORS: [&[&str]; 5] = [&["access"], &["auth"], &["http", "tls"], &["middleware"], &["proxy"]];

/// Whether a setting, or a section with settings, lies at this path.
pub(super) fn is_known(path: &[String]) -> bool {
    SETTINGS.iter().any(|setting| leads_to(path, setting))
}

/// Whether this path lies at or below a section that decides who gets in.
pub(super) fn is_door(path: &[String]) -> bool {
    DOORS.iter().any(|door| path.len() >= door.len() && door.iter().zip(path).all(|(name, part)| name == part))
}

fn leads_to(path: &[String], setting: &str) -> bool {
    let mut names = setting.split('.');
    for part in path {
        match names.next() {
            Some("**") => return true,
            Some(name) if name == part => {}
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn sections_settings_and_what_is_free_below_them() {
        for known in ["http", "http.addr", "http.h2c", "http.headers.x-one.0", "storage", "storage.s3.bucket", "auth"] {
            assert!(is_known(&path(known)), "{known}");
        }
        for unknown in ["port", "http.port", "http.addr.deep", "http.h2c.port", "log.level.x", "versions", ""] {
            assert!(!is_known(&path(unknown)), "{unknown}");
        }
    }

    #[test]
    fn doors() {
        for door in ["auth", "auth.port", "http.tls", "http.tls.key", "proxy.x.y", "middleware"] {
            assert!(is_door(&path(door)), "{door}");
        }
        for other in ["http", "http.addr", "http.headers.tls", "authx", "storage.proxy"] {
            assert!(!is_door(&path(other)), "{other}");
        }
    }

    /// None is listed here that nobody reads.
    #[test]
    fn every_setting_is_read_by_its_section() {
        for setting in SETTINGS {
            let name = setting.trim_end_matches(".**").replace('.', "_").to_ascii_uppercase();
            let variables = [(format!("REGISTRY_{name}"), "x".to_owned())];
            let parsed = config::parse(None, variables, &mut |_| Ok(String::new()));
            let warnings = parsed.map_or_else(|rejected| rejected.warnings, |parsed| parsed.warnings);
            assert!(
                !warnings.iter().any(|line| line.contains("unknown") || line.contains("not a known")),
                "{warnings:?}"
            );
        }
    }
}
