//! `storage.maintenance.garbagecollection`: how what nothing needs is taken away while the server runs. Distribution
//! does not have it, and ignores it.

use std::time::Duration;

use registry_core::gc::GcOptions;

use super::section::Section;

/// How what nothing needs is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GarbageCollection {
    /// Whether the server does so by itself.
    pub enabled: bool,
    /// How long from one run to the next.
    pub interval: Duration,
    /// How long what was uploaded and is not named by a manifest is left alone.
    pub lease: Duration,
    /// How long what was taken away can still be found and brought back.
    pub quarantine: Duration,
    /// Whether manifests without a tag go.
    pub delete_untagged: bool,
    /// How old a manifest without a tag must be to go.
    pub untagged_grace: Duration,
    /// How many percent of all content one run may take away; `None` for all of it.
    pub max_condemned: Option<u8>,
    /// How many operations of the storage a run may begin in a second; `None` for any number.
    pub rate: Option<u64>,
}

impl Default for GarbageCollection {
    /// Once a day, and as the collector itself has it.
    fn default() -> Self {
        let options = GcOptions::default();
        Self {
            enabled: false,
            interval: Duration::from_hours(24),
            lease: options.lease,
            quarantine: options.quarantine,
            delete_untagged: options.delete_untagged,
            untagged_grace: options.untagged_grace,
            max_condemned: options.max_condemned,
            rate: None,
        }
    }
}

impl GarbageCollection {
    /// What a run is told.
    #[must_use]
    pub fn options(&self) -> GcOptions {
        let mut options = GcOptions::default();
        options.lease = self.lease;
        options.quarantine = self.quarantine;
        options.delete_untagged = self.delete_untagged;
        options.untagged_grace = self.untagged_grace;
        options.max_condemned = self.max_condemned;
        options
    }
}

/// Reads the section. It has to say that it is enabled: nothing is taken away because of a line about something else.
pub(super) fn read(maintenance: &mut Section<'_>, enabled: bool) -> GarbageCollection {
    let mut section = maintenance.section("garbagecollection");
    let defaults = GarbageCollection { enabled, ..GarbageCollection::default() };
    let is_about_runs = section.says("interval");
    let collection = GarbageCollection {
        enabled: section.boolean("enabled").unwrap_or(defaults.enabled),
        interval: section.duration("interval").unwrap_or(defaults.interval),
        lease: section.duration("lease").unwrap_or(defaults.lease),
        quarantine: section.duration("quarantine").unwrap_or(defaults.quarantine),
        delete_untagged: section.boolean("deleteuntagged").unwrap_or(defaults.delete_untagged),
        untagged_grace: section.duration("untaggedgrace").unwrap_or(defaults.untagged_grace),
        max_condemned: max_condemned(&mut section, defaults.max_condemned),
        rate: rate(&mut section),
    };
    if collection.interval.is_zero() {
        section.refuse("interval", "must be longer than nothing");
    }
    if is_about_runs && !collection.enabled {
        section.warn("interval", "has no effect: enabled is not true");
    }
    refuse_haste(&section, &collection);
    section.finish();
    collection
}

/// A push that is under way relies on these times; a server that runs cannot be without them.
fn refuse_haste(section: &Section<'_>, collection: &GarbageCollection) {
    for (key, value) in [("lease", collection.lease), ("quarantine", collection.quarantine)] {
        if value.is_zero() {
            section.refuse(key, "must be longer than nothing: who pushes relies on it");
        }
    }
}

/// 0 is none.
fn rate(section: &mut Section<'_>) -> Option<u64> {
    section.read("rate", "a number of operations in a second", |text| text.parse().ok()).filter(|rate| *rate > 0)
}

/// 0 is none.
fn max_condemned(section: &mut Section<'_>, default: Option<u8>) -> Option<u8> {
    let percent = section.read("maxcondemned", "a number of percent, 0 to 100", |text| {
        text.strip_suffix('%').unwrap_or(text).parse::<u8>().ok().filter(|percent| *percent <= 100)
    });
    percent.or(default).filter(|percent| *percent > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn read(section: &str) -> Result<(GarbageCollection, Vec<String>), Vec<String>> {
        let document =
            format!("version: 0.1\nstorage: {{inmemory: , maintenance: {{garbagecollection: {section}}}}}\n");
        match parse(Some(&document), [], &mut |_| Ok(String::new())) {
            Ok(parsed) => Ok((parsed.config.storage.garbage_collection, parsed.warnings)),
            Err(rejected) => Err(rejected.problems.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn each_is_read() {
        let hours = Duration::from_hours;
        let read = read(
            "{enabled: true, interval: 1h, lease: 2h, quarantine: 3h, deleteuntagged: true, untaggedgrace: 4h, \
             maxcondemned: 5, rate: 200}",
        );
        let expected = GarbageCollection {
            enabled: true,
            interval: hours(1),
            lease: hours(2),
            quarantine: hours(3),
            delete_untagged: true,
            untagged_grace: hours(4),
            max_condemned: Some(5),
            rate: Some(200),
        };
        assert_eq!(read.unwrap(), (expected, vec![]));
        let options = expected.options();
        assert_eq!((options.lease, options.quarantine, options.untagged_grace), (hours(2), hours(3), hours(4)));
        assert_eq!((options.delete_untagged, options.max_condemned, options.alone), (true, Some(5), false));
    }

    #[test]
    fn nothing_goes_that_nobody_asked_for() {
        assert_eq!(read("").unwrap(), (GarbageCollection::default(), vec![]));
        assert!(!read("{lease: 1h}").unwrap().0.enabled);
        let (collection, warnings) = read("{interval: 1h}").unwrap();
        assert!(!collection.enabled && !collection.delete_untagged);
        assert_eq!(warnings, ["storage.maintenance.garbagecollection.interval: has no effect: enabled is not true"]);
        let without_file = parse(None, [], &mut |_| Ok(String::new())).unwrap().config.storage.garbage_collection;
        assert_eq!(without_file, GarbageCollection { enabled: true, ..GarbageCollection::default() });
    }

    #[test]
    fn the_brake_can_be_off() {
        assert_eq!(read("{maxcondemned: 0}").unwrap().0.max_condemned, None);
        assert_eq!(read("{rate: 0}").unwrap().0.rate, None);
        assert_eq!(read("{maxcondemned: 30%}").unwrap().0.max_condemned, Some(30));
    }

    #[test]
    fn what_would_lose_pushes_is_refused() {
        for (section, key) in [
            ("{lease: 0}", "lease"),
            ("{quarantine: 0s}", "quarantine"),
            ("{interval: 0}", "interval"),
            ("{maxcondemned: 101}", "maxcondemned"),
            ("{maxcondemned: -1}", "maxcondemned"),
            ("{rate: fast}", "rate"),
            ("{enabled: maybe}", "enabled"),
        ] {
            let problems = read(section).unwrap_err();
            let path = format!("storage.maintenance.garbagecollection.{key}: ");
            assert!(problems.len() == 1 && problems[0].starts_with(&path), "{section}: {problems:?}");
        }
    }
}
