//! Runs a workload under the recorder, and cuts the power at every moment of it.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::super::super::SyncMode;
use super::image::Image;
use super::log::{Log, Op};
use super::mutants::Mutant;
use super::recorder::{Judge, Recorder};
use super::recovery::{Subject, recover, world_after};
use super::rules;
use super::states::{Effort, Random, states};
use super::workload::{Process, Step};
use super::world::{Findings, World};

/// Of so many states one is crashed once more while it is recovered.
const AGAIN_ONE_IN: usize = 200;

/// Of so many moments of a recovery the power is cut at one, and of so many states after that one is recovered.
const DEEP_ONE_IN: usize = 8;

/// A record, and from which moment on what may be found.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) log: Log,
    worlds: Vec<(usize, World)>,
}

/// A client that works on a recorded volume.
#[derive(Debug)]
pub(super) struct Session {
    root: PathBuf,
    recorder: Arc<Recorder>,
    process: Option<Process>,
    generation: u8,
    mode: SyncMode,
    worlds: Vec<(usize, World)>,
}

impl Session {
    /// Begins at a directory in which everything is durable, and `world` holds.
    pub(super) fn new(root: &Path, world: World, mutant: Option<Mutant>, judge: Option<Arc<dyn Judge>>) -> Self {
        let recorder = Arc::new(Recorder::new(root, mutant, judge));
        let mode = SyncMode::Strict;
        Self { root: root.to_owned(), recorder, process: None, generation: 0, mode, worlds: vec![(0, world)] }
    }

    pub(super) fn durability(mut self, mode: SyncMode) -> Self {
        self.mode = mode;
        self
    }

    /// Names uploads otherwise than the session before a crash did.
    fn after_a_crash(mut self) -> Self {
        self.generation = 100;
        self
    }

    /// # Errors
    /// If the step was not acknowledged. Whether it happened is open then.
    pub(super) fn step(&mut self, step: &Step) -> Result<(), String> {
        if matches!(step, Step::Reopen) {
            self.process = None;
            self.generation += 1;
            self.process = Some(Process::start(&self.root, Some(self.recorder.clone()), self.generation, self.mode)?);
            return Ok(());
        }
        let effects = step.effects(self.world());
        self.turn(|world| world.begin(&[effects.clone(), step.losses()].concat()));
        let process = self.process.as_ref().ok_or("nothing serves the volume")?;
        process.run(step).map_err(|error| format!("{step:?}: {error:?}"))?;
        self.turn(|world| world.acknowledge(&effects));
        Ok(())
    }

    pub(super) fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// How much was recorded so far.
    pub(super) fn position(&self) -> usize {
        self.recorder.position()
    }

    /// What may be found now.
    pub(super) fn world(&self) -> &World {
        &self.worlds.last().unwrap().1
    }

    fn turn(&mut self, change: impl FnOnce(&mut World)) {
        let mut world = self.world().clone();
        change(&mut world);
        self.worlds.push((self.recorder.position(), world));
    }

    pub(super) fn finish(self) -> Run {
        Run { log: self.recorder.finish(), worlds: self.worlds }
    }
}

/// A directory in memory, where there is such a place: the power is cut in the record, so real syncs only take time.
pub(super) fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The states that were gone through, and what was found in each.
#[derive(Debug)]
pub(super) struct Survey<'a> {
    subject: &'a Subject,
    effort: Effort,
    scratch: TempDir,
    seen: HashMap<u64, Findings>,
    /// Which state was held against which world of the run.
    judged: HashSet<(u64, usize)>,
    /// Of how many states one is recovered. All are held against the rules of the disk.
    recovered_one_in: usize,
    /// At how many moments the power is cut once.
    cut_one_in: usize,
    /// Of how many states one is crashed once more while it is recovered, if any is.
    again_one_in: Option<usize>,
    random: Random,
}

impl<'a> Survey<'a> {
    /// Recovers every state, and crashes some of them once more meanwhile.
    pub(super) fn new(subject: &'a Subject, effort: Effort) -> Self {
        Self { again_one_in: Some(AGAIN_ONE_IN), ..Self::quick(subject, effort, 1) }
    }

    /// Recovers some of the states.
    pub(super) fn quick(subject: &'a Subject, effort: Effort, recovered_one_in: usize) -> Self {
        Self {
            subject,
            effort,
            scratch: scratch(),
            seen: HashMap::new(),
            judged: HashSet::new(),
            recovered_one_in,
            cut_one_in: 1,
            again_one_in: None,
            random: Random(effort.seed),
        }
    }

    /// How many different states there were.
    pub(super) fn states(&self) -> usize {
        self.seen.len()
    }

    /// Cuts the power at every moment of a run.
    ///
    /// A state is possible from the change that it shows until the next sync; so it is enough to look before each sync,
    /// and before each change of what may be found.
    ///
    /// # Errors
    /// The first rule that is broken, and where.
    pub(super) fn cut_everywhere(&mut self, run: &Run) -> Result<(), String> {
        self.judged.clear();
        for (at, (from, _)) in run.worlds.iter().enumerate() {
            let upto = run.worlds.get(at + 1).map_or(run.log.ops.len(), |(next, _)| *next);
            let syncs = |at: &usize| matches!(run.log.ops[*at], Op::Sync(_) | Op::SyncFilesystem);
            for position in (*from..upto).filter(syncs).chain([upto]) {
                if self.random.below(self.cut_one_in) == 0 {
                    self.cut(run, position, at)?;
                }
            }
        }
        Ok(())
    }

    /// Cuts the power at one moment of a run.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub(super) fn cut_at(&mut self, run: &Run, position: usize) -> Result<(), String> {
        self.judged.clear();
        let begun = run.worlds.iter().rposition(|(from, _)| *from <= position);
        self.cut(run, position, begun.unwrap())
    }

    fn cut(&mut self, run: &Run, position: usize, world: usize) -> Result<(), String> {
        let effort = self.effort;
        let mut outcome = Ok(());
        states(&run.log, position, effort, |state| {
            let fingerprint = state.fingerprint();
            if outcome.is_ok() && self.judged.insert((fingerprint, world)) {
                let image = state.image();
                outcome = self.check(&image, fingerprint, &run.worlds[world].1).map_err(|wrong| {
                    let disk = image.describe().join("\n  ");
                    format!("{wrong}\nafter a power cut at {position} with {effort:?}, on this disk:\n  {disk}")
                });
            }
        });
        outcome
    }

    fn check(&mut self, image: &Image, fingerprint: u64, world: &World) -> Result<(), String> {
        // With a journal what lies there tells nothing before that was looked at.
        if self.subject.mode == SyncMode::Strict {
            rules::check(image, world)?;
        }
        if let Some(findings) = self.seen.get(&fingerprint) {
            return world.judge(findings);
        }
        if self.random.below(self.recovered_one_in) > 0 {
            return Ok(());
        }
        let findings = self.on_disk(image, |root, subject| recover(image, root, subject, world))?;
        world.judge(&findings)?;
        if self.again_one_in.is_some_and(|one_in| self.random.below(one_in) == 0) {
            self.crash_again(image, &findings)?;
        }
        self.seen.insert(fingerprint, findings);
        Ok(())
    }

    /// Cuts the power once more while the disk is recovered and the client does everything again.
    fn crash_again(&mut self, image: &Image, findings: &Findings) -> Result<(), String> {
        let world = world_after(image, findings);
        let again = |root: &Path, subject: &Subject| {
            let mut session = Session::new(root, world, None, None).after_a_crash().durability(subject.mode);
            for step in [Step::Reopen].iter().chain(&subject.collections(findings)).chain(&subject.again) {
                session.step(step)?;
            }
            Ok(session.finish())
        };
        let run = self.on_disk(image, again)?;
        let seed = self.effort.seed + self.seen.len() as u64;
        let survey = Survey::quick(self.subject, Effort { exhaustive: 8, samples: 2, near: true, seed }, DEEP_ONE_IN);
        let mut survey = Survey { cut_one_in: DEEP_ONE_IN, ..survey };
        let outcome = survey.cut_everywhere(&run).map_err(|wrong| format!("in the recovery of another crash: {wrong}"));
        self.seen.extend(survey.seen);
        outcome
    }

    fn on_disk<T>(&self, image: &Image, work: impl FnOnce(&Path, &Subject) -> Result<T, String>) -> Result<T, String> {
        let root = self.scratch.path().join("root");
        fs::create_dir(&root).unwrap();
        image.materialise(&root);
        let done = work(&root, self.subject);
        fs::remove_dir_all(&root).unwrap();
        done
    }
}
