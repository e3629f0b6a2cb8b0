//! `ocirepo verify`

use anyhow::Result;
use ocirepo_store::verify::{self, Finding, Options, Report, Severity};
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::Code;
use crate::options::Format;
use crate::render;

/// Check that every blob is there and is what its digest says
///
/// Every finding is listed with the images that it breaks. The exit code is 4 if any is an error;
/// notes (orphans, sparse images, strangers) are none.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ocirepo verify
  ocirepo verify --quick
  ocirepo verify alpine:3.11 --format json")]
pub(crate) struct Args {
    /// Only these images
    #[arg(value_name = "REFERENCE")]
    references: Vec<String>,
    /// Only presence and size: blobs are not read
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(args: &Args, context: &Context, verb: &str) -> Result<Code> {
    let repository = context.open(verb)?;
    let options = Options { quick: args.quick, queries: args.references.clone() };
    let report = verify::verify(&repository, &options, &context.reporter())?;
    if context.format == Format::Json {
        print_json(&report)?;
    } else {
        print(&report, args.quick, context)?;
    }
    Ok(if report.has_errors() { Code::Corrupt } else { Code::Ok })
}

fn print(report: &Report, quick: bool, context: &Context) -> Result<()> {
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
            render::line(&format!("{label} {}", render::safe(&describe(finding))))?;
        }
    }
    let how = if quick { "present at their size" } else { "hashed" };
    let blobs = format!("{} {how}, {}", render::count(report.blobs, "blob"), render::size(report.bytes));
    let found = format!("{}, {}", render::count(errors, "error"), render::count(notes, "note"));
    render::line(&format!("{blobs}: {found}"))?;
    if errors > 0 {
        context.say(
            "hint: adding an image again brings back missing blobs and mends those of the wrong size; for a corrupt \
             one, delete its file first",
        );
    }
    Ok(())
}

fn describe(finding: &Finding) -> String {
    let subject = match (&finding.digest, &finding.path) {
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
