//! `ui`: the pages for people. Distribution has none, and ignores this.

use std::time::Duration;

use registry_http::Ui;

use super::Driver;
use super::section::Section;

/// The pages for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UiConfig {
    /// Whether there are any.
    pub enabled: bool,
    /// What stands above each; `None` for the usual.
    pub title: Option<String>,
    /// How long a login holds.
    pub session: Duration,
    /// Whether it is noted when images are pulled, so that the pages can tell; `None` where it costs little.
    pub pulls: Option<bool>,
}

impl UiConfig {
    /// Whether pulls are noted for the pages where nothing else asks for it. In a bucket each would be a request of its own,
    /// so there it has to be asked for.
    #[must_use]
    pub fn notes_pulls(&self, driver: &Driver) -> bool {
        let costs_little = matches!(driver, Driver::Filesystem { .. } | Driver::InMemory);
        self.enabled && self.pulls.unwrap_or(costs_little)
    }

    /// The pages; `None` if there are none.
    #[must_use]
    pub fn pages(&self) -> Option<Ui> {
        let ui = Ui::new().session(self.session);
        let ui = match &self.title {
            Some(title) => ui.title(title),
            None => ui,
        };
        self.enabled.then_some(ui)
    }
}

/// Reads `ui`.
pub(super) fn read(root: &mut Section<'_>) -> UiConfig {
    let mut ui = root.section("ui");
    let enabled = ui.boolean("enabled").unwrap_or(true);
    let title = ui.text("title").filter(|title| !title.trim().is_empty());
    let session = ui.duration("session").unwrap_or(Ui::DEFAULT_SESSION);
    if session.is_zero() {
        ui.refuse("session", "a login must hold for some time, such as 12h");
    }
    let pulls = ui.boolean("pulls");
    ui.finish();
    UiConfig { enabled, title, session, pulls }
}
