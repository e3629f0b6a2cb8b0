//! Before and after a mistake: what a dry run says is what would be done, and what is not there is answered with what
//! was likely meant.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::image::ImageSpec;
use ocirepo_tests::layout::Layout;
use ocirepo_tests::snapshot::Snapshot;

const APP: &str = "docker.io/test/app:1.2";

fn repository() -> Ocirepo {
    let ocirepo = Ocirepo::new();
    let image = ImageSpec::seeded("app").noise_layer(1, 10_000).build();
    Layout::create(ocirepo.dir()).full_image(&image, APP).write_index();
    ocirepo.run(&["tag", APP, "ghcr.io/org/tool:7"]).ok();
    ocirepo
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let ocirepo = repository();
    let bad = Layout::open(ocirepo.dir()).blob(b"bad");
    Layout::open(ocirepo.dir()).corrupt(&bad);
    for (args, said, done) in [
        (&["tag", APP, "x:1"][..], "would tag docker.io/library/x:1 ", "tagged docker.io/library/x:1 "),
        (&["config", "ref-policy", "tag"], "would be rewritten", "3 ref.names rewritten"),
        (&["verify", "--quarantine"], "would move aside: ", "moved aside: "),
        (&["rm", APP], "would remove ", "removed "),
        (&["gc"], "would delete", "deleted"),
    ] {
        let before = Snapshot::of(ocirepo.dir());
        let dry = ocirepo.run(&[args, &["--dry-run"]].concat());
        assert!(dry.stdout.contains(said), "{args:?}: {dry:?}");
        let dry = ocirepo.run(&[args, &["-n", "--format", "json"]].concat()).any_json();
        assert_eq!(dry["dryRun"], true, "{args:?}: {dry}");
        before.assert_same(ocirepo.dir(), args[0]);
        let wet = ocirepo.run(args);
        assert!(wet.stdout.contains(done), "{args:?}: {wet:?}");
    }
}

#[test]
fn a_dry_run_of_init_makes_nothing() {
    let ocirepo = Ocirepo::new();
    let output = ocirepo.run(&["init", "new", "--dry-run", "--ref-policy", "tag"]).ok();
    assert!(
        output.stdout.starts_with("would initialise an empty repository in new (ref policy tag)"),
        "{output:?}"
    );
    assert!(!ocirepo.dir().join("new").exists());
    Layout::create(ocirepo.dir()).full_image(&ImageSpec::seeded("a").build(), APP);
    std::fs::remove_file(ocirepo.dir().join("index.json")).unwrap();
    let before = Snapshot::of(ocirepo.dir());
    ocirepo.run(&["init", "-n"]).one_clear_error(4, &["holds blobs but no index.json"]);
    let output = ocirepo.run(&["init", "--adopt", "-n"]).ok();
    assert!(output.stdout.contains("would make . a repository, of 1 image"), "{output:?}");
    before.assert_same(ocirepo.dir(), "init");
}

#[test]
fn what_is_not_there_is_answered_with_what_was_likely_meant() {
    let ocirepo = repository();
    for (word, meant) in [
        ("test/app:1.3", APP),
        ("test/app", APP),
        ("test/apps:1.2", APP),
        ("app:1.2", APP),
        ("tool:7", "ghcr.io/org/tool:7"),
    ] {
        ocirepo.run(&["inspect", word]).one_clear_error(3, &[&format!("did you mean {meant}?")]);
    }
    let nothing = ocirepo.run(&["rm", "nginx:1"]).one_clear_error(3, &["`ocirepo ls` lists what is there"]);
    assert!(!nothing.stderr.contains("did you mean"), "{nothing:?}");
    ocirepo.run(&["vrify"]).fails_with(2).says("a similar subcommand exists: 'verify'");
}

/// The cure is for the repository, not for an archive that nobody has.
#[test]
fn damage_that_an_export_meets_is_cured_in_the_repository() {
    let ocirepo = repository();
    let layout = Layout::open(ocirepo.dir());
    let image = ImageSpec::seeded("app").noise_layer(1, 10_000).build();
    let config = &image.config.digest;
    layout.corrupt(config);
    let out = ocirepo.scratch("out.tar");
    ocirepo.run(&["export", "-o", out.to_str().unwrap()]).one_clear_error(4, &[config, "--repair-from"]);
    assert!(!out.exists());
}

#[test]
fn no_colour_where_none_is_wanted() {
    let ocirepo = Ocirepo::new();
    let plain = |args: &[&str]| {
        let output = ocirepo.run(args);
        assert!(!output.stderr.contains('\u{1b}') && !output.stdout.contains('\u{1b}'), "{output:?}");
    };
    plain(&["--color", "never", "vrify"]);
    plain(&["--color=never", "--help"]);
    plain(&["--color", "never", "ls"]);
    let output = ocirepo.run(&["--color", "always", "ls"]);
    assert!(output.stderr.starts_with("\u{1b}[1m"), "{output:?}");
}
