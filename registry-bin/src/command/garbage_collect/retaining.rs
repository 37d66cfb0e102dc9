//! Rules of retention, before anything is collected without a server.

use std::io::{self, Write as _};
use std::sync::Arc;

use registry_core::retention::{ExpiredTag, Retention, RetentionObserver, RetentionReport};
use registry_core::{Error, Registry};

use super::progress::Progress;
use crate::config::RetentionConfig;

/// What rules did, or would do; `None` where there are none. `lines` are printed, one for each tag.
pub(super) async fn retain(
    registry: &Registry,
    rules: &RetentionConfig,
    enforce: bool,
    lines: Option<Arc<Progress>>,
) -> Result<Option<RetentionReport>, Error> {
    if rules.rules.is_empty() {
        return Ok(None);
    }
    let retention = Retention::new(registry.clone(), rules.rules.clone()).enforce(enforce);
    let retention = match lines {
        Some(progress) => retention.observed_by(Arc::new(TagLines { progress })),
        None => retention,
    };
    retention.run().await.map(Some)
}

#[derive(Debug)]
struct TagLines {
    progress: Arc<Progress>,
}

impl RetentionObserver for TagLines {
    fn expired(&self, ExpiredTag { repository, tag, digest, .. }: &ExpiredTag) {
        self.progress.make_room();
        // Where nobody reads the lines there is nobody to tell.
        let _ = writeln!(io::stdout(), "{repository}: tag eligible for deletion: {tag} {digest}");
    }
}
