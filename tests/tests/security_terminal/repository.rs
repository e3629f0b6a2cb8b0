//! Repositories that somebody poisoned, and every verb over them.

use std::fs;
use std::process::{Command, Stdio};

use ocirepo_tests::artifact::{artifact, index_of_descriptors};
use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::descriptor::{Blob, IMAGE_NAME, OCI_MANIFEST, REF_NAME, full_named};
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::json::compact;
use ocirepo_tests::layout::Layout;
use ocirepo_tests::snapshot::copy_tree;
use ocirepo_tests::tools;
use serde_json::{Value, json};

use crate::poison::{POISON, judge, name, run};

fn image(seed: &str) -> Image {
    ImageSpec::seeded(seed).annotation(POISON, POISON).build()
}

/// A descriptor with every text field that there is.
fn poisoned(mut descriptor: Value) -> Value {
    descriptor["annotations"][POISON] = POISON.into();
    descriptor["annotations"]["org.opencontainers.image.title"] = POISON.into();
    descriptor["platform"] = json!({
        "os": POISON, "architecture": POISON, "variant": POISON, "os.version": POISON, "os.features": [POISON],
    });
    descriptor["artifactType"] = POISON.into();
    descriptor["urls"] = json!([POISON]);
    descriptor[POISON] = POISON.into();
    descriptor
}

/// Sound, with poison wherever the formats let anybody write.
fn sound(ocirepo: &Ocirepo) -> Layout {
    let mut layout = Layout::create(ocirepo.dir());
    let (a, b) = (image("a"), image("b"));
    layout.blobs_of(a.blobs()).blobs_of(b.blobs());
    layout.entry(poisoned(full_named(a.descriptor(), &name("a"))));
    layout.entry(poisoned(full_named(b.descriptor(), &name("b"))));
    // Two of one name, and one without.
    layout
        .entry(full_named(a.descriptor(), &name("twice")))
        .entry(full_named(b.descriptor(), &name("twice")));
    layout.entry(poisoned(image("nameless").descriptor())).blobs_of(image("nameless").blobs());
    let mut manifest: Value = serde_json::from_slice(&a.manifest.bytes).unwrap();
    manifest["config"] = poisoned(manifest["config"].clone());
    manifest["config"]["mediaType"] = POISON.into();
    manifest["layers"][0] = poisoned(manifest["layers"][0].clone());
    manifest["layers"][0]["mediaType"] = POISON.into();
    manifest["artifactType"] = POISON.into();
    let manifest = Blob::new(OCI_MANIFEST, compact(&manifest));
    layout.blobs_of([&manifest]);
    layout.entry(full_named(manifest.descriptor(), &name("parts")));
    // Sparse: the platforms that are not there are told.
    let gone = ImageSpec::seeded("gone").build();
    let index = index_of_descriptors([
        poisoned(a.descriptor()),
        poisoned(b.descriptor()),
        poisoned(gone.descriptor()),
    ]);
    layout.blobs_of([&index]);
    layout.entry(full_named(index.descriptor(), &name("index")));
    let signature = artifact(POISON, POISON.as_bytes(), Some(&a.manifest));
    layout.artifact(&signature);
    let strange = Blob::new(POISON, compact(&json!({POISON: POISON, "manifests": [a.descriptor()]})));
    layout.blobs_of([&strange]);
    layout.entry(full_named(strange.descriptor(), &name("strange")));
    layout.blob(b"garbage");
    fs::create_dir_all(ocirepo.dir().join("blobs").join(POISON)).unwrap();
    for folder in ["blobs/sha256", "blobs", "."] {
        fs::write(ocirepo.dir().join(folder).join(format!("{POISON}.file")), "x").unwrap();
    }
    layout.write_index();
    layout
}

/// With everything wrong that can be said of an entry or a manifest.
fn broken(ocirepo: &Ocirepo) -> Layout {
    let mut layout = sound(ocirepo);
    let missing = ImageSpec::seeded("missing").build();
    layout.entry(poisoned(full_named(missing.descriptor(), &name("missing"))));
    let corrupt = ImageSpec::seeded("corrupt").build();
    layout.full_image(&corrupt, &name("corrupt"));
    layout.corrupt(corrupt.digest());
    for (field, value) in [
        ("digest", json!(POISON)),
        ("digest", json!(format!("sha256:{POISON}"))),
        ("digest", json!(format!("{POISON}:abc"))),
        ("digest", json!([POISON])),
        ("size", json!(POISON)),
        ("size", json!(-1)),
        ("size", json!(u64::MAX)),
        ("mediaType", json!({POISON: POISON})),
        ("data", json!(POISON)),
        ("platform", json!(POISON)),
        ("annotations", json!([POISON])),
    ] {
        let mut entry = full_named(missing.descriptor(), &name("bad"));
        entry[field] = value;
        layout.entry(entry);
    }
    layout.entry(json!(POISON)).entry(json!([POISON])).entry(json!({POISON: POISON}));
    layout.entry(json!({"annotations": {REF_NAME: POISON, IMAGE_NAME: POISON}}));
    for (number, bytes) in [
        format!("{{\"{}\": 1, \"layers\": [], \"layers\": []}}", "key"),
        format!("{{{0}: 1, {0}: 2}}", serde_json::to_string(POISON).unwrap()),
        format!("{{\"layers\": [{{\"digest\": {0}, \"size\": 1, \"mediaType\": {0}}}]}}", json!(POISON)),
        format!("{{\"mediaType\": {}, \"layers\": []}}", json!(POISON)),
        format!("{{\"config\": {}, \"layers\": {}}}", json!(POISON), json!(POISON)),
        POISON.to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        let manifest = Blob::new(OCI_MANIFEST, bytes);
        layout.blobs_of([&manifest]);
        layout.entry(full_named(manifest.descriptor(), &name(&number.to_string())));
    }
    layout.write_index();
    layout
}

/// Every verb that is about entries, over every entry.
fn every_verb(ocirepo: &Ocirepo, layout: &Layout) {
    // One that is none.
    let pattern = format!("[{POISON}");
    let entries = layout.read_index()["manifests"].as_array().unwrap().clone();
    for args in [
        &["ls"][..],
        &["ls", "--names"],
        &["ls", "--digests"],
        &["ls", "--pending"],
        &["ls", "."],
        &["verify"],
        &["verify", "--quick"],
        &["verify", "."],
        &["gc", "--dry-run"],
        &["gc", "--dry-run", "--ignore-missing-roots", "--prune-referrers"],
        &["rm", "--dry-run", "--untagged"],
        &["rm", "--dry-run", "--glob", "*"],
        &["rm", "--dry-run", "--glob", POISON],
        &["rm", "--dry-run", "--glob", &pattern],
        &["inventory"],
        &["config"],
        &["init"],
        &["export", "--dry-run"],
        &["export", "--dry-run", "--keep-index"],
        &["export", "--dry-run", "--type", "oci"],
        &["export", "--dry-run", "--type", "docker"],
        &["export", "--dry-run", "--type", "docker-legacy"],
        &["export", "--dry-run", "--platform", "linux/amd64"],
        &["export", "--dry-run", "--type", "dir", "-o", "../copied"],
        &["diff", ".", "."],
        &["add", "--dry-run", "."],
    ] {
        let output = run(ocirepo, args);
        assert!(
            output.status.code() != Some(2) || args.contains(&pattern.as_str()),
            "{args:?}: {}",
            output.stderr
        );
    }
    for (position, entry) in entries.iter().enumerate() {
        let mut words = vec![format!("@{position}")];
        words.extend(entry["digest"].as_str().map(str::to_owned));
        words.extend(entry["annotations"][IMAGE_NAME].as_str().map(str::to_owned));
        for word in &words {
            // Verbs that look entries up in one way do so in one way.
            for args in [&["inspect", word][..], &["export", "--dry-run", word], &["rm", "--dry-run", word]] {
                judge(&ocirepo.run(args), &format!("{args:?}"));
            }
        }
        let word = words.last().unwrap();
        run(ocirepo, &["inspect", word]);
        judge(&ocirepo.run(&["verify", word]), word);
        judge(&ocirepo.run(&["why", word]), word);
        judge(&ocirepo.run(&["diff", word, "@0"]), word);
    }
}

/// A copy to write to, of the same repository.
fn copy(ocirepo: &Ocirepo, number: usize) -> Ocirepo {
    let copy = ocirepo.in_dir(ocirepo.scratch(&format!("copy{number}")));
    copy_tree(ocirepo.dir(), copy.dir());
    copy
}

/// Every verb that writes, each on copies of its own.
fn every_writer(ocirepo: &Ocirepo) {
    let (a, twice) = (name("a"), name("twice"));
    let writers: &[&[&str]] = &[
        &["tag", "@0", "docker.io/test/new:1"],
        &["tag", "@0", &a],
        &["tag", "@1", &a, "--replace"],
        &["tag", &a, "docker.io/test/new:1"],
        &["tag", &twice, "docker.io/test/new:1"],
        &["tag", "@0", POISON],
        &["config", "ref-policy", "tag"],
        &["config", "ref-policy", POISON],
        &["rm", &a],
        &["rm", &twice],
        &["rm", "--untagged"],
        &["rm", "--glob", "*"],
        &["gc"],
        &["gc", "--prune-referrers", "--ignore-missing-roots"],
        &["verify"],
        &["export", "--keep-index", "-o", "../out.tar"],
        &["export", "--type", "oci", "-o", "../out.tar", "--sums"],
        &["export", "--type", "docker", "-o", "../out.tar"],
        &["export", "--type", "dir", "-o", "../out"],
        &["inventory", "-o", "../have.txt"],
    ];
    for (number, args) in writers.iter().enumerate() {
        for (more, flags) in [&[][..], &["--format", "json"], &["-vv"]].into_iter().enumerate() {
            let copy = copy(ocirepo, number * 10 + more);
            judge(&copy.run(&[args, flags].concat()), &format!("{args:?}"));
        }
    }
}

#[test]
fn every_verb_over_a_sound_repository() {
    let ocirepo = Ocirepo::new();
    let layout = sound(&ocirepo);
    every_verb(&ocirepo, &layout);
    // It is shown, and not swallowed.
    let listed = ocirepo.run(&["ls", "--names"]).ok().stdout;
    assert!(listed.contains(r"docker.io/test/ax\u{1b}[31m\u{9b}31m"), "{listed}");
    let listed = ocirepo.run(&["ls", "--format", "json"]).json();
    assert_eq!(listed[0]["reference"], name("a"), "JSON says it as it is");
}

/// A manifest is printed byte for byte, but not to a terminal.
#[test]
fn a_manifest_on_a_terminal() {
    let Some(script) = tools::tool("script") else { return };
    let ocirepo = Ocirepo::new();
    sound(&ocirepo);
    let raw = ocirepo.run(&["inspect", "--raw", "@0"]).ok();
    assert_eq!(raw.bytes, image("a").manifest.bytes);
    assert!(raw.stdout.contains('\u{9b}'), "JSON has no need to escape it");
    let inner = ocirepo.command(&["inspect", "--raw", "@0"]);
    let mut command = Command::new(script);
    command.args(["-qec", &format!("{} inspect --raw @0", inner.get_program().display()), "/dev/null"]);
    command.current_dir(ocirepo.dir()).stdin(Stdio::null());
    let mut shown = ocirepo.spawn_command(&mut command).wait().ok();
    // A terminal ends its lines so.
    shown.stdout = shown.stdout.replace("\r\n", "\n");
    judge(&shown, "on a terminal");
    assert!(shown.stdout.contains(r"\u{9b}31m"), "{}", shown.stdout);
}

#[test]
fn every_verb_over_a_broken_repository() {
    let ocirepo = Ocirepo::new();
    let layout = broken(&ocirepo);
    every_verb(&ocirepo, &layout);
    ocirepo.run(&["verify"]).fails_with(4);
    ocirepo.run(&["gc"]).fails_with(4);
}

#[test]
fn every_verb_that_writes() {
    let ocirepo = Ocirepo::new();
    sound(&ocirepo);
    every_writer(&ocirepo);
    let ocirepo = Ocirepo::new();
    broken(&ocirepo);
    every_writer(&ocirepo);
}
