//! ocirepo run as a user who is not root, to whom the modes of files mean something.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::cli::{Ocirepo, Output};

const NOBODY: u32 = 65534;

/// ocirepo run by nobody, where root runs the tests, and otherwise by whoever does.
#[derive(Debug)]
pub struct Unprivileged {
    /// The directory it runs in; its own `run` is that of whoever runs the tests.
    pub ocirepo: Ocirepo,
    must_step_down: bool,
    _program: TempDir,
}

impl Default for Unprivileged {
    fn default() -> Self {
        Self::new()
    }
}

impl Unprivileged {
    /// Runs in a new, empty directory.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let owner = fs::metadata(dir.path()).expect("it was made just now").uid();
        if owner != 0 {
            return Self { ocirepo: Ocirepo::new(), must_step_down: false, _program: dir };
        }
        // Where the program was built may be closed to others.
        let program = dir.path().join("ocirepo");
        fs::copy(Ocirepo::new().program(), &program).expect("the program can be copied");
        let ocirepo = Ocirepo::with_program(&program);
        for path in [dir.path(), &program, &ocirepo.scratch("")] {
            fs::set_permissions(path, Permissions::from_mode(0o755)).expect("it is our own");
        }
        // As everywhere, anybody may make temporary files.
        fs::set_permissions(ocirepo.scratch("tmp"), Permissions::from_mode(0o1777)).expect("it is our own");
        // A child that another test has just started may hold the copy open for writing for a moment more.
        let start =
            || ocirepo.command(&["--version"]).stdout(Stdio::null()).status().map_err(|error| error.kind());
        while start() == Err(ErrorKind::ExecutableFileBusy) {
            thread::sleep(Duration::from_millis(10));
        }
        Self { ocirepo, must_step_down: true, _program: dir }
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        let mut command = self.ocirepo.command(args);
        if self.must_step_down {
            command.uid(NOBODY).gid(NOBODY);
        }
        self.ocirepo.spawn_command(command.stdin(Stdio::null())).wait()
    }
}

/// Gives a directory and all in it other modes, the directory itself last.
pub fn set_modes(path: &Path, directory: u32, file: u32) {
    let set = |mode| fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is our own");
    if path.is_dir() {
        set(0o755);
        for entry in fs::read_dir(path).expect("the directory can be read") {
            set_modes(&entry.expect("the directory can be read").path(), directory, file);
        }
        set(directory);
    } else {
        set(file);
    }
}
