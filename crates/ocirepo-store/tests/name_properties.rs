//! What must hold for names of any kind: generated references are read as docker reads them, names
//! survive being written and read under either policy, and nothing in a name becomes a control
//! character in a message.
//!
//! The cases are the same on every run; `PROPTEST_CASES` makes them more.

#[path = "../../../tests/fuzz/src/grammar.rs"]
mod grammar;
#[path = "../../../tests/fuzz/src/names.rs"]
mod names;

use grammar::Parts;
use ocirepo_store::index::edit::Put;
use ocirepo_store::index::{Document, Entry};
use ocirepo_store::name::{Name, RefPolicy, Reference};
use ocirepo_store::{Algorithm, Digest, InitOptions, Repository, Settings, set_policy};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

fn config(divisor: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: default.cases.div_ceil(divisor),
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(20_260_101),
        ..default
    }
}

fn digest() -> impl Strategy<Value = Digest> {
    let algorithms = [Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512];
    (select(algorithms.to_vec()), any::<u16>())
        .prop_map(|(algorithm, n)| Digest::of(algorithm, &n.to_le_bytes()))
}

fn domain() -> impl Strategy<Value = String> {
    prop_oneof![
        "(localhost|[A-Z][a-z0-9]{1,8}|[a-z0-9]{1,8}(-[a-z0-9]{1,4})?(\\.[a-z0-9]{1,6}){1,3})(:[0-9]{1,5})?",
        "[a-z0-9]{1,8}:[0-9]{1,5}",
        "\\[[0-9a-f]{0,4}:[0-9a-f:]{1,12}\\](:[0-9]{1,5})?",
        Just("docker.io".to_owned()),
        Just("index.docker.io".to_owned()),
    ]
}

/// A path that does not begin with what would be taken for a domain.
fn path() -> impl Strategy<Value = String> {
    let component = "[a-z0-9]{1,6}((_|__|\\.|-{1,3})[a-z0-9]{1,6}){0,2}";
    let familiar = "[a-km-z0-9][a-z0-9]{0,6}((_|__|-{1,3})[a-z0-9]{1,4}){0,2}";
    (familiar, vec(component, 0..4)).prop_map(|(first, rest)| {
        rest.into_iter().fold(first, |path, component| format!("{path}/{component}"))
    })
}

/// A reference as a user may type it, and what docker makes of it.
fn reference() -> impl Strategy<Value = (String, Parts)> {
    let tag = option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,12}");
    (option::of(domain()), path(), tag, option::of(digest())).prop_map(|(domain, path, tag, digest)| {
        let mut text = domain.as_ref().map_or_else(|| path.clone(), |domain| format!("{domain}/{path}"));
        text.extend(tag.iter().flat_map(|tag| [":", tag]));
        text.extend(digest.iter().flat_map(|digest| ["@", digest.as_str()]));
        let domain = match domain.as_deref() {
            None | Some("index.docker.io") => "docker.io".to_owned(),
            Some(domain) => domain.to_owned(),
        };
        let is_familiar = domain == "docker.io" && !path.contains('/');
        let path = if is_familiar { format!("library/{path}") } else { path };
        (text, Parts { domain, path, tag, digest: digest.map(|digest| digest.to_string()) })
    })
}

/// Text that is nearly a reference.
fn near() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9._:/@+\\[\\]-]{0,60}",
        "[a-z./:_-]{0,20}(@sha256:[0-9a-fA-F]{60,66})?",
        "(localhost|docker\\.io|index\\.docker\\.io|[a-z]{1,3}\\.[a-z]{1,3})?/?[a-z/]{0,8}(:[a-z0-9.]{0,4})?",
        // On either side of the longest name.
        "[a-z]{1,3}\\.io/[a-z]{245,256}(:1)?",
        (reference(), any::<prop::sample::Index>(), any::<char>()).prop_map(|((text, _), at, c)| {
            let mut chars: Vec<char> = text.chars().collect();
            let at = at.index(chars.len());
            chars[at] = c;
            chars.into_iter().collect()
        }),
    ]
}

/// What another tool may have written into an annotation.
fn annotation() -> impl Strategy<Value = String> {
    prop_oneof![
        near(),
        any::<String>(),
        "[\\x00-\\x1f\\x7f-\\x9f a-z:/\u{202e}]{0,12}",
        reference().prop_map(|(text, _)| text),
        digest().prop_map(|digest| digest.to_string()),
    ]
}

fn has_control(text: &str) -> bool {
    text.contains(|c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
}

proptest! {
    #![proptest_config(config(1))]

    #[test]
    fn references_are_read_as_docker_reads_them((text, expected) in reference()) {
        prop_assert_eq!(grammar::normalise(&text), Some(expected.clone()), "the model itself");
        let read: Reference = text.parse()?;
        prop_assert_eq!(names::parts(&read), expected);
        prop_assert!(!names::is_stricter(&names::parts(&read)));
        let shown = read.to_string();
        prop_assert_eq!(&shown.parse::<Reference>()?, &read);
        prop_assert_eq!(shown.parse::<Reference>()?.to_string(), shown);
        let is_bare = read.tag().is_none() && read.digest().is_none();
        let latest = read.clone().or_latest();
        prop_assert_eq!(latest.tag(), if is_bare { Some("latest") } else { read.tag() });
    }

    #[test]
    fn what_is_nearly_a_reference_is_judged_as_docker_judges_it(text in near()) {
        names::check(text.as_bytes());
    }

    #[test]
    fn what_two_annotations_give_is_written_back_the_same(
        (image_name, ref_name) in (option::of(annotation()), option::of(annotation())),
    ) {
        let Some(name) = Name::from_annotations(image_name.as_deref(), ref_name.as_deref()) else {
            return Ok(());
        };
        names::check_lossless(&name);
        match &name {
            Name::Full(reference) => prop_assert!(!has_control(&reference.to_string())),
            Name::Tag(tag) => prop_assert_eq!(ref_name.as_ref(), Some(tag)),
            Name::Verbatim(text) => prop_assert_eq!(ref_name.as_ref(), Some(text)),
        }
    }

    #[test]
    fn an_entry_carries_any_annotation_as_sound_json(
        (image_name, ref_name) in (option::of(annotation()), option::of(annotation())),
    ) {
        let plain = Entry::for_descriptor("a/b", &Digest::sha256(b""), 0, None);
        let named = plain.with_names(image_name.as_deref(), ref_name.as_deref());
        let named = named.map_err(TestCaseError::fail)?;
        prop_assert_eq!((named.image_name(), named.ref_name()), (image_name.as_deref(), ref_name.as_deref()));
        prop_assert!(!named.json().contains(|c: char| c < ' '), "{}", named.json());
        let document = format!(r#"{{"manifests":[{}]}}"#, named.json());
        let document = Document::parse(document.as_bytes()).map_err(TestCaseError::fail)?;
        prop_assert_eq!(document.entries()[0].name(), named.name());
        let without = named.with_names(None, None).map_err(TestCaseError::fail)?;
        prop_assert_eq!(without.json(), plain.json());
    }

    #[test]
    fn errors_about_names_show_control_characters_as_escapes(text in annotation()) {
        let errors = [
            text.parse::<Reference>().err().map(|error| error.to_string()),
            Name::parse(&text).err().map(|error| error.to_string()),
            text.parse::<Digest>().err().map(|error| error.to_string()),
            ocirepo_store::name::resolve(&Document::empty(), &text, "repository".as_ref())
                .err()
                .map(|error| error.to_string()),
        ];
        for error in errors.into_iter().flatten() {
            prop_assert!(!has_control(&error), "{:?}", error);
        }
    }
}

proptest! {
    // Each case makes a repository, so there are fewer.
    #![proptest_config(config(16))]

    #[test]
    fn converting_to_tags_and_back_changes_no_name(wanted in btree_set((path(), "[a-z0-9]{1,8}"), 1..6)) {
        let dir = tempfile::tempdir()?;
        let (repository, _) = Repository::init(dir.path(), InitOptions::default(), Settings::default())?;
        let lock = repository.lock_shared()?;
        let mut puts = Vec::new();
        let ingest = lock.ingest()?;
        for (path, tag) in &wanted {
            // One image for each tag: two images under one tag would be a conflict.
            let content = format!(r#"{{"layers":[],"x":"{tag}"}}"#);
            let digest = ingest.put_bytes(content.as_bytes())?;
            let entry = Entry::for_descriptor("a/b", &digest, content.len() as u64, None);
            puts.push(Put { entry, name: Some(Name::parse(&format!("{path}:{tag}"))?), replace: false });
        }
        ingest.commit(&puts)?;
        let before = repository.index()?.to_bytes();
        set_policy(&lock, RefPolicy::Tag)?;
        let tagged = repository.index()?;
        for (entry, put) in tagged.entries().iter().zip(&puts) {
            prop_assert_eq!(entry.name(), put.name.as_ref());
            prop_assert!(entry.ref_name().is_none_or(|text| !text.contains('/')));
        }
        set_policy(&lock, RefPolicy::Full)?;
        let names = |bytes: &[u8]| -> Vec<Option<Name>> {
            let document = Document::parse(bytes).expect("it was just written");
            document.entries().iter().map(|entry| entry.name().cloned()).collect()
        };
        prop_assert_eq!(names(&repository.index()?.to_bytes()), names(&before));
    }
}
