//! Removes a release.

use std::{io, sync::atomic::AtomicU64};

use crate::{
    error::{Doing as _, Error},
    options::Limits,
    outcome::Pruned,
    path::{Name, TreePath},
    removal::Removal,
    site::{Names, Site},
};

impl Site {
    /// Removes the release `id` and its manifest. Files that other releases have too stay theirs. It is no error if
    /// there is no such release.
    ///
    /// The release loses its name first: a task that has it mounted keeps what it has opened, and no new one finds it.
    ///
    /// # Errors
    /// [`Error::Busy`]; what the disk refuses.
    pub fn prune(&self, id: &Name, limits: Limits) -> Result<Pruned, Error> {
        let _lock = self.lock()?;
        let names = Names::of(id);
        let path = TreePath::of(&names.tree);
        match self.releases.rename(&names.tree, &self.releases, &names.old_tree) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed.doing("remove the release", &path)?,
        }
        let mut bytes_freed = 0;
        if let Some(tree) = self.tree(&names.old_tree)? {
            let mut removal = Removal { tree, limits: Some(limits), freed: AtomicU64::default() };
            let finished = removal.run().doing("remove the release", &path)?;
            bytes_freed = *removal.freed.get_mut();
            if !finished {
                return Ok(Pruned { finished, bytes_freed });
            }
            self.releases.remove_directory(&names.old_tree).doing("remove the release", &path)?;
        }
        self.releases.remove_file(&names.manifest).doing("remove the manifest of", &path)?;
        Ok(Pruned { finished: true, bytes_freed })
    }
}
