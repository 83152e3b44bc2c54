//! Uploads and downloads: files opened, moved in chunks, closed, and reported. A file that is still open when its
//! session ends was cut: that is reported as partial.

use std::{io::Write as _, os::unix::fs::FileExt as _};

use cap_std::fs::{OpenOptions, OpenOptionsExt as _};
use jiff::Timestamp;
use russh_sftp::protocol::{Data, FileAttributes, Handle, OpenFlags, Packet, StatusCode};

use super::{
    handles::{Open, Transfer},
    report::Outcome,
    session::{CHUNK, Session},
    status::{Refusal, ok, status},
    view::{Place, Spot},
};

impl Session {
    pub(super) fn open(
        &mut self,
        id: u32,
        path: &str,
        flags: OpenFlags,
        attrs: &FileAttributes,
    ) -> Result<Packet, Refusal> {
        self.handles.check_room()?;
        let started = self.reporter.now();
        let place = self.real(path)?;
        let writes = flags.contains(OpenFlags::WRITE) || flags.contains(OpenFlags::APPEND);
        let file = match open_file(&place, flags, attrs) {
            Ok(file) => file,
            Err(refusal) => {
                self.report_refused_open(writes, &place, &refusal, started);
                return Err(refusal);
            }
        };
        let appends = flags.contains(OpenFlags::APPEND);
        self.presence.log.write("OPEN", &[("path", place.shown().into()), ("mode", mode(flags).into())]);
        let transfer = Transfer { file, place, started, writes, appends, written: 0, read: 0, failure: None };
        Ok(Packet::Handle(Handle { id, handle: self.handles.add(Open::File(transfer)) }))
    }

    fn report_refused_open(&self, writes: bool, place: &Place, refusal: &Refusal, started: Timestamp) {
        let kind = if writes { "File Upload" } else { "File Download" };
        let outcome = Outcome::Failed("UNKNOWN_ERROR", refusal.message.clone());
        self.log_error("OPEN", &[("path", place.shown().into())], refusal);
        self.reporter.send(kind, outcome, started, &[("bytes", 0.into()), ("file-path", place.shown().into())]);
    }

    pub(super) fn read(&mut self, id: u32, handle: &str, offset: u64, length: u32) -> Result<Packet, Refusal> {
        let transfer = self.handles.file(handle)?;
        let mut data = vec![0; length.min(CHUNK) as usize];
        let count = match transfer.file.read_at(&mut data, offset) {
            Ok(count) => count,
            Err(error) => return Err(transfer.fail(error)),
        };
        if count == 0 && length > 0 {
            return Ok(status(id, StatusCode::Eof, "End of file"));
        }
        data.truncate(count);
        transfer.read += count as u64;
        self.presence.count(|counts| counts.bytes_out += count as u64);
        Ok(Packet::Data(Data { id, data }))
    }

    pub(super) fn write(&mut self, id: u32, handle: &str, offset: u64, data: &[u8]) -> Result<Packet, Refusal> {
        let transfer = self.handles.file(handle)?;
        if !transfer.writes {
            return Err(Refusal::denied("The file is not open for writing"));
        }
        let done =
            if transfer.appends { transfer.file.write_all(data) } else { transfer.file.write_all_at(data, offset) };
        if let Err(error) = done {
            return Err(transfer.fail(error));
        }
        transfer.written += data.len() as u64;
        self.presence.count(|counts| counts.bytes_in += data.len() as u64);
        Ok(ok(id))
    }

    pub(super) fn close(&mut self, id: u32, handle: &str) -> Result<Packet, Refusal> {
        let Open::File(transfer) = self.handles.remove(handle)? else { return Ok(ok(id)) };
        let outcome = match &transfer.failure {
            Some(message) => Outcome::Failed("UNKNOWN_ERROR", message.clone()),
            None => Outcome::Completed,
        };
        if matches!(outcome, Outcome::Completed) {
            self.presence.count(|counts| {
                let files = if transfer.writes { &mut counts.files_in } else { &mut counts.files_out };
                *files += 1;
            });
        }
        self.log_end("CLOSE", &transfer);
        self.report(&transfer, outcome);
        Ok(ok(id))
    }

    fn report(&self, transfer: &Transfer, outcome: Outcome) {
        let (kind, bytes) =
            if transfer.writes { ("File Upload", transfer.written) } else { ("File Download", transfer.read) };
        let members = [("bytes", bytes.into()), ("file-path", transfer.place.shown().into())];
        self.reporter.send(kind, outcome, transfer.started, &members);
    }

    /// Logs the end of a transfer. Numbers of bytes are texts there.
    fn log_end(&self, activity: &str, transfer: &Transfer) {
        let moved = [("bytes-in", transfer.written, transfer.writes), ("bytes-out", transfer.read, !transfer.writes)];
        let moved = moved.into_iter().filter(|(_, bytes, shown)| *shown || *bytes > 0);
        let mut members = vec![("path", transfer.place.shown().into())];
        members.extend(moved.map(|(name, bytes, _)| (name, bytes.to_string().into())));
        self.presence.log.write(activity, &members);
    }

    /// The place on EFS that `path` stands for.
    pub(super) fn real(&self, path: &str) -> Result<Place, Refusal> {
        match self.view.find(path) {
            Spot::Real(place) => Ok(place),
            Spot::Virtual(_) => Err(Refusal::denied("This directory only holds the directories mapped into it")),
            Spot::Nowhere => Err(Refusal::absent()),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for transfer in self.handles.drain() {
            self.log_end("PARTIAL_CLOSE", &transfer);
            let code = if transfer.writes { "PARTIAL_UPLOAD" } else { "PARTIAL_DOWNLOAD" };
            let message = "The connection ended before the file was closed".to_owned();
            self.report(&transfer, Outcome::Failed(code, message));
        }
    }
}

impl Transfer {
    fn fail(&mut self, error: std::io::Error) -> Refusal {
        let refusal = Refusal::from(error);
        self.failure.get_or_insert_with(|| refusal.message.clone());
        refusal
    }
}

/// How a client opens a file, in the log's words.
fn mode(flags: OpenFlags) -> String {
    let words = [
        (OpenFlags::CREATE, "CREATE"),
        (OpenFlags::TRUNCATE, "TRUNCATE"),
        (OpenFlags::APPEND, "APPEND"),
        (OpenFlags::READ, "READ"),
        (OpenFlags::WRITE, "WRITE"),
    ];
    words.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, word)| *word).collect::<Vec<_>>().join("|")
}

fn open_file(place: &Place, flags: OpenFlags, attrs: &FileAttributes) -> Result<std::fs::File, Refusal> {
    let directory = place.directory()?;
    // A pipe would block the session, a device is nobody's upload.
    if let Ok(metadata) = directory.metadata(&place.path) {
        if metadata.is_dir() {
            return Err(Refusal::failure("Is a directory"));
        }
        if !metadata.is_file() {
            return Err(Refusal::denied("Not a regular file"));
        }
    }
    let creates = flags.contains(OpenFlags::CREATE);
    let writes = flags.contains(OpenFlags::WRITE) || creates || flags.contains(OpenFlags::TRUNCATE);
    let appends = flags.contains(OpenFlags::APPEND);
    let mut options = OpenOptions::new();
    options.read(flags.contains(OpenFlags::READ) || !(writes || appends));
    if appends {
        options.append(true);
    } else {
        options.write(writes);
        options.truncate(flags.contains(OpenFlags::TRUNCATE));
    }
    if creates && flags.contains(OpenFlags::EXCLUDE) {
        options.create_new(true);
    } else {
        options.create(creates);
    }
    options.mode(attrs.permissions.unwrap_or(0o644) & 0o777);
    Ok(directory.open_with(&place.path, &options)?.into_std())
}
