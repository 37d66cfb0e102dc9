//! What must hold after every single operation, read from the storage itself.

use crate::ledger::Ledger;
use crate::mirror::{Facts, Mirror};
use crate::universe::{Item, Mark, Repo, items};
use registry_core::storage::Key;

/// Looks whether everything is as it must be.
///
/// # Errors
/// What is wrong.
pub(crate) fn check(mirror: &Mirror, ledger: &Ledger, late: &[Key]) -> Result<(), String> {
    let facts = &mirror.facts;
    for item in Item::all() {
        if !facts.is_whole(item) {
            return Err(format!("the bytes of {item:?} are not what its digest says"));
        }
    }
    for repo in Repo::all() {
        integrity(facts, ledger, repo)?;
        for mark in Mark::all() {
            publication(facts, ledger, repo, mark)?;
        }
    }
    outstanding(facts, late)
}

/// What was acknowledged and not deleted by a client has all that it needs, and the repository shows it.
fn integrity(facts: &Facts, ledger: &Ledger, repo: Repo) -> Result<(), String> {
    for item in items(ledger.needed(repo)) {
        if !facts.has_bytes(item) {
            return Err(format!("{item:?} is needed in {repo:?}, and its bytes are nowhere"));
        }
    }
    for item in items(ledger.required(repo)) {
        if !facts.is_member(repo, item) {
            return Err(format!("{item:?} is needed in {repo:?}, and has no link there"));
        }
    }
    Ok(())
}

/// A tag reads as one of the manifests that it may point to, and that one has all that it needs.
fn publication(facts: &Facts, ledger: &Ledger, repo: Repo, mark: Mark) -> Result<(), String> {
    let read = facts.reads(repo, mark);
    if !ledger.may_read(repo, mark, read) {
        return Err(format!("{repo:?}:{mark:?} reads as {read:?}, which it cannot"));
    }
    let pointed = facts.current(repo, mark).filter(|item| facts.is_member(repo, *item));
    for item in items(pointed.map_or(0, Item::needs)) {
        if !facts.has_bytes(item) {
            return Err(format!("{repo:?}:{mark:?} points to {pointed:?}, and the bytes of {item:?} are nowhere"));
        }
    }
    Ok(())
}

/// Looks whether nothing is left that nothing needs.
///
/// # Errors
/// What is left.
pub(crate) fn check_clean(mirror: &Mirror, ledger: &Ledger) -> Result<(), String> {
    let facts = &mirror.facts;
    let mut needed = 0;
    for repo in Repo::all() {
        let manifests = Item::all().filter(|item| item.is_manifest() && facts.is_live(repo, *item));
        let in_repo = manifests.fold(0, |set, item| set | item.needs());
        let links = || Item::all().filter(|item| facts.is_live(repo, *item));
        if let Some(item) = links().find(|item| !item.is_manifest() && in_repo & item.bit() == 0) {
            return Err(format!("nothing needs {item:?} in {repo:?}, and its link is left"));
        }
        let gone = |item: &Item| ledger.deleted(repo) & item.bit() != 0 && !is_named(facts, repo, *item);
        if let Some(item) = links().find(gone) {
            return Err(format!("{item:?} was deleted from {repo:?}, and came back"));
        }
        needed |= in_repo;
    }
    if let Some(item) = Item::all().find(|item| facts.takes_space(*item) && needed & item.bit() == 0) {
        return Err(format!("nothing needs {item:?}, and its bytes are left"));
    }
    let left = mirror.below("docker/registry/v2/_gc");
    if left.is_empty() { Ok(()) } else { Err(format!("left of collections: {left:?}")) }
}

/// Whether another manifest of the repository names it.
fn is_named(facts: &Facts, repo: Repo, item: Item) -> bool {
    let others = Item::all().filter(|other| *other != item && other.is_manifest() && facts.is_live(repo, *other));
    others.fold(0, |set, other| set | other.needs()) & item.bit() != 0
}

/// Content whose delete may still take effect has a fossil.
fn outstanding(facts: &Facts, late: &[Key]) -> Result<(), String> {
    for key in late {
        let blob = Item::all().find(|item| *key == registry_core::layout::blob(item.digest()));
        if let Some(item) = blob.filter(|item| !facts.has_fossil(*item)) {
            return Err(format!("a delete of {item:?} may still take effect, and it has no fossil"));
        }
    }
    Ok(())
}
