//! The words of the command line: global flags, and the list of verbs.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Args, ColorChoice, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use crate::commands::{
    add, completion, config, diff, du, export, gc, init, inspect, inventory, ls, man, rm, tag, verify, why,
};
use crate::exit::Code;
use crate::{interrupt, render};

/// Many container images in one plain OCI image layout directory.
///
/// The directory is an ordinary image layout that skopeo, podman, umoci, oras and others read and
/// write. ocirepo adds what they lack: locks, so that commands may run side by side; garbage
/// collection that never deletes what an image needs; and verification of every byte.
#[derive(Debug, Parser)]
#[command(
    name = "ocirepo",
    version,
    propagate_version = true,
    max_term_width = 100,
    args_override_self = true
)]
#[command(after_help = "\
Examples:
  ocirepo init
  ocirepo add image.tar --ref docker.io/library/alpine:3.11
  ocirepo ls
  ocirepo rm alpine:3.11 && ocirepo gc

Exit codes:
  0 ok   1 error   2 usage   3 reference not found   4 corrupt, or refused for safety
  5 some items failed   6 lock timeout   7 base blobs missing   8 registry or network
  9 name conflict or ambiguity")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The repository
    #[arg(
        short = 'C',
        long = "repo",
        value_name = "DIR",
        env = "OCIREPO_DIR",
        default_value = ".",
        global = true
    )]
    pub(crate) repository: PathBuf,
    /// How to print results
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, global = true)]
    pub(crate) format: Format,
    /// Print results and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Print more, twice for more still
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    /// How to show progress: a bar on a terminal and lines in a pipe, unless told otherwise
    #[arg(long, value_enum, value_name = "HOW", default_value_t, global = true)]
    pub(crate) progress: Progress,
    /// When to use colour
    #[arg(long, value_enum, value_name = "WHEN", default_value_t, global = true)]
    pub(crate) color: Color,
    /// How many threads hash and read [default: one for each processor]
    #[arg(short, long, value_name = "N", global = true, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) jobs: Option<u16>,
    /// How long to wait for other ocirepo processes, such as 90 or 5m
    #[arg(long, value_name = "DURATION", default_value = "60s", global = true, value_parser = parse_duration)]
    pub(crate) lock_timeout: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// For programs; the shapes are stable
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Progress {
    /// A bar on a terminal, lines in a pipe
    #[default]
    Auto,
    /// Lines
    Plain,
    /// One JSON object a line
    Json,
    /// Nothing
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb
    #[default]
    Auto,
    /// Even in a pipe
    Always,
    /// Not even on a terminal
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::Args),
    Add(add::Args),
    Export(Box<export::Args>),
    Inventory(inventory::Args),
    Diff(diff::Args),
    Ls(ls::Args),
    Du(du::Args),
    Inspect(inspect::Args),
    Tag(tag::Args),
    Rm(rm::Args),
    Gc(gc::Args),
    Why(why::Args),
    Verify(verify::Args),
    Config(config::Args),
    Completion(completion::Args),
    Man(man::Args),
}

impl Command {
    /// The verb, as other processes are told that wait for this one.
    pub(crate) const fn verb(&self) -> &'static str {
        match self {
            Self::Init(_) => "init",
            Self::Add(_) => "add",
            Self::Export(_) => "export",
            Self::Inventory(_) => "inventory",
            Self::Diff(_) => "diff",
            Self::Ls(_) => "ls",
            Self::Du(_) => "du",
            Self::Inspect(_) => "inspect",
            Self::Tag(_) => "tag",
            Self::Rm(_) => "rm",
            Self::Gc(_) => "gc",
            Self::Why(_) => "why",
            Self::Verify(_) => "verify",
            Self::Config(_) => "config",
            Self::Completion(_) => "completion",
            Self::Man(_) => "man",
        }
    }

    /// What to say when it is interrupted.
    pub(crate) fn interrupted(&self) -> interrupt::State {
        const UNCHANGED: &str = "the repository is as it was";
        const CHANGED: &str = "the change was made already";
        let (before, after) = match self {
            Self::Add(_) => (UNCHANGED, "what was added before stays, and nothing of the rest came in"),
            Self::Export(args) if args.is_to_stdout() => ("what was written is incomplete", CHANGED),
            Self::Export(_) => ("nothing was exported", "the export was done already"),
            Self::Gc(_) => (UNCHANGED, "no image has lost anything; `ocirepo gc` sweeps the rest"),
            Self::Verify(_) => (UNCHANGED, "what was healed or moved aside before stays so"),
            _ => (UNCHANGED, CHANGED),
        };
        interrupt::State { before, after }
    }
}

/// The words of this command line. What is wrong with them is told here, and so is what `--help` and
/// `--version` ask for.
///
/// # Errors
/// The exit code, when there is nothing more to do.
pub(crate) fn parse() -> Result<Cli, ExitCode> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let parse = |words: &[OsString]| {
        let command = Cli::command().color(color_of(words));
        command.try_get_matches_from(words).and_then(|matches| Cli::from_arg_matches(&matches))
    };
    parse(&words).map_err(|error| {
        // The message quotes words as they are, and a pattern of the shell brings in names of files
        // that somebody else has chosen.
        let safe: Vec<OsString> =
            words.iter().map(|word| render::safe(&word.to_string_lossy()).into()).collect();
        let error = in_our_words(parse(&safe).err().unwrap_or(error));
        // Nobody is left to be told if that fails.
        let _ = error.print();
        if error.use_stderr() { Code::Usage.into() } else { Code::Ok.into() }
    })
}

/// What other tools call what a verb does.
const OTHER_WORDS: [(&str, &str); 12] = [
    ("import", "add"),
    ("load", "add"),
    ("cp", "add"),
    ("copy", "export"),
    ("save", "export"),
    ("images", "ls"),
    ("list", "ls"),
    ("tags", "ls"),
    ("delete", "rm"),
    ("remove", "rm"),
    ("rmi", "rm"),
    ("prune", "gc"),
];

/// Suggests our verb for that of another tool. What is only spelt alike may be the opposite.
fn in_our_words(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    if let Some((_, verb)) = OTHER_WORDS.iter().find(|(other, _)| other == word) {
        let verb = ContextValue::Strings(vec![(*verb).to_owned()]);
        error.insert(ContextKind::SuggestedSubcommand, verb);
    } else if ["pull", "push"].contains(&word.as_str()) {
        error.remove(ContextKind::SuggestedSubcommand);
        let tip = "registries are not read or written yet: `skopeo copy` does that, to and from an archive";
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

/// The colour of what clap tells. It knows NO_COLOR and dumb terminals, and not our flag.
fn color_of(words: &[OsString]) -> ColorChoice {
    let is_never = |pair: &[OsString]| pair[0] == "--color" && pair[1] == "never";
    match words.windows(2).any(is_never) || words.iter().any(|word| word == "--color=never") {
        true => ColorChoice::Never,
        false => ColorChoice::Auto,
    }
}

/// A word that `parse` takes, of which shells complete those that are `known`.
pub(crate) fn word<T: Clone + Send + Sync + 'static, E: Into<Box<dyn Error + Send + Sync>>>(
    known: &'static [&'static str],
    parse: impl Fn(&str) -> Result<T, E> + Clone + Send + Sync + 'static,
) -> impl TypedValueParser<Value = T> {
    Word { known, parse: StringValueParser::new().try_map(move |text| parse(&text)) }
}

#[derive(Clone)]
struct Word<P> {
    known: &'static [&'static str],
    parse: P,
}

impl<P: TypedValueParser> TypedValueParser for Word<P> {
    type Value = P::Value;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<P::Value, clap::Error> {
        self.parse.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.known.iter().map(|known| PossibleValue::new(*known))))
    }
}

/// A duration such as `90`, `90s`, `5m`, `1h30m` or `2d`; a bare number is seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let refuse = || "a duration looks like 90, 90s, 5m, 1h30m or 2d".to_owned();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|_| refuse());
    }
    if let Some(days) = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok()) {
        return Ok(Duration::from_secs(u64::from(days) * 86_400));
    }
    let duration: jiff::SignedDuration = text.parse().map_err(|_| refuse())?;
    Duration::try_from(duration).map_err(|_| refuse())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in
            [("90", 90), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("2d", 172_800), ("0", 0)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["abc", "-1", "", "1 fortnight", "-5m"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
