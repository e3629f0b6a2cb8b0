//! Why a garbage collection would be refused now, as [`gc`](crate::gc) judges it.

use crate::blob::Listing;
use crate::error::Result;
use crate::gc::waiting::Waiting;
use crate::graph::{Fault, Graph, Link};
use crate::index::Document;
use crate::repository::{History, Repository};
use crate::verify::is_quarantined;

/// Finds the reasons, in words.
pub(super) fn find(
    repository: &Repository,
    document: &Document,
    graph: &Graph,
    listing: &Listing,
    waiting: &Waiting,
) -> Result<Vec<String>> {
    let mut doubts = Vec::new();
    for fault in &graph.faults {
        doubts.extend(judge(repository, graph, fault)?);
    }
    doubts.extend(waiting.broken.iter().map(|trouble| trouble.reason.clone()));
    let linked = listing.linked.iter().map(|path| path.display());
    doubts.extend(linked.map(|path| format!("{path} is a link, so others may share these blobs")));
    if document.entries().is_empty() && !graph.unreached().is_empty() {
        let text = repository.read_index()?.text;
        if !History::read(repository.own_dir()?.as_ref()).knows(text.as_bytes()) {
            doubts.push("index.json has no entries, but ocirepo did not write it so".to_owned());
        }
    }
    Ok(doubts)
}

/// Whether a fault stops a collection: a document that is damaged does, and the manifest of an entry that
/// is not there. What is missing elsewhere does not.
fn judge(repository: &Repository, graph: &Graph, fault: &Fault) -> Result<Option<String>> {
    let blob = match fault {
        Fault::BrokenEntry { root, reason } => {
            return Ok(Some(format!("{}: {reason}", graph.roots[*root].label)));
        }
        Fault::Broken { blob, reason } => return Ok(Some(format!("{}: {reason}", graph.blob(*blob).digest))),
        Fault::Missing { blob } => *blob,
    };
    let digest = &graph.blob(blob).digest;
    if let Some(root) = graph.roots.iter().find(|root| root.blob == Some(blob)) {
        return Ok(Some(format!("{}: its manifest is not there", root.label)));
    }
    let is_optional = |(_, link): &(_, Link)| matches!(link, Link::Subject | Link::Guess);
    let is_needed = !graph.blob(blob).parents.iter().all(is_optional);
    let is_aside = is_needed && is_quarantined(repository, digest)?;
    Ok(is_aside.then(|| format!("{digest} is damaged, and was moved aside")))
}
