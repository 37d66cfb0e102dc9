//! Deleting objects, and the directories that they leave empty.

use std::io;

use registry_core::storage::{Deletion, Error, Key};

use super::journal::{self, Journal};
use super::read::present;
use super::unsynced::{Change, Unsynced, directory_of};
use super::volume::Volume;

/// Directories that stay when they become empty, because programs that share the volume look for them.
const KEPT: [&str; 6] = ["_layers", "_manifests", "_tmp", "_uploads", "revisions", "tags"];

/// An upload begins anew after a power cut: nobody relies on it that it is gone.
fn note_deletion<'a>(journal: &'a Journal, prefix: &Key, directory: &str) -> io::Result<journal::Running<'a>> {
    let change = journal::Change::DeleteAll(prefix);
    if directory.ends_with("/_uploads") { journal.mention(&change) } else { journal.note(&change) }
}

impl Volume {
    pub(super) fn delete(&self, key: &Key) -> Result<Deletion, Error> {
        if let Some(journal) = &self.journal {
            return self.delete_noted(journal, key).map_err(|error| Error::from_io(key, error));
        }
        let directory = directory_of(key.as_str());
        let change = self.unsynced.begin(directory);
        let removed = self.remove_file(key.as_str()).map_err(|error| Error::from_io(key, error))?;
        let deletion = if removed {
            self.finish(directory, vec![change])
        } else {
            // Somebody else may have deleted it just now, and not durably yet.
            change.release();
            self.finish(directory, Vec::new())
        };
        if removed {
            self.prune_unless_kept(directory);
        }
        Ok(deletion)
    }

    /// Deletes an object so that it is gone for good as soon as that is on record.
    fn delete_noted(&self, journal: &Journal, key: &Key) -> io::Result<Deletion> {
        let directory = directory_of(key.as_str());
        let turn = journal.turn(key);
        let found = present(self.sys.metadata(&self.absolute(key.as_str())))?;
        if found.is_none_or(|found| found.is_dir()) {
            drop(turn);
            // Somebody else may have deleted it just now, and not durably yet.
            return Ok(self.finish(directory, Vec::new()));
        }
        let running = journal.note(&journal::Change::Delete(key))?;
        if let Err(error) = self.remove_file(key.as_str()) {
            running.give_up()?;
            return Err(error);
        }
        drop(running);
        self.prune_unless_kept(directory);
        Ok(Deletion::Acked)
    }

    fn prune_unless_kept(&self, directory: &str) {
        if !KEPT.contains(&directory.rsplit('/').next().unwrap_or_default()) {
            self.prune(directory);
        }
    }

    pub(super) fn delete_all(&self, prefix: &Key) -> Result<Deletion, Error> {
        let directory = directory_of(prefix.as_str());
        let noted = self.journal.as_ref().map(|journal| note_deletion(journal, prefix, directory));
        let running = noted.transpose().map_err(|error| Error::from_io(prefix, error))?;
        let mut stayed = Vec::new();
        let unsynced = if running.is_some() { &self.on_record } else { &self.unsynced };
        let change = unsynced.begin(directory);
        self.remove_tree(unsynced, prefix.as_str(), &mut stayed).map_err(|error| Error::from_io(prefix, error))?;
        if running.is_some() {
            return Ok(Deletion::Acked);
        }
        // What lay in a directory that is gone is gone for good with it. A directory that stayed is synced by itself.
        let mut deletion = self.finish(directory, vec![change]);
        for (place, change) in stayed {
            if self.finish(&place, vec![change]) == Deletion::Unknown {
                deletion = Deletion::Unknown;
            }
        }
        Ok(deletion)
    }

    /// Removes a directory if it is empty, and tells whether it is gone. A power cut may bring it back.
    pub(super) fn remove_directory(&self, prefix: &Key) -> bool {
        self.prune(prefix.as_str())
    }

    /// Makes deletes durable. Where that fails they happened, and a power cut may undo them.
    fn finish(&self, directory: &str, changes: Vec<Change<'_>>) -> Deletion {
        match self.settle(directory) {
            Ok(()) => {
                changes.into_iter().for_each(Change::release);
                Deletion::Acked
            }
            Err(error) => {
                tracing::error!(%directory, %error, "a delete may be undone by a power cut");
                Deletion::Unknown
            }
        }
    }

    /// Removes what is below a directory and the directory. Adds the directories that stayed to `stayed`: somebody
    /// else wrote into them meanwhile.
    ///
    /// Depth is what the volume has: the layout's, and no more than keys have segments.
    fn remove_tree<'a>(
        &self,
        unsynced: &'a Unsynced,
        place: &str,
        stayed: &mut Vec<(String, Change<'a>)>,
    ) -> io::Result<()> {
        let Some(directory) = present(self.sys.list(&self.absolute(place)))? else { return Ok(()) };
        let change = unsynced.begin(place);
        for found in directory {
            let Some(found) = present(found)? else { break };
            let Some(kind) = present(found.file_type())? else { continue };
            match found.file_name().to_str() {
                Some(name) if kind.is_dir() => self.remove_tree(unsynced, &format!("{place}/{name}"), stayed)?,
                Some(name) => {
                    self.remove_file(&format!("{place}/{name}"))?;
                }
                // No key has such a name, but it would keep the directory.
                None if kind.is_dir() => tracing::warn!(%place, name = ?found.file_name(), "a directory is left"),
                None => {
                    present(self.sys.unlink(&found.path()))?;
                }
            }
        }
        if self.prune(place) {
            change.release();
        } else {
            stayed.push((place.to_owned(), change));
        }
        Ok(())
    }

    /// Removes a file, and tells whether there was one.
    fn remove_file(&self, place: &str) -> io::Result<bool> {
        let mark = self.unsynced.mark(place);
        match present(self.sys.unlink(&self.absolute(place))) {
            Ok(removed) => {
                self.unsynced.cover(place, mark);
                Ok(removed.is_some())
            }
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes a directory if it is empty, and tells whether it is gone. Whoever writes into it meanwhile makes it
    /// again.
    fn prune(&self, place: &str) -> bool {
        let mark = self.unsynced.mark(place);
        match self.sys.remove_directory(&self.absolute(place)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                if error.kind() != io::ErrorKind::DirectoryNotEmpty {
                    tracing::debug!(%place, %error, "an empty directory stays");
                }
                false
            }
            _ => {
                self.unsynced.cover(place, mark);
                true
            }
        }
    }
}
