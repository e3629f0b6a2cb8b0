//! Why a garbage collection would be refused now, as [`gc`](crate::gc) judges it.

use std::path::PathBuf;

use crate::error::Result;
use crate::gc::plan::troubles;
use crate::gc::waiting::Waiting;
use crate::graph::Graph;
use crate::index::Document;
use crate::repository::{History, Repository};

/// Finds the reasons, in words.
pub(super) fn find(
    repository: &Repository,
    document: &Document,
    graph: &Graph,
    linked: &[PathBuf],
    waiting: &Waiting,
) -> Result<Vec<String>> {
    let (missing, broken) = troubles(repository, graph)?;
    let missing_roots = missing.into_iter().filter(|trouble| trouble.is_root);
    let refused = broken.into_iter().chain(missing_roots).map(|trouble| {
        let image = trouble.images.into_iter().next().filter(|_| trouble.is_root);
        format!("{}: {}", image.or(trouble.digest).unwrap_or_default(), trouble.reason)
    });
    let mut doubts: Vec<String> = refused.collect();
    doubts.extend(waiting.broken.iter().map(|trouble| trouble.reason.clone()));
    let linked = linked.iter().map(|path| path.display());
    doubts.extend(linked.map(|path| format!("{path} is a link, so others may share these blobs")));
    if document.entries().is_empty() && !graph.unreached().is_empty() {
        let text = repository.read_index()?.text;
        if !History::read(repository.own_dir()?.as_ref()).knows(text.as_bytes()) {
            doubts.push("index.json has no entries, but ocirepo did not write it so".to_owned());
        }
    }
    Ok(doubts)
}
