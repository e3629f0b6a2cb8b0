//! Names: which entries a source becomes, and what they are called.

use std::collections::HashSet;

use ocirepo_store::Digest;
use ocirepo_store::graph::{Class, Platform};
use ocirepo_store::index::edit::Put;
use ocirepo_store::index::{Document, Entry};
use ocirepo_store::name::{Name, RefPolicy, Reference};

use super::join::Child;
use super::oci::reference;
use super::options::ImportOptions;
use super::platforms::{are_platforms, children_of, join_platforms};
use crate::error::{Error, Result, escape};

/// One image, or other root, that a source holds, its blobs in the session.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    /// The entry, under whatever name it came.
    pub(crate) entry: Entry,
    pub(crate) digest: Digest,
    /// Where it stands among the images of the source, from 0.
    pub(crate) position: usize,
    /// Its names; none for a nameless one.
    pub(crate) names: Vec<Name>,
    /// The manifest it is about, if it is a referrer.
    pub(crate) subject: Option<Digest>,
    /// Its config, if it is an image manifest.
    pub(crate) config: Option<Digest>,
    /// Its platform, if that is known already.
    pub(crate) platform: Option<Platform>,
    /// What it lists, for an index that was made here.
    pub(crate) children: Vec<Child>,
    pub(crate) warnings: Vec<String>,
    /// The format it came in.
    pub(crate) format: &'static str,
}

impl Root {
    /// Whether it is a single image, and no index or artifact of another kind.
    fn is_image(&self) -> bool {
        self.class() == Some(Class::Image)
    }

    pub(super) fn class(&self) -> Option<Class> {
        self.entry.descriptor().ok().map(|descriptor| Class::of(&descriptor.media_type))
    }

    /// This image as the child of an index; `None` for anything else, and without a platform.
    pub(super) fn child(&self) -> Option<Child> {
        let platform = self.platform.clone().filter(|platform| self.is_image() && !platform.is_unknown())?;
        Child::new(&self.entry, Some(platform)).ok()
    }

    /// The image that this is an attestation of.
    pub(super) fn attested(&self) -> Option<Digest> {
        reference(&self.entry).filter(|_| self.names.is_empty())?.parse().ok()
    }
}

/// An entry to be put, and what there is to say about it.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) put: Put,
    pub(crate) digest: Digest,
    /// Where its image stands in the source, from 0.
    pub(crate) position: usize,
    /// What an index of several platforms would list in its place.
    pub(crate) children: Vec<Child>,
    pub(crate) warnings: Vec<String>,
    pub(crate) format: &'static str,
}

/// What else is needed to name images.
pub(crate) trait Surroundings {
    /// What to call the source in messages.
    fn archive(&self) -> &str;

    /// The platform that a config says.
    ///
    /// # Errors
    /// When it cannot be read.
    fn platform(&self, config: &Digest) -> Result<Option<Platform>>;

    /// The platform of an image of the source, going by its config.
    ///
    /// # Errors
    /// When its manifest or its config is damaged.
    fn platform_of(&self, image: &Entry) -> Result<Option<Platform>>;

    /// The index that an entry of the source describes, if it is there.
    ///
    /// # Errors
    /// When it is damaged.
    fn index(&self, entry: &Entry) -> Result<Option<Document>>;

    /// Brings a document into the session.
    ///
    /// # Errors
    /// When it cannot be written.
    fn put(&self, document: &[u8]) -> Result<Digest>;
}

/// Which annotations carry names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carriers {
    /// The image name and ref.name.
    Usual,
    /// Old zarf packages have the name in the annotation for the base of an image.
    Zarf,
}

const BASE_NAME: &str = "org.opencontainers.image.base.name";

/// What crane writes in place of a tag when it pulled by digest.
const WAS_A_DIGEST: &str = "i-was-a-digest";

/// The names that the RepoTags of a docker archive give, and what is odd about them.
pub(crate) fn of_repo_tags(tags: &[String]) -> (Vec<Name>, Vec<String>) {
    let (mut names, mut warnings) = (Vec::new(), Vec::new());
    let mut seen: HashSet<Name> = HashSet::new();
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
        if seen.insert(name.clone()) {
            names.push(name);
        }
    }
    (names, warnings)
}

/// The name that an entry of an image layout carries, and what is odd about it.
pub(crate) fn of_entry(entry: &Entry, carriers: Carriers) -> (Option<Name>, Option<String>) {
    let mut name = entry.name().cloned();
    if name.is_none() && carriers == Carriers::Zarf {
        let annotations = entry.annotations();
        let base = annotations.iter().find(|(key, _)| key == BASE_NAME);
        name = base.and_then(|(_, value)| Name::from_annotations(None, Some(value)));
    }
    let name = name.filter(|name| !matches!(name, Name::Full(full) if full.tag() == Some(WAS_A_DIGEST)));
    let ignored = entry
        .image_name()
        .filter(|text| !text.is_empty() && Name::from_annotations(Some(text), None).is_none())
        .map(|text| format!("its image name {} is not a reference and is ignored", escape(text)));
    (name, ignored)
}

/// A name as it is told.
pub(crate) fn spell(name: &Name) -> String {
    escape(&name.to_string())
}

/// How to call a root in messages.
pub(crate) fn label(names: &[Name], digest: &Digest) -> String {
    names.first().map_or_else(|| digest.to_string(), |name| escape(&name.to_string()))
}

/// Turns roots into the entries to be put. `reached` are the documents that the roots lead to.
///
/// # Errors
/// When a name is given for the one image of a source that has none or several, and when the
/// source gives one name to two images that are not for two platforms.
pub(crate) fn plan(
    surroundings: &dyn Surroundings,
    mut roots: Vec<Root>,
    reached: &HashSet<Digest>,
    policy: RefPolicy,
    options: &ImportOptions,
) -> Result<Vec<Planned>> {
    if let Some(name) = &options.reference {
        rename(surroundings, &mut roots, reached, name, options.merge_platforms)?;
    }
    join_platforms(surroundings, &mut roots)?;
    let named: HashSet<Digest> =
        roots.iter().filter(|root| !root.names.is_empty()).map(|root| root.digest.clone()).collect();
    let mut nameless: HashSet<Digest> = HashSet::new();
    let mut taken: HashSet<Name> = HashSet::new();
    let mut planned: Vec<Planned> = Vec::new();
    for mut root in roots {
        let mut names: Vec<Option<Name>> = Vec::new();
        if root.names.is_empty() {
            // One nameless entry is enough, and none is needed beside a name.
            if !named.contains(&root.digest) && nameless.insert(root.digest.clone()) {
                names.push(None);
            }
        }
        names.extend(root.names.iter().filter(|name| taken.insert((*name).clone())).cloned().map(Some));
        let children =
            if options.merge_platforms { children_of(surroundings, &mut root)? } else { Vec::new() };
        for (n, name) in names.into_iter().enumerate() {
            let mut warnings = if n == 0 { root.warnings.clone() } else { Vec::new() };
            warnings.extend(name.as_ref().and_then(|name| name.warning(policy)).map(|text| escape(&text)));
            planned.push(Planned {
                put: Put { entry: root.entry.clone(), name, replace: options.replace },
                digest: root.digest.clone(),
                position: root.position,
                children: children.clone(),
                warnings,
                format: root.format,
            });
        }
    }
    Ok(planned)
}

/// Gives `name` to the one image there is, or to one image in several platforms. What is only about
/// an image is not one.
fn rename(
    surroundings: &dyn Surroundings,
    roots: &mut [Root],
    reached: &HashSet<Digest>,
    name: &Name,
    merge_platforms: bool,
) -> Result<()> {
    let mut images: Vec<usize> = Vec::new();
    for (position, root) in roots.iter().enumerate().filter(|(_, root)| !is_companion(root, reached)) {
        if !images.iter().any(|&image| roots[image].digest == root.digest) {
            images.push(position);
        }
    }
    let nameless = images.iter().all(|&image| roots[image].names.is_empty());
    if images.len() != 1 && !((nameless || merge_platforms) && are_platforms(surroundings, roots, &images)?) {
        return Err(Error::NotOneImage {
            archive: surroundings.archive().to_owned(),
            name: name.to_string(),
            images: images.iter().map(|&image| label(&roots[image].names, &roots[image].digest)).collect(),
        });
    }
    let images: HashSet<Digest> = images.iter().map(|&image| roots[image].digest.clone()).collect();
    for root in roots.iter_mut().filter(|root| images.contains(&root.digest)) {
        root.names = vec![name.clone()];
    }
    Ok(())
}

/// Whether a root is about another one in the source: a nameless referrer, or what the fallback
/// tag of a digest names, such as `sha256-<hex>.sig`.
fn is_companion(root: &Root, reached: &HashSet<Digest>) -> bool {
    if root.names.is_empty() {
        let about = root.subject.clone().or_else(|| root.attested());
        return about.is_some_and(|about| reached.contains(&about));
    }
    root.names.iter().all(|name| fallback_subject(name).is_some_and(|subject| reached.contains(&subject)))
}

/// What an image is about, going by its names, or by its subject if it has none.
pub(crate) fn subject(names: &[Name], subject: Option<&Digest>) -> Option<Digest> {
    match names {
        [] => subject.cloned(),
        [name, ..] => fallback_subject(name),
    }
}

/// The digest that a tag such as `sha256-<hex>.sig` is made of. Its algorithm has to be a known one: by the grammar
/// alone, `3.11-slim` could be made of a digest as well.
fn fallback_subject(name: &Name) -> Option<Digest> {
    let tag = match name {
        Name::Tag(tag) => tag,
        Name::Full(reference) => reference.tag()?,
        Name::Verbatim(_) => return None,
    };
    let (algorithm, rest) = tag.split_once('-')?;
    Digest::from_parts(algorithm, rest.split('.').next()?).ok().filter(|digest| digest.algorithm().is_some())
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

    #[test]
    fn only_tags_that_are_made_of_a_digest_are_about_another_image() {
        let subject = |name: &str| subject(&[Name::parse(name).unwrap()], None);
        let digest = Digest::sha256(b"x");
        let tag = format!("sha256-{}", digest.encoded());
        assert_eq!(subject(&format!("a/b:{tag}")).as_ref(), Some(&digest));
        assert_eq!(subject(&format!("a/b:{tag}.sig")).as_ref(), Some(&digest));
        assert_eq!(super::subject(&[Name::Tag(tag)], None).as_ref(), Some(&digest));
        for name in ["python:3.11-slim", "debian:bookworm-slim", "a/b:v1-2.3", "a/b:1-alpine", "sha256-slim"]
        {
            assert_eq!(subject(name), None, "{name}");
        }
    }

    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

    fn for_platform(content: &str, names: &[&str], architecture: &str) -> Root {
        let platform = Platform::new("linux", architecture);
        Root { platform: Some(platform), ..root(content, names, None) }
    }

    #[test]
    fn one_name_for_two_platforms_becomes_an_index() {
        let both =
            |names: &[&str]| vec![for_platform("a", names, "amd64"), for_platform("b", names, "arm64")];
        let name = "docker.io/library/a:1".to_owned();
        assert_eq!(planned(both(&["a:1"]), None).unwrap(), [Some(name.clone())]);
        assert_eq!(planned(both(&[]), Some("a:1")).unwrap(), [Some(name.clone())]);
        assert_eq!(planned(both(&[]), None).unwrap(), [None, None]);
        let kept = vec![for_platform("a", &["a:1", "amd:1"], "amd64"), for_platform("b", &["a:1"], "arm64")];
        assert_eq!(planned(kept, None).unwrap(), [Some(name), Some("docker.io/library/amd:1".to_owned())]);
        let twice = vec![for_platform("a", &["a:1"], "amd64"), for_platform("b", &["a:1"], "amd64")];
        assert!(matches!(planned(twice, None), Err(Error::NameTwice { .. })));
    }

    fn root(content: &str, names: &[&str], subject: Option<&str>) -> Root {
        let digest = Digest::sha256(content.as_bytes());
        Root {
            entry: Entry::for_descriptor(MANIFEST, &digest, 1, None),
            digest,
            position: 0,
            names: names.iter().map(|name| Name::from_annotations(None, Some(name)).unwrap()).collect(),
            subject: subject.map(|subject| Digest::sha256(subject.as_bytes())),
            config: None,
            platform: None,
            children: Vec::new(),
            warnings: Vec::new(),
            format: "x",
        }
    }

    struct Nothing;

    impl Surroundings for Nothing {
        fn archive(&self) -> &str {
            "x.tar"
        }

        fn platform(&self, _: &Digest) -> Result<Option<Platform>> {
            Ok(None)
        }

        fn platform_of(&self, _: &Entry) -> Result<Option<Platform>> {
            Ok(None)
        }

        fn index(&self, _: &Entry) -> Result<Option<Document>> {
            Ok(None)
        }

        fn put(&self, document: &[u8]) -> Result<Digest> {
            Ok(Digest::sha256(document))
        }
    }

    fn planned(roots: Vec<Root>, reference: Option<&str>) -> Result<Vec<Option<String>>> {
        let reached = roots.iter().map(|root| root.digest.clone()).collect();
        let reference = reference.map(|name| Name::parse(name).unwrap());
        let options = ImportOptions { reference, ..ImportOptions::default() };
        let planned = plan(&Nothing, roots, &reached, RefPolicy::Full, &options)?;
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
