//! A model of the collector's protocol, and every state that it can reach.
//!
//! The registry removes garbage while clients push, pull and delete, and while other processes do the same on the same
//! storage, with no lock between them. This is a model of how, small enough to be explored completely: each actor is a
//! small machine that does one storage operation at a time, any actor may take the next step, and after each step the
//! invariants are checked. It says nothing about the code; it says that what the code follows is right.
//!
//! # The protocol
//!
//! A *link* says that a repository has a digest: a layer link or a revision link. The *bytes* of a digest lie at one
//! place for all repositories. A writer announces first and looks afterwards; a collector looks first and keeps a copy
//! of what it removes, under a name of its own, until a later run has looked again.
//!
//! A push of manifest m: W0 puts its bytes, W1 writes its revision link, W2 looks at all that m needs, through all
//! levels, its own bytes first, and brings back what it finds only a copy of; W3 writes the tag; W4 looks whether its
//! link is still there, and otherwise begins again at W1. A mount, and a HEAD that finds only a copy, do W1 and W2 for
//! their one digest. An upload does W1, and puts its bytes if they are not in their place then. (`client`, `closure`, `look`)
//!
//! A DELETE removes the link, marks the retired copies of it so that they read as absent, and removes the tags that
//! still name it. A writer takes marks off when it writes the link, and W4 looks for them, too. (`deletion`)
//!
//! A run of the collector: P0 lists what earlier runs set aside and what is old enough to purge; P2 scans tags, live
//! links, retired links, and live links again; P3 brings back what counts, or is wanted, and purges the rest of P0's
//! list; R copies aside and deletes the links that policy does not keep; Q copies aside and deletes the bytes that do
//! not count. (`collector`, `scan`, `roots`, `restoring`, `retiring`, `quarantine`)
//!
//! A manifest whose bytes are certainly nowhere counts without what it listed, so that one of them does not stop all
//! collection; that is why a push puts its own bytes before it looks at anything else.
//!
//! What *counts* (A) is everything that any link, live or retired, any tag, or any young layer link leads to by digest.
//! What is *kept* (K) is what policy wants. K decides what is retired, never what is purged.
//!
//! # What a state is
//!
//! The storage, where each client stands in its program, where each run stands and what it has seen, and a little that
//! only the invariants read (`state`). There are no clocks. A copy is *settled* when nothing that its run sent can land
//! any more and the quarantine Q has passed; that may happen as soon as it can, or at any time later (`environment`). A
//! promise lasts while nothing that settled after it is purged: that is what "within Q" means here.
//!
//! # What may go wrong
//!
//! A run crashes before any step. A client stops anywhere: each state is judged as if nobody but the others went on. A
//! delete gets no answer, and lands at any later time, or never. A run stops for so long that its signatures expire and
//! others purge what it copied, and then goes on. Young links become old at any time. On a filesystem deletes are
//! immediate and one run at a time holds a lock, which dies with it.
//!
//! # The invariants
//!
//! I1 to I4, I7 and I8 are checked in each state (`invariants`). I5 and I6, that complete runs remove all garbage and
//! repair everything, are checked by running them from wherever all runs have stopped, in the scenarios that ask for it
//! (`recovery`).
//!
//! # The scenarios
//!
//! `safe` and `large` hold. `mutants` takes one rule away at a time, and something breaks; `version_1` takes away those
//! that the first design did not have. `limits` is what is not promised. The large ones run with `cargo test --release
//! -p registry-core --test protocol -- --include-ignored`, or by `.ci/model`.
//!
//! # What is not modelled
//!
//! Time in seconds, and the assumption that a request takes less than Q (it may take longer here, except that a promise
//! counts from the beginning of its request). Paging and any order within a listing but the one of `scan`; the order in
//! which W2 looks at what a manifest needs is the children before the layers, and runs take digests and links by their
//! numbers. More than two clients at once, two tags, three runs and three levels. A power cut on a filesystem. Late
//! deletes of tags and of copies, and writes that land late. The marks of all copies of a link are set, and taken off,
//! in one step. Damage: bytes that are there are right.

mod client;
mod closure;
mod collector;
mod deletion;
mod environment;
mod explore;
mod invariants;
mod large;
mod limits;
mod look;
mod moves;
mod mutants;
mod quarantine;
mod recovery;
mod restoring;
mod retiring;
mod roots;
mod rules;
mod safe;
mod scan;
mod scenario;
mod set;
mod state;
mod step;
mod verdict;
mod version_1;
mod world;
