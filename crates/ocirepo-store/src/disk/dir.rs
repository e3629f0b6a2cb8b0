//! Handles to directories, and what can be done below one.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{BUFFER, Owner};
use crate::error::{Error, Result};
use crate::sabotage::Sabotage;

/// What kind of thing a name stands for; links are not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Link,
    Other,
}

impl From<FileType> for Kind {
    fn from(file_type: FileType) -> Self {
        match file_type {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Link,
            _ => Self::Other,
        }
    }
}

/// Tells two states of one file apart, together with its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// What `stat` says that the store cares about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat {
    pub(crate) kind: Kind,
    pub(crate) size: u64,
    pub(crate) identity: Identity,
    /// Whether the file has no name but the one it was reached by. Of a file with another name it
    /// cannot be known whose it is.
    pub(crate) has_one_name: bool,
    changed: i64,
}

impl Stat {
    /// How long ago the file was last written or put here, whichever was later; zero for times in
    /// the future. Copies often carry the time of the original, so that alone would not do.
    pub(crate) fn age(&self) -> Duration {
        let seconds = u64::try_from(self.identity.modified.0.max(self.changed)).unwrap_or(0);
        SystemTime::now().duration_since(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap_or_default()
    }
}

#[allow(
    clippy::unnecessary_cast,
    clippy::useless_conversion,
    reason = "field types differ between platforms"
)]
impl From<rustix::fs::Stat> for Stat {
    fn from(stat: rustix::fs::Stat) -> Self {
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        Self {
            kind: FileType::from_raw_mode(stat.st_mode).into(),
            size,
            identity: Identity {
                device: stat.st_dev as u64,
                inode: stat.st_ino as u64,
                size,
                modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            },
            has_one_name: stat.st_nlink as u64 == 1,
            changed: stat.st_ctime as i64,
        }
    }
}

/// One name found in a directory.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// An open directory.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

const DIR_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Dir {
    /// Opens the directory at `path`, following links.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let fd = rustix::fs::open(path, DIR_FLAGS, Mode::empty())?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// Opens the directory `name` below this one, following a link; `None` when there is no
    /// directory of that name.
    pub(crate) fn open_dir(&self, name: &str) -> Result<Option<Self>> {
        match rustix::fs::openat(&self.fd, name, DIR_FLAGS, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { fd, path: self.path.join(name) })),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(self.error("open", name, errno)),
        }
    }

    /// Opens the directory `name` below this one if it is one itself; `None` when it is not there.
    ///
    /// # Errors
    /// [`Error::Damaged`] for a link, which could lead anywhere, and for anything else.
    pub(crate) fn open_own_dir(&self, name: &str) -> Result<Option<Self>> {
        match rustix::fs::openat(&self.fd, name, DIR_FLAGS | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { fd, path: self.path.join(name) })),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let reason = "it is not a directory of its own".to_owned();
                Err(Error::Damaged { path: self.path.join(name), reason })
            }
            Err(errno) => Err(self.error("open", name, errno)),
        }
    }

    /// Opens the directory `name` as [`Dir::open_own_dir`] does, making it first if need be.
    pub(crate) fn ensure_own_dir(&self, name: &str, owner: Owner) -> Result<Self> {
        if let Some(dir) = self.open_own_dir(name)? {
            return Ok(dir);
        }
        self.ensure_dir(name, owner)?;
        self.open_own_dir(name)?.ok_or_else(|| self.error("open", name, Errno::NOENT))
    }

    /// Tells this directory apart from all others.
    pub(crate) fn identity(&self) -> Result<(u64, u64)> {
        let stat = rustix::fs::fstat(&self.fd).map_err(|errno| Error::io("stat", &self.path, errno))?;
        let Identity { device, inode, .. } = Stat::from(stat).identity;
        Ok((device, inode))
    }

    /// Opens the directory `name`, making it first when it is not there. The name of a directory
    /// made here is durable only after [`Dir::sync`].
    pub(crate) fn ensure_dir(&self, name: &str, owner: Owner) -> Result<Self> {
        match rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => {
                // What is given away has to be what was made, and no link that took its place.
                let made = self.open_own_dir(name)?.ok_or_else(|| self.error("open", name, Errno::NOENT))?;
                owner.give(&made.fd).map_err(|error| Error::io("set the owner of", &made.path, error))?;
                Ok(made)
            }
            Err(Errno::EXIST) => self.open_dir(name)?.ok_or_else(|| self.error("open", name, Errno::NOENT)),
            // A read-only file system says so even where the directory is already there.
            Err(errno @ (Errno::ROFS | Errno::ACCESS | Errno::PERM)) => {
                self.open_dir(name)?.ok_or_else(|| self.error("create", name, errno))
            }
            Err(errno) => Err(self.error("create", name, errno)),
        }
    }

    /// The handle itself.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The path this directory was opened by, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What `name` is, itself, without following a link; `None` when it is not there.
    pub(crate) fn stat(&self, name: &str) -> Result<Option<Stat>> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat.into())),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(self.error("stat", name, errno)),
        }
    }

    /// Opens the regular file `name` for reading; `None` when it is not there.
    ///
    /// # Errors
    /// [`Error::NotAFile`] for a link, a directory or anything else that is not a regular file.
    pub(crate) fn open_file(&self, name: &str) -> Result<Option<(File, Stat)>> {
        // NONBLOCK: opening a fifo must not hang.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => {
                let stat =
                    Stat::from(rustix::fs::fstat(&fd).map_err(|errno| self.error("stat", name, errno))?);
                if stat.kind == Kind::File {
                    Ok(Some((File::from(fd), stat)))
                } else {
                    Err(Error::NotAFile { path: self.path.join(name) })
                }
            }
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::LOOP | Errno::NXIO) => Err(Error::NotAFile { path: self.path.join(name) }),
            Err(errno) => Err(self.error("open", name, errno)),
        }
    }

    /// The whole content of the small file `name`; `None` when it is not there.
    pub(crate) fn read(&self, name: &str, limit: u64) -> Result<Option<(Vec<u8>, Stat)>> {
        let Some((file, stat)) = self.open_file(name)? else { return Ok(None) };
        let mut bytes = Vec::with_capacity(usize::try_from(stat.size.min(limit)).unwrap_or(0) + 1);
        file.take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| Error::io("read", self.path.join(name), error))?;
        if bytes.len() as u64 > limit {
            let reason = format!("it is larger than {} MiB", limit >> 20);
            return Err(Error::Damaged { path: self.path.join(name), reason });
        }
        Ok(Some((bytes, stat)))
    }

    /// Whether the file `name` holds just these bytes; its state if so.
    pub(crate) fn holds(&self, name: &str, mut expected: &[u8]) -> Result<Option<Stat>> {
        let Some((mut file, stat)) = self.open_file(name)? else { return Ok(None) };
        if stat.size != expected.len() as u64 {
            return Ok(None);
        }
        let mut buffer = vec![0; expected.len().clamp(1, BUFFER)];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(Some(stat).filter(|_| expected.is_empty())),
                Ok(read) => match expected.strip_prefix(&buffer[..read]) {
                    Some(rest) => expected = rest,
                    None => return Ok(None),
                },
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read", self.path.join(name), error)),
            }
        }
    }

    /// Creates the file `name` for writing. What has the name already loses it: a crash may have left
    /// it, and whatever else it is, a link, a fifo or a second name of some other file, it is not
    /// written to.
    pub(crate) fn create(&self, name: &str, owner: Owner) -> Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let create = || rustix::fs::openat(&self.fd, name, flags, Mode::from_raw_mode(0o644));
        let fd = match create() {
            Err(Errno::EXIST) => {
                self.unlink(name)?;
                create()
            }
            created => created,
        };
        let fd = fd.map_err(|errno| self.error("create", name, errno))?;
        owner.give(&fd).map_err(|error| Error::io("set the owner of", self.path.join(name), error))?;
        Ok(File::from(fd))
    }

    /// Opens the regular file `name` for writing at its end, making it if need be. A link of that
    /// name is not followed.
    ///
    /// # Errors
    /// [`Error::NotAFile`] for a link, a directory or anything else that is not a regular file.
    pub(crate) fn append(&self, name: &str, owner: Owner) -> Result<File> {
        let refuse = || Error::NotAFile { path: self.path.join(name) };
        // NONBLOCK: opening a fifo must not hang.
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW;
        let flags = flags | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(&self.fd, name, flags, Mode::from_raw_mode(0o644)) {
            Ok(fd) => fd,
            Err(Errno::LOOP | Errno::NXIO | Errno::ISDIR) => return Err(refuse()),
            Err(errno) => return Err(self.error("open", name, errno)),
        };
        let stat = Stat::from(rustix::fs::fstat(&fd).map_err(|errno| self.error("stat", name, errno))?);
        if stat.kind != Kind::File {
            return Err(refuse());
        }
        self.give(&fd, stat, name, owner)?;
        Ok(File::from(fd))
    }

    /// Gives a file away that may have been there before: one of several names could be one that was
    /// planted here, to be given what belongs to others.
    fn give(&self, file: impl AsFd, stat: Stat, name: &str, owner: Owner) -> Result<()> {
        if !stat.has_one_name {
            return Ok(());
        }
        owner.give(file).map_err(|error| Error::io("set the owner of", self.path.join(name), error))
    }

    /// Opens the file `name` to lock it, making it when `create` says so. Falls back to a
    /// read-only handle, on which locks work as well, where writing is refused.
    pub(crate) fn open_lock(&self, name: &str, create: Option<Owner>) -> Result<Option<File>> {
        // NONBLOCK: a fifo in its place must not hang us.
        let base = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let refuse = || Error::NotAFile { path: self.path.join(name) };
        let regular = |fd: OwnedFd, owner: Option<Owner>| {
            let stat = Stat::from(rustix::fs::fstat(&fd).map_err(|errno| self.error("stat", name, errno))?);
            if stat.kind != Kind::File {
                return Err(refuse());
            }
            owner.map_or(Ok(()), |owner| self.give(&fd, stat, name, owner))?;
            Ok(Some(File::from(fd)))
        };
        let mode = Mode::from_raw_mode(0o644);
        if let Some(owner) = create {
            let flags = base | OFlags::RDWR | OFlags::CREATE;
            match rustix::fs::openat(&self.fd, name, flags, mode) {
                Ok(fd) => return regular(fd, Some(owner)),
                Err(Errno::ROFS | Errno::ACCESS | Errno::PERM) => {}
                Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => return Err(refuse()),
                Err(errno) => return Err(self.error("open", name, errno)),
            }
        }
        match rustix::fs::openat(&self.fd, name, base | OFlags::RDONLY, mode) {
            Ok(fd) => regular(fd, None),
            Err(Errno::NOENT) if create.is_none() => Ok(None),
            Err(Errno::LOOP | Errno::NXIO) => Err(refuse()),
            Err(errno) => Err(self.error("open", name, errno)),
        }
    }

    /// Renames `name` here to `new_name` in `target`, replacing what is there.
    pub(crate) fn rename(&self, name: &str, target: &Self, new_name: &str) -> Result<()> {
        rustix::fs::renameat(&self.fd, name, &target.fd, new_name)
            .map_err(|errno| target.error("move a file to", new_name, errno))
    }

    /// Gives the file `name` here a second name, `new_name` in `target`. `false` where that is not to
    /// be had: on another file system, when this one has no links or not for us, or when the file has
    /// gone or is just being replaced.
    pub(crate) fn link(&self, name: &str, target: &Self, new_name: &str) -> Result<bool> {
        match rustix::fs::linkat(&self.fd, name, &target.fd, new_name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(
                Errno::XDEV
                | Errno::PERM
                | Errno::ACCESS
                | Errno::MLINK
                | Errno::NOTSUP
                | Errno::NOSYS
                | Errno::NOENT,
            ) => Ok(false),
            Err(errno) => Err(target.error("link a file to", new_name, errno)),
        }
    }

    /// Swaps `name` here with `other_name` in `other` in one step. `false` where the kernel or the
    /// file system cannot.
    #[cfg(target_os = "linux")]
    pub(crate) fn swap(&self, name: &str, other: &Self, other_name: &str) -> Result<bool> {
        use rustix::fs::{RenameFlags, renameat_with};
        match renameat_with(&self.fd, name, &other.fd, other_name, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(true),
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP | Errno::NOENT) => Ok(false),
            Err(errno) => Err(other.error("replace", other_name, errno)),
        }
    }

    /// Swaps two files in one step: never, on this platform.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn swap(&self, _: &str, _: &Self, _: &str) -> Result<bool> {
        Ok(false)
    }

    /// Removes the file or link `name`; `false` when it was already gone.
    pub(crate) fn unlink(&self, name: &str) -> Result<bool> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(self.error("remove", name, errno)),
        }
    }

    /// Makes the names in this directory durable. File systems that cannot sync a directory
    /// (some network ones) say so with EINVAL or ENOTSUP; there is nothing more to do on those.
    pub(crate) fn sync(&self) -> Result<()> {
        if Sabotage::NoDirFsync.is_on() {
            return Ok(());
        }
        loop {
            match rustix::fs::fsync(&self.fd) {
                Ok(()) | Err(Errno::INVAL | Errno::NOTSUP) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::io("sync", &self.path, errno)),
            }
        }
    }

    /// Makes the content of the regular file `name` durable, whoever wrote it. One that is not there
    /// is no error.
    pub(crate) fn sync_file(&self, name: &str) -> Result<()> {
        match self.open_file(name)? {
            Some((file, _)) => {
                file.sync_all().map_err(|error| Error::io("sync", self.path.join(name), error))
            }
            None => Ok(()),
        }
    }

    /// Every name in this directory, in no order, without `.` and `..`.
    pub(crate) fn list(&self) -> Result<Vec<Listed>> {
        let mut found = Vec::new();
        self.look_through(&mut |name, kind| found.push(Listed { name: name.to_owned(), kind }))?;
        Ok(found)
    }

    /// [`Dir::list`] for those who keep nothing of it. A name that is not UTF-8 is given with
    /// replacement characters: such a name is nothing of ours.
    pub(crate) fn look_through(&self, see: &mut dyn FnMut(&str, Kind)) -> Result<()> {
        let fail = |errno| Error::io("list", &self.path, errno);
        for entry in rustix::fs::Dir::read_from(&self.fd).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let bytes = entry.file_name().to_bytes();
            if bytes == b"." || bytes == b".." {
                continue;
            }
            let mut kind = Kind::from(entry.file_type());
            if entry.file_type() == FileType::Unknown {
                match rustix::fs::statat(&self.fd, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => kind = Stat::from(stat).kind,
                    Err(Errno::NOENT) => continue,
                    Err(errno) => return Err(fail(errno)),
                }
            }
            see(&String::from_utf8_lossy(bytes), kind);
        }
        Ok(())
    }

    /// Sees that files may be made and renamed in here.
    pub(crate) fn check_writable(&self) -> Result<()> {
        let wanted = Access::WRITE_OK | Access::EXEC_OK;
        rustix::fs::accessat(&self.fd, ".", wanted, AtFlags::empty())
            .map_err(|errno| Error::io("write to", &self.path, errno))
    }

    /// The user and group of this directory.
    pub(crate) fn owner(&self) -> Result<Owner> {
        let stat = rustix::fs::fstat(&self.fd).map_err(|errno| Error::io("stat", &self.path, errno))?;
        Ok(Owner::of(&stat))
    }

    fn error(&self, action: &'static str, name: &str, errno: Errno) -> Error {
        Error::io(action, self.path.join(name), errno)
    }
}
