//! `ocirepo verify`

use anyhow::Result;
use ocirepo_store::verify::{self, Finding, Options, Report, Severity};
use ocirepo_transfer::{Source, verify_source};
use serde_json::{Value, json};

use super::look;
use crate::context::Context;
use crate::exit::{Code, UsageError};
use crate::options::Format;
use crate::render;

/// Check that every blob is there and is what its digest says
///
/// Every finding is listed with the images that it breaks. The exit code is 4 if any is an error;
/// notes (orphans, sparse images, strangers) are none.
///
/// A bundle, a volume of one, or any other archive that `ocirepo add` takes is verified where it lies,
/// as is another repository. What exists as a path is taken for one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ocirepo verify
  ocirepo verify --quick
  ocirepo verify /media/usb/*.tar           # before anything of it is added
  ocirepo verify alpine:3.11 --format json")]
pub(crate) struct Args {
    /// Only these images, or these archives instead of the repository; - is standard input
    #[arg(value_name = "REFERENCE|SOURCE")]
    what: Vec<String>,
    /// Only presence and size: blobs are not read
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(args: &Args, context: &Context, verb: &str) -> Result<Code> {
    let (sources, references): (Vec<&String>, Vec<&String>) =
        args.what.iter().partition(|word| look::is_source(word));
    let mut whole = None;
    let report = match (sources.as_slice(), references.first()) {
        ([], _) => {
            let options = Options { quick: args.quick, queries: args.what.clone() };
            let opened = context.open(verb);
            let repository = match references.first() {
                Some(word) => look::or_no_path(opened, word)?,
                None => opened?,
            };
            let report = verify::verify(&repository, &options, &context.reporter())?;
            whole = references.is_empty().then_some(repository);
            report
        }
        (sources, None) => of_sources(sources, args.quick, context, verb)?,
        ([source, ..], Some(reference)) => {
            let reason = format!(
                "{source} is there as a path and {reference} is not: verify archives and images of the repository \
                 one after the other"
            );
            return Err(UsageError(reason).into());
        }
    };
    if context.format == Format::Json {
        print_json(&report)?;
    } else {
        print(&report, args.quick, !sources.is_empty(), context)?;
        if let Some(repository) = &whole {
            context.say_what_waits(repository);
        }
    }
    Ok(if report.has_errors() { Code::Corrupt } else { Code::Ok })
}

/// What is found in several sources, in their order.
fn of_sources(sources: &[&String], quick: bool, context: &Context, verb: &str) -> Result<Report> {
    let mut whole = Report::default();
    for source in sources {
        let report = match look::repository_at(source, context, verb) {
            Some(repository) => {
                verify::verify(&repository, &Options { quick, queries: Vec::new() }, &context.reporter())?
            }
            None => {
                let options = look::peek_options(context, verb);
                verify_source(&Source::parse(source), &options, quick, &context.reporter())?
            }
        };
        whole.blobs += report.blobs;
        whole.bytes += report.bytes;
        whole.findings.extend(report.findings);
    }
    Ok(whole)
}

fn print(report: &Report, quick: bool, of_sources: bool, context: &Context) -> Result<()> {
    let mut errors = 0;
    let mut notes = 0;
    for finding in &report.findings {
        let color = match finding.severity() {
            Severity::Error => {
                errors += 1;
                anstyle::AnsiColor::Red
            }
            Severity::Note => {
                notes += 1;
                anstyle::AnsiColor::Cyan
            }
        };
        if finding.severity() == Severity::Error || !context.quiet {
            let severity = format!("{}:", severity(finding));
            let label = render::paint(&severity, color, context.color);
            render::line(&format!("{label} {}", render::safe(&describe(finding, of_sources))))?;
        }
    }
    let how = if quick { "present at their size" } else { "hashed" };
    let blobs = format!("{} {how}, {}", render::count(report.blobs, "blob"), render::size(report.bytes));
    let found = format!("{}, {}", render::count(errors, "error"), render::count(notes, "note"));
    render::line(&format!("{blobs}: {found}"))?;
    if errors > 0 && of_sources {
        context.say("hint: copy or save again what is damaged: it was cut short, damaged on the way, or written wrongly");
    } else if errors > 0 {
        context.say(
            "hint: adding an image again brings back missing blobs and mends those of the wrong size; for a corrupt \
             one, delete its file first",
        );
    }
    Ok(())
}

fn describe(finding: &Finding, of_sources: bool) -> String {
    let subject = match (&finding.digest, &finding.path) {
        (Some(digest), Some(path)) if of_sources => format!("{}: {digest} ", path.display()),
        (Some(digest), _) => format!("{digest} "),
        (None, Some(path)) => format!("{} ", path.display()),
        (None, None) => String::new(),
    };
    let images =
        if finding.images.is_empty() { String::new() } else { format!(" ({})", finding.images.join(", ")) };
    format!("{} {subject}{}{images}", finding.kind.as_str(), finding.message)
}

fn severity(finding: &Finding) -> &'static str {
    match finding.severity() {
        Severity::Error => "error",
        Severity::Note => "note",
    }
}

fn print_json(report: &Report) -> Result<()> {
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| {
            json!({
                "kind": finding.kind.as_str(),
                "severity": severity(finding),
                "digest": finding.digest,
                "path": finding.path.as_ref().map(|path| path.display().to_string()),
                "images": finding.images,
                "message": finding.message,
            })
        })
        .collect();
    render::json(&json!({ "blobs": report.blobs, "bytes": report.bytes, "findings": findings }))?;
    Ok(())
}
