//! Attributes of files: shown, and set as far as a user who owns them may.

use cap_std::fs::{OpenOptions, Permissions, PermissionsExt as _};
use russh_sftp::protocol::{Attrs, ExtendedReply, FileAttributes, Packet};

use super::{
    attributes::{attributes, file_times, virtual_directory},
    session::Session,
    status::{Refusal, ok},
    view::{Place, Spot},
};

impl Session {
    pub(super) fn stat(&mut self, id: u32, path: &str, follows: bool) -> Result<Packet, Refusal> {
        let attrs = match self.view.find(path) {
            Spot::Real(place) => {
                let directory = place.directory()?;
                let metadata =
                    if follows { directory.metadata(&place.path) } else { directory.symlink_metadata(&place.path) };
                attributes(&metadata?, self.owner)
            }
            Spot::Virtual(_) => virtual_directory(self.owner),
            Spot::Nowhere => return Err(Refusal::absent()),
        };
        Ok(Packet::Attrs(Attrs { id, attrs }))
    }

    pub(super) fn fstat(&mut self, id: u32, handle: &str) -> Result<Packet, Refusal> {
        let file = self.handles.file(handle)?.file.try_clone()?;
        let metadata = cap_std::fs::File::from_std(file).metadata()?;
        Ok(Packet::Attrs(Attrs { id, attrs: attributes(&metadata, self.owner) }))
    }

    pub(super) fn setstat(&mut self, id: u32, path: &str, attrs: &FileAttributes) -> Result<Packet, Refusal> {
        if self.ignores_setstat {
            return Ok(ok(id));
        }
        self.check_owner(attrs)?;
        set(&self.real(path)?, attrs)?;
        Ok(ok(id))
    }

    pub(super) fn fsetstat(&mut self, id: u32, handle: &str, attrs: &FileAttributes) -> Result<Packet, Refusal> {
        let file = self.handles.file(handle)?.file.try_clone()?;
        if self.ignores_setstat {
            return Ok(ok(id));
        }
        self.check_owner(attrs)?;
        if let Some(mode) = attrs.permissions {
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode & 0o777))?;
        }
        if let Some(size) = attrs.size {
            file.set_len(size)?;
        }
        if let Some(times) = file_times(attrs) {
            file.set_times(times)?;
        }
        Ok(ok(id))
    }

    /// Everything belongs to the user already, and only root could give it away.
    fn check_owner(&self, attrs: &FileAttributes) -> Result<(), Refusal> {
        let kept =
            attrs.uid.is_none_or(|uid| uid == self.owner.uid) && attrs.gid.is_none_or(|gid| gid == self.owner.gid);
        if kept { Ok(()) } else { Err(Refusal::denied("The owner of a file cannot be changed")) }
    }

    pub(super) fn statvfs(&mut self, id: u32, path: &str) -> Result<Packet, Refusal> {
        let place = self.real(path)?;
        let directory = place.directory()?;
        directory.metadata(&place.path)?;
        let found = rustix::fs::fstatvfs(&directory).map_err(std::io::Error::from)?;
        let fields = [
            found.f_bsize,
            found.f_frsize,
            found.f_blocks,
            found.f_bfree,
            found.f_bavail,
            found.f_files,
            found.f_ffree,
            found.f_favail,
            found.f_fsid,
            0,
            found.f_namemax,
        ];
        let data = fields.iter().flat_map(|field| field.to_be_bytes()).collect();
        Ok(Packet::ExtendedReply(ExtendedReply { id, data }))
    }
}

fn set(place: &Place, attrs: &FileAttributes) -> Result<(), Refusal> {
    let directory = place.directory()?;
    let metadata = directory.metadata(&place.path)?;
    if let Some(size) = attrs.size {
        if !metadata.is_file() {
            return Err(Refusal::failure("Not a regular file"));
        }
        directory.open_with(&place.path, OpenOptions::new().write(true))?.set_len(size)?;
    }
    if let Some(times) = file_times(attrs) {
        // Opened for reading, which does for directories too: `Dir` holds a mere path handle, that takes no times.
        directory.open(&place.path)?.into_std().set_times(times)?;
    }
    if let Some(mode) = attrs.permissions {
        directory.set_permissions(&place.path, Permissions::from_mode(mode & 0o777))?;
    }
    Ok(())
}
