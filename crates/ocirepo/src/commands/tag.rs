//! `ocirepo tag`

use anyhow::Result;
use ocirepo_store::name::{Name, RefPolicy};
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
    /// Only show what would be named
    #[arg(short = 'n', long)]
    dry_run: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Code> {
    let names = args.references.iter().map(|text| Name::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let repository = context.open()?;
    let policy = repository.current_policy()?;
    for (name, text) in names.iter().zip(&args.references) {
        if let Some(warning) = name.warning(policy) {
            context.warn(&warning);
        }
        warn_of_bare_tag(name, text, policy, context);
    }
    let done = if args.dry_run {
        ocirepo_store::rehearse_tag(&repository.lock_reading()?, &args.image, &names, args.replace)?
    } else {
        ocirepo_store::tag(&repository.lock_shared()?, &args.image, &names, args.replace)?
    };
    let [moved, named, replaced] = match args.dry_run {
        true => ["would move", "would tag", "would replace"],
        false => ["moved", "tagged", "replaced"],
    };
    let mut tagged = Vec::new();
    for (name, done) in names.iter().zip(done) {
        if context.format == Format::Table {
            let text = match &done.outcome.previous {
                _ if done.outcome.unchanged => format!("unchanged {name} {}", done.digest),
                Some(previous) => format!("{moved} {name} from {previous} to {}", done.digest),
                None => format!("{named} {name} {}", done.digest),
            };
            render::line(&render::safe(&text))?;
            for displaced in &done.outcome.displaced {
                render::line(&render::safe(&format!("{replaced} {displaced}")))?;
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
        render::json(&json!({ "dryRun": args.dry_run, "tagged": tagged }))?;
    }
    Ok(Code::Ok)
}

/// Under the tag policy people think in tags: a word that may have been meant as one is a repository.
pub(crate) fn warn_of_bare_tag(name: &Name, text: &str, policy: RefPolicy, context: &Context) {
    if policy == RefPolicy::Tag && !text.contains(['/', ':', '@']) {
        context.warn(&format!("{text} is taken as {name}; for a tag write NAME:{text}"));
    }
}
