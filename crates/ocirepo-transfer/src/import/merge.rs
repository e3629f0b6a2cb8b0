//! Archives that say everything twice: an image layout and a docker archive in one tar.
//!
//! Docker since 25, containerd and buildkit write both `index.json` and `manifest.json`. The two
//! are joined over the digest of the config: what both list is one image, known by its index
//! entry, and what only one of them lists is an image as well.

use ocirepo_store::Digest;
use ocirepo_store::name::Name;

/// A root of index.json that leads to the config of a docker item.
#[derive(Debug)]
pub(crate) struct Listed<'a> {
    pub(crate) names: &'a [Name],
    /// The layers of the root, if it is the manifest itself and no index above it.
    pub(crate) layers: Option<&'a [Digest]>,
}

/// What becomes of a docker item.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Only manifest.json lists it: it is imported from there.
    New,
    /// It is an image of index.json.
    Same {
        /// What the listed roots are called from now on, where that changes.
        names: Vec<(usize, Vec<Name>)>,
        warning: Option<String>,
    },
    /// It is an image of index.json, whose manifest has the layers in the wrong order: docker
    /// 25.0.0 wrote them as they came. The image is made anew from manifest.json.
    WrongOrder,
}

/// Judges an item with these names and diffIDs, given the roots of index.json that lead to its config.
pub(crate) fn judge(names: &[Name], diff_ids: &[Digest], listed: &[Listed<'_>]) -> Verdict {
    if listed.is_empty() {
        return Verdict::New;
    }
    if listed.iter().all(|root| root.layers.is_some_and(|layers| is_shuffled(layers, diff_ids))) {
        return Verdict::WrongOrder;
    }
    if names.is_empty() {
        return Verdict::Same { names: Vec::new(), warning: None };
    }
    if listed.iter().all(|root| root.names.is_empty()) {
        return Verdict::Same { names: vec![(0, names.to_vec())], warning: None };
    }
    let mut changed = Vec::new();
    let mut result: Vec<Name> = Vec::new();
    for (position, root) in listed.iter().enumerate() {
        let full: Vec<Name> = root.names.iter().map(|name| completed(name, names)).collect();
        result.extend(full.iter().cloned());
        if full != root.names {
            changed.push((position, full));
        }
    }
    let agree =
        names.iter().all(|name| result.contains(name)) && result.iter().all(|name| names.contains(name));
    let warning = (!agree).then(|| {
        format!("manifest.json calls it {}, index.json {}; the latter counts", list(names), list(&result))
    });
    Verdict::Same { names: changed, warning }
}

/// A bare tag says less than a full reference with that tag, and does not contradict it.
fn completed(name: &Name, candidates: &[Name]) -> Name {
    let Name::Tag(tag) = name else { return name.clone() };
    let mut fitting = candidates.iter().filter(|candidate| match candidate {
        Name::Full(reference) => reference.tag() == Some(tag),
        _ => false,
    });
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => only.clone(),
        _ => name.clone(),
    }
}

/// Whether the layers are the right ones in the wrong order. Docker stores them uncompressed, so
/// their digests are diffIDs.
fn is_shuffled(layers: &[Digest], diff_ids: &[Digest]) -> bool {
    let sorted = |digests: &[Digest]| {
        let mut digests = digests.to_vec();
        digests.sort_unstable();
        digests
    };
    layers != diff_ids && layers.len() == diff_ids.len() && sorted(layers) == sorted(diff_ids)
}

fn list(names: &[Name]) -> String {
    let names: Vec<String> = names.iter().map(|name| crate::error::escape(&name.to_string())).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[&str]) -> Vec<Name> {
        texts.iter().map(|text| Name::from_annotations(None, Some(text)).unwrap()).collect()
    }

    fn verdict(item: &[&str], roots: &[&[&str]]) -> Verdict {
        let roots: Vec<Vec<Name>> = roots.iter().map(|root| names(root)).collect();
        let listed: Vec<Listed<'_>> = roots.iter().map(|names| Listed { names, layers: None }).collect();
        judge(&names(item), &[], &listed)
    }

    fn same(names: Vec<(usize, Vec<Name>)>) -> Verdict {
        Verdict::Same { names, warning: None }
    }

    #[test]
    fn what_index_json_does_not_list_is_new() {
        assert_eq!(verdict(&["a:1"], &[]), Verdict::New);
    }

    #[test]
    fn names_that_agree_are_not_mentioned() {
        assert_eq!(
            verdict(&["a:1", "b:1"], &[&["docker.io/library/b:1"], &["docker.io/library/a:1"]]),
            same(vec![])
        );
        assert_eq!(verdict(&[], &[&["a:1"]]), same(vec![]));
    }

    #[test]
    fn a_nameless_root_takes_the_repo_tags() {
        assert_eq!(verdict(&["a:1", "b:1"], &[&[]]), same(vec![(0, names(&["a:1", "b:1"]))]));
    }

    #[test]
    fn a_bare_tag_is_completed() {
        assert_eq!(verdict(&["quay.io/a/b:v1"], &[&["v1"]]), same(vec![(0, names(&["quay.io/a/b:v1"]))]));
        assert!(matches!(
            verdict(&["a:v1", "b:v1"], &[&["v1"]]),
            Verdict::Same { names, warning: Some(_) } if names.is_empty()
        ));
    }

    #[test]
    fn names_that_differ_are_pointed_out_and_the_index_counts() {
        let Verdict::Same { names, warning: Some(warning) } = verdict(&["a:1"], &[&["b:1"]]) else {
            panic!("no warning");
        };
        assert!(names.is_empty() && warning.contains("library/a:1"), "{warning}");
    }

    #[test]
    fn shuffled_layers_are_noticed() {
        let digests: Vec<Digest> = (0..3_u8).map(|n| Digest::sha256(&[n])).collect();
        let shuffled = [digests[1].clone(), digests[0].clone(), digests[2].clone()];
        let judge_layers =
            |layers: &[Digest]| judge(&[], &digests, &[Listed { names: &[], layers: Some(layers) }]);
        assert_eq!(judge_layers(&shuffled), Verdict::WrongOrder);
        assert_eq!(judge_layers(&digests), same(vec![]));
        assert_eq!(judge_layers(&shuffled[..2]), same(vec![]));
    }
}
