//! `ls` finds images among many: by filters, in an order, as a tree; in a pipe nothing is cut.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use ocirepo_tests::artifact::{artifact, index_of};
use ocirepo_tests::descriptor::full_named;
use ocirepo_tests::image::ImageSpec;
use ocirepo_tests::states::{State, image};
use serde_json::Value;

const INDEX: &str = "docker.io/library/both:1";
const PLAIN: &str = "registry.example:5000/team/plain:2";
const BROKEN: &str = "docker.io/library/broken:3";
const SIGNATURE: &str = "application/x.signature";

/// An index for two platforms, an image, one without its layer, and signatures of the first two; one is not listed.
fn shop() -> State {
    let mut state = State::new();
    let arm = ImageSpec::seeded("arm").platform("linux/arm64/v8").noise_layer(1, 50_000).build();
    let both = index_of(&[(&image("amd"), "linux/amd64"), (&arm, "linux/arm64/v8")]);
    let sign = |content: &str, subject| artifact(SIGNATURE, content.as_bytes(), Some(subject));
    let of_arm = sign("of arm", &arm.manifest);
    let of_signature = sign("of the signature", &of_arm.manifest);
    let of_plain = sign("of plain", &image("plain").manifest);
    state.layout.blobs_of(arm.blobs().chain(image("amd").blobs()).chain(of_plain.blobs()).chain([&both]));
    state.layout.artifact(&of_signature).entry(full_named(both.descriptor(), INDEX)).artifact(&of_arm);
    state.layout.full_image(&image("plain"), PLAIN).full_image(&image("broken"), BROKEN).write_index();
    state.layout.delete(&image("broken").layers[1].digest);
    state
}

#[track_caller]
fn names(state: &State, args: &[&str]) -> Vec<String> {
    let rows = state.json(&[&["ls"], args].concat());
    let name = |row: &Value| row["reference"].as_str().unwrap_or("-").to_owned();
    let names: Vec<String> = rows.as_array().unwrap().iter().map(name).collect();
    // The names alone are the same, whether that takes manifests or not.
    let alone = state.json(&[&["ls", "--names"], args].concat());
    let named: Vec<String> = names.iter().filter(|name| *name != "-").cloned().collect();
    assert_eq!(serde_json::to_value(named).unwrap(), alone, "{args:?}");
    names
}

#[test]
fn filters_find_by_name_digest_platform_and_state() {
    let state = shop();
    let plain = image("plain").manifest.digest;
    for (filters, expected) in [
        (&["both"][..], &[INDEX][..]),
        (&["reference=both:1"], &[INDEX]),
        (&["registry.example:5000/team/plain"], &[PLAIN]),
        (&["*/team/*"], &[PLAIN]),
        (&["bot"], &[]),
        (&["platform=linux/arm64"], &[INDEX]),
        (&["platform=linux/amd64"], &[INDEX, PLAIN, BROKEN]),
        (&["platform=linux/amd64", "state=complete"], &[INDEX, PLAIN]),
        (&["state=incomplete"], &[BROKEN]),
        (&["both", "plain*", "broken"], &[INDEX, BROKEN]),
        (&["state=complete", "state=incomplete", "platform=linux/amd64", "b*"], &[INDEX, BROKEN]),
        (&[&format!("digest={}", &plain[..20])], &[PLAIN]),
        (&[&format!("digest={}", &plain[7..15])], &[PLAIN]),
    ] {
        let args: Vec<&str> = filters.iter().flat_map(|filter| ["--filter", filter]).collect();
        assert_eq!(names(&state, &args), expected, "{filters:?}");
    }
    state.ocirepo.run(&["ls", "--filter", "nothing"]).ok().says("none of 5 images fits");
    for bad in ["platform=arm", "state=odd", "label=x", "reference="] {
        state.run(&["ls", "--filter", bad]).fails_with(2);
    }
}

#[test]
fn images_come_in_index_order_unless_told_otherwise() {
    let state = shop();
    assert_eq!(names(&state, &[]), ["-", INDEX, "-", PLAIN, BROKEN]);
    assert_eq!(names(&state, &["-r"]), [BROKEN, PLAIN, "-", INDEX, "-"]);
    assert_eq!(names(&state, &["--sort", "name"]), [INDEX, BROKEN, PLAIN, "-", "-"]);
    assert_eq!(names(&state, &["--sort", "size"])[0], INDEX);
    assert_eq!(names(&state, &["--sort", "size", "--reverse"])[4], INDEX);
    let rows = state.json(&["ls", "--sort", "size"]);
    let sizes: Vec<u64> =
        rows.as_array().unwrap().iter().map(|row| row["totalSize"].as_u64().unwrap()).collect();
    assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
}

#[test]
fn the_tree_shows_platforms_and_what_is_about_them() {
    let state = shop();
    let rows = state.json(&["ls", "--tree"]);
    let row = |name: &str| rows.as_array().unwrap().iter().find(|row| row["reference"] == name).unwrap();
    let children = row(INDEX)["children"].as_array().unwrap();
    assert_eq!(children[0]["platform"], "linux/amd64");
    assert_eq!(children[0]["digest"], image("amd").digest());
    let of_arm = &children[1]["referrers"][0];
    assert_eq!((&of_arm["artifactType"], &of_arm["listed"]), (&SIGNATURE.into(), &true.into()));
    assert_eq!(of_arm["referrers"][0]["artifactType"], SIGNATURE);
    assert_eq!(row(PLAIN)["children"], Value::Array(Vec::new()));
    assert_eq!(row(PLAIN)["referrers"][0]["listed"], false);
    assert_eq!(rows.as_array().unwrap().len(), 5, "every entry has its row");

    let text = state.ocirepo.run(&["ls", "--tree"]).ok().stdout;
    let lines: Vec<&str> = text.lines().map(|line| line.split("  ").next().unwrap()).collect();
    let signature = |before: &str| format!("{before}{SIGNATURE}");
    let expected = [
        "REFERENCE",
        INDEX,
        "├─ linux/amd64",
        "└─ linux/arm64/v8",
        // Drawn where they belong, and not once more for themselves.
        "",
        "",
        PLAIN,
        &signature("└─ "),
        BROKEN,
    ];
    assert_eq!(lines.len(), expected.len(), "{text}");
    for (line, expected) in lines.iter().zip(expected).filter(|(_, expected)| !expected.is_empty()) {
        assert_eq!(*line, expected, "{text}");
    }
    assert!(text.lines().nth(4).unwrap().starts_with(&signature("   └─ ")), "{text}");
    assert!(text.lines().nth(5).unwrap().starts_with(&signature("      └─ ")), "{text}");
}

#[test]
fn the_tree_shows_which_part_lacks_something() {
    let state = shop();
    state.layout.delete(&image("amd").layers[1].digest);
    let rows = state.json(&["ls", "--tree", "--filter", INDEX]);
    let of = |part: usize| {
        let part = &rows[0]["children"][part];
        (part["present"].as_bool().unwrap(), part["complete"].as_bool().unwrap())
    };
    assert_eq!((of(0), of(1)), ((true, false), (true, true)), "{rows:#}");
    let text = state.ocirepo.run(&["ls", "--tree", "--filter", INDEX]).ok().stdout;
    let ends = |line: usize, state: &str| text.lines().nth(line).unwrap().ends_with(state);
    assert!(ends(1, " incomplete") && ends(2, " incomplete") && !ends(3, " incomplete"), "{text}");
}

/// What is about something by the tag of its digest, even each about the other, is shown, and once.
#[test]
fn tags_made_of_digests_are_referrers_and_a_ring_of_them_ends() {
    let mut state = State::new();
    let (a, b) = (image("a"), image("b"));
    let tag = |image: &ocirepo_tests::image::Image| image.digest().replace(':', "-");
    state.layout.image(&a, &format!("{}.sig", tag(&b))).image(&b, &format!("{}.sig", tag(&a))).write_index();
    let text = state.ocirepo.run(&["ls", "--tree"]).ok().stdout;
    assert_eq!(text.lines().count(), 3, "{text}");
    let rows = state.json(&["ls", "--tree"]);
    assert_eq!(rows[0]["referrers"][0]["digest"], b.digest());
    assert_eq!(rows[1]["referrers"][0]["digest"], a.digest());
}

#[test]
fn an_archive_is_filtered_and_drawn_like_a_repository() {
    let state = shop();
    let file = state.ocirepo.scratch("bundle.tar");
    let file = file.to_str().unwrap();
    state.run(&["export", INDEX, "--type", "oci", "-o", file]).ok();
    let rows = state.json(&["ls", file, "--tree", "--filter", "platform=linux/arm64"]);
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows:#}");
    assert_eq!(rows[0]["children"][1]["referrers"][0]["artifactType"], SIGNATURE, "{rows:#}");
}

#[test]
fn in_a_pipe_nothing_is_cut_and_colours_come_when_they_are_wanted() {
    let mut state = shop();
    let long = format!("registry.example/{}:1", "very/long/".repeat(15).trim_end_matches('/'));
    let platforms: Vec<String> = (0..12).map(|n| format!("linux/arch{n}")).collect();
    let images: Vec<_> = platforms.iter().map(|platform| (image(platform), platform.as_str())).collect();
    let pairs: Vec<_> = images.iter().map(|(image, platform)| (image, *platform)).collect();
    let index = index_of(&pairs);
    state.layout.blobs_of(images.iter().flat_map(|(image, _)| image.blobs()));
    state.layout.blobs_of([&index]).blob(b"");
    state.layout.entry(full_named(index.descriptor(), &long)).write_index();
    let plain = state.ocirepo.run(&["ls"]).ok().stdout;
    assert!(plain.contains(&long) && plain.contains(&platforms.join(",")), "{plain}");
    assert!(!plain.contains('\u{1b}') && !plain.contains('…'), "{plain}");
    let colour = state.ocirepo.run(&["ls", "--color", "always"]).ok().stdout;
    assert!(colour.contains("\u{1b}[33mincomplete\u{1b}[0m"), "{colour}");
    let mut without = String::new();
    let mut left = colour.as_str();
    while let Some((before, rest)) = left.split_once('\u{1b}') {
        without.push_str(before);
        left = rest.split_once('m').unwrap().1;
    }
    without.push_str(left);
    assert_eq!(without, plain);
}
