//! `ocirepo ls --pending`: the bundles that wait for more of their volumes.

use anyhow::Result;
use ocirepo_store::Repository;
use ocirepo_transfer::{WaitingBundle, waiting_bundles};
use serde_json::json;

use crate::context::Context;
use crate::exit::Code;
use crate::options::Format;
use crate::render::{self, Fit, Table};

/// Lists them.
pub(super) fn list(repository: &Repository, whole_digests: bool, context: &Context) -> Result<Code> {
    let bundles = waiting_bundles(repository)?;
    if context.format == Format::Json {
        render::json(&bundles.iter().map(value).collect::<Vec<_>>())?;
    } else if bundles.is_empty() {
        context.say("no bundle waits for volumes");
    } else {
        let table =
            Table::new(["BUNDLE", "VOLUMES", "NEEDED", "WAITING", "IMAGES"]).right(3).fit(4, Fit::List);
        table.print(context.screen, bundles.iter().map(|bundle| cells(bundle, whole_digests)))?;
    }
    Ok(Code::Ok)
}

fn value(bundle: &WaitingBundle) -> serde_json::Value {
    let mut value = json!({
        "bundle": bundle.bundle.as_str(),
        "volumes": bundle.volumes,
        "needed": bundle.needed,
        "bytes": bundle.bytes,
        "images": names(bundle),
    });
    if let Some(problem) = &bundle.problem {
        value["problem"] = json!(problem);
    }
    value
}

fn cells(bundle: &WaitingBundle, whole_digests: bool) -> [String; 5] {
    let id = bundle.bundle.as_str();
    let taken = bundle.volumes.saturating_sub(u32::try_from(bundle.needed.len()).unwrap_or(u32::MAX));
    let (volumes, needed) = match &bundle.problem {
        Some(problem) => ("-".to_owned(), problem.clone()),
        // It waits for its base, or for an answer to a conflict of names.
        None if bundle.needed.is_empty() => (format!("{taken}/{}", bundle.volumes), "none".to_owned()),
        None => (format!("{taken}/{}", bundle.volumes), render::numbers(&bundle.needed)),
    };
    let names = names(bundle);
    let more = names.len().saturating_sub(MOST_NAMED);
    let mut images = names[..names.len() - more].join(",");
    if more > 0 {
        images.push_str(&format!(" and {more} more"));
    }
    let id = if whole_digests { id.to_owned() } else { render::short(id) };
    [id, volumes, needed, render::size(bundle.bytes), images]
}

/// So many images of a bundle are named in a table.
const MOST_NAMED: usize = 3;

fn names(bundle: &WaitingBundle) -> Vec<&str> {
    let images = bundle.images.iter();
    images.map(|image| image.reference.as_deref().unwrap_or(image.digest.as_str())).collect()
}
