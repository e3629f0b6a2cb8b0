//! `ocirepo why`

use anyhow::Result;
use ocirepo_store::gc;
use ocirepo_store::graph::Link;
use serde_json::json;

use crate::context::Context;
use crate::exit::Code;
use crate::options::Format;
use crate::render;

/// Show why a blob is kept, or that it is garbage
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ocirepo why sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
  ocirepo why e3b0c442")]
pub(crate) struct Args {
    /// The digest of the blob, or 7 or more hex digits that begin it
    digest: String,
}

pub(crate) fn run(args: &Args, context: &Context, verb: &str) -> Result<Code> {
    let repository = context.open(verb)?;
    let lock = repository.lock_reading()?;
    let why = gc::why(&lock, &args.digest)?;
    if context.format == Format::Json {
        let path: Vec<_> = why
            .path
            .iter()
            .map(
                |step| json!({ "digest": step.digest.as_str(), "link": step.link.map_or("root", link_name) }),
            )
            .collect();
        render::json(&json!({
            "digest": why.digest.as_str(),
            "present": why.is_present,
            "garbage": why.is_garbage(),
            "path": path,
            "images": why.images,
        }))?;
        return Ok(Code::Ok);
    }
    if why.is_garbage() {
        render::line(&format!("{} is garbage: nothing needs it", why.digest))?;
        return Ok(Code::Ok);
    }
    for (depth, step) in why.path.iter().enumerate() {
        let link = step.link.map_or("root", link_name);
        render::line(&format!("{:indent$}{link} {}", "", step.digest, indent = depth * 2))?;
    }
    render::line(&render::safe(&format!("needed by {}", why.images.join(", "))))?;
    if !why.is_present {
        context.warn("the blob itself is not there");
    }
    Ok(Code::Ok)
}

const fn link_name(link: Link) -> &'static str {
    match link {
        Link::Manifest => "manifest",
        Link::Config => "config",
        Link::Layer => "layer",
        Link::Subject => "subject",
        Link::Guess => "descriptor",
        Link::Referrer => "referrer",
    }
}
