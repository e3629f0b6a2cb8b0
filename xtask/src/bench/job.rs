//! What is to be done, and by whom.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::bar::Bar;
use super::data::files;

/// A directory of one run: everything in it goes afterwards.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The directory.
    pub(super) dir: PathBuf,
}

impl Place {
    /// Where the result is to be.
    pub(super) fn out(&self) -> PathBuf {
        self.dir.join("out")
    }

    /// Where temporary files go.
    pub(super) fn tmp(&self) -> PathBuf {
        self.dir.join("tmp")
    }
}

/// Who it is that does a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// ocirepo, held to the bars.
    Ours,
    /// Another tool that does the job.
    Peer,
    /// What the machine can do: a part of the job, by the simplest means.
    Limit,
}

type Step = Box<dyn Fn(&Place) -> Result<()>>;
type Start = Box<dyn Fn(&Place) -> Result<Command>>;

/// One way to do a job.
pub(super) struct Contender {
    /// By which bars name it.
    pub(super) key: &'static str,
    pub(super) label: String,
    pub(super) role: Role,
    /// How many things the job is about; for jobs that ask how time grows with them.
    pub(super) units: Option<usize>,
    /// Not measured; before each run.
    pub(super) prepare: Option<Step>,
    pub(super) command: Start,
    /// Whether the result is there.
    pub(super) check: Option<Step>,
}

impl Contender {
    pub(super) fn new(
        role: Role,
        key: &'static str,
        label: impl Into<String>,
        command: impl Fn(&Place) -> Result<Command> + 'static,
    ) -> Self {
        let command = Box::new(command);
        Self { key, label: label.into(), role, units: None, prepare: None, command, check: None }
    }

    pub(super) fn prepared(mut self, prepare: impl Fn(&Place) -> Result<()> + 'static) -> Self {
        self.prepare = Some(Box::new(prepare));
        self
    }

    pub(super) fn checked(mut self, check: impl Fn(&Place) -> Result<()> + 'static) -> Self {
        self.check = Some(Box::new(check));
        self
    }

    pub(super) fn units(self, units: usize) -> Self {
        Self { units: Some(units), ..self }
    }

    /// The result must be a layout of so many blobs.
    pub(super) fn gives_blobs(self, expected: usize) -> Self {
        self.checked(move |place| holds_blobs(&place.out(), expected))
    }

    /// The result must be a file, or files, of at least so many bytes.
    pub(super) fn gives_bytes(self, least: u64) -> Self {
        self.checked(move |place| {
            let found = files::size(&place.out())?;
            if found < least {
                bail!("the result has {found} bytes, expected at least {least}");
            }
            Ok(())
        })
    }
}

/// That there is a layout of so many blobs.
pub(super) fn holds_blobs(layout: &Path, expected: usize) -> Result<()> {
    let found = files::blobs(layout)?;
    if found != expected {
        bail!("{}: {found} blobs, expected {expected}", layout.display());
    }
    Ok(())
}

/// How a job is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// It writes: a sync counts, the result is measured and removed after each run.
    Writes,
    /// It writes, and every run is prepared before the first and removed after the last: file systems are slow where
    /// many files have just been deleted.
    WritesAhead,
    /// It only reads.
    Reads,
}

/// A job and those who do it.
pub(super) struct Job {
    pub(super) title: String,
    pub(super) manner: Manner,
    /// Read once before the first run, so that nobody waits for the disk.
    pub(super) inputs: Vec<PathBuf>,
    pub(super) contenders: Vec<Contender>,
    pub(super) bars: Vec<Bar>,
    /// So many times the rounds that are asked for; for jobs that take milliseconds.
    pub(super) rounds: usize,
}

impl Job {
    pub(super) fn new(title: impl Into<String>, manner: Manner) -> Self {
        let title = title.into();
        Self { title, manner, inputs: Vec::new(), contenders: Vec::new(), bars: Vec::new(), rounds: 1 }
    }

    pub(super) fn reads(mut self, input: impl Into<PathBuf>) -> Self {
        self.inputs.push(input.into());
        self
    }

    pub(super) fn with(mut self, contender: impl Into<Option<Contender>>) -> Self {
        self.contenders.extend(contender.into());
        self
    }

    pub(super) fn bar(mut self, bar: Bar) -> Self {
        self.bars.push(bar);
        self
    }

    pub(super) fn rounds(self, times: usize) -> Self {
        Self { rounds: times, ..self }
    }

    /// Reads all inputs.
    pub(super) fn warm(&self) -> Result<()> {
        self.inputs.iter().try_for_each(|input| read(input))
    }
}

fn read(path: &Path) -> Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            read(&entry?.path())?;
        }
    } else {
        std::io::copy(&mut fs::File::open(path)?, &mut std::io::sink())?;
    }
    Ok(())
}
