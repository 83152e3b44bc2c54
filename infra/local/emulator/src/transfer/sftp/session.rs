//! One SFTP session: packets in, packets out, in order. Each request is answered on a blocking thread, since it works
//! on files; what is read ahead is bounded, so that a slow disk slows the client and fills no memory.

use std::{io::Error, sync::Arc};

use bytes::Bytes;
use russh_sftp::protocol::{ExtendedReply, Packet, StatusCode, Version};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::{Semaphore, mpsc},
};

use super::{
    Account,
    attributes::Owner,
    handles::Handles,
    presence::Presence,
    report::Reporter,
    status::{Refusal, ok, status},
    view::View,
};

/// The longest packet that is taken, as in OpenSSH.
const PACKET: u32 = 256 * 1024;

/// The most that one read or write moves: a packet less its header.
pub(super) const CHUNK: u32 = PACKET - 1024;

/// The session of one user.
pub(super) struct Session {
    pub(super) view: View,
    pub(super) owner: Owner,
    pub(super) handles: Handles,
    pub(super) reporter: Reporter,
    pub(super) presence: Arc<Presence>,
    pub(super) ignores_setstat: bool,
}

/// Bytes of requests that wait for their turn. A client that downloads sends its requests ahead, and they must be taken
/// off the connection while an answer waits for the client's window: the news that the window is open again comes behind
/// them.
const WAITING: usize = 4 * 1024 * 1024;

/// Serves `session` on `stream` until the client is done, the connection ends, or a packet makes no sense at all.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Send + 'static>(stream: S, session: Session) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (sender, mut requests) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(WAITING));
    let reading = tokio::spawn(async move {
        while let Ok(packet) = read_packet(&mut reader).await {
            let size = u32::try_from(packet.len()).unwrap_or(PACKET);
            let Ok(place) = Arc::clone(&room).acquire_many_owned(size).await else { return };
            if sender.send((packet, place)).is_err() {
                return;
            }
        }
    });
    let mut session = Box::new(session);
    while let Some((mut packet, place)) = requests.recv().await {
        let answered = tokio::task::spawn_blocking(move || {
            let answer = session.answer(&mut packet);
            (session, answer)
        });
        // A request that panics ends its own session and no other.
        let Ok((back, answer)) = answered.await else { break };
        session = back;
        drop(place);
        let Ok(answer) = Bytes::try_from(answer) else { break };
        if writer.write_all(&answer).await.is_err() || writer.flush().await.is_err() {
            break;
        }
    }
    reading.abort();
}

async fn read_packet<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Bytes, Error> {
    let length = stream.read_u32().await?;
    if length == 0 || length > PACKET {
        return Err(Error::other("the packet's length is out of bounds"));
    }
    let mut packet = vec![0; length as usize];
    stream.read_exact(&mut packet).await?;
    Ok(packet.into())
}

impl Session {
    pub(super) fn new(account: &Account, view: View, reporter: Reporter, presence: Arc<Presence>) -> Self {
        Self {
            view,
            owner: Owner { uid: account.uid, gid: account.gid },
            handles: Handles::default(),
            reporter,
            presence,
            ignores_setstat: account.ignores_setstat,
        }
    }

    fn answer(&mut self, packet: &mut Bytes) -> Packet {
        // After the type byte comes the request's id, also in a packet that does not make sense.
        let id = packet.get(1..5).and_then(|id| id.try_into().ok()).map(u32::from_be_bytes).unwrap_or_default();
        match Packet::try_from(packet) {
            Ok(request) => self.dispatch(request).unwrap_or_else(|refusal| refusal.into_packet(id)),
            Err(_) => status(id, StatusCode::BadMessage, "The request could not be read"),
        }
    }

    fn dispatch(&mut self, request: Packet) -> Result<Packet, Refusal> {
        match request {
            Packet::Init(_) => Ok(Packet::Version(hello())),
            Packet::Open(open) => self.open(open.id, &open.filename, open.pflags, &open.attrs),
            Packet::Close(close) => self.close(close.id, &close.handle),
            Packet::Read(read) => self.read(read.id, &read.handle, read.offset, read.len),
            Packet::Write(write) => self.write(write.id, &write.handle, write.offset, &write.data),
            Packet::Lstat(lstat) => self.stat(lstat.id, &lstat.path, false),
            Packet::Stat(stat) => self.stat(stat.id, &stat.path, true),
            Packet::Fstat(fstat) => self.fstat(fstat.id, &fstat.handle),
            Packet::SetStat(set) => self.setstat(set.id, &set.path, &set.attrs),
            Packet::FSetStat(set) => self.fsetstat(set.id, &set.handle, &set.attrs),
            Packet::OpenDir(open) => self.opendir(open.id, &open.path),
            Packet::ReadDir(read) => self.readdir(read.id, &read.handle),
            Packet::Remove(remove) => self.remove(remove.id, &remove.filename),
            Packet::MkDir(mkdir) => self.mkdir(mkdir.id, &mkdir.path, &mkdir.attrs),
            Packet::RmDir(rmdir) => self.rmdir(rmdir.id, &rmdir.path),
            Packet::RealPath(real) => Ok(self.realpath(real.id, &real.path)),
            Packet::Rename(rename) => self.rename(rename.id, &rename.oldpath, &rename.newpath, false),
            Packet::ReadLink(link) => self.readlink(link.id, &link.path),
            // OpenSSH and everybody after it send the target first, against the draft.
            Packet::Symlink(link) => self.symlink(link.id, &link.linkpath, &link.targetpath),
            Packet::Extended(extended) => self.extended(extended.id, &extended.request, &extended.data),
            _ => Err(Refusal::new(StatusCode::OpUnsupported, "Not a request")),
        }
    }

    fn extended(&mut self, id: u32, request: &str, data: &[u8]) -> Result<Packet, Refusal> {
        let unreadable = || Refusal::new(StatusCode::BadMessage, "The request could not be read");
        let (first, rest) = read_string(data).unwrap_or_default();
        match request {
            "posix-rename@openssh.com" => {
                let (second, _) = read_string(rest).ok_or_else(unreadable)?;
                self.rename(id, first, second, true)
            }
            "fsync@openssh.com" => {
                self.handles.file(first)?.file.sync_all()?;
                Ok(ok(id))
            }
            "limits@openssh.com" => {
                let limits = [u64::from(PACKET), u64::from(CHUNK), u64::from(CHUNK), 100];
                let data = limits.iter().flat_map(|limit| limit.to_be_bytes()).collect();
                Ok(Packet::ExtendedReply(ExtendedReply { id, data }))
            }
            "statvfs@openssh.com" => self.statvfs(id, first),
            _ => Err(Refusal::new(StatusCode::OpUnsupported, "This server does not have this extension")),
        }
    }
}

fn hello() -> Version {
    let extensions = [
        ("posix-rename@openssh.com", "1"),
        ("fsync@openssh.com", "1"),
        ("limits@openssh.com", "1"),
        ("statvfs@openssh.com", "2"),
    ];
    let extensions = extensions.into_iter().map(|(name, version)| (name.to_owned(), version.to_owned())).collect();
    Version { version: 3, extensions }
}

fn read_string(data: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = data.split_first_chunk::<4>()?;
    let (text, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    Some((std::str::from_utf8(text).ok()?, rest))
}
