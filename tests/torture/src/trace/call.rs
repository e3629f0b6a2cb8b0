//! A system call: which one, with what, and which files it is about.

use std::io;
use std::path::PathBuf;

use nix::libc;
use nix::unistd::Pid;

use super::Process;
use super::registers::Registers;

/// A system call at its entry or exit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) name: Name,
    pub(crate) args: [u64; 6],
    /// The thread that makes it.
    pub(crate) tid: i32,
}

/// Where in its arguments a call names a file.
#[derive(Debug, Clone, Copy)]
enum Object {
    /// An open file.
    Open(usize),
    /// A path, seen from where the process is.
    Path(usize),
    /// A path, seen from an open directory.
    At(usize, usize),
}

impl Call {
    pub(super) fn new(thread: Pid, registers: &Registers) -> Self {
        Self { name: Name::of(registers.number()), args: registers.arguments(), tid: thread.as_raw() }
    }

    /// An argument that is an `int`.
    pub(crate) fn int(&self, at: usize) -> i32 {
        #[expect(clippy::cast_possible_truncation, reason = "the kernel takes no more of it either")]
        let int = self.args[at] as i32;
        int
    }

    /// The files that it is about, in the order of its arguments: none of most calls, two of a rename.
    ///
    /// # Errors
    /// When one of them is no file that is open, or no path; then the call will fail.
    pub(crate) fn paths(&self, process: &Process) -> io::Result<Vec<PathBuf>> {
        let path = |object: &Object| match *object {
            Object::Open(fd) => process.open_file(self.int(fd)),
            Object::Path(path) => process.path(libc::AT_FDCWD, self.args[path]),
            Object::At(dir, path) if self.name == Name::Utimensat && self.args[path] == 0 => {
                process.open_file(self.int(dir))
            }
            Object::At(dir, path) => process.path(self.int(dir), self.args[path]),
        };
        self.name.objects().iter().map(path).collect()
    }

    /// Of a call that opens: the flags. None of other calls.
    pub(crate) fn open_flags(&self, process: &Process) -> Option<i32> {
        match self.name {
            Name::Open => Some(self.int(1)),
            Name::Openat => Some(self.int(2)),
            Name::Creat => Some(libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC),
            // The first member of its structure is a number of 64 bits; all flags fit into 32.
            Name::Openat2 => process.read(self.args[2], 4).ok()?.try_into().ok().map(i32::from_ne_bytes),
            _ => None,
        }
    }
}

/// Says which names there are, which number each has, and what its arguments are. A call that an architecture
/// lacks has its line after the name of one that has it.
macro_rules! names {
    ($($(#[$only:meta])? $name:ident = $number:ident $objects:tt,)*) => {
        /// The calls that have to do with files and directories; the others are numbers.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Name {
            $($name,)*
            Other(u64),
        }

        impl Name {
            fn of(number: u64) -> Self {
                match i64::try_from(number).unwrap_or(-1) {
                    $($(#[$only])? libc::$number => Self::$name,)*
                    _ => Self::Other(number),
                }
            }

            const fn objects(self) -> &'static [Object] {
                use Object::{At, Open, Path};
                match self {
                    $(Self::$name => &$objects,)*
                    Self::Other(_) => &[],
                }
            }
        }
    };
}

names! {
    #[cfg(target_arch = "x86_64")] Open = SYS_open [Path(0)],
    #[cfg(target_arch = "x86_64")] Creat = SYS_creat [Path(0)],
    Openat = SYS_openat [At(0, 1)],
    Openat2 = SYS_openat2 [At(0, 1)],
    Close = SYS_close [Open(0)],
    Read = SYS_read [Open(0)],
    Readv = SYS_readv [Open(0)],
    Pread64 = SYS_pread64 [Open(0)],
    Preadv = SYS_preadv [Open(0)],
    Preadv2 = SYS_preadv2 [Open(0)],
    Write = SYS_write [Open(0)],
    Writev = SYS_writev [Open(0)],
    Pwrite64 = SYS_pwrite64 [Open(0)],
    Pwritev = SYS_pwritev [Open(0)],
    Pwritev2 = SYS_pwritev2 [Open(0)],
    Lseek = SYS_lseek [Open(0)],
    CopyFileRange = SYS_copy_file_range [Open(0), Open(2)],
    Sendfile = SYS_sendfile [Open(1), Open(0)],
    Splice = SYS_splice [Open(0), Open(2)],
    Ftruncate = SYS_ftruncate [Open(0)],
    Truncate = SYS_truncate [Path(0)],
    Fallocate = SYS_fallocate [Open(0)],
    Fsync = SYS_fsync [Open(0)],
    Fdatasync = SYS_fdatasync [Open(0)],
    SyncFileRange = SYS_sync_file_range [Open(0)],
    Syncfs = SYS_syncfs [Open(0)],
    Sync = SYS_sync [],
    Ioctl = SYS_ioctl [Open(0)],
    Fcntl = SYS_fcntl [Open(0)],
    Flock = SYS_flock [Open(0)],
    Dup = SYS_dup [Open(0)],
    #[cfg(target_arch = "x86_64")] Dup2 = SYS_dup2 [Open(0)],
    Dup3 = SYS_dup3 [Open(0)],
    #[cfg(target_arch = "x86_64")] Rename = SYS_rename [Path(0), Path(1)],
    #[cfg(target_arch = "x86_64")] Link = SYS_link [Path(0), Path(1)],
    #[cfg(target_arch = "x86_64")] Symlink = SYS_symlink [Path(1)],
    #[cfg(target_arch = "x86_64")] Unlink = SYS_unlink [Path(0)],
    #[cfg(target_arch = "x86_64")] Rmdir = SYS_rmdir [Path(0)],
    #[cfg(target_arch = "x86_64")] Mkdir = SYS_mkdir [Path(0)],
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))] Renameat = SYS_renameat [At(0, 1), At(2, 3)],
    Renameat2 = SYS_renameat2 [At(0, 1), At(2, 3)],
    Linkat = SYS_linkat [At(0, 1), At(2, 3)],
    Symlinkat = SYS_symlinkat [At(1, 2)],
    Unlinkat = SYS_unlinkat [At(0, 1)],
    Mkdirat = SYS_mkdirat [At(0, 1)],
    #[cfg(target_arch = "x86_64")] Chmod = SYS_chmod [Path(0)],
    Fchmod = SYS_fchmod [Open(0)],
    Fchmodat = SYS_fchmodat [At(0, 1)],
    Fchmodat2 = SYS_fchmodat2 [At(0, 1)],
    #[cfg(target_arch = "x86_64")] Chown = SYS_chown [Path(0)],
    #[cfg(target_arch = "x86_64")] Lchown = SYS_lchown [Path(0)],
    Fchown = SYS_fchown [Open(0)],
    Fchownat = SYS_fchownat [At(0, 1)],
    Utimensat = SYS_utimensat [At(0, 1)],
    Chdir = SYS_chdir [Path(0)],
    #[cfg(target_arch = "x86_64")] Stat = SYS_stat [Path(0)],
    #[cfg(target_arch = "x86_64")] Lstat = SYS_lstat [Path(0)],
    Fstat = SYS_fstat [Open(0)],
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))] Fstatat = SYS_newfstatat [At(0, 1)],
    Statx = SYS_statx [At(0, 1)],
    Getdents64 = SYS_getdents64 [Open(0)],
    Execve = SYS_execve [Path(0)],
}
