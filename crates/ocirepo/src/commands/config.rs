//! `ocirepo config`

use anyhow::Result;
use clap::Subcommand;
use ocirepo_store::name::RefPolicy;
use serde_json::json;

use crate::context::Context;
use crate::exit::Code;
use crate::options::{Format, word};
use crate::render;

/// Show or change the settings of the repository
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ocirepo config ref-policy
  ocirepo config ref-policy tag")]
pub(crate) struct Args {
    #[command(subcommand)]
    setting: Option<Setting>,
}

#[derive(Debug, Subcommand)]
enum Setting {
    /// What org.opencontainers.image.ref.name holds: the full reference, or the tag alone
    ///
    /// With a POLICY the repository is converted: every ref.name is rewritten, and nothing is lost,
    /// since the full reference is always kept in io.containerd.image.name. Refused, with the list,
    /// when two images would get one ref.name.
    RefPolicy {
        /// full or tag
        #[arg(value_name = "POLICY", value_parser = word(&["full", "tag"], str::parse::<RefPolicy>), hide_possible_values = true)]
        policy: Option<RefPolicy>,
        /// Only show what would be rewritten
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Code> {
    let repository = context.open()?;
    let Some(Setting::RefPolicy { policy: Some(policy), dry_run }) = args.setting else {
        let policy = repository.policy(&repository.index()?)?;
        return show(policy, args.setting.is_none(), context);
    };
    let converted = if dry_run {
        ocirepo_store::rehearse_set_policy(&repository.lock_reading()?, policy)?
    } else {
        ocirepo_store::set_policy(&repository.lock_shared()?, policy)?
    };
    for name in &converted.unchanged {
        context.warn(&format!("{name} is the same under both policies: it has no full form"));
    }
    if context.format == Format::Json {
        render::json(&json!({
            "dryRun": dry_run,
            "refPolicy": policy.as_str(),
            "previous": converted.from.as_str(),
            "renamed": converted.renamed,
            "unchanged": converted.unchanged,
        }))?;
    } else {
        let names = render::count(converted.renamed as u64, "ref.name");
        let from = converted.from;
        render::line(&match dry_run {
            true => format!("ref policy {policy}, now {from}; {names} would be rewritten"),
            false => format!("ref policy {policy}, was {from}; {names} rewritten"),
        })?;
    }
    Ok(Code::Ok)
}

fn show(policy: RefPolicy, with_name: bool, context: &Context) -> Result<Code> {
    if context.format == Format::Json {
        render::json(&json!({ "refPolicy": policy.as_str() }))?;
    } else if with_name {
        render::line(&format!("ref-policy {policy}"))?;
    } else {
        render::line(policy.as_str())?;
    }
    Ok(Code::Ok)
}
