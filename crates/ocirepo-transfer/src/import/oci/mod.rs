//! Image layouts: every entry of index.json and all that it leads to.
//!
//! - `survey` looks at everything once, to know what there is to choose from.
//! - `cut` takes some platforms of an image.
//! - `relayer` looks into layers, or stores them in another way.
//! - `bring` carries what was chosen into the repository.
//! - `graph` holds the documents meanwhile.

mod bring;
mod cut;
mod graph;
mod relayer;
mod survey;

use ocirepo_store::graph::Descriptor;
use ocirepo_store::index::Entry;
use ocirepo_store::name::Name;

pub(crate) use bring::{Bringing, bring};
pub(crate) use cut::{Cut, attested, cut, platform_of_config, reference};
pub(crate) use graph::{Graph, Held};
pub(crate) use relayer::{relayer, verify};
pub(crate) use survey::Survey;

use super::carrier::Carrier;
use super::naming::{self, Carriers};
use crate::error::{Error, Result, escape};

/// An entry of an index.json that is being imported.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) entry: Entry,
    /// What the entry describes.
    pub(crate) descriptor: Descriptor,
    pub(crate) names: Vec<Name>,
    pub(crate) warnings: Vec<String>,
    /// Where it stands among the images of the source, from 0.
    pub(crate) position: usize,
}

/// Reads the entries of an index.json.
///
/// # Errors
/// When one of them is no descriptor.
pub(crate) fn list(carrier: &Carrier<'_>, entries: &[Entry], carriers: Carriers) -> Result<Vec<Listed>> {
    let mut listed = Vec::with_capacity(entries.len());
    for (position, entry) in entries.iter().enumerate() {
        let descriptor = entry.descriptor().map_err(|reason| {
            let reason = format!("entry {position} cannot be used: {}", escape(reason));
            Error::member(carrier.label(), "index.json", reason)
        })?;
        let (name, warning) = naming::of_entry(entry, carriers);
        listed.push(Listed {
            descriptor: descriptor.clone(),
            entry: entry.clone(),
            names: name.into_iter().collect(),
            warnings: warning.into_iter().collect(),
            position: 0,
        });
    }
    Ok(listed)
}
