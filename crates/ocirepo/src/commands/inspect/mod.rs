//! `ocirepo inspect`

mod config;
mod platform;
mod shape;
mod text;

use std::io::{IsTerminal as _, Write};

use anyhow::{Result, bail};
use ocirepo_store::Repository;
use ocirepo_store::graph::{Class, Descriptor, Documents, Loaded, Wanted};
use ocirepo_store::image::Image;
use ocirepo_store::index::Document;
use ocirepo_store::name::resolve;
use ocirepo_transfer::PlatformPattern;

use super::look::{self, View};
use crate::context::Context;
use crate::exit::Code;
use crate::options::Format;
use crate::render;

/// Show one image: its digest, platforms, config, layers and annotations
///
/// REFERENCE is a name, a digest, 7 or more hex digits that begin one, or @N for the Nth entry of
/// index.json, counted from 0. Where the repository has no such image and there is a bundle or
/// another archive of that name, the one image in it is shown; --in shows an image of several.
/// Nothing is added.
///
/// Of an image for several platforms the platforms are listed; --platform shows one of them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ocirepo inspect alpine:3.11
  ocirepo inspect alpine:3.11 --platform linux/arm64
  ocirepo inspect sha256:ab00606a --format json
  ocirepo inspect alpine:3.11 --in bundle.tar
  ocirepo inspect image.tar
  ocirepo inspect --raw alpine:3.11 | sha256sum
  ocirepo inspect --config alpine:3.11 | jq .config.Env")]
pub(crate) struct Args {
    /// The image
    #[arg(required_unless_present = "source")]
    reference: Option<String>,
    /// Where the image is, if not in the repository; - is standard input
    #[arg(long = "in", value_name = "SOURCE")]
    source: Option<String>,
    /// Print the manifest itself, byte for byte; on a terminal, with control characters as escapes
    #[arg(long)]
    raw: bool,
    /// Print the config itself likewise; of an image for several platforms, that for this machine
    #[arg(long, conflicts_with = "raw")]
    config: bool,
    /// Only this platform of the image
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<PlatformPattern>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Code> {
    let named = |view: &View<'_>| match &args.reference {
        Some(reference) => Ok(resolve(view.document, reference, view.path)?.positions[0]),
        None => view.only_image(),
    };
    if let Some(source) = &args.source {
        return look::at_source(source, context, |view| show(view, named(view)?, args, context));
    }
    let word = args.reference.as_deref().unwrap_or("-");
    let found = if word == "-" { Ok(None) } else { in_repository(word, context) };
    match found {
        Ok(Some(Found { repository, document, position })) => {
            show(&look::view(&repository, &document), position, args, context)
        }
        Ok(None) => look::at_source(word, context, |view| show(view, view.only_image()?, args, context)),
        Err(error) => Err(error),
    }
}

/// An entry of the repository. Where it stands means something in this very document alone: others may have taken
/// entries out since.
struct Found {
    repository: Repository,
    document: Document,
    position: usize,
}

/// The image of the repository, if it has it or nothing else is meant.
fn in_repository(word: &str, context: &Context) -> Result<Option<Found>> {
    let is_source = look::is_source(word);
    let repository = match context.open() {
        Err(error) if look::is_no_repository(&error) && is_source => return Ok(None),
        opened => look::or_no_path(opened, word)?,
    };
    let document = repository.index()?;
    match repository.resolve(&document, word) {
        Ok(found) => Ok(Some(Found { repository, document, position: found.positions[0] })),
        Err(ocirepo_store::Error::NotFound { .. }) if is_source => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn show(view: &View<'_>, position: usize, args: &Args, context: &Context) -> Result<Code> {
    let entry = &view.document.entries()[position];
    let descriptor = || {
        let strange =
            |reason: &str| ocirepo_store::Error::StrangeEntry { position, reason: reason.to_owned() };
        entry.descriptor().map_err(strange)
    };
    if args.raw && args.platform.is_none() {
        return print_bytes(&manifest(view.documents, descriptor()?)?);
    }
    let mut image = Image::of(view.documents, entry);
    if let Some(wanted) = &args.platform {
        descriptor()?;
        image = platform::keep(view.documents, image, wanted, &entry.label(position))?;
    }
    if args.raw {
        let only = platform::only(&image, &entry.label(position))?;
        return print_bytes(&manifest(view.documents, &only.descriptor)?);
    }
    if args.config {
        descriptor()?;
        let chosen = platform::choose(&image, &entry.label(position))?;
        // A manifest that cannot be read names no config, and is what is wrong.
        let Some(config) = &chosen.config else {
            manifest(view.documents, &chosen.descriptor)?;
            bail!("{} has no config", chosen.descriptor.digest);
        };
        return print_bytes(&proven(view.documents, config, Class::Data)?);
    }
    let output = context.reporter().during("finding referrers", || shape::output(view, position, image))?;
    if context.format == Format::Json {
        render::json(&output)?;
    } else {
        text::print(&output, context.screen)?;
    }
    Ok(Code::Ok)
}

/// Brings a document into memory, or with [`Class::Data`] a config, whatever is in it.
fn load(documents: &dyn Documents, descriptor: &Descriptor, class: Class) -> Loaded {
    let embedded = descriptor.data.as_deref();
    documents.load(&Wanted { digest: &descriptor.digest, class, size: Some(descriptor.size), embedded })
}

/// The bytes of a manifest, proven before one of them is shown.
fn manifest(documents: &dyn Documents, descriptor: &Descriptor) -> Result<Vec<u8>> {
    proven(documents, descriptor, Class::of(&descriptor.media_type))
}

fn proven(documents: &dyn Documents, descriptor: &Descriptor, class: Class) -> Result<Vec<u8>> {
    let digest = descriptor.digest.clone();
    let reason = match load(documents, descriptor, class) {
        Loaded::Content(bytes) => return Ok(bytes),
        Loaded::Missing => return Err(ocirepo_store::Error::MissingBlob { digest }.into()),
        Loaded::Broken(reason) => reason,
        Loaded::Data => "it is no document".to_owned(),
    };
    Err(ocirepo_store::Error::BrokenManifest { digest, reason }.into())
}

fn print_bytes(bytes: &[u8]) -> Result<Code> {
    let mut out = std::io::stdout().lock();
    if out.is_terminal() {
        drop(out);
        String::from_utf8_lossy(bytes).split('\n').try_for_each(render::line)?;
        return Ok(Code::Ok);
    }
    out.write_all(bytes)?;
    out.flush()?;
    Ok(Code::Ok)
}
