//! The states in which a power cut may leave a disk.
//!
//! An orderly disk keeps changes of directories in the order in which they were made, and a sync of anything makes all
//! of those before it durable; the bytes of a file that was not synced may be missing from some block on. A weak disk
//! keeps any of the changes that were not synced, each for itself, of a rename any half; and the bytes of a file that was
//! not synced may be missing from anywhere.

use super::cache::{Cache, Content, Unit};
use super::image::{Entry, Image};
use super::log::{Log, Node, Op, ROOT};

/// How thoroughly the states are gone through.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    /// Up to this many states at one moment all of them are made.
    pub(super) exhaustive: usize,
    /// Of more, this many at random, beside all new and all old.
    pub(super) samples: usize,
    /// Of more, also those that differ from all new or from all old in one thing.
    pub(super) near: bool,
    pub(super) seed: u64,
}

/// One state, not built yet.
#[derive(Debug)]
pub(super) struct State<'a> {
    cache: &'a Cache,
    directories: &'a [bool],
    values: Vec<Option<Node>>,
    contents: Vec<Content>,
}

/// The states after a power cut at `position`.
///
/// A state before it is among them, as long as nothing was synced in between.
pub(super) fn states(log: &Log, position: usize, effort: Effort, mut visit: impl FnMut(&State<'_>)) {
    let cache = cache_at(log, position);
    let nodes = log.directories.len();
    let mut units = cache.open_entries();
    units.extend(cache.open_contents(false));
    let (values, contents) = (cache.values(), cache.contents(nodes));
    for choice in choices(&units, effort) {
        visit(&State::new(log, &cache, (&values, &contents), &units, &choice));
    }

    let units = cache.open_contents(true);
    let (exhaustive, samples) = (effort.exhaustive.min(16), effort.samples.min(8));
    let choices = choices(&units, Effort { exhaustive, samples, near: false, ..effort });
    for upto in orderly(log, position) {
        let cache = cache_at(log, upto);
        let values = cache.values();
        for choice in &choices {
            visit(&State::new(log, &cache, (&values, &contents), &units, choice));
        }
    }
}

fn cache_at(log: &Log, position: usize) -> Cache {
    let mut cache = Cache::new(log);
    log.ops[..position].iter().for_each(|op| cache.apply(op));
    cache
}

/// At which moments the directories of an orderly disk may stand: after the last sync, or after some of what came
/// behind it.
fn orderly(log: &Log, position: usize) -> Vec<usize> {
    let (mut from, mut failed) = (0, false);
    for (at, op) in log.ops[..position].iter().enumerate() {
        match op {
            Op::SyncFailed(_) => failed = true,
            Op::SyncFilesystem => (from, failed) = (at + 1, false),
            Op::Sync(_) => from = at + 1,
            _ => {}
        }
    }
    if failed {
        // A disk that failed keeps no order that could be relied on, until the storage is opened again.
        return Vec::new();
    }
    let is_moment = |upto: &usize| *upto == from || matches!(log.ops[*upto - 1], Op::Entries(_));
    (from..=position).filter(is_moment).collect()
}

impl<'a> State<'a> {
    fn new(
        log: &'a Log,
        cache: &'a Cache,
        (values, contents): (&[Option<Node>], &[Content]),
        units: &[Unit],
        choice: &[usize],
    ) -> Self {
        let mut state =
            Self { cache, directories: &log.directories, values: values.to_vec(), contents: contents.to_vec() };
        for (unit, &option) in units.iter().zip(choice) {
            match unit {
                Unit::Slot { at, values, .. } => state.values[*at] = values[option],
                Unit::Content(node, ways) => state.contents[*node] = ways[option].clone(),
            }
        }
        state
    }

    /// The same for equal states, whatever their nodes are numbered, and files on their way are called.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut places = vec![None; self.directories.len()];
        places[ROOT] = Some(1);
        let mut sum = 0_u64;
        // A directory stands before what is in it.
        for (entry, value) in self.cache.slots().iter().zip(&self.values) {
            let (Some(above), Some(node)) = (places[entry.slot.directory], *value) else { continue };
            let place = mix(mix(above) ^ entry.name_hash);
            // A file with two names is another state than two files.
            places[node] = Some(place.wrapping_add(places[node].unwrap_or(0)));
            if self.directories[node] {
                sum = sum.wrapping_add(mix(place));
            }
        }
        for (node, place) in places.iter().enumerate().filter(|(node, _)| !self.directories[*node]) {
            sum = sum.wrapping_add(place.map_or(0, |place| mix(place ^ mix(self.contents[node].hash))));
        }
        sum
    }

    /// What can be reached from the root.
    pub(super) fn image(&self) -> Image {
        let mut image = Image::default();
        let mut paths: Vec<Option<String>> = vec![None; self.directories.len()];
        paths[ROOT] = Some(String::new());
        for (entry, value) in self.cache.slots().iter().zip(&self.values) {
            let (Some(above), Some(node)) = (&paths[entry.slot.directory], *value) else { continue };
            let name = &entry.slot.name;
            let path = if above.is_empty() { name.clone() } else { format!("{above}/{name}") };
            if self.directories[node] {
                paths[node] = Some(path.clone());
                image.entries.insert(path, Entry::Directory);
            } else {
                image.entries.insert(path, Entry::File(node, self.contents[node].bytes.clone()));
            }
        }
        image
    }
}

/// What the program itself saw at the end of a record.
pub(super) fn last(log: &Log) -> Image {
    let cache = cache_at(log, log.ops.len());
    let (values, contents) = (cache.values(), cache.contents(log.directories.len()));
    State::new(log, &cache, (&values, &contents), &[], &[]).image()
}

/// Which option of each unit: all ways, or a sample of them.
fn choices(units: &[Unit], effort: Effort) -> Vec<Vec<usize>> {
    let options: Vec<usize> = units.iter().map(Unit::options).collect();
    let all = options.iter().try_fold(1_usize, |product, &options| product.checked_mul(options));
    match all {
        Some(all) if all <= effort.exhaustive => (0..all).map(|number| digits(number, &options)).collect(),
        _ => sample(units, &options, effort),
    }
}

fn digits(mut number: usize, options: &[usize]) -> Vec<usize> {
    let mut digit = |&options: &usize| {
        let digit = number % options;
        number /= options;
        digit
    };
    options.iter().map(&mut digit).collect()
}

fn sample(units: &[Unit], options: &[usize], effort: Effort) -> Vec<Vec<usize>> {
    let old = vec![0; options.len()];
    let new: Vec<usize> = options.iter().map(|options| options - 1).collect();
    let mut choices = vec![old.clone(), new.clone()];
    let counts = |(at, _): &(usize, &usize)| effort.near && !matches!(units[*at], Unit::Slot { on_the_way: true, .. });
    for (at, &options) in options.iter().enumerate().filter(counts) {
        for option in 0..options {
            for mut near in [old.clone(), new.clone()] {
                near[at] = option;
                choices.push(near);
            }
        }
    }
    let mut random = Random(effort.seed);
    choices.extend((0..effort.samples).map(|_| {
        // Few losses, or few survivors, or anything.
        let keep = [50, 10, 90][random.below(3)];
        let one = |&options: &usize| {
            if random.below(100) < keep { options - 1 } else { random.below(options) }
        };
        options.iter().map(one).collect()
    }));
    choices
}

/// Numbers that look random and are the same for the same seed (`SplitMix64`).
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = mix(self.0);
        usize::try_from(mixed % end as u64).unwrap()
    }
}

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
