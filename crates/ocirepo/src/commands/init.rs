//! `ocirepo init`

use std::path::PathBuf;

use anyhow::Result;
use ocirepo_store::name::RefPolicy;
use ocirepo_store::{InitOptions, Initialised, Repository};
use serde_json::json;

use crate::context::Context;
use crate::exit::Code;
use crate::options::{Format, word};
use crate::render;

/// Make a directory a repository
///
/// The directory is made if need be. In a repository, whoever made it, nothing is changed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ocirepo init
  ocirepo init /srv/images --ref-policy tag
  ocirepo init --adopt        # blobs without index.json, as a killed copy leaves them")]
pub(crate) struct Args {
    /// The directory [default: that of --repo]
    directory: Option<PathBuf>,
    /// What org.opencontainers.image.ref.name holds: the full reference, or the tag alone
    /// [default: full]
    #[arg(long, value_name = "full|tag", value_parser = word(&["full", "tag"], str::parse::<RefPolicy>), hide_possible_values = true)]
    ref_policy: Option<RefPolicy>,
    /// Take over blobs that lie there without index.json or oci-layout. Every image among them is
    /// listed, without a name
    #[arg(long)]
    adopt: bool,
    /// Only show what would be made
    #[arg(short = 'n', long)]
    dry_run: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Code> {
    let path = args.directory.as_ref().unwrap_or(&context.path);
    let options = InitOptions { policy: args.ref_policy, adopt: args.adopt };
    let settings = context.settings();
    let has_others = std::fs::read_dir(path).is_ok_and(|mut files| files.next().is_some());
    let outcome = if args.dry_run {
        Repository::rehearse_init(path, options, settings.clone())?
    } else {
        Repository::init(path, options, settings.clone())?.1
    };
    if !args.dry_run && outcome != Initialised::AlreadyThere {
        context.stop().note_change();
    }
    let policy = match Repository::open(path, settings) {
        Ok(repository) => repository.policy(&repository.index()?)?,
        Err(_) => args.ref_policy.unwrap_or_default(),
    };
    if context.format == Format::Json {
        let (state, images) = match outcome {
            Initialised::Created => ("created", 0),
            Initialised::AlreadyThere => ("unchanged", 0),
            Initialised::Adopted { images } => ("adopted", images),
        };
        let path = path.display().to_string();
        render::json(&json!({
            "dryRun": args.dry_run, "path": path, "state": state, "refPolicy": policy.as_str(),
            "adoptedImages": images,
        }))?;
        return Ok(Code::Ok);
    }
    let shown = path.display();
    let text = match outcome {
        Initialised::Created if args.dry_run => {
            format!("would initialise an empty repository in {shown} (ref policy {policy})")
        }
        Initialised::Created => format!("initialised an empty repository in {shown} (ref policy {policy})"),
        Initialised::AlreadyThere => format!("{shown} is a repository already (ref policy {policy})"),
        Initialised::Adopted { images } if args.dry_run => {
            format!("would make {shown} a repository, of {}", render::count(images as u64, "image"))
        }
        Initialised::Adopted { images } => {
            format!("{shown} is a repository now, of {}", render::count(images as u64, "image"))
        }
    };
    if !context.quiet {
        render::line(&render::safe(&text))?;
    }
    if outcome == Initialised::Created && has_others {
        context.warn(&format!("there are other files in {shown}: blobs/ and index.json lie beside them"));
    }
    if outcome == Initialised::AlreadyThere && args.ref_policy.is_some_and(|wanted| wanted != policy) {
        let wanted = args.ref_policy.unwrap_or_default();
        context.warn(&format!(
            "its ref policy stays {policy}; `ocirepo config ref-policy {wanted}` converts it"
        ));
    }
    Ok(Code::Ok)
}
