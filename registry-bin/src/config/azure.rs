//! `storage.azure`: a container of Azure Blob Storage.

use std::fmt;

use super::bucket::{required, verify};
use super::section::Section;

/// A container of Azure Blob Storage.
#[derive(Clone, PartialEq, Eq)]
pub struct AzureConfig {
    /// The container.
    pub container: String,
    /// The address of the service, with the account.
    pub endpoint: String,
    /// The folder in the container; empty for the container itself.
    pub root: String,
    /// The account.
    pub account: String,
    /// Its key. It never shows. `None` for what is in the surroundings of the process: the environment, or the identity of
    /// the machine or of the workload.
    pub key: Option<String>,
    /// Whether the service has to prove who it is.
    pub verify: bool,
}

impl fmt::Debug for AzureConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzureConfig")
            .field("container", &self.container)
            .field("endpoint", &self.endpoint)
            .field("root", &self.root)
            .field("account", &self.account)
            .field("verify", &self.verify)
            .finish_non_exhaustive()
    }
}

/// The realm of the public cloud.
const REALM: &str = "core.windows.net";

/// Settings of Distribution's driver that tune what this one decides for itself.
const WITHOUT_EFFECT: [(&str, &str); 4] = [
    ("max_retries", "requests are tried again as each of them allows"),
    ("retry_delay", "requests are tried again as each of them allows"),
    ("copy_status_poll_max_retry", "copies are waited for as long as they take"),
    ("copy_status_poll_delay", "copies are waited for as long as they take"),
];

/// Reads the section. Without an account and a container there is no configuration, and the reason stands in the report.
pub(super) fn read(mut section: Section<'_>) -> Option<AzureConfig> {
    let account = required(&mut section, "accountname");
    let container = required(&mut section, "container");
    let root = section.text("rootdirectory").unwrap_or_default();
    let realm = section.text("realm").unwrap_or_else(|| REALM.to_owned());
    let endpoint = section.text("serviceurl");
    let key = key(&mut section);
    if section.secret("connectionstring").is_some() {
        section.refuse("connectionstring", "not here: name accountname, accountkey and, if it is another, serviceurl");
    }
    let verify = verify(&mut section);
    section.without_effect(&WITHOUT_EFFECT);
    section.finish();
    let account = account?;
    let endpoint = endpoint.unwrap_or_else(|| format!("https://{account}.blob.{realm}"));
    Some(AzureConfig { container: container?, endpoint, root, account, key, verify })
}

/// The key of the account, unless it says that there is another way.
fn key(section: &mut Section<'_>) -> Option<String> {
    let key = section.secret("accountkey");
    let mut credentials = section.section("credentials");
    let kind = credentials.choice(
        "type",
        &[("shared_key", Kind::Key), ("default_credentials", Kind::Surroundings), ("client_secret", Kind::Client)],
    );
    for setting in ["clientid", "tenantid", "secret"] {
        // They are told of by what they are for.
        credentials.take(setting);
    }
    if kind == Some(Kind::Client) {
        let instead = "client_secret: put AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET into the environment, \
                       and take default_credentials";
        credentials.refuse("type", instead);
    }
    credentials.finish();
    match (kind.unwrap_or(Kind::Key), key) {
        (Kind::Key, None) => {
            section.refuse("accountkey", "missing; with credentials: {type: default_credentials} none is needed");
            None
        }
        (Kind::Key, key) => key,
        (Kind::Surroundings | Kind::Client, _) => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Key,
    Surroundings,
    Client,
}
