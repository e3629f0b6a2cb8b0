//! What must hold for every archive that is imported.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ocirepo_store::ingest::Ingest;
use ocirepo_store::name::{Name, RefPolicy};
use ocirepo_store::{Repository, Silent, gc, verify};
use ocirepo_transfer::{Error, ImportOptions, Imported, Layers, Source, Untagged, import, import_stream};

use super::archives;
use super::bench::{Bench, Start, WAYS, Way};
use super::choices::Choices;
use super::input::{self, Pieces};

/// What an input means.
pub(crate) struct Case<'a> {
    pub(crate) archive: Cow<'a, [u8]>,
    options: ImportOptions,
    start: Start,
}

impl<'a> Case<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Self {
        let (mut options, mut start) = (ImportOptions::default(), Start::default());
        let archive = input::archive(bytes, |choices| {
            (options, start) = choose(choices);
            archives::build(choices)
        });
        Self { archive, options, start }
    }
}

/// How to import, and into what, out of two bytes: zeros are the usual way.
fn choose(choices: &mut Choices<'_>) -> (ImportOptions, Start) {
    let bits = choices.word();
    let bit = |n: u8| bits >> n & 1 == 1;
    let layers = ["keep", "gzip:1", "zstd:1", "reuse"][bits & 3];
    let options = ImportOptions {
        layers: layers.parse::<Layers>().expect("these are ways to store layers"),
        untagged: if bit(2) { Untagged::Skip } else { Untagged::Keep },
        platforms: bit(3).then(|| "linux/arm64".parse().expect("a platform")).into_iter().collect(),
        require_complete: bit(4),
        merge_platforms: bit(5),
        allow_thin: bit(6),
        verify_diff_ids: bit(7),
        reference: bit(8).then(|| Name::parse("given:1").expect("a name")),
        replace: bit(9),
        ..ImportOptions::default()
    };
    let policy = if bit(10) { RefPolicy::Tag } else { RefPolicy::Full };
    (options, Start { policy, is_filled: bit(11) })
}

/// Imports an archive as a file and as a stream, both rehearsed first.
///
/// # Panics
/// When something does not hold.
pub(crate) fn check(bench: &mut Bench, bytes: &[u8]) {
    let case = Case::read(bytes);
    bench.begin(case.start);
    fs::write(bench.source(), &case.archive).expect("the source can be written");
    let rehearsed = WAYS.map(|way| rehearse(bench, way, &case));
    for (way, result) in WAYS.iter().zip(&rehearsed) {
        let changed = bench.changed(*way);
        assert!(changed.is_none(), "{way:?}: {changed:?} changed in a rehearsal, {result:?}");
    }
    let done = WAYS.map(|way| bring(bench, way, &case));
    for (way, (before, after)) in WAYS.iter().zip(rehearsed.iter().zip(&done)) {
        assert_eq!(summary(before), summary(after), "{way:?}: a rehearsal finds something else");
    }
    match &done {
        [Err(error), Err(other)] => {
            for way in WAYS {
                let changed = bench.changed(way);
                assert!(changed.is_none(), "{way:?}: {changed:?} changed, and yet {error}");
            }
            assert_eq!(error.kind(), other.kind(), "file: {error}, stream: {other}");
            check_words(&error.to_string());
            check_words(&other.to_string());
        }
        [Ok(file), Ok(stream)] => {
            bench.spoiled();
            assert_eq!(images(file), images(stream), "file and stream");
            check_alike(bench);
            check_imported(bench, file, &case);
        }
        [file, stream] => panic!("file: {file:?}, stream: {stream:?}"),
    }
}

fn bring(bench: &Bench, way: Way, case: &Case<'_>) -> Result<Imported, Error> {
    let repository = bench.repository(way);
    let lock = repository.lock_shared().expect("nobody else has a lock");
    transfer(bench, way, lock.ingest().expect("a session can begin"), case)
}

fn rehearse(bench: &Bench, way: Way, case: &Case<'_>) -> Result<Imported, Error> {
    let repository = bench.repository(way);
    let lock = repository.lock_reading().expect("nobody else has a lock");
    let result = transfer(bench, way, lock.rehearse(&bench.spool()), case);
    let left = fs::read_dir(bench.spool()).expect("the directory for it").next();
    assert!(left.is_none(), "{way:?}: a rehearsal left {left:?}");
    result
}

fn transfer(bench: &Bench, way: Way, ingest: Ingest<'_>, case: &Case<'_>) -> Result<Imported, Error> {
    match way {
        Way::File => import(ingest, &Source::Path(bench.source()), &case.options, &Silent),
        Way::Stream => {
            // Called as the file is, so that messages are the same.
            let (mut stream, label) = (Pieces { bytes: &case.archive, longest: 1000 }, bench.source());
            import_stream(ingest, &mut stream, &label.to_string_lossy(), &case.options, &Silent)
        }
    }
}

/// Both repositories have the same blobs and the same index.json.
fn check_alike(bench: &Bench) {
    let [file, stream] = WAYS.map(|way| bench.contents(way));
    let blobs = |contents: &BTreeMap<PathBuf, Vec<u8>>| {
        contents.keys().filter(|path| path.starts_with("blobs")).cloned().collect::<Vec<_>>()
    };
    assert_eq!(blobs(&file), blobs(&stream), "the blobs of file and stream");
    assert_eq!(file[Path::new("index.json")], stream[Path::new("index.json")]);
}

/// What was imported is sound, can be found, and importing it again changes nothing.
fn check_imported(bench: &Bench, imported: &Imported, case: &Case<'_>) {
    for warning in imported.images.iter().flat_map(|image| &image.warnings).chain(&imported.warnings) {
        check_words(warning);
    }
    let may_be_empty = case.options.untagged == Untagged::Skip && !imported.warnings.is_empty();
    assert!(
        !imported.images.is_empty() || may_be_empty,
        "an import of nothing succeeded, and nobody was told"
    );
    for way in WAYS {
        let repository = bench.repository(way);
        check_sound(&repository, case.start, way);
        let document = repository.index().expect("index.json was just written");
        for image in &imported.images {
            let query = image.reference.clone().unwrap_or_else(|| image.digest.to_string());
            let found = repository.resolve(&document, &query);
            let found = found.unwrap_or_else(|error| panic!("{way:?}: {error} after its import"));
            let digest = document.entries()[found.positions[0]].digest();
            assert_eq!(digest, Some(&image.digest), "{way:?}: {query} is another image");
        }
    }
    // What is reused may be another layer once everything is there.
    if case.options.layers == Layers::Reuse {
        return;
    }
    let index = bench.contents(Way::File)[Path::new("index.json")].clone();
    for way in WAYS {
        let again = bring(bench, way, case).unwrap_or_else(|error| panic!("{way:?} again: {error}"));
        assert_eq!(images(&again), images(imported), "{way:?} again");
        let changed = again.images.iter().find(|image| !image.unchanged);
        assert!(changed.is_none(), "{way:?}: importing again changes {changed:?}");
        assert_eq!(bench.contents(way)[Path::new("index.json")], index, "{way:?} again");
    }
}

/// Whether nothing is wrong with what came in, nothing came in that no image needs, and nothing that
/// would keep `gc` from its work.
fn check_sound(repository: &Repository, start: Start, way: Way) {
    let report = verify::verify(repository, &verify::Options::default(), &Silent);
    let report = report.unwrap_or_else(|error| panic!("{way:?}: {error}"));
    let error = report.findings.iter().find(|finding| finding.severity() == verify::Severity::Error);
    assert!(error.is_none(), "{way:?}: {error:?}");
    let plan = gc::plan(repository, &gc::Options::default(), &Silent);
    let plan = plan.unwrap_or_else(|error| panic!("{way:?}: {error}"));
    // A name may have moved away from the image that was there.
    assert!(plan.garbage.is_empty() || start.is_filled, "{way:?}: garbage came in: {:?}", plan.garbage);
    assert!(plan.refusals.is_empty(), "{way:?}: {:?} {:?}", plan.refusals, plan.broken);
}

type Row = (Option<String>, String, Vec<String>, &'static str);

fn images(imported: &Imported) -> Vec<Row> {
    let row = |image: &ocirepo_transfer::ImportedImage| {
        (image.reference.clone(), image.digest.to_string(), image.warnings.clone(), image.format)
    };
    imported.images.iter().map(row).collect()
}

fn summary(result: &Result<Imported, Error>) -> Result<Vec<Row>, String> {
    result.as_ref().map(images).map_err(ToString::to_string)
}

/// What comes out of an archive goes to a terminal only escaped.
fn check_words(text: &str) {
    let is_unsafe = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}');
    assert!(!text.contains(is_unsafe), "{text:?}");
}
