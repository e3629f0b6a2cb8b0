//! The table of a tar: names to content, with links followed in the table alone.
//!
//! Links may come before what they mean, so nothing is resolved until somebody asks. A member that
//! cannot be used, such as a link out of the archive, is an error only once it is needed.

use std::collections::{BTreeMap, HashMap};

use super::headers::{Header, Kind};
use super::limits::{MAX_HOPS, MAX_NAME};
use super::paths;
use crate::error::escape;

/// What stands under a name.
#[derive(Debug, PartialEq, Eq)]
enum Node<P> {
    File(P),
    Link(String),
    /// Something that must not be needed, and why.
    Unusable(String),
}

/// Names to content.
#[derive(Debug)]
pub(crate) struct Table<P> {
    nodes: BTreeMap<String, Node<P>>,
    /// Further content under the name of a file: with the first, [`MAX_TIMES`] of it at most.
    twins: HashMap<String, Vec<P>>,
}

/// Some writers repeat a layer for every image that has it. All of a name's contents are gone through
/// on every look-up, so there is an end to that.
const MAX_TIMES: usize = 1000;

/// What a name leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lookup<'t, P> {
    Absent,
    /// One content, or several that must turn out to be the same.
    Found {
        name: &'t str,
        places: Vec<&'t P>,
    },
    Unusable(String),
}

impl<P: PartialEq> Table<P> {
    pub(crate) fn new() -> Self {
        Self { nodes: BTreeMap::new(), twins: HashMap::new() }
    }

    /// Takes a member in. `place` is asked for the place of a file's content.
    pub(crate) fn insert(&mut self, header: &Header, place: P) {
        if header.name.len() > MAX_NAME {
            return;
        }
        // A name that cannot be cleaned can never be asked for.
        let Some(name) = paths::clean(&header.name) else { return };
        let link = |target: Option<String>, text: &str| {
            target.map_or_else(
                || Node::Unusable(format!("it is a link to {}, outside the archive", escape(text))),
                Node::Link,
            )
        };
        let is_long = |target: &str| target.len() > MAX_NAME;
        let node = match &header.kind {
            Kind::Symlink(target) | Kind::HardLink(target) if is_long(target) => {
                Node::Unusable("it is a link to a name that is too long".to_owned())
            }
            Kind::File => Node::File(place),
            Kind::Symlink(target) => link(paths::symlink_target(&name, target), target),
            Kind::HardLink(target) => link(paths::clean(target), target),
            Kind::Sparse => {
                Node::Unusable("it is stored as a sparse file, which is not supported".to_owned())
            }
            Kind::Other => return,
        };
        match self.nodes.get_mut(&name) {
            None => {
                self.nodes.insert(name, node);
            }
            Some(first) if *first == node => {}
            Some(Node::Unusable(_)) => {}
            Some(first) => {
                let reason = match (&first, node) {
                    (Node::File(_), Node::File(place)) => {
                        let twins = self.twins.entry(name.clone()).or_default();
                        if twins.len() + 1 < MAX_TIMES {
                            twins.push(place);
                            return;
                        }
                        format!("it is in the archive more than {MAX_TIMES} times")
                    }
                    _ => DIFFER.to_owned(),
                };
                *first = Node::Unusable(reason);
                self.twins.remove(&name);
            }
        }
    }

    /// Follows a cleaned name to content.
    pub(crate) fn find(&self, name: &str) -> Lookup<'_, P> {
        let mut name = name;
        for _ in 0..=MAX_HOPS {
            let Some((own, node)) = self.nodes.get_key_value(name) else {
                return Lookup::Absent;
            };
            match node {
                Node::Unusable(reason) => return Lookup::Unusable(reason.clone()),
                Node::Link(target) => name = target,
                Node::File(place) => {
                    let twins = self.twins.get(name).into_iter().flatten();
                    return Lookup::Found {
                        name: own,
                        places: std::iter::once(place).chain(twins).collect(),
                    };
                }
            }
        }
        Lookup::Unusable(format!("it is a link that leads on more than {MAX_HOPS} times"))
    }

    /// The folders at the top.
    pub(crate) fn folders(&self) -> Vec<String> {
        let mut folders: Vec<String> = Vec::new();
        for (folder, _) in self.nodes.keys().filter_map(|name| name.split_once('/')) {
            if folders.last().is_none_or(|last| last != folder) {
                folders.push(folder.to_owned());
            }
        }
        // Names sort by bytes, and some bytes are less than a slash.
        folders.sort_unstable();
        folders.dedup();
        folders
    }

    pub(crate) fn has_below(&self, folder: &str) -> bool {
        let prefix = format!("{folder}/");
        self.nodes.range(prefix.clone()..).next().is_some_and(|(name, _)| name.starts_with(&prefix))
    }

    pub(crate) fn below(&self, folder: &str) -> Vec<String> {
        let prefix = format!("{folder}/");
        let names = self.nodes.range(prefix.clone()..).map(|(name, _)| name);
        names.take_while(|name| name.starts_with(&prefix)).cloned().collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

/// Readers disagree on whether the first or the last of two members counts.
pub(crate) const DIFFER: &str = "it is in the archive twice with different content";

#[cfg(test)]
mod tests {
    use super::*;

    fn table(members: &[(&str, Kind)]) -> Table<usize> {
        let mut table = Table::new();
        for (n, (name, kind)) in members.iter().enumerate() {
            let header = Header { name: (*name).to_owned(), kind: kind.clone(), offset: 0, size: 0 };
            table.insert(&header, n);
        }
        table
    }

    fn place(table: &Table<usize>, name: &str) -> Option<usize> {
        match table.find(name) {
            Lookup::Found { places, .. } if places.len() == 1 => Some(*places[0]),
            _ => None,
        }
    }

    #[test]
    fn links_are_followed_forwards_and_backwards() {
        let table = table(&[
            ("a/layer.tar", Kind::Symlink("../b/layer.tar".to_owned())),
            ("b/layer.tar", Kind::HardLink("./c/layer.tar".to_owned())),
            ("c/layer.tar", Kind::File),
        ]);
        assert_eq!(place(&table, "a/layer.tar"), Some(2));
        assert_eq!(table.find("a/layer.tar"), Lookup::Found { name: "c/layer.tar", places: vec![&2] });
    }

    #[test]
    fn links_that_lead_nowhere_are_errors_only_when_needed() {
        let table = table(&[
            ("loop", Kind::Symlink("pool".to_owned())),
            ("pool", Kind::Symlink("loop".to_owned())),
            ("out", Kind::Symlink("../../etc/passwd".to_owned())),
            ("dangling", Kind::HardLink("gone".to_owned())),
            ("sparse", Kind::Sparse),
            ("../evil", Kind::File),
        ]);
        for name in ["loop", "out", "sparse"] {
            assert!(matches!(table.find(name), Lookup::Unusable(_)), "{name}");
        }
        assert_eq!(table.find("dangling"), Lookup::Absent);
        assert_eq!(table.find("evil"), Lookup::Absent);
    }

    #[test]
    fn twins_are_all_given_to_be_compared() {
        let table =
            table(&[("a", Kind::File), ("./a", Kind::File), ("b/c", Kind::File), ("b-c/d", Kind::File)]);
        assert_eq!(table.find("a"), Lookup::Found { name: "a", places: vec![&0, &1] });
        assert_eq!(table.folders(), ["b", "b-c"]);
        assert!(table.has_below("b") && !table.has_below("a"));
        assert_eq!((table.below("b"), table.below("a")), (vec!["b/c".to_owned()], Vec::new()));
    }

    #[test]
    fn a_name_that_is_there_too_often_is_unusable_and_soon_known_to_be() {
        let times = |times: usize| table(&vec![("a", Kind::File); times]);
        assert!(matches!(times(1000).find("a"), Lookup::Found { places, .. } if places.len() == 1000));
        let table = times(20_000);
        assert!(table.twins.is_empty());
        for _ in 0..20_000 {
            assert!(matches!(table.find("a"), Lookup::Unusable(reason) if reason.contains("1000 times")));
        }
    }

    #[test]
    fn a_link_and_a_file_under_one_name_differ() {
        let link = Kind::Symlink("b".to_owned());
        for members in [[("a", Kind::File), ("a", link.clone())], [("a", link.clone()), ("a", Kind::File)]] {
            let table = table(&[&members[..], &[("b", Kind::File), ("a", Kind::File)]].concat());
            assert_eq!(table.find("a"), Lookup::Unusable(DIFFER.to_owned()));
        }
        let table = table(&[("a", link.clone()), ("a", link), ("b", Kind::File)]);
        assert_eq!(place(&table, "a"), Some(2), "the same link twice is one");
    }
}
