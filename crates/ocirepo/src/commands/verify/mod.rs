//! `ocirepo verify`

mod repair;
mod report;

use anyhow::Result;
use ocirepo_store::Repository;
use ocirepo_store::verify::{self, Options, Report};
use ocirepo_transfer::{Source, verify_source};

use self::report::Outcome;
use super::look;
use crate::context::Context;
use crate::exit::{Code, UsageError};

/// Check that every blob is there and is what its digest says
///
/// Every finding is listed with the images that it breaks. The exit code is 4 if any is an error;
/// notes (orphans, sparse images, strangers) are none.
///
/// A bundle, a volume of one, or any other archive that `ocirepo add` takes is verified where it lies,
/// as is another repository. What exists as a path is taken for one.
///
/// With --repair-from, blobs that are missing, damaged or unreadable are brought back from an archive,
/// a bundle or another repository that has them. Nothing else comes in, and index.json stays as it is.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("change").multiple(true)))]
#[command(after_help = "\
Examples:
  ocirepo verify
  ocirepo verify --quick
  ocirepo verify /media/usb/*.tar           # before anything of it is added
  ocirepo verify alpine:3.11 --format json
  ocirepo verify --repair-from /backup/images --repair-from alpine.tar
  ocirepo verify --repair-from bundle.tar --dry-run
  ocirepo verify --quarantine               # move damaged blobs out of the way")]
pub(crate) struct Args {
    /// Only these images, or these archives instead of the repository; - is standard input
    #[arg(value_name = "REFERENCE|SOURCE")]
    what: Vec<String>,
    /// Only presence and size: blobs are not read
    #[arg(long)]
    quick: bool,
    /// Bring back what is missing or damaged from an archive, a bundle, a volume, a layout or another
    /// repository; - is standard input. May be repeated
    #[arg(long, value_name = "SOURCE", group = "change")]
    repair_from: Vec<String>,
    /// Move blobs that do not hash to their names to .ocirepo/quarantine
    #[arg(long, group = "change")]
    quarantine: bool,
    /// With --repair-from or --quarantine, only show what would be repaired and moved
    #[arg(short = 'n', long, requires = "change")]
    dry_run: bool,
}

impl Args {
    /// Whether the repository is to be changed.
    fn changes(&self) -> bool {
        self.quarantine || !self.repair_from.is_empty()
    }

    /// What cannot be asked for together.
    fn check(&self, sources: &[&String]) -> Result<(), UsageError> {
        let flag = if self.repair_from.is_empty() { "--quarantine" } else { "--repair-from" };
        let reason = match sources.first() {
            _ if !self.changes() => return Ok(()),
            Some(source) => {
                format!("{source} is there as a path, and {flag} is for a repository: name it with -C")
            }
            None if self.quick => format!("--quick hashes nothing, and {flag} needs to know what is damaged"),
            None if self.repair_from.iter().filter(|source| *source == "-").count() > 1 => {
                "standard input can be read only once".to_owned()
            }
            None => return Ok(()),
        };
        Err(UsageError(reason))
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Code> {
    let (sources, references): (Vec<&String>, Vec<&String>) =
        args.what.iter().partition(|word| look::is_source(word));
    args.check(&sources)?;
    let mut whole = None;
    let outcome = match (sources.as_slice(), references.first()) {
        ([], first) => {
            let opened = context.open();
            let repository = match first {
                Some(word) => look::or_no_path(opened, word)?,
                None => opened?,
            };
            let outcome = of_repository(&repository, args, context)?;
            whole = references.is_empty().then_some(repository);
            outcome
        }
        (sources, None) => Outcome::of(of_sources(sources, args.quick, context)?),
        ([source, ..], Some(reference)) => {
            let reason = format!(
                "{source} is there as a path and {reference} is not: verify archives and images of the repository \
                 one after the other"
            );
            return Err(UsageError(reason).into());
        }
    };
    report::show(&outcome, args, !sources.is_empty(), context)?;
    if let Some(repository) = whole.filter(|_| report::is_for_people(context)) {
        context.say_what_waits(&repository);
    }
    report::explain(&outcome, args, !sources.is_empty(), context);
    Ok(if outcome.is_sound() { Code::Ok } else { Code::Corrupt })
}

/// What is found in the repository, and what was done about it.
fn of_repository(repository: &Repository, args: &Args, context: &Context) -> Result<Outcome> {
    let options = Options { quick: args.quick, queries: args.what.clone() };
    if args.changes() {
        return repair::repair(repository, options, args, context);
    }
    Ok(Outcome::of(verify::verify(repository, &options, &context.reporter())?))
}

/// What is found in several sources, in their order.
fn of_sources(sources: &[&String], quick: bool, context: &Context) -> Result<Report> {
    let mut whole = Report::default();
    for source in sources {
        let report = match look::repository_at(source, context) {
            Some(repository) => {
                verify::verify(&repository, &Options { quick, queries: Vec::new() }, &context.reporter())?
            }
            None => {
                let options = look::peek_options(context);
                verify_source(&Source::parse(source), &options, quick, &context.reporter())?
            }
        };
        whole.blobs += report.blobs;
        whole.bytes += report.bytes;
        whole.findings.extend(report.findings);
    }
    Ok(whole)
}
