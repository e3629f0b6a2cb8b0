//! What every verb needs: which repository, and how to talk.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use ocirepo_store::{Repository, Settings, Stop};

use crate::exit::UsageError;
use crate::options::{Format, Global, Progress};
use crate::progress::Reporter;
use crate::render::{Screen, wants_color};

/// The global flags, thought through.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) path: PathBuf,
    /// The verb that was asked for.
    pub(crate) verb: &'static str,
    pub(crate) format: Format,
    pub(crate) quiet: bool,
    pub(crate) verbose: u8,
    /// Whether to colour what goes to stderr.
    pub(crate) color: bool,
    /// What goes to stdout is shown here.
    pub(crate) screen: Screen,
    reporter: Reporter,
    settings: Settings,
}

impl Context {
    pub(crate) fn new(global: &Global, verb: &'static str) -> Self {
        let color = wants_color(global.color, std::io::stderr().is_terminal());
        let mut settings = Settings::default();
        settings.waiting.timeout = global.lock_timeout;
        settings.waiting.verb = format!("ocirepo {verb}");
        if let Some(jobs) = global.jobs {
            settings.jobs = usize::from(jobs);
        }
        let context = Self {
            path: global.repository.clone(),
            verb,
            format: global.format,
            quiet: global.quiet,
            verbose: global.verbose,
            color,
            screen: Screen::stdout(global.color),
            reporter: Reporter::new(if global.quiet { Progress::None } else { global.progress }),
            settings,
        };
        context.start_logging();
        context
    }

    /// Sees that a file to be written is no part of the repository: what takes the place of its
    /// index.json takes every image along.
    pub(crate) fn check_output(&self, output: &Path) -> Result<(), UsageError> {
        let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty());
        let beside = || Some(parent.unwrap_or(Path::new(".")).canonicalize().ok()?.join(output.file_name()?));
        let Some(place) = output.canonicalize().ok().or_else(beside) else { return Ok(()) };
        let own = ["index.json", "oci-layout", "blobs", ".ocirepo"];
        let own = own.iter().filter_map(|name| self.path.join(name).canonicalize().ok());
        if own.into_iter().any(|own| place.starts_with(own)) {
            let output = output.display();
            return Err(UsageError(format!("{output} is a part of the repository; name another file")));
        }
        Ok(())
    }

    fn start_logging(&self) {
        let level = match (self.quiet, self.verbose) {
            (true, _) => tracing::Level::ERROR,
            (false, 0) => tracing::Level::WARN,
            (false, 1) => tracing::Level::INFO,
            (false, 2) => tracing::Level::DEBUG,
            (false, _) => tracing::Level::TRACE,
        };
        crate::logging::start(level, self.color);
    }

    /// How repositories are to be opened.
    pub(crate) fn settings(&self) -> Settings {
        self.settings.clone()
    }

    /// Opens the repository, finishing what a killed command left half-way.
    pub(crate) fn open(&self) -> Result<Repository> {
        let repository = Repository::open(&self.path, self.settings())?;
        repository.roll_forward()?;
        Ok(repository)
    }

    /// Somebody to be told how far the work is.
    pub(crate) fn reporter(&self) -> Reporter {
        self.reporter.clone()
    }

    /// Where the program is to be stopped when it is told to end.
    pub(crate) fn stop(&self) -> &Stop {
        &self.settings.stop
    }

    /// Prints a line to stderr, unless it was asked to be quiet.
    pub(crate) fn say(&self, line: &str) {
        if !self.quiet {
            crate::render::line_to_stderr(line);
        }
    }

    /// Says how much waits under `.ocirepo/pending`: nothing else shows that it takes room.
    pub(crate) fn say_what_waits(&self, repository: &Repository) {
        let bundles = repository.pendings().unwrap_or_default();
        let bytes: u64 = bundles.iter().filter_map(|bundle| bundle.bytes().ok()).sum();
        if !bundles.is_empty() {
            let count = crate::render::count(bundles.len() as u64, "bundle");
            let size = crate::render::size(bytes);
            self.say(&format!("{size} of {count} waiting for volumes; see `ocirepo ls --pending`"));
        }
    }

    /// Prints a warning to stderr, unless it was asked to be quiet.
    pub(crate) fn warn(&self, line: &str) {
        let label = crate::render::paint("warning:", anstyle::AnsiColor::Yellow, self.color);
        self.say(&format!("{label} {line}"));
    }
}
