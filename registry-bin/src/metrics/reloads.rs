//! Whether files that are followed could be taken over.

use std::sync::Arc;

use prometheus::Opts;

use super::read::{Read, as_float};
use crate::reloads::Reloads;

/// The numbers of a file, or of files that are taken over together.
pub(super) fn numbers(file: &'static str, reloads: &Arc<Reloads>) -> prometheus::Result<Read> {
    let opts = |name, help| Opts::new(name, help).const_label("file", file);
    let (failed, last) = (Arc::clone(reloads), Arc::clone(reloads));
    Read::default()
        .gauge(opts("registry_config_reload_failed", "Whether a changed file could not be taken over."), move || {
            Some(if failed.failed() { 1.0 } else { 0.0 })
        })?
        .gauge(opts("registry_config_last_reload_timestamp_seconds", "When a file was last taken over."), move || {
            Some(as_float(last.loaded_at()))
        })
}

#[cfg(test)]
mod tests {
    use prometheus::{Registry, TextEncoder};

    use super::*;
    use crate::logins::Logins;

    #[test]
    fn a_broken_edit_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        std::fs::write(&path, registry_auth::htpasswd_line("ann", "secret", 4).unwrap()).unwrap();
        let logins = Logins::open("r", &path).unwrap();
        let registry = Registry::new();
        registry.register(Box::new(numbers("htpasswd", &logins.reloads()).unwrap())).unwrap();
        registry.register(Box::new(numbers("certificate", &Arc::default()).unwrap())).unwrap();
        let failed = || {
            let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
            assert!(text.contains("\nregistry_config_reload_failed{file=\"certificate\"} 0\n"), "{text}");
            text.contains("\nregistry_config_reload_failed{file=\"htpasswd\"} 1\n")
        };
        let after = |change: &dyn Fn()| {
            change();
            logins.reload(logins.files().take());
            failed()
        };
        assert!(after(&|| std::fs::write(&path, "no password file").unwrap()));
        assert!(!after(&|| std::fs::write(&path, "").unwrap()), "nobody can log in any more");
        assert!(after(&|| std::fs::remove_file(&path).unwrap()));
    }
}
