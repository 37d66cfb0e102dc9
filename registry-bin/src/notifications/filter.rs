//! Which endpoint wants to hear of what.

use std::collections::HashSet;

use registry_core::Event;

use super::envelope;
use crate::config::EndpointConfig;

/// What an endpoint does not want to hear of.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    media_types: HashSet<String>,
    actions: HashSet<String>,
}

impl Filter {
    pub(super) fn new(endpoint: &EndpointConfig) -> Self {
        Self { media_types: endpoint.ignored_media_types.clone(), actions: endpoint.ignored_actions.clone() }
    }

    /// Whether the endpoint wants to hear of this.
    pub(super) fn passes(&self, event: &Event) -> bool {
        !self.actions.contains(envelope::action(event.action))
            && !self.media_types.contains(envelope::media_type(event))
    }
}

#[cfg(test)]
mod tests {
    use registry_core::EventAction;

    use super::*;
    use crate::notifications::sample;

    #[test]
    fn what_is_ignored_does_not_pass() {
        let filter = |media_types: &[&str], actions: &[&str]| Filter {
            media_types: media_types.iter().map(|text| (*text).to_owned()).collect(),
            actions: actions.iter().map(|text| (*text).to_owned()).collect(),
        };
        let (manifest, blob) = (sample::manifest(EventAction::Pull), sample::blob(EventAction::Push));
        assert!(filter(&[], &[]).passes(&manifest) && filter(&[], &[]).passes(&blob));
        let blobs = filter(&["application/octet-stream"], &[]);
        assert!(blobs.passes(&manifest) && !blobs.passes(&blob));
        // What was deleted has no media type.
        assert!(blobs.passes(&sample::blob(EventAction::Delete)));
        let pulls = filter(&[], &["pull"]);
        assert!(!pulls.passes(&manifest) && pulls.passes(&blob));
    }
}
