//! What happened between two states, to be read by people.

use std::fmt;

use crate::world::World;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Actor {
    Client(usize),
    Run(usize),
    /// The network, the storage, and time.
    Environment,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Subject {
    Nothing,
    Digest(u8),
    Link(u8),
    Tag(u8),
    /// The copy of a run.
    Fossil(u8, usize),
    Retired(u8, usize),
    OfRun(usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Step {
    pub(crate) actor: Actor,
    pub(crate) action: &'static str,
    pub(crate) subject: Subject,
}

impl Step {
    /// The step in words.
    pub(crate) fn told<'a>(&'a self, world: &'a World) -> impl fmt::Display + 'a {
        Told { step: self, world }
    }
}

struct Told<'a> {
    step: &'a Step,
    world: &'a World,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step.actor {
            Actor::Client(client) => write!(f, "client {client}: ")?,
            Actor::Run(run) => write!(f, "run {run}: ")?,
            Actor::Environment => write!(f, "world: ")?,
        }
        write!(f, "{}", self.step.action)?;
        match self.step.subject {
            Subject::Nothing => Ok(()),
            Subject::Digest(digest) => write!(f, " bytes({})", self.world.name(digest)),
            Subject::Link(link) => write!(f, " {}", self.world.link_name(link)),
            Subject::Tag(tag) => write!(f, " tag {tag}"),
            Subject::Fossil(digest, run) => write!(f, " fossil({}, run {run})", self.world.name(digest)),
            Subject::Retired(link, run) => write!(f, " retired {} of run {run}", self.world.link_name(link)),
            Subject::OfRun(run) => write!(f, " run {run}"),
        }
    }
}
