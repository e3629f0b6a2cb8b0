//! Whoever comes with the words of another tool, or from another directory, is told how to go on.

use std::fs;

use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::fixtures::fixture;
use ocirepo_tests::image::ImageSpec;
use ocirepo_tests::layout::Layout;

fn with_an_image() -> Ocirepo {
    let ocirepo = Ocirepo::new();
    ocirepo.run(&["init"]).ok();
    let hello = fixture("hello.tar");
    ocirepo.run(&["add", hello.to_str().expect("test paths are UTF-8")]).ok();
    ocirepo
}

#[test]
fn the_verbs_of_other_tools_lead_to_ours() {
    let ocirepo = Ocirepo::new();
    for (word, verb) in [
        ("import", "add"),
        ("load", "add"),
        ("save", "export"),
        ("images", "ls"),
        ("list", "ls"),
        ("rmi", "rm"),
    ] {
        ocirepo.run(&[word]).fails_with(2).says(&format!("exists: '{verb}'"));
    }
    ocirepo.run(&["pull", "alpine"]).fails_with(2).says("skopeo copy");
    ocirepo.run(&["verfiy"]).fails_with(2).says("'verify'");
}

#[test]
fn a_variable_that_names_the_wrong_directory_is_named() {
    let ocirepo = Ocirepo::new().env("OCIREPO_DIR", "elsewhere");
    ocirepo.run(&["ls"]).fails_with(1).says("OCIREPO_DIR");
}

#[test]
fn a_word_that_is_no_image_is_taken_for_what_it_looks_like() {
    let ocirepo = with_an_image();
    for args in [["verify", "nosuch.tar"], ["inspect", "nosuch.tar"]] {
        ocirepo.run(&args).fails_with(3).says("no such file");
    }
    for args in [["why", "134421"], ["inspect", "sha256:1344"]] {
        ocirepo.run(&args).fails_with(3).says("7 hex digits");
    }
    ocirepo.run(&["tag", "hello:1.0", "two words:1"]).fails_with(2).says("a space");
}

#[test]
fn a_name_that_promises_another_compression_is_warned_of() {
    let ocirepo = with_an_image();
    let export = |name: &str, args: &[&str]| {
        let output = ocirepo.scratch(name);
        let output = output.to_str().expect("test paths are UTF-8");
        ocirepo.run(&[&["export", "hello:1.0", "-o", output], args].concat()).ok()
    };
    export("a.tar.zst", &[]).says("--compress zstd");
    export("a.tgz", &["--compress", "zstd"]).says("--compress gzip");
    for (name, args) in
        [("a.tar", &[][..]), ("a.tar.gz", &["--compress", "gzip"]), ("a", &["--compress", "zstd"])]
    {
        assert!(!export(name, args).stderr.contains("warning"), "{name}");
    }
}

#[test]
fn a_repository_among_other_files_is_warned_of() {
    let ocirepo = Ocirepo::new();
    let (full, empty) = (ocirepo.scratch("full"), ocirepo.scratch("empty"));
    for dir in [&full, &empty] {
        fs::create_dir(dir).expect("it can be made");
    }
    fs::write(full.join("notes"), "").expect("it can be written");
    let init =
        |dir: &std::path::Path| ocirepo.run(&["init", dir.to_str().expect("test paths are UTF-8")]).ok();
    init(&full).says("other files");
    assert!(!init(&full).stderr.contains("other files"), "it is a repository by now");
    assert!(!init(&empty).stderr.contains("other files"));
}

#[test]
fn only_add_says_that_nothing_was_added() {
    let ocirepo = with_an_image();
    let cut = ocirepo.scratch("cut.tar");
    let whole = fs::read(fixture("hello.tar")).expect("the archive is there");
    fs::write(&cut, &whole[..whole.len() / 3]).expect("it can be written");
    let cut = cut.to_str().expect("test paths are UTF-8");
    ocirepo.run(&["add", cut]).fails_with(4).says("nothing was added");
    assert!(!ocirepo.run(&["ls", cut]).fails_with(4).stderr.contains("nothing was added"));
    let verified = ocirepo.run(&["verify", cut]).fails_with(4);
    assert_eq!(verified.stdout.matches("cut.tar").count(), 1, "{}", verified.stdout);
}

#[test]
fn a_list_of_nothing_names_the_bundles_that_wait() {
    let ocirepo = Ocirepo::new();
    let image = ImageSpec::seeded("a").noise_layer(1, 300_000).build();
    Layout::create(ocirepo.dir()).full_image(&image, "docker.io/test/a:1").write_index();
    let volume = ocirepo.scratch("v.tar");
    let volume = volume.to_str().expect("test paths are UTF-8");
    ocirepo.run(&["export", "test/a:1", "-o", volume, "--volume-size", "200KB"]).ok();
    let far = Ocirepo::new();
    far.run(&["init"]).ok();
    assert!(!far.run(&["ls"]).ok().stderr.contains("--pending"));
    let first = volume.replace("v.tar", "v.001.tar");
    far.run(&["add", &first]).ok();
    far.run(&["ls"]).ok().says("ls --pending");
}
