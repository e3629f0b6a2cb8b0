//! `ocirepo tag`

use anyhow::Result;
use ocirepo_store::name::Name;
use serde_json::json;

use crate::context::Context;
use crate::exit::Code;
use crate::options::Format;
use crate::render;

/// Give an image one more name
///
/// The old name stays. An image without a name gets its first. A name that stands for another image
/// is moved.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ocirepo tag alpine:3.11 mirror.corp/base/alpine:3.11
  ocirepo tag sha256:ab00606a app:good app:stable")]
pub(crate) struct Args {
    /// The image: a name, a digest or the beginning of one, or @N
    image: String,
    /// Its new names
    #[arg(required = true, value_name = "REFERENCE")]
    references: Vec<String>,
    /// Under the tag policy, take a tag from another image that has it
    #[arg(long)]
    replace: bool,
}

pub(crate) fn run(args: &Args, context: &Context, verb: &str) -> Result<Code> {
    let names = args.references.iter().map(|text| Name::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let repository = context.open(verb)?;
    let lock = repository.lock_shared()?;
    let policy = repository.policy(&repository.index()?)?;
    let mut tagged = Vec::new();
    for name in &names {
        if let Some(warning) = name.warning(policy) {
            context.warn(&warning);
        }
        let done = ocirepo_store::tag(&lock, &args.image, name, args.replace)?;
        if context.format == Format::Table {
            let verb = match &done.outcome.previous {
                _ if done.outcome.unchanged => "unchanged",
                Some(_) => "moved",
                None => "tagged",
            };
            render::line(&render::safe(&format!("{verb} {name} {}", done.digest)))?;
            for displaced in &done.outcome.displaced {
                render::line(&render::safe(&format!("replaced {displaced}")))?;
            }
        }
        tagged.push(json!({
            "reference": name.to_string(),
            "digest": done.digest,
            "previous": done.outcome.previous,
            "displaced": done.outcome.displaced,
        }));
    }
    if context.format == Format::Json {
        render::json(&json!({ "tagged": tagged }))?;
    }
    Ok(Code::Ok)
}
