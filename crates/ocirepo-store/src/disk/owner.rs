//! Who new files belong to: root writes files for the owner of the repository's directory.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{Gid, Uid};

/// The user and group that new files are given to, when that is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner(Option<(u32, u32)>);

impl Owner {
    /// The owner of `stat` if this process is root and somebody else owns it; otherwise nobody.
    pub(crate) fn of(stat: &rustix::fs::Stat) -> Self {
        let me = rustix::process::geteuid();
        if me.is_root() && (stat.st_uid != 0 || stat.st_gid != 0) {
            Self(Some((stat.st_uid, stat.st_gid)))
        } else {
            Self(None)
        }
    }

    /// Gives the open file away. File systems without owners are left as they are.
    pub(crate) fn give(self, file: impl AsFd) -> io::Result<()> {
        let Some((user, group)) = self.0 else { return Ok(()) };
        match rustix::fs::fchown(file, Some(Uid::from_raw(user)), Some(Gid::from_raw(group))) {
            Ok(()) | Err(rustix::io::Errno::PERM | rustix::io::Errno::NOTSUP) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}
