//! Names: which entries a source becomes, and what they are called.

use std::collections::{HashMap, HashSet};

use ocirepo_store::Digest;
use ocirepo_store::index::Entry;
use ocirepo_store::index::edit::Put;
use ocirepo_store::name::{Name, RefPolicy, Reference};

use super::ImportOptions;
use crate::error::{Error, Result, escape};

/// One image, or other root, that a source holds.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    /// The entry, under whatever name it came.
    pub(crate) entry: Entry,
    pub(crate) digest: Digest,
    /// Its names; none for a nameless one.
    pub(crate) names: Vec<Name>,
    /// The manifest it is about, if it is a referrer.
    pub(crate) subject: Option<Digest>,
    pub(crate) warnings: Vec<String>,
    /// The format it came in.
    pub(crate) format: &'static str,
}

/// An entry to be put, and what there is to say about it.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) put: Put,
    pub(crate) digest: Digest,
    pub(crate) warnings: Vec<String>,
    pub(crate) format: &'static str,
}

/// What crane writes in place of a tag when it pulled by digest.
const WAS_A_DIGEST: &str = "i-was-a-digest";

/// The names that the RepoTags of a docker archive give, and what is odd about them.
pub(crate) fn of_repo_tags(tags: &[String]) -> (Vec<Name>, Vec<String>) {
    let (mut names, mut warnings) = (Vec::new(), Vec::new());
    for tag in tags {
        let name = match tag.parse::<Reference>() {
            Ok(reference) if reference.digest().is_some() || reference.tag() == Some(WAS_A_DIGEST) => {
                continue;
            }
            Ok(reference) => {
                if reference.tag().is_none() {
                    warnings.push(format!("{} has no tag; latest is assumed", escape(tag)));
                }
                Name::Full(reference.or_latest())
            }
            // What docker refuses is kept as an image layout keeps it.
            Err(_) => match Name::from_annotations(None, Some(tag)) {
                Some(name) => {
                    warnings.push(format!("docker refuses the name {}; it is kept as it is", escape(tag)));
                    name
                }
                None => continue,
            },
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    (names, warnings)
}

/// The name that an entry of an image layout carries, and what is odd about it.
pub(crate) fn of_entry(entry: &Entry) -> (Option<Name>, Option<String>) {
    let name = entry.name().cloned();
    let ignored = entry
        .image_name()
        .filter(|text| !text.is_empty() && Name::from_annotations(Some(text), None).is_none())
        .map(|text| format!("its image name {} is not a reference and is ignored", escape(text)));
    (name, ignored)
}

/// How to call a root in messages.
pub(crate) fn label(names: &[Name], digest: &Digest) -> String {
    names.first().map_or_else(|| digest.to_string(), |name| escape(&name.to_string()))
}

/// Turns roots into the entries to be put. `reached` are the documents that the roots lead to.
///
/// # Errors
/// When a name is given for the one image of a source that has none or several, and when the
/// source gives one name to two images.
pub(crate) fn plan(
    archive: &str,
    mut roots: Vec<Root>,
    reached: &HashSet<Digest>,
    policy: RefPolicy,
    options: &ImportOptions,
) -> Result<Vec<Planned>> {
    if let Some(name) = &options.reference {
        rename(archive, &mut roots, reached, name)?;
    }
    let named: HashSet<Digest> =
        roots.iter().filter(|root| !root.names.is_empty()).map(|root| root.digest.clone()).collect();
    let mut nameless: HashSet<Digest> = HashSet::new();
    let mut holders: HashMap<Name, Digest> = HashMap::new();
    let mut planned: Vec<Planned> = Vec::new();
    for root in roots {
        let mut names: Vec<Option<Name>> = Vec::new();
        if root.names.is_empty() {
            // One nameless entry is enough, and none is needed beside a name.
            if !named.contains(&root.digest) && nameless.insert(root.digest.clone()) {
                names.push(None);
            }
        }
        for name in &root.names {
            match holders.get(name) {
                None => {
                    holders.insert(name.clone(), root.digest.clone());
                    names.push(Some(name.clone()));
                }
                Some(holder) if *holder == root.digest => {}
                Some(holder) => {
                    return Err(Error::NameTwice {
                        archive: archive.to_owned(),
                        name: escape(&name.to_string()),
                        first: holder.clone(),
                        second: root.digest,
                    });
                }
            }
        }
        for (n, name) in names.into_iter().enumerate() {
            let mut warnings = if n == 0 { root.warnings.clone() } else { Vec::new() };
            warnings.extend(name.as_ref().and_then(|name| name.warning(policy)).map(|text| escape(&text)));
            planned.push(Planned {
                put: Put { entry: root.entry.clone(), name, replace: options.replace },
                digest: root.digest.clone(),
                warnings,
                format: root.format,
            });
        }
    }
    Ok(planned)
}

/// Gives `name` to the one image there is. What is only about an image is not one.
fn rename(archive: &str, roots: &mut [Root], reached: &HashSet<Digest>, name: &Name) -> Result<()> {
    let mut images: Vec<Digest> = Vec::new();
    let mut labels: Vec<String> = Vec::new();
    for root in roots.iter().filter(|root| !is_companion(root, reached)) {
        if !images.contains(&root.digest) {
            images.push(root.digest.clone());
            labels.push(label(&root.names, &root.digest));
        }
    }
    let [image] = &images[..] else {
        return Err(Error::NotOneImage {
            archive: archive.to_owned(),
            name: name.to_string(),
            images: labels,
        });
    };
    for root in roots.iter_mut().filter(|root| root.digest == *image) {
        root.names = vec![name.clone()];
    }
    Ok(())
}

/// Whether a root is about another one in the source: a nameless referrer, or what the fallback
/// tag of a digest names, such as `sha256-<hex>.sig`.
fn is_companion(root: &Root, reached: &HashSet<Digest>) -> bool {
    if root.names.is_empty() {
        return root.subject.as_ref().is_some_and(|subject| reached.contains(subject));
    }
    root.names.iter().all(|name| fallback_subject(name).is_some_and(|subject| reached.contains(&subject)))
}

fn fallback_subject(name: &Name) -> Option<Digest> {
    let tag = match name {
        Name::Tag(tag) => tag,
        Name::Full(reference) => reference.tag()?,
        Name::Verbatim(_) => return None,
    };
    let (algorithm, rest) = tag.split_once('-')?;
    Digest::from_parts(algorithm, rest.split('.').next()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(tags: &[&str]) -> (Vec<String>, usize) {
        let tags: Vec<String> = tags.iter().map(|&tag| tag.to_owned()).collect();
        let (names, warnings) = of_repo_tags(&tags);
        (names.iter().map(ToString::to_string).collect(), warnings.len())
    }

    #[test]
    fn repo_tags_become_full_references() {
        assert_eq!(tags(&["alpine:3.11"]), (vec!["docker.io/library/alpine:3.11".to_owned()], 0));
        assert_eq!(tags(&["alpine"]), (vec!["docker.io/library/alpine:latest".to_owned()], 1));
        assert_eq!(tags(&["a:1", "docker.io/library/a:1"]).0.len(), 1);
        assert_eq!(tags(&["UPPER/case:1"]), (vec!["UPPER/case:1".to_owned()], 0));
        assert_eq!(tags(&["a/UPPER:1"]), (vec!["a/UPPER:1".to_owned()], 1));
    }

    #[test]
    fn digests_in_repo_tags_are_no_names() {
        let digest = format!("alpine@{}", Digest::sha256(b"x"));
        assert_eq!(tags(&[&digest, "alpine:i-was-a-digest", ""]), (Vec::new(), 0));
    }

    fn root(content: &str, names: &[&str], subject: Option<&str>) -> Root {
        let digest = Digest::sha256(content.as_bytes());
        Root {
            entry: Entry::for_descriptor("a/b", &digest, 1, None),
            digest,
            names: names.iter().map(|name| Name::from_annotations(None, Some(name)).unwrap()).collect(),
            subject: subject.map(|subject| Digest::sha256(subject.as_bytes())),
            warnings: Vec::new(),
            format: "x",
        }
    }

    fn planned(roots: Vec<Root>, reference: Option<&str>) -> Result<Vec<Option<String>>> {
        let reached = roots.iter().map(|root| root.digest.clone()).collect();
        let reference = reference.map(|name| Name::parse(name).unwrap());
        let options = ImportOptions { reference, replace: false };
        let planned = plan("x.tar", roots, &reached, RefPolicy::Full, &options)?;
        Ok(planned.into_iter().map(|planned| planned.put.name.map(|name| name.to_string())).collect())
    }

    #[test]
    fn a_given_name_goes_to_the_one_image_and_leaves_its_referrers_alone() {
        let signature = format!("sha256-{}.sig", Digest::sha256(b"image").encoded());
        let roots = vec![
            root("image", &["a:1"], None),
            root("image", &["a:2"], None),
            root("referrer", &[], Some("image")),
            root("signature", &[&signature], None),
        ];
        let expected = [Some("docker.io/library/new:1".to_owned()), None, Some(signature)];
        assert_eq!(planned(roots, Some("new:1")).unwrap(), expected);
    }

    #[test]
    fn a_given_name_for_several_images_lists_them() {
        let roots = vec![root("image", &["a:1"], None), root("other", &[], Some("elsewhere"))];
        let error = planned(roots, Some("new:1")).unwrap_err().to_string();
        assert!(error.contains("2 images") && error.contains("docker.io/library/a:1"), "{error}");
    }

    #[test]
    fn one_name_for_two_images_is_an_error() {
        let roots = vec![root("image", &["a:1"], None), root("other", &["docker.io/library/a:1"], None)];
        assert!(matches!(planned(roots, None), Err(Error::NameTwice { .. })));
        let same =
            vec![root("image", &["a:1"], None), root("image", &["a:1"], None), root("image", &[], None)];
        assert_eq!(planned(same, None).unwrap().len(), 1);
    }
}
