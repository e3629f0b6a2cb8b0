//! What is done to a command, and at which calls it can be done.

use std::fmt;

use nix::errno::Errno;
use nix::libc;

use crate::trace::{Call, Name, Process, Verdict};

/// What is done to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// SIGKILL before a call that changes something.
    Kill,
    /// One call that changes something fails with EIO.
    FailedWrite,
    /// One call that only reads fails with EIO.
    FailedRead,
    /// From a call on there is no room.
    NoRoom,
    /// One call is interrupted.
    Interrupt,
}

/// What a call does, as far as faults are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    /// It changes something, and may find no room for it.
    Grow,
    /// It changes something else, or makes a change durable, or excludes others from changing it.
    Change,
    /// It takes something away.
    Remove,
}

/// `ioctl` that shares the blocks of a file with another, and that of a part of it.
const CLONES: [u64; 2] = [0x4004_9409, 0x4020_940d];

impl Fault {
    /// All that there are.
    pub(super) const ALL: [Self; 5] =
        [Self::Kill, Self::FailedWrite, Self::NoRoom, Self::FailedRead, Self::Interrupt];
    /// How often each has its turn: kills are what happens most.
    pub(super) const TURNS: [Self; 6] =
        [Self::Kill, Self::FailedWrite, Self::Kill, Self::NoRoom, Self::FailedRead, Self::Interrupt];

    /// Whether it can come over a call of that kind.
    pub(super) fn is_for(self, kind: Kind) -> bool {
        match self {
            Self::Kill | Self::FailedWrite => kind != Kind::Read,
            Self::FailedRead => kind == Kind::Read,
            Self::NoRoom => kind == Kind::Grow,
            Self::Interrupt => true,
        }
    }

    /// What becomes of the call.
    pub(super) fn verdict(self) -> Verdict {
        match self {
            Self::Kill => Verdict::Kill,
            Self::FailedWrite | Self::FailedRead => Verdict::Fail(Errno::EIO),
            Self::NoRoom => Verdict::Fail(Errno::ENOSPC),
            Self::Interrupt => Verdict::Fail(Errno::EINTR),
        }
    }

    /// Whether it goes on.
    pub(super) fn lasts(self) -> bool {
        self == Self::NoRoom
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "SIGKILL",
            Self::FailedWrite => "EIO on change",
            Self::FailedRead => "EIO on read",
            Self::NoRoom => "ENOSPC",
            Self::Interrupt => "EINTR",
        })
    }
}

impl Kind {
    /// The kind of a call; `None` of one that has nothing to do with files, or only with what is open.
    pub(super) fn of(call: &Call, process: &Process) -> Option<Self> {
        Some(match call.name {
            Name::Open | Name::Openat | Name::Openat2 | Name::Creat => match call.open_flags(process)? {
                flags if flags & libc::O_CREAT != 0 => Self::Grow,
                flags if flags & (libc::O_ACCMODE | libc::O_TRUNC) != 0 => Self::Change,
                _ => Self::Read,
            },
            Name::Write | Name::Writev | Name::Pwrite64 | Name::Pwritev | Name::Pwritev2 => Self::Grow,
            Name::CopyFileRange | Name::Sendfile | Name::Splice | Name::Fallocate => Self::Grow,
            Name::Rename | Name::Renameat | Name::Renameat2 | Name::Link | Name::Linkat => Self::Grow,
            Name::Symlink | Name::Symlinkat | Name::Mkdir | Name::Mkdirat => Self::Grow,
            Name::Ioctl if CLONES.contains(&call.args[1]) => Self::Grow,
            Name::Ftruncate | Name::Truncate | Name::Flock => Self::Change,
            // Where room is only found when the content goes to the disk, this is where it is missing.
            Name::Fsync | Name::Fdatasync => Self::Grow,
            Name::SyncFileRange | Name::Syncfs => Self::Change,
            Name::Chmod | Name::Fchmod | Name::Fchmodat | Name::Fchmodat2 => Self::Change,
            Name::Chown | Name::Lchown | Name::Fchown | Name::Fchownat | Name::Utimensat => Self::Change,
            Name::Unlink | Name::Unlinkat | Name::Rmdir => Self::Remove,
            Name::Read | Name::Readv | Name::Pread64 | Name::Preadv | Name::Preadv2 => Self::Read,
            Name::Getdents64 | Name::Stat | Name::Lstat | Name::Fstatat | Name::Statx => Self::Read,
            _ => return None,
        })
    }
}
