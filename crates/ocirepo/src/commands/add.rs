//! `ocirepo add`

use anyhow::Result;
use ocirepo_store::ingest::Counts;
use ocirepo_store::name::Name;
use ocirepo_transfer::{ImportOptions, Imported, ImportedImage, Source, import};
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::{Code, UsageError};
use crate::options::Format;
use crate::render;

/// Add images from archives and layout directories
///
/// Each SOURCE is told by its content, not by its name: `docker save` archives, podman, skopeo and
/// crane archives, OCI layout directories and tars with one image or many; plain or compressed. `-`
/// is standard input. A source is added as a whole or not at all; sources before it stay added.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ocirepo add image.tar --ref docker.io/library/alpine:3.11
  ocirepo add bundle1.tar bundle2.tar.zst     # under the names in the archives
  docker save alpine:3.11 | ocirepo add -
  ocirepo add image.tar --ref alpine:3.12 --replace")]
pub(crate) struct Args {
    /// Archives and layout directories
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,
    /// The name for the one image in the one source
    #[arg(long = "ref", value_name = "REFERENCE")]
    reference: Option<String>,
    /// Under the tag policy, take a tag from another image that has it
    #[arg(long)]
    replace: bool,
}

pub(crate) fn run(args: &Args, context: &Context, verb: &str) -> Result<Code> {
    if args.reference.is_some() && args.sources.len() > 1 {
        return Err(UsageError("--ref names one image, so it takes one SOURCE".to_owned()).into());
    }
    let reference = args.reference.as_deref().map(Name::parse).transpose()?;
    let options = ImportOptions { reference, replace: args.replace };
    let repository = context.open(verb)?;
    if let (Some(name), Some(text)) = (&options.reference, &args.reference) {
        let policy = repository.policy(&repository.index()?)?;
        super::tag::warn_of_bare_tag(name, text, policy, context);
    }
    let reporter = context.reporter();
    let mut added = Added::default();
    let mut outcome = Ok(Code::Ok);
    for text in &args.sources {
        // The lock is let go between sources, so that a waiting sweep gets its turn.
        let imported = repository
            .lock_shared()
            .map_err(anyhow::Error::from)
            .and_then(|lock| Ok(import(&lock, &Source::parse(text), &options, &reporter)?));
        match imported {
            Ok(imported) => added.take(text, imported, context)?,
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    if context.format == Format::Json {
        added.print_json()?;
    }
    outcome
}

/// What was added so far.
#[derive(Debug, Default)]
struct Added {
    images: Vec<Value>,
    counts: Counts,
}

impl Added {
    fn take(&mut self, source: &str, imported: Imported, context: &Context) -> Result<()> {
        for warning in
            imported.warnings.iter().chain(imported.images.iter().flat_map(|image| &image.warnings))
        {
            context.warn(&format!("{source}: {warning}"));
        }
        for image in &imported.images {
            self.images.push(json!({
                "reference": image.reference,
                "digest": image.digest.as_str(),
                "previous": image.previous,
                "displaced": image.displaced,
                "source": source,
                "warnings": image.warnings,
            }));
            if context.format == Format::Table {
                render::line(&render::safe(&describe(image)))?;
                for displaced in &image.displaced {
                    render::line(&render::safe(&format!("replaced {displaced}")))?;
                }
            }
        }
        let counts = imported.counts;
        if context.format == Format::Table && !context.quiet {
            let new =
                format!("{} new ({})", render::count(counts.new, "blob"), render::size(counts.new_bytes));
            context.say(&format!("{}: {new}, {} already there", render::safe(source), counts.reused));
        }
        self.counts.new += counts.new;
        self.counts.new_bytes += counts.new_bytes;
        self.counts.reused += counts.reused;
        self.counts.reused_bytes += counts.reused_bytes;
        Ok(())
    }

    fn print_json(&self) -> Result<()> {
        let Counts { new, new_bytes, reused, .. } = self.counts;
        render::json(&json!({
            "images": self.images,
            "blobs": { "new": new, "reused": reused, "newBytes": new_bytes },
            "pending": [],
        }))?;
        Ok(())
    }
}

fn describe(image: &ImportedImage) -> String {
    let digest = &image.digest;
    let name = image.reference.as_deref().unwrap_or("<none>");
    match &image.previous {
        _ if image.unchanged => format!("unchanged {name} {digest}"),
        Some(previous) => format!("moved {name} from {previous} to {digest}"),
        None => format!("added {name} {digest}"),
    }
}
