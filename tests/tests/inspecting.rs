//! `inspect` shows of an image what other tools do: its config, one platform of several, what is about it; and `why` draws
//! the way to a blob.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use ocirepo_tests::artifact::{artifact, index_of};
use ocirepo_tests::descriptor::full_named;
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::states::{A, B, State, image};
use serde_json::{Value, json};

const INDEX: &str = "docker.io/library/both:1";

fn service() -> Image {
    ImageSpec::seeded("service")
        .run("Entrypoint", json!(["/app", "--port", "80 80"]))
        .run("Cmd", json!(["serve"]))
        .run("Env", json!(["PATH=/bin", "EMPTY="]))
        .run("Labels", json!({"team": "a", "hostile": "\u{1b}[2J"}))
        .run("ExposedPorts", json!({"80/tcp": {}}))
        .run("WorkingDir", json!("/srv"))
        .run("User", json!("1000"))
        .annotation("of.the.manifest", "yes")
        .build()
}

/// [`service`] under [`A`], with a signature, and an index of platforms under [`INDEX`].
fn shop(platforms: &[&str]) -> (State, Vec<Image>) {
    let mut state = State::new();
    let signature = artifact("application/x.signature", b"signed", Some(&service().manifest));
    let images: Vec<Image> =
        platforms.iter().map(|platform| ImageSpec::seeded(platform).platform(platform).build()).collect();
    let pairs: Vec<(&Image, &str)> = images.iter().zip(platforms.iter().copied()).collect();
    let index = index_of(&pairs);
    state.layout.blobs_of(images.iter().flat_map(Image::blobs));
    state.layout.blobs_of([&index]).blobs_of(signature.blobs());
    state.layout.full_image(&service(), A).entry(full_named(index.descriptor(), INDEX)).write_index();
    (state, images)
}

fn here() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "linux/amd64",
        "aarch64" => "linux/arm64",
        other => panic!("how is {other} called?"),
    }
}

#[test]
fn the_config_is_printed_byte_for_byte() {
    let (state, _) = shop(&["linux/amd64"]);
    assert_eq!(state.ocirepo.run(&["inspect", "--config", A]).ok().bytes, service().config.bytes);
}

#[test]
fn of_several_platforms_the_config_is_that_for_this_machine_or_the_one_asked_for() {
    let (state, images) = shop(&[here(), "linux/s390x", "linux/arm/v7"]);
    let config =
        |args: &[&str]| state.ocirepo.run(&[&["inspect", "--config", INDEX], args].concat()).ok().bytes;
    assert_eq!(config(&[]), images[0].config.bytes);
    assert_eq!(config(&["--platform", "linux/s390x"]), images[1].config.bytes);
    assert_eq!(config(&["--platform", "linux/arm"]), images[2].config.bytes);
    let raw = state.ocirepo.run(&["inspect", "--raw", INDEX, "--platform", "linux/s390x"]).ok().bytes;
    assert_eq!(raw, images[1].manifest.bytes);
    let refused = state.run(&["inspect", "--config", INDEX, "--platform", "windows/amd64"]).fails_with(2);
    refused.says("linux/s390x").says("linux/arm/v7");

    let (state, images) = shop(&["linux/s390x", "linux/mips64le"]);
    state.run(&["inspect", "--config", INDEX]).fails_with(2).says("--platform").says("linux/mips64le");
    let (one, _) = shop(&["linux/s390x"]);
    // There is no other that could be meant.
    assert_eq!(one.ocirepo.run(&["inspect", "--config", INDEX]).ok().bytes, images[0].config.bytes);
}

#[test]
fn a_config_that_is_damaged_is_not_printed() {
    let (state, _) = shop(&["linux/amd64"]);
    state.layout.corrupt(&service().config.digest);
    let output = state.run(&["inspect", "--config", A]).fails_with(4);
    assert!(output.stdout.is_empty(), "{}", output.stdout);
    state.layout.delete(&service().config.digest);
    state.run(&["inspect", "--config", A]).fails_with(4);
    state.layout.corrupt(service().digest());
    state.run(&["inspect", "--config", A]).fails_with(4).says(service().digest());
    // The image is shown all the same.
    state.ocirepo.run(&["inspect", A]).ok();
}

#[test]
fn what_runs_is_shown_and_cannot_play_with_the_terminal() {
    let (state, _) = shop(&["linux/amd64"]);
    let text = state.ocirepo.run(&["inspect", A]).ok().stdout;
    for expected in [
        "Created     2020-01-01T00:00:00Z",
        r#"Entrypoint  ["/app","--port","80 80"]"#,
        r#"Cmd         ["serve"]"#,
        "Env         EMPTY=",
        "Label       team=a",
        r"Label       hostile=\u{1b}[2J",
        "Ports       80/tcp",
        "User        1000",
        "Annotation  of.the.manifest=yes",
        "application/x.signature",
        service().layers[0].digest.as_str(),
        service().config.digest.as_str(),
    ] {
        assert!(text.contains(expected), "{expected} is not in:\n{text}");
    }
    let value = state.json(&["inspect", A]);
    let runtime = &value["manifests"][0]["runtime"];
    assert_eq!(runtime["entrypoint"], json!(["/app", "--port", "80 80"]));
    assert_eq!((&runtime["os"], &runtime["architecture"]), (&json!("linux"), &json!("amd64")));
    assert_eq!(runtime["labels"]["team"], "a");
    assert_eq!(value["referrers"][0]["artifactType"], "application/x.signature");
    assert_eq!(value["referrers"][0]["listed"], false);
}

#[test]
fn one_platform_of_several_is_shown_with_its_own_size() {
    let (state, images) = shop(&["linux/amd64", "linux/s390x"]);
    let whole = state.json(&["inspect", INDEX]);
    let part = state.json(&["inspect", INDEX, "--platform", "linux/s390x"]);
    assert_eq!(part["digest"], whole["digest"]);
    assert_eq!(part["platforms"], json!(["linux/s390x"]));
    let blobs: u64 = images[1].blobs().map(|blob| blob.bytes.len() as u64).sum();
    assert_eq!(part["totalSize"], blobs);
    assert_eq!(part["manifests"].as_array().map(Vec::len), Some(1));
    let text = state.ocirepo.run(&["inspect", INDEX, "--platform", "linux/s390x"]).ok().stdout;
    assert!(text.contains(images[1].digest()) && !text.contains(images[0].digest()), "{text}");
    let text = state.ocirepo.run(&["inspect", INDEX]).ok().stdout;
    assert!(text.contains(images[1].digest()) && text.contains(images[0].digest()), "{text}");
}

#[test]
fn why_draws_one_way_and_lists_the_others() {
    let mut state = State::two_images();
    let (a, b) = (image("a"), image("b"));
    let both = index_of(&[(&a, "linux/amd64"), (&b, "linux/arm64")]);
    state.layout.blobs_of([&both]);
    state.layout.entry(full_named(both.descriptor(), INDEX)).write_index();
    state.layout.blob(b"garbage");
    state.run(&["rm", A]).ok();
    let layer = &a.layers[1];
    let text = state.ocirepo.run(&["why", &layer.digest]).ok().stdout;
    let first = |n: usize| text.lines().nth(n).unwrap().split("  ").next().unwrap().to_owned();
    assert_eq!([first(1), first(2)], [INDEX, "└─ manifest linux/amd64"], "{text}");
    assert!(text.lines().nth(3).unwrap().trim_start().starts_with("└─ layer"), "{text}");
    assert!(text.contains(&layer.media_type) && text.contains(&both.media_type), "{text}");
    assert!(!text.contains("as well"), "{text}");
    let path = state.json(&["why", &layer.digest])["path"].clone();
    assert_eq!(path[0]["mediaType"], both.media_type);
    assert_eq!((&path[1]["link"], &path[1]["platform"]), (&json!("manifest"), &json!("linux/amd64")));
    assert_eq!(path[2]["size"], layer.bytes.len());

    let shared = &a.layers[0].digest;
    let text = state.ocirepo.run(&["why", shared]).ok().stdout;
    assert!(text.contains("needed by 1 other as well:"), "{text}");
    assert!(text.contains(B) && text.contains(INDEX), "{text}");
}

#[test]
fn why_lists_many_others_only_when_asked_to() {
    let mut state = State::new();
    let names: Vec<String> = (0..30).map(|n| format!("docker.io/library/n:{n}")).collect();
    for name in &names {
        state.layout.full_image(&image(name), name);
    }
    state.layout.write_index();
    let base = &image(&names[0]).layers[0].digest;
    let text = state.ocirepo.run(&["why", base]).ok().stdout;
    assert!(text.contains("needed by 29 others as well") && text.contains("and 19 more"), "{text}");
    let text = state.ocirepo.run(&["why", base, "-v"]).ok().stdout;
    assert!(names.iter().all(|name| text.contains(name)), "{text}");
    assert_eq!(state.json(&["why", base])["images"].as_array().map(Vec::len), Some(30));
}

/// A referrer has no descriptor above it: its type is its own.
#[test]
fn why_names_an_unlisted_referrer_and_its_type() {
    let (state, _) = shop(&["linux/amd64"]);
    let signature = artifact("application/x.signature", b"signed", Some(&service().manifest));
    let path = state.json(&["why", &signature.manifest.digest])["path"].clone();
    assert_eq!(
        (&path[1]["link"], &path[1]["mediaType"]),
        (&json!("referrer"), &json!(signature.manifest.media_type))
    );
    assert_eq!(path[0]["link"], "root");
    assert_ne!(path[0]["size"], Value::Null);
}

/// That a part is absent is a state, which is legal: it is told of neither as damage nor at the length of a digest.
#[test]
fn of_a_sparse_image_it_is_told_how_much_is_here() {
    let (state, images) = shop(&["linux/amd64", "linux/arm64", "linux/s390x"]);
    let text = |args: &[&str]| state.ocirepo.run(args).ok().stdout;
    let told = |args: &[&str]| {
        let value = state.json(args);
        let row = if value.is_array() { value[1].clone() } else { value };
        (row["absent"].clone(), row["complete"].clone(), row["problem"].clone())
    };
    assert_eq!(told(&["ls"]), (json!(0), json!(true), Value::Null));
    for image in &images[1..] {
        image.blobs().for_each(|blob| drop(std::fs::remove_file(state.layout.blob_path(&blob.digest))));
    }
    state.layout.blobs_of(images[0].blobs());
    for args in [&["ls"][..], &["inspect", INDEX]] {
        assert_eq!(told(args), (json!(2), json!(false), Value::Null), "{args:?}");
    }
    let listed = text(&["ls"]);
    assert!(listed.lines().nth(2).unwrap().ends_with(" sparse: 1 of 3 here"), "{listed}");
    let tree = text(&["ls", "--tree"]);
    assert_eq!(tree.lines().filter(|line| line.ends_with(" absent")).count(), 2, "{tree}");
    let shown = text(&["inspect", INDEX]);
    assert!(shown.contains("\nState       sparse: 1 of 3 manifests here, the rest absent\n"), "{shown}");
    assert_eq!(shown.lines().filter(|line| line.contains(" absent    ")).count(), 2, "{shown}");
    let part = ["inspect", INDEX, "--platform", "linux/arm64"];
    assert_eq!(told(&part), (json!(1), json!(false), Value::Null));
    assert!(text(&part).contains("\nState       absent: the index lists it, but it is not there\n"));

    // What lacks more is not only sparse, and damage is told of before.
    state.layout.delete(&images[0].layers[1].digest);
    assert!(text(&["inspect", INDEX]).contains("\nState       incomplete\n"));
    state.layout.corrupt(images[0].digest());
    assert_eq!(told(&["ls"]).0, json!(2));
    let listed = text(&["ls"]);
    assert!(listed.contains(" its content hashes to ") && !listed.contains("sparse"), "{listed}");
    state.layout.delete(service().digest());
    assert!(text(&["inspect", A]).contains("\nState       manifest missing\n"));
    assert!(text(&["ls"]).lines().nth(1).unwrap().ends_with(" manifest missing"));
}
