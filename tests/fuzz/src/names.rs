//! What must hold for every text that may be an image reference.

use ocirepo_store::name::{Name, RefPolicy, Reference};

use super::grammar::{self, Parts};

const POLICIES: [RefPolicy; 2] = [RefPolicy::Full, RefPolicy::Tag];

/// Checks a text as a reference, as a name, and as what two annotations may say.
///
/// # Panics
/// When something does not hold.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    check_reference(text);
    check_name(text);
    check_annotations(None, Some(text));
    check_annotations(Some(text), None);
    if let Some((image_name, ref_name)) = text.split_once('\n') {
        check_annotations(Some(image_name), Some(ref_name));
    }
}

/// The parser agrees with the published grammar, and what it gives is stable.
pub(crate) fn check_reference(text: &str) {
    let ours = text.parse::<Reference>().ok();
    let theirs = grammar::normalise(text);
    match (&ours, &theirs) {
        (Some(ours), Some(theirs)) => assert_eq!(parts(ours), *theirs, "{text:?}"),
        (None, None) => {}
        (Some(ours), None) => {
            // Digests that docker cannot verify pass through here.
            let digest = ours.digest().unwrap_or_else(|| panic!("only we take {text:?}"));
            assert!(
                !matches!(digest.algorithm_name(), "sha256" | "sha384" | "sha512"),
                "only we take {text:?}"
            );
            let (bare, _) = text.split_once('@').expect("there is a digest");
            let theirs = grammar::normalise(bare).unwrap_or_else(|| panic!("only we take {bare:?}"));
            assert_eq!(parts(&ours.clone().without_digest()), theirs, "{text:?}");
        }
        (None, Some(theirs)) => assert!(is_stricter(theirs), "only docker takes {text:?}: {theirs:?}"),
    }
    if let Some(reference) = ours {
        check_stable(&reference);
        check_stable(&reference.clone().without_digest());
        check_stable(&reference.or_latest());
    }
}

/// Where we are stricter on purpose: a domain that is none, and a name that is long with its domain.
pub(crate) fn is_stricter(theirs: &Parts) -> bool {
    theirs.domain.is_empty() || theirs.domain.len() + 1 + theirs.path.len() > grammar::MAX_PATH
}

pub(crate) fn parts(reference: &Reference) -> Parts {
    let domain = reference.registry().to_owned();
    let repository = reference.repository();
    let path = repository.strip_prefix(&domain).and_then(|rest| rest.strip_prefix('/'));
    Parts {
        path: path.expect("a repository begins with its registry").to_owned(),
        domain,
        tag: reference.tag().map(str::to_owned),
        digest: reference.digest().map(ToString::to_string),
    }
}

fn check_stable(reference: &Reference) {
    let shown = reference.to_string();
    let again: Reference = shown.parse().unwrap_or_else(|error| panic!("{shown:?} is not taken: {error}"));
    assert_eq!(again, *reference, "{shown:?} means another");
    assert_eq!(again.to_string(), shown, "normalising twice differs");
    assert!(!shown.contains(|c: char| c.is_control() || !c.is_ascii()), "{shown:?}");
}

fn check_name(text: &str) {
    match Name::parse(text) {
        Ok(name) => {
            let Name::Full(reference) = &name else { panic!("{text:?} is not a full name: {name:?}") };
            assert!(reference.tag().is_some() || reference.digest().is_some(), "{text:?}");
            assert_eq!(Name::parse(&name.to_string()).ok().as_ref(), Some(&name), "{text:?}");
            assert!(!grammar::is_identifier(text), "{text:?} is the ID of an image");
            check_lossless(&name);
        }
        Err(error) => assert!(!error.to_string().contains(|c: char| c.is_control()), "{error:?}"),
    }
}

fn check_annotations(image_name: Option<&str>, ref_name: Option<&str>) {
    if let Some(name) = Name::from_annotations(image_name, ref_name) {
        check_lossless(&name);
    }
}

/// Under either policy the annotations give back the very name that they were made from.
pub(crate) fn check_lossless(name: &Name) {
    for policy in POLICIES {
        let (image_name, ref_name) = (name.image_name(), name.ref_name(policy));
        let read = Name::from_annotations(image_name.as_deref(), ref_name.as_deref());
        assert_eq!(read.as_ref(), Some(name), "{image_name:?} and {ref_name:?} under {policy}");
        // Nothing that other tools would take for a digest.
        let is_digest = |text: &str| {
            text.parse::<ocirepo_store::Digest>().is_ok_and(|digest| digest.algorithm().is_some())
        };
        assert!(!ref_name.as_deref().is_some_and(is_digest), "{ref_name:?} is a digest");
        let _ = name.warning(policy);
    }
}
