//! What the protocol does not promise.

use crate::scenario::Scenario;
use crate::verdict::{breaks, put};
use crate::world::{IMAGE, LAYER, SIGNATURE, World};

/// A push looks at what the manifest needs, and not at what refers to it. So when an image had no tag for longer than
/// the quarantine, and gets one while a run is purging, its signature may be gone, though the image is whole.
#[test]
fn a_signature_may_be_purged_while_its_image_gets_a_tag_again() {
    let scenario = Scenario::new("a tag comes back while a signature is purged", World::signed());
    let scenario = scenario.acknowledged(SIGNATURE).stored(&[LAYER, IMAGE, SIGNATURE]).client(&[put(IMAGE)]);
    breaks(scenario.runs(2).retires(&[IMAGE, SIGNATURE]), "I2");
}
