//! Names like the one that somebody asked for and that is not there.

use std::collections::BTreeSet;

use super::Reference;
use crate::index::Document;

/// So many are told of.
const MOST: usize = 3;

/// The names in `document` that are most like `query`, the likeliest first: the same image elsewhere, the
/// same image under another tag, one with a slip of the finger in it, an image that is called the same.
pub(super) fn similar(document: &Document, query: &str) -> Vec<String> {
    let wanted =
        query.parse::<Reference>().map_or_else(|_| query.to_owned(), |name| name.or_latest().to_string());
    let names = document.entries().iter().filter_map(|entry| entry.name());
    let names: BTreeSet<String> = names.map(ToString::to_string).collect();
    let mut ranked: Vec<(usize, usize, &String)> = names
        .iter()
        .filter_map(|name| rank(&wanted, name).map(|(rank, distance)| (rank, distance, name)))
        .collect();
    ranked.sort();
    ranked.into_iter().take(MOST).map(|(_, _, name)| name.clone()).collect()
}

/// How like a name is, and then how many slips away; `None` when it is nothing like it.
fn rank(wanted: &str, name: &str) -> Option<(usize, usize)> {
    let (wanted, name) = (short(wanted), short(name));
    let distance = distance(wanted, name);
    let (of_wanted, of_name) = (split(wanted), split(name));
    let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let is_called_the_same = last(of_wanted.0) == last(of_name.0);
    let rank = if is_called_the_same && of_wanted.1 == of_name.1 {
        0
    } else if of_wanted.0 == of_name.0 {
        1
    } else if distance <= wanted.chars().count() / 4 {
        2
    } else if is_called_the_same {
        3
    } else {
        return None;
    };
    Some((rank, distance))
}

/// What people write.
fn short(name: &str) -> &str {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    name.strip_prefix("library/").unwrap_or(name)
}

/// The repository of a name, and its tag.
fn split(name: &str) -> (&str, &str) {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, ""),
    }
}

/// How many characters have to be put in, taken out, replaced or swapped with the next one to get from
/// one text to another (the optimal string alignment distance).
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for i in 0..from.len() {
        let mut next = vec![i + 1];
        for j in 0..to.len() {
            let replaced = row[j] + usize::from(from[i] != to[j]);
            let mut best = replaced.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && from[i] == to[j - 1] && from[i - 1] == to[j] {
                best = best.min(before[j - 1] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_are_counted() {
        for (from, to, slips) in [
            ("", "", 0),
            ("", "abc", 3),
            ("alpine", "alpine", 0),
            ("alpne", "alpine", 1),
            ("apline", "alpine", 1),
            ("alpines", "alpine", 1),
            ("redis", "nginx", 5),
        ] {
            assert_eq!((distance(from, to), distance(to, from)), (slips, slips), "{from} {to}");
        }
    }

    #[test]
    fn the_likeliest_come_first_and_the_rest_not_at_all() {
        let names =
            ["docker.io/library/alpine:3.11", "docker.io/library/alpine:3.12", "ghcr.io/org/alpine:3.13"];
        let is_like = |wanted: &str| {
            let mut ranked: Vec<_> =
                names.iter().filter_map(|name| Some((rank(wanted, name)?, *name))).collect();
            ranked.sort();
            ranked.into_iter().map(|(_, name)| short(name)).collect::<Vec<_>>()
        };
        assert_eq!(is_like("alpine:3.13"), ["ghcr.io/org/alpine:3.13", "alpine:3.11", "alpine:3.12"]);
        assert_eq!(is_like("docker.io/library/alpnie:3.11"), ["alpine:3.11", "alpine:3.12"]);
        assert!(is_like("docker.io/library/nginx:3.11").is_empty());
    }
}
