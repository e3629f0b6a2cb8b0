//! What a program does to the files below one directory, seen call by call.
//!
//! Which file a descriptor belongs to is known from how it was opened, not from what the kernel says it is called by
//! now: a file that was renamed or removed is still the same one. What was written is read back from the file. In the
//! end the history with every step taken must be what the directory holds, which proves both.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use nix::libc;

use super::disk::Disk;
use super::history::History;
use super::ops::{NodeId, Place, ROOT};
use crate::outcome::Outcome;
use crate::trace::{self, Call, Ended, Name, Process, Verdict, Watcher};

/// `FICLONE`, on every architecture that we know registers of.
const CLONE_FILE: u32 = 0x4004_9409;
/// `FICLONERANGE`.
const CLONE_RANGE: u32 = 0x4020_940D;

/// Runs a command on the directory `top`, which holds what `history` comes to, and adds what it does to the history.
///
/// # Errors
/// When the command cannot be run, or when it does what the history has no steps for.
pub(crate) fn record(command: &Command, top: &Path, history: History) -> Outcome<(History, Ended)> {
    let top = top.canonicalize()?;
    let inside = |path: &Path| path.strip_prefix(&top).ok().map(|path| path.to_string_lossy().into_owned());
    let dir = command.get_current_dir().context("the command has no directory")?.canonicalize()?;
    let here = inside(&dir).and_then(|path| history.find(ROOT, &path));
    let top_text = top.to_string_lossy().into_owned();
    let mut recorder = Recorder {
        history,
        top: top_text,
        here,
        open: BTreeMap::new(),
        entered: BTreeMap::new(),
        trouble: None,
    };
    let ended = trace::run(command, &mut recorder)?;
    if let Some(trouble) = recorder.trouble {
        bail!("what the program did could not be followed: {trouble}");
    }
    let (seen, real) = (recorder.history.now().tree(), Disk::read(&top)?.tree());
    let difference = seen.difference(&real);
    ensure!(
        difference.is_empty(),
        "what was seen of the program is not what it did (seen / real):\n    {}",
        difference.join("\n    ")
    );
    Ok((recorder.history, ended))
}

struct Recorder {
    history: History,
    /// The path of the directory, which everything outside does not begin with.
    top: String,
    /// The directory in which the program is, if it is one of ours.
    here: Option<NodeId>,
    /// The descriptors of our files.
    open: BTreeMap<i32, NodeId>,
    /// For each thread in a call: how many steps there were when that began.
    entered: BTreeMap<i32, usize>,
    trouble: Option<String>,
}

impl Watcher for Recorder {
    fn enter(&mut self, call: &Call, _: &Process) -> Verdict {
        self.entered.insert(call.tid, self.history.ops().len());
        // Before another thread may get the same number.
        if call.name == Name::Close {
            self.open.remove(&call.int(0));
        }
        Verdict::Go
    }

    fn exit(&mut self, call: &Call, result: i64, process: &Process) {
        if result < 0 || self.trouble.is_some() {
            return;
        }
        if let Err(error) = self.take(call, result, process) {
            self.trouble = Some(format!("{:?} {:x?}: {error:#}", call.name, call.args));
        }
    }
}

impl Recorder {
    fn take(&mut self, call: &Call, result: i64, process: &Process) -> Outcome<()> {
        let written = usize::try_from(result)?;
        match call.name {
            Name::Openat | Name::Openat2 => self.opened(call, Some(0), 1, result, process),
            Name::Open | Name::Creat => self.opened(call, None, 0, result, process),
            Name::Fcntl if matches!(call.int(1), libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) => {
                self.duplicated(call.int(0), result)
            }
            Name::Dup | Name::Dup2 | Name::Dup3 => self.duplicated(call.int(0), result),
            Name::Chdir => bail!("it went to another directory"),

            Name::Write | Name::Writev => self.written(call, call.int(0), None, written),
            Name::Pwrite64 | Name::Pwritev | Name::Pwritev2 => {
                let offset = call.args[3];
                self.written(call, call.int(0), (offset != u64::MAX).then_some(offset), written)
            }
            Name::Sendfile => self.written(call, call.int(0), None, written),
            Name::CopyFileRange | Name::Splice => {
                let end = match call.args[3] {
                    0 => None,
                    address => {
                        Some(u64::from_ne_bytes(process.read(address, 8)?.try_into().unwrap_or_default()))
                    }
                };
                self.written(call, call.int(2), end.map(|end| end - written as u64), written)
            }
            Name::Ioctl if u64::from(CLONE_FILE) == call.args[1] => self.cloned(call),
            Name::Ioctl if u64::from(CLONE_RANGE) == call.args[1] => self.cloned(call),
            Name::Ftruncate => self.resized(call.int(0), |_| usize::try_from(call.args[1])),
            Name::Truncate => bail!("nothing of ours is cut by its name"),
            Name::Fallocate => self.allocated(call),
            Name::Fsync | Name::Fdatasync => {
                if let Some(&node) = self.open.get(&call.int(0)) {
                    self.history.sync(node, self.entered[&call.tid]);
                }
                Ok(())
            }
            Name::Sync | Name::Syncfs => {
                let before = self.entered[&call.tid];
                (0..self.history.now().len()).for_each(|node| self.history.sync(node, before));
                Ok(())
            }
            _ => self.names_changed(call, process),
        }
    }

    fn names_changed(&mut self, call: &Call, process: &Process) -> Outcome<()> {
        let places = |from: Option<usize>, path, to: Option<usize>, new| -> Outcome<_> {
            Ok((self.place(call, from, path, process)?, self.place(call, to, new, process)?))
        };
        match call.name {
            Name::Rename => self.renamed(places(None, 0, None, 1)?, 0),
            Name::Renameat => self.renamed(places(Some(0), 1, Some(2), 3)?, 0),
            Name::Renameat2 => self.renamed(places(Some(0), 1, Some(2), 3)?, call.args[4]),
            Name::Link => self.linked(places(None, 0, None, 1)?),
            Name::Linkat => self.linked(places(Some(0), 1, Some(2), 3)?),
            Name::Unlink | Name::Rmdir => self.unlinked(self.place(call, None, 0, process)?),
            Name::Unlinkat => self.unlinked(self.place(call, Some(0), 1, process)?),
            Name::Mkdir => self.dir_made(self.place(call, None, 0, process)?),
            Name::Mkdirat => self.dir_made(self.place(call, Some(0), 1, process)?),
            Name::Symlink => self.symlinked(self.place(call, None, 1, process)?),
            Name::Symlinkat => self.symlinked(self.place(call, Some(1), 2, process)?),
            _ => Ok(()),
        }
    }

    /// Where a path begins, and the rest of it; `None` outside.
    fn begin(
        &self,
        call: &Call,
        dir: Option<usize>,
        path: usize,
        process: &Process,
    ) -> Outcome<Option<(NodeId, String)>> {
        let path = String::from_utf8_lossy(&process.text(call.args[path])?).into_owned();
        if path.starts_with('/') {
            let below = path.strip_prefix(&self.top).filter(|rest| rest.is_empty() || rest.starts_with('/'));
            return Ok(below.map(|rest| (ROOT, rest.to_owned())));
        }
        let from = match dir.map(|dir| call.int(dir)) {
            None | Some(libc::AT_FDCWD) => self.here,
            Some(fd) => self.open.get(&fd).copied(),
        };
        Ok(from.filter(|from| !self.history.leads_out(*from, &path)).map(|from| (from, path)))
    }

    fn place(
        &self,
        call: &Call,
        dir: Option<usize>,
        path: usize,
        process: &Process,
    ) -> Outcome<Option<Place>> {
        let Some((from, path)) = self.begin(call, dir, path, process)? else { return Ok(None) };
        self.history
            .place(from, &path)
            .map(Some)
            .with_context(|| format!("{path} is in no directory that was seen"))
    }

    fn opened(
        &mut self,
        call: &Call,
        dir: Option<usize>,
        path: usize,
        result: i64,
        process: &Process,
    ) -> Outcome<()> {
        let fd = i32::try_from(result)?;
        self.open.remove(&fd);
        let flags = call.open_flags(process).context("the flags cannot be read")?;
        let Some((from, path)) = self.begin(call, dir, path, process)? else { return Ok(()) };
        ensure!(flags & libc::O_TMPFILE != libc::O_TMPFILE, "files that never had a name are not followed");
        let node = match self.history.find(from, &path) {
            Some(node) => node,
            None if flags & libc::O_CREAT != 0 => {
                let at = self.history.place(from, &path);
                self.history
                    .make_file(at.with_context(|| format!("{path} is in no directory that was seen"))?)
            }
            None => bail!("nobody saw how {path} came to be"),
        };
        if flags & libc::O_TRUNC != 0 && !self.history.now().content(node).is_empty() {
            self.history.resize(node, 0);
        }
        self.open.insert(fd, node);
        Ok(())
    }

    fn duplicated(&mut self, fd: i32, result: i64) -> Outcome<()> {
        let new = i32::try_from(result)?;
        match self.open.get(&fd).copied() {
            Some(node) => self.open.insert(new, node),
            None => self.open.remove(&new),
        };
        Ok(())
    }

    /// So many bytes were written, to an offset or, if there is none, up to where the descriptor is now.
    fn written(&mut self, call: &Call, fd: i32, offset: Option<u64>, len: usize) -> Outcome<()> {
        let Some(&node) = self.open.get(&fd).filter(|_| len > 0) else { return Ok(()) };
        let offset = match offset {
            Some(offset) => offset,
            None => position(call.tid, fd)?.checked_sub(len as u64).context("it is before what it wrote")?,
        };
        let mut bytes = vec![0; len];
        File::open(format!("/proc/{}/fd/{fd}", call.tid))?.read_exact_at(&mut bytes, offset)?;
        self.history.write(node, usize::try_from(offset)?, &bytes);
        Ok(())
    }

    /// A file, or a part of it, became that of another.
    fn cloned(&mut self, call: &Call) -> Outcome<()> {
        let Some(&node) = self.open.get(&call.int(0)) else { return Ok(()) };
        let bytes = fs::read(format!("/proc/{}/fd/{}", call.tid, call.int(0)))?;
        self.history.resize(node, bytes.len());
        self.history.write(node, 0, &bytes);
        Ok(())
    }

    fn resized(
        &mut self,
        fd: i32,
        size: impl FnOnce(usize) -> Result<usize, std::num::TryFromIntError>,
    ) -> Outcome<()> {
        let Some(&node) = self.open.get(&fd) else { return Ok(()) };
        let now = self.history.now().content(node).len();
        let size = size(now)?;
        if size != now {
            self.history.resize(node, size);
        }
        Ok(())
    }

    fn allocated(&mut self, call: &Call) -> Outcome<()> {
        match call.int(1) {
            0 => self.resized(call.int(0), |now| Ok(now.max(usize::try_from(call.args[2] + call.args[3])?))),
            libc::FALLOC_FL_KEEP_SIZE => Ok(()),
            mode if self.open.contains_key(&call.int(0)) => bail!("the mode {mode:#x} is not followed"),
            _ => Ok(()),
        }
    }

    fn renamed(&mut self, (from, to): (Option<Place>, Option<Place>), flags: u64) -> Outcome<()> {
        match (from, to) {
            (None, None) => Ok(()),
            (Some(from), Some(to)) => {
                let exchange = flags & u64::from(libc::RENAME_EXCHANGE) != 0;
                let was_there =
                    if exchange { self.history.exchange(from, to) } else { self.history.rename(from, to) };
                ensure!(was_there, "nobody saw how it came to be");
                Ok(())
            }
            _ => bail!("it came from outside or went there"),
        }
    }

    fn linked(&mut self, (from, to): (Option<Place>, Option<Place>)) -> Outcome<()> {
        match (from, to) {
            (None, None) => Ok(()),
            (Some(from), Some(to)) => {
                ensure!(self.history.link(&from, to), "nobody saw how it came to be");
                Ok(())
            }
            _ => bail!("it came from outside or went there"),
        }
    }

    fn unlinked(&mut self, at: Option<Place>) -> Outcome<()> {
        ensure!(at.is_none_or(|at| self.history.unlink(at)), "nobody saw how it came to be");
        Ok(())
    }

    fn dir_made(&mut self, at: Option<Place>) -> Outcome<()> {
        at.map(|at| self.history.make_dir(at));
        Ok(())
    }

    fn symlinked(&self, at: Option<Place>) -> Outcome<()> {
        ensure!(at.is_none(), "links are not followed");
        Ok(())
    }
}

/// Where in its file a descriptor is.
fn position(tid: i32, fd: i32) -> Outcome<u64> {
    let text = fs::read_to_string(format!("/proc/{tid}/fdinfo/{fd}"))?;
    let position = text.lines().find_map(|line| line.strip_prefix("pos:"));
    Ok(position.context("the kernel does not say where the descriptor is")?.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::super::ops::Op;
    use super::*;

    #[test]
    fn what_a_program_does_is_seen() {
        if let Err(reason) = trace::available() {
            eprintln!("skipped: {reason}");
            return;
        }
        let scratch = tempfile::tempdir().unwrap();
        let top = scratch.path().join("top");
        fs::create_dir_all(top.join("here")).unwrap();
        fs::write(top.join("old"), "old").unwrap();
        let script =
            "mkdir d ../e; echo one > d/a; mv d/a b; ln b c; rm b; echo two >> c; cp ../old f; mv c ../e/g
            : > h; echo three > h; echo four > h; rmdir d; rm f; echo elsewhere > ../../outside
            dd if=../e/g of=i conv=fsync,notrunc 2>/dev/null";
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).current_dir(top.join("here"));
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let begin = History::new(Disk::read(&top).unwrap());
        let (history, ended) = record(&command, &top, begin).unwrap();
        assert_eq!(ended.code(), Some(0), "{ended:?}");
        let tree = history.now().tree();
        let files: Vec<_> = tree.files().collect();
        let expected: [(&str, &[u8]); 4] =
            [("e/g", b"one\ntwo\n"), ("here/h", b"four\n"), ("here/i", b"one\ntwo\n"), ("old", b"old")];
        assert_eq!(files, expected);
        let is_sync = |op: &&Op| matches!(op, Op::Sync { .. });
        assert_eq!(history.ops().iter().filter(is_sync).count(), 1);
    }
}
