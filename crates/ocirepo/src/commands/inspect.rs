//! `ocirepo inspect`

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write};

use anyhow::Result;
use ocirepo_store::Repository;
use ocirepo_store::graph::{Class, Descriptor, Documents, Loaded, Wanted};
use ocirepo_store::image::{Image, Manifest};
use ocirepo_store::index::{Document, Entry};
use ocirepo_store::name::resolve;
use serde::Serialize;
use serde_json::Value;

use super::look::{self, View};
use crate::context::Context;
use crate::exit::Code;
use crate::options::Format;
use crate::render;

/// Show one image: its digest, platforms, layers and annotations
///
/// REFERENCE is a name, a digest, 7 or more hex digits that begin one, or @N for the Nth entry of
/// index.json, counted from 0. Where the repository has no such image and there is a bundle or
/// another archive of that name, the one image in it is shown; --in shows an image of several.
/// Nothing is added.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ocirepo inspect alpine:3.11
  ocirepo inspect sha256:ab00606a --format json
  ocirepo inspect alpine:3.11 --in bundle.tar
  ocirepo inspect image.tar
  ocirepo inspect --raw alpine:3.11 | sha256sum")]
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
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Output {
    reference: Option<String>,
    references: Vec<String>,
    ref_name: Option<String>,
    digest: Option<String>,
    media_type: Option<String>,
    size: Option<u64>,
    total_size: u64,
    platforms: Vec<String>,
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    layers: Vec<Part>,
    manifests: Vec<Member>,
    annotations: BTreeMap<String, String>,
}

/// A blob of an image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    media_type: String,
    digest: String,
    size: u64,
    present: bool,
}

/// A manifest of an image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Member {
    media_type: String,
    digest: String,
    size: u64,
    present: bool,
    platform: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    config: Option<Part>,
    layers: Vec<Part>,
    annotations: Value,
}

pub(crate) fn run(args: &Args, context: &Context, verb: &str) -> Result<Code> {
    let named = |view: &View<'_>| match &args.reference {
        Some(reference) => Ok(resolve(view.document, reference, view.path)?.positions[0]),
        None => view.only_image(),
    };
    if let Some(source) = &args.source {
        return look::at_source(source, context, verb, |view| show(view, named(view)?, args, context));
    }
    let word = args.reference.as_deref().unwrap_or("-");
    let found = if word == "-" { Ok(None) } else { in_repository(word, context, verb) };
    match found {
        Ok(Some(Found { repository, document, position })) => {
            show(&look::view(&repository, &document), position, args, context)
        }
        Ok(None) => {
            look::at_source(word, context, verb, |view| show(view, view.only_image()?, args, context))
        }
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
fn in_repository(word: &str, context: &Context, verb: &str) -> Result<Option<Found>> {
    let is_source = look::is_source(word);
    let repository = match context.open(verb) {
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
    if args.raw {
        return print_raw(view.documents, entry, position);
    }
    let output = output(view.documents, view.document, entry);
    if context.format == Format::Json {
        render::json(&output)?;
    } else {
        print(&output)?;
    }
    Ok(Code::Ok)
}

fn output(documents: &dyn Documents, document: &Document, entry: &Entry) -> Output {
    let image = Image::of(documents, entry);
    let part = |descriptor: &Descriptor| Part {
        media_type: descriptor.media_type.clone(),
        digest: descriptor.digest.to_string(),
        size: descriptor.size,
        present: documents.blob_size(&descriptor.digest).ok().flatten() == Some(descriptor.size),
    };
    let member = |manifest: &Manifest| Member {
        media_type: manifest.descriptor.media_type.clone(),
        digest: manifest.descriptor.digest.to_string(),
        size: manifest.descriptor.size,
        present: manifest.is_present,
        platform: manifest.platform.as_ref().map(ToString::to_string),
        artifact_type: manifest.artifact_type.clone(),
        config: manifest.config.as_ref().map(part),
        layers: manifest.layers.iter().map(part).collect(),
        annotations: annotations(documents, &manifest.descriptor),
    };
    let descriptor = entry.descriptor().ok();
    let same_digest = |other: &&Entry| other.digest_text() == entry.digest_text();
    Output {
        reference: entry.name().map(|name| name.to_string()),
        references: document
            .entries()
            .iter()
            .filter(same_digest)
            .filter_map(Entry::name)
            .map(|name| name.to_string())
            .collect(),
        ref_name: entry.ref_name().map(str::to_owned),
        digest: entry.digest_text().map(str::to_owned),
        media_type: descriptor.map(|descriptor| descriptor.media_type.clone()),
        size: descriptor.map(|descriptor| descriptor.size),
        total_size: image.total_size,
        platforms: image.platforms().iter().map(ToString::to_string).collect(),
        complete: image.is_complete,
        layers: image.layers().into_iter().map(part).collect(),
        manifests: image.manifests.iter().map(member).collect(),
        problem: image.problem,
        annotations: entry.annotations().into_iter().collect(),
    }
}

fn load(documents: &dyn Documents, descriptor: &Descriptor) -> Loaded {
    let class = Class::of(&descriptor.media_type);
    let embedded = descriptor.data.as_deref();
    documents.load(&Wanted { digest: &descriptor.digest, class, size: Some(descriptor.size), embedded })
}

/// The annotations inside a manifest.
fn annotations(documents: &dyn Documents, descriptor: &Descriptor) -> Value {
    let Loaded::Content(bytes) = load(documents, descriptor) else { return Value::Null };
    let manifest: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    manifest.get("annotations").cloned().unwrap_or_default()
}

fn print_raw(documents: &dyn Documents, entry: &Entry, position: usize) -> Result<Code> {
    let descriptor = entry
        .descriptor()
        .map_err(|reason| ocirepo_store::Error::StrangeEntry { position, reason: reason.to_owned() })?;
    // Proven before a byte of it is shown.
    let digest = || descriptor.digest.clone();
    let bytes = match load(documents, descriptor) {
        Loaded::Content(bytes) => bytes,
        Loaded::Missing => return Err(ocirepo_store::Error::MissingBlob { digest: digest() }.into()),
        Loaded::Broken(reason) => {
            return Err(ocirepo_store::Error::BrokenManifest { digest: digest(), reason }.into());
        }
        Loaded::Data => {
            let reason = "it is no document".to_owned();
            return Err(ocirepo_store::Error::BrokenManifest { digest: digest(), reason }.into());
        }
    };
    let mut out = std::io::stdout().lock();
    if out.is_terminal() {
        drop(out);
        String::from_utf8_lossy(&bytes).split('\n').try_for_each(render::line)?;
        return Ok(Code::Ok);
    }
    out.write_all(&bytes)?;
    out.flush()?;
    Ok(Code::Ok)
}

fn print(output: &Output) -> Result<()> {
    let line = |name: &str, value: &str| render::line(&format!("{name:<12}{}", render::safe(value)));
    let none = "<none>".to_owned();
    line("Reference", output.reference.as_ref().unwrap_or(&none))?;
    for other in output.references.iter().filter(|name| Some(*name) != output.reference.as_ref()) {
        line("Also", other)?;
    }
    line("Digest", output.digest.as_deref().unwrap_or("-"))?;
    line("Type", output.media_type.as_deref().unwrap_or("-"))?;
    line("Size", &format!("{} in all", render::size(output.total_size)))?;
    if !output.platforms.is_empty() {
        line("Platforms", &output.platforms.join(", "))?;
    }
    let state = if output.complete { "complete" } else { "incomplete" };
    line("State", output.problem.as_deref().unwrap_or(state))?;
    for (name, value) in &output.annotations {
        line("Annotation", &format!("{name}={value}"))?;
    }
    for manifest in &output.manifests {
        let platform = manifest.platform.as_deref().or(manifest.artifact_type.as_deref()).unwrap_or("-");
        line("Manifest", &format!("{platform} {}{}", manifest.digest, absent(manifest.present)))?;
        for layer in &manifest.layers {
            let size = render::size(layer.size);
            line("  Layer", &format!("{} {size}{}", layer.digest, absent(layer.present)))?;
        }
    }
    Ok(())
}

fn absent(present: bool) -> &'static str {
    if present { "" } else { " (not there)" }
}
