//! What images lack that they may lack, told by platform.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use ocirepo_store::Digest;

use super::Walk;
use crate::error::escape;
use crate::import::oci::survey::above;

impl Walk<'_, '_, '_> {
    /// The roots that lack something that they may lack, each with what it is.
    pub(super) fn sparse_roots(&self) -> Vec<(Digest, String)> {
        // What has the same parents is below the same roots, so those are looked for once.
        let mut groups: BTreeMap<Vec<&Digest>, BTreeSet<String>> = BTreeMap::new();
        let manifests: HashSet<&Digest> = self.missing.iter().map(|(_, manifest)| manifest).collect();
        for manifest in manifests {
            let platform = self.platforms.get(manifest).map_or(manifest.as_str(), String::as_str);
            let is_root = self.labels.contains_key(manifest);
            let parents = self.parents.get(manifest).into_iter().flatten();
            let mut above: Vec<&Digest> = parents.chain(is_root.then_some(manifest)).collect();
            above.sort_unstable();
            above.dedup();
            groups.entry(above).or_default().insert(escape(platform));
        }
        let groups: Vec<(Vec<&Digest>, BTreeSet<String>)> = groups.into_iter().collect();
        let mut lacking: BTreeMap<&Digest, Vec<usize>> = BTreeMap::new();
        for (number, (parents, _)) in groups.iter().enumerate() {
            let parents: Vec<Digest> = parents.iter().copied().cloned().collect();
            let above = above(&self.parents, &parents);
            for (root, _) in above.iter().filter_map(|digest| self.labels.get_key_value(digest)) {
                lacking.entry(root).or_default().push(number);
            }
        }
        let mut texts: HashMap<Vec<usize>, String> = HashMap::new();
        let mut roots = Vec::with_capacity(lacking.len());
        for (root, numbers) in lacking {
            let text = texts.entry(numbers).or_insert_with_key(|numbers| {
                let platforms = numbers.iter().flat_map(|&number| &groups[number].1);
                enumerate(&platforms.map(String::as_str).collect())
            });
            roots.push((root.clone(), text.clone()));
        }
        roots
    }
}

/// So many platforms are named in a message.
const MAX_NAMED: usize = 20;

fn enumerate(platforms: &BTreeSet<&str>) -> String {
    let named: Vec<&str> = platforms.iter().copied().take(MAX_NAMED).collect();
    let named = named.join(", ");
    match platforms.len().saturating_sub(MAX_NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
