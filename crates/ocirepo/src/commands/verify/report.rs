//! What a verification and a repair came to, for people and for programs.

use std::path::PathBuf;

use anstyle::AnsiColor;
use anyhow::Result;
use ocirepo_store::Digest;
use ocirepo_store::verify::{Finding, Lost, Report, Severity};
use ocirepo_transfer::Healed;
use serde_json::{Value, json};

use super::Args;
use crate::context::Context;
use crate::options::Format;
use crate::render;

/// What was found, and what was done about it.
pub(super) struct Outcome {
    /// What is found now.
    pub(super) report: Report,
    pub(super) healed: Vec<Healed>,
    /// What is needed and could not be healed.
    pub(super) lost: Vec<Lost>,
    pub(super) moved: Vec<MovedAside>,
}

/// A bad blob that is out of the way.
pub(super) struct MovedAside {
    pub(super) digest: Digest,
    pub(super) path: PathBuf,
    /// The images that need it.
    pub(super) images: Vec<String>,
}

impl Outcome {
    /// What was only looked at.
    pub(super) fn of(report: Report) -> Self {
        Self { report, healed: Vec::new(), lost: Vec::new(), moved: Vec::new() }
    }

    /// Whether no image lacks anything. That a bad child of an index is out of the way makes a sparse
    /// image of it, which is sound in itself; the child is lost all the same.
    pub(super) fn is_sound(&self) -> bool {
        !self.report.has_errors() && self.moved.iter().all(|moved| moved.images.is_empty())
    }

    fn errors(&self) -> usize {
        let findings = self.report.findings.iter();
        findings.filter(|finding| finding.severity() == Severity::Error).count()
    }
}

pub(super) fn is_for_people(context: &Context) -> bool {
    context.format != Format::Json
}

/// Prints what came of it.
pub(super) fn show(outcome: &Outcome, args: &Args, of_sources: bool, context: &Context) -> Result<()> {
    if is_for_people(context) {
        print(outcome, args, of_sources, context)
    } else {
        print_json(outcome, args.dry_run)
    }
}

fn print(outcome: &Outcome, args: &Args, of_sources: bool, context: &Context) -> Result<()> {
    let Outcome { report, healed, moved, .. } = outcome;
    for Healed { was, source, .. } in healed {
        let label = if args.dry_run { "would repair:" } else { "repaired:" };
        let what = format!("{} {}, from {source}{}", was.kind.as_str(), was.digest, behind(&was.images));
        print_line(label, AnsiColor::Green, &what, context)?;
    }
    for moved in moved {
        let (label, to) = if args.dry_run { ("would move aside:", "from") } else { ("moved aside:", "to") };
        let what = format!("{} {to} {}{}", moved.digest, moved.path.display(), behind(&moved.images));
        print_line(label, AnsiColor::Yellow, &what, context)?;
    }
    for finding in &report.findings {
        let color = match finding.severity() {
            Severity::Error => AnsiColor::Red,
            Severity::Note if context.quiet => continue,
            Severity::Note => AnsiColor::Cyan,
        };
        print_line(&format!("{}:", severity(finding)), color, &describe(finding, of_sources), context)?;
    }
    let how = if args.quick { "present at their size" } else { "hashed" };
    let blobs = format!("{} {how}, {}", render::count(report.blobs, "blob"), render::size(report.bytes));
    let errors = outcome.errors();
    let notes = report.findings.len() - errors;
    let found = format!("{}, {}", render::count(errors as u64, "error"), render::count(notes as u64, "note"));
    let would = if args.dry_run { "would be " } else { "" };
    let repaired = (!args.repair_from.is_empty()).then(|| format!("{} {would}repaired", healed.len()));
    let aside = args.quarantine.then(|| format!("{} {would}moved aside", moved.len()));
    let done: Vec<String> = repaired.into_iter().chain(aside).collect();
    let done = done.join(if args.dry_run { " and " } else { "; " });
    render::line(&match (done.is_empty(), args.dry_run) {
        (true, _) => format!("{blobs}: {found}"),
        (false, false) => format!("{blobs}: {found}; {done}"),
        (false, true) => format!("{blobs}: {done}, which leaves {found}"),
    })?;
    Ok(())
}

fn print_line(label: &str, color: AnsiColor, text: &str, context: &Context) -> Result<()> {
    let label = render::paint(label, color, context.color);
    render::line(&format!("{label} {}", render::safe(text)))?;
    Ok(())
}

/// Says what to do about what is left.
pub(super) fn explain(outcome: &Outcome, args: &Args, of_sources: bool, context: &Context) {
    if outcome.is_sound() {
        return;
    }
    if !args.changes() || (args.dry_run && args.repair_from.is_empty()) {
        if is_for_people(context) {
            context.say(&format!("hint: {}", if of_sources { OF_SOURCES } else { OF_REPOSITORY }));
        }
        return;
    }
    let tell = |color, label: &str, text: &str| {
        let label = render::paint(label, color, context.color);
        render::line_to_stderr(&format!("{label} {}", render::safe(text)));
    };
    let needed = |moved: &MovedAside| !moved.images.is_empty();
    if !args.repair_from.is_empty() && !outcome.lost.is_empty() {
        let blobs = render::count(outcome.lost.len() as u64, "blob");
        let problem =
            format!("{blobs} could not be repaired: no given source has what is missing or damaged");
        tell(AnsiColor::Red, "error:", &problem);
        for lost in &outcome.lost {
            let images =
                if lost.images.is_empty() { "what waits".to_owned() } else { lost.images.join(", ") };
            let line = format!("  {} {} for {images}", lost.kind.as_str(), lost.digest);
            render::line_to_stderr(&render::safe(&line));
        }
        tell(AnsiColor::Cyan, "hint:", UNREPAIRED);
    } else if outcome.moved.iter().any(needed) {
        tell(AnsiColor::Cyan, "hint:", MOVED);
    } else {
        tell(AnsiColor::Cyan, "hint:", if outcome.lost.is_empty() { LEFT } else { OF_REPOSITORY });
    }
}

const OF_SOURCES: &str =
    "copy or save again what is damaged: it was cut short, damaged on the way, or written wrongly";
const OF_REPOSITORY: &str = "`ocirepo verify --repair-from SOURCE` brings back what is missing or damaged from an archive, \
     a bundle or another repository that has it; `ocirepo rm` gives an image up";
const UNREPAIRED: &str = "name another source that has them with --repair-from, such as the archive that the image came \
     in, or give the images up with `ocirepo rm`";
const MOVED: &str = "what was moved aside is missing now: bring it back before `ocirepo gc`, with `ocirepo verify --repair-from \
     SOURCE` or by adding the images again";
const LEFT: &str = "no copy of a blob mends what is left: `ocirepo rm` takes out images that cannot be used, and `ocirepo \
     gc` then deletes damaged blobs that no image needs";

fn describe(finding: &Finding, of_sources: bool) -> String {
    let subject = match (&finding.digest, &finding.path) {
        (Some(digest), Some(path)) if of_sources => format!("{}: {digest} ", path.display()),
        (Some(digest), _) => format!("{digest} "),
        // The message of a source begins with its name.
        (None, Some(path)) if finding.message.starts_with(&path.display().to_string()) => String::new(),
        (None, Some(path)) => format!("{} ", path.display()),
        (None, None) => String::new(),
    };
    format!("{} {subject}{}{}", finding.kind.as_str(), finding.message, behind(&finding.images))
}

/// Images as they stand behind what is said of them.
fn behind(images: &[String]) -> String {
    if images.is_empty() { String::new() } else { format!(" ({})", images.join(", ")) }
}

fn severity(finding: &Finding) -> &'static str {
    match finding.severity() {
        Severity::Error => "error",
        Severity::Note => "note",
    }
}

fn print_json(outcome: &Outcome, dry_run: bool) -> Result<()> {
    let Outcome { report, healed, moved, .. } = outcome;
    let finding = |finding: &Finding| {
        json!({
            "kind": finding.kind.as_str(),
            "severity": severity(finding),
            "digest": finding.digest,
            "path": finding.path.as_ref().map(|path| path.display().to_string()),
            "images": finding.images,
            "message": finding.message,
        })
    };
    let repaired = |Healed { was, source, .. }: &Healed| {
        json!({
            "digest": was.digest.as_str(),
            "kind": was.kind.as_str(),
            "path": was.path.display().to_string(),
            "source": source,
            "images": was.images,
        })
    };
    let quarantined = |moved: &MovedAside| {
        json!({
            "digest": moved.digest.as_str(),
            "path": moved.path.display().to_string(),
            "images": moved.images,
        })
    };
    render::json(&json!({
        "dryRun": dry_run,
        "blobs": report.blobs,
        "bytes": report.bytes,
        "findings": report.findings.iter().map(finding).collect::<Vec<Value>>(),
        "repaired": healed.iter().map(repaired).collect::<Vec<Value>>(),
        "quarantined": moved.iter().map(quarantined).collect::<Vec<Value>>(),
    }))?;
    Ok(())
}
