//! Calls that fail, each in turn: nothing that was acknowledged is lost, nothing leaks, and it goes on afterwards.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use registry_core::layout;
use rustix::io::Errno;

use super::super::super::SyncMode;
use super::super::super::sys::Call;
use super::image::Image;
use super::log::Log;
use super::recorder::{Judge, scan};
use super::recovery::{Subject, ask};
use super::run::{Session, Survey, scratch};
use super::scenarios::{self, content, repository, tag};
use super::states::{self, Effort};
use super::workload::{Process, Step, digest};
use super::world::World;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Fails(Errno),
    /// A call writes half of what it was given, and the next one the rest.
    Short,
    /// A call writes half of what it was given, and then the disk is full.
    ShortAndFull,
}

impl Kind {
    /// Whether a call can go wrong in this way.
    fn is_met_by(self, call: Call) -> bool {
        match self {
            Self::Fails(Errno::MFILE) => matches!(call, Call::Open | Call::Create | Call::List),
            Self::Fails(Errno::NOSPC) => !matches!(
                call,
                Call::Open | Call::Stat | Call::List | Call::Lock | Call::Unlink | Call::RemoveDirectory
            ),
            Self::Fails(_) => true,
            Self::Short | Self::ShortAndFull => call == Call::Write,
        }
    }
}

/// Lets the calls that can go wrong pass, up to one.
#[derive(Debug)]
struct Faults {
    kind: Kind,
    nth: usize,
    /// Whether those behind it go wrong as well.
    sticky: bool,
    met: AtomicUsize,
    healed: AtomicBool,
    /// A directory refuses to promise anything from now on.
    sync_failed: AtomicBool,
    /// What should have been removed could not be.
    unlink_failed: AtomicBool,
}

impl Faults {
    /// Whether the call with this number goes wrong.
    fn hits(&self, number: usize) -> bool {
        !self.healed.load(Ordering::Relaxed) && (number == self.nth || (self.sticky && number > self.nth))
    }
}

impl Judge for Faults {
    fn before(&self, call: Call, _: &Path) -> io::Result<()> {
        if !self.kind.is_met_by(call) {
            return Ok(());
        }
        let number = self.met.fetch_add(1, Ordering::Relaxed);
        let error = match self.kind {
            Kind::Fails(error) if self.hits(number) => error,
            Kind::ShortAndFull if number > 0 && self.hits(number - 1) => Errno::NOSPC,
            _ => return Ok(()),
        };
        self.sync_failed.fetch_or(call == Call::Sync, Ordering::Relaxed);
        self.unlink_failed.fetch_or(call == Call::Unlink, Ordering::Relaxed);
        Err(error.into())
    }

    fn writable(&self, bytes: usize) -> usize {
        let short = matches!(self.kind, Kind::Short | Kind::ShortAndFull);
        let number = self.met.load(Ordering::Relaxed).saturating_sub(1);
        if short && self.hits(number) { bytes.div_ceil(2) } else { bytes }
    }

    fn spoils(&self) -> bool {
        true
    }
}

/// The volume that every run begins with, what holds on it, and what is asked of it then.
struct Ground {
    before: Image,
    world: World,
    steps: Vec<Step>,
    subject: Subject,
}

impl Ground {
    fn new(mode: SyncMode) -> Self {
        let (one, other) = (scenarios::Image::new(200), scenarios::Image::new(210));
        let chunks = vec![content(220, 600), content(221, 500)];
        let mounted = digest(&chunks.concat());
        let setup = one.push("a", &["v1", "v2"]);
        let mut steps = vec![Step::PushChunks(repository("a"), chunks)];
        steps.extend(other.push("a", &["v1"]));
        steps.push(Step::Mount { to: repository("b"), from: repository("a"), digest: mounted });
        steps.push(Step::DeleteBlob(repository("a"), mounted));
        steps.push(Step::DeleteTag(repository("a"), tag("v1")));
        steps.push(Step::DeleteManifest(repository("a"), one.digest()));

        let directory = scratch();
        let process = Process::start(directory.path(), None, 0, mode).unwrap();
        let mut world = World::default();
        for step in &setup {
            process.run(step).unwrap();
            world.acknowledge(&step.effects(&world));
        }
        drop(process);
        let before = scan(directory.path());
        let before = states::last(&Log { directories: before.directories.clone(), before, ops: Vec::new() });
        let subject = Subject::of(&setup, &steps, mode);
        Self { before, world, steps, subject }
    }

    /// Runs everything with one fault. Gives whether it was met.
    fn run(&self, kind: Kind, sticky: bool, nth: usize) -> Result<bool, String> {
        let directory = scratch();
        let root = directory.path();
        self.before.materialise(root);
        let faults = Arc::new(Faults {
            kind,
            nth,
            sticky,
            met: AtomicUsize::new(0),
            healed: AtomicBool::new(false),
            sync_failed: AtomicBool::new(false),
            unlink_failed: AtomicBool::new(false),
        });
        let mode = self.subject.mode;
        let mut session = Session::new(root, self.world.clone(), None, Some(faults.clone())).durability(mode);
        let steps = [Step::Reopen].into_iter().chain(self.steps.clone());
        let failed = steps.filter_map(|step| session.step(&step).err()).last();
        faults.healed.store(true, Ordering::Relaxed);
        let met = faults.met.load(Ordering::Relaxed) > nth;
        if let Some(failed) = failed.filter(|_| !met || kind == Kind::Short) {
            return Err(format!("nothing went wrong, and all the same: {failed}"));
        }

        let broken = session.position();
        // Only the lock is held open, and the journal.
        let open = usize::from(session.process().is_some());
        expect("open files", open_below(root, "_journal"), open)?;
        if !faults.unlink_failed.load(Ordering::Relaxed) {
            expect("files on their way", on_the_way(root), 0)?;
        }
        let is_done = session.process().is_none() || mode != SyncMode::Strict;
        if is_done || faults.sync_failed.load(Ordering::Relaxed) {
            session.step(&Step::Reopen)?;
        }
        for step in &self.subject.again {
            session.step(step).map_err(|error| format!("healed: {error}"))?;
        }
        session.world().judge(&ask(session.process().ok_or("no process")?, &self.subject)?)?;

        let run = session.finish();
        let effort = Effort { exhaustive: 1, samples: 2, near: false, seed: nth as u64 };
        let mut survey = Survey::quick(&self.subject, effort, 8);
        survey.cut_at(&run, broken)?;
        survey.cut_at(&run, run.log.ops.len())?;
        Process::start(root, None, 0, mode)?;
        expect("files on their way", on_the_way(root), 0)?;
        expect("open files", open_below(root, "nothing"), 0)?;
        Ok(met)
    }

    /// Lets each call go wrong in turn, until none is left. Gives how many there were.
    fn sweep(&self, kind: Kind, sticky: bool) -> usize {
        let mut nth = 0;
        loop {
            match self.run(kind, sticky, nth) {
                Ok(true) => nth += 1,
                Ok(false) => return nth,
                Err(wrong) => panic!("{kind:?} at call {nth}, sticky: {sticky}: {wrong}"),
            }
        }
    }
}

fn expect(what: &str, found: usize, expected: usize) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found}, should be {expected}")) }
}

/// How many files of this process are open below a directory, removed ones too, but for those in one directory.
fn open_below(root: &Path, but: &str) -> usize {
    let open = fs::read_dir("/proc/self/fd").unwrap();
    // One that another thread has closed meanwhile cannot be looked at any more.
    let open = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    open.filter(|at| at.starts_with(root) && !at.iter().any(|part| part == but)).count()
}

fn on_the_way(root: &Path) -> usize {
    fs::read_dir(root.join(layout::temporary().as_str())).map_or(0, Iterator::count)
}

fn sweep(kind: Kind, at_least: usize) {
    sweep_with(SyncMode::Strict, kind, at_least);
}

fn sweep_with(mode: SyncMode, kind: Kind, at_least: usize) {
    let ground = Ground::new(mode);
    for sticky in [false, true] {
        let calls = ground.sweep(kind, sticky);
        eprintln!("{mode:?}, {kind:?}, sticky: {sticky}: {calls} calls");
        assert!(calls >= at_least, "{calls}");
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn each_call_may_go_wrong_where_there_is_a_journal() {
    for (error, at_least) in [(Errno::NOSPC, 100), (Errno::IO, 150), (Errno::MFILE, 50)] {
        sweep_with(SyncMode::Group, Kind::Fails(error), at_least);
    }
    sweep_with(SyncMode::Group, Kind::Short, 15);
    sweep_with(SyncMode::Group, Kind::ShortAndFull, 15);
}

#[test]
fn each_call_may_find_the_disk_full() {
    sweep(Kind::Fails(Errno::NOSPC), 100);
}

#[test]
fn each_call_may_find_the_disk_broken() {
    sweep(Kind::Fails(Errno::IO), 200);
}

#[test]
fn each_call_may_find_no_file_left_to_open() {
    sweep(Kind::Fails(Errno::MFILE), 50);
}

#[test]
fn each_write_may_be_short() {
    sweep(Kind::Short, 15);
    sweep(Kind::ShortAndFull, 15);
}
