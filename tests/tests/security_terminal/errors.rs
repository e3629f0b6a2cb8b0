//! What is typed, or comes from a pattern of the shell, and is told again: unknown words, names that are not there,
//! files that are none.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Stdio;

use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::states::State;

use crate::poison::{POISON, judge, run};

#[test]
fn words_that_are_wrong() {
    let state = State::two_images();
    let ocirepo = &state.ocirepo;
    let path = format!("../{POISON}");
    for args in [
        &[POISON][..],
        &["ls", "--no-such-flag", POISON],
        &["ls", &format!("--{POISON}")],
        &["ls", &format!("-{POISON}")],
        &["ls", POISON, POISON],
        &["ls", "--format", POISON],
        &["ls", "--jobs", POISON],
        &["ls", "--lock-timeout", POISON],
        &["add", "x", "--ref", POISON],
        &["add", "x", "--layers", POISON],
        &["add", "x", "--platform", POISON],
        &["add", POISON],
        &["add", &path],
        &["add", &path, &path, "--keep-going"],
        &["add", "-f", POISON],
        &["export", POISON, "-o", "x.tar"],
        &["export", "*POISON*", "-o", &path],
        &["export", "-o", &path, "--volume-size", POISON],
        &["export", "-o", &path, "--compress", POISON],
        &["export", "-o", &format!("{path}/x.tar")],
        &["export", "-f", POISON, "-o", "x.tar"],
        &["export", "--type", "dir", "-o", &format!("index.json/{POISON}")],
        &["export", "--have", POISON, "-o", "x.tar"],
        &["inspect", POISON],
        &["inspect", "a:1", "--in", POISON],
        &["why", POISON],
        &["verify", POISON],
        &["tag", POISON, "x:1"],
        &["tag", "a:1", POISON],
        &["rm", POISON],
        &["rm", "--glob", POISON],
        &["rm", "--pending", POISON],
        &["gc", "--also-root", POISON],
        &["gc", "--grace", POISON],
        &["diff", POISON, POISON],
        &["inventory", POISON],
        &["inventory", "-o", &format!("{path}/x")],
        &["config", POISON],
        &["config", "ref-policy", POISON],
        &["init", &format!("index.json/{POISON}")],
        &["-C", POISON, "ls"],
        &["-C", POISON, "add", "x"],
    ] {
        run(ocirepo, args);
    }
    // What was typed is told, where it is safe to.
    let told = ocirepo.run(&["ls", "--format", POISON]).fails_with(2).stderr;
    assert!(told.contains(r"x\u{1b}[31m\u{9b}31m") && told.contains("json"), "{told}");
}

#[test]
fn words_that_are_no_text() {
    let ocirepo = Ocirepo::new();
    ocirepo.run(&["init"]).ok();
    for bytes in [&b"a\xff\x1b[31m.tar"[..], b"\x9b31m", b"--\xff"] {
        for verb in ["add", "ls", "inspect", "-C"] {
            let mut command = ocirepo.command(&[verb]);
            command.arg(OsStr::from_bytes(bytes)).stdin(Stdio::null());
            let output = ocirepo.spawn_command(&mut command).wait();
            judge(&output, &format!("{verb} {bytes:?}"));
            assert!(matches!(output.status.code(), Some(1..=3)), "{verb} {bytes:?}: {}", output.status);
        }
    }
}

#[test]
fn lists_of_any_text() {
    let state = State::two_images();
    let path = state.ocirepo.scratch(&format!("{POISON}.txt"));
    let list = path.to_str().unwrap();
    // A list is a line each, so that here every line of the poison is one.
    for text in [
        POISON.to_owned(),
        format!("{POISON} {POISON} {POISON}"),
        "a\u{1b}[31m b\u{1b}[31m".to_owned(),
        "sha256:\u{1b}[31m 12".to_owned(),
        format!("{{\"{}\":1,\"{}\":2}}", "\\u001b", "\\u001b"),
        "\u{9b}\0".to_owned(),
    ] {
        fs::write(&path, &text).unwrap();
        for args in [
            &["add", "-f", list][..],
            &["add", "-f", list, "--keep-going"],
            &["export", "-n", "-f", list],
            &["export", "-n", "--have", list],
            &["diff", list, "."],
            &["inventory", list],
        ] {
            run(&state.ocirepo, args);
        }
    }
}

/// Files of the repository that cannot be read are told with why.
#[test]
fn documents_that_are_wrong() {
    let record = format!("{{\"formatVersion\":1,\"refPolicy\":{0:?}}}", "\\u001b[31m").replace("\\\\", "\\");
    let twice = r#"{"\u001b[31m":1,"\u001b[31m":2,"schemaVersion":2,"manifests":[]}"#;
    for (file, text) in [
        ("index.json", twice.to_owned()),
        ("index.json", POISON.to_owned()),
        ("index.json", format!("{{\"schemaVersion\": {:?}}}", "\u{9b}31m")),
        ("oci-layout", twice.to_owned()),
        ("oci-layout", r#"{"imageLayoutVersion":"\u001b[31m\n\u009b"}"#.to_owned()),
        ("oci-layout", format!("{{\"imageLayoutVersion\":\"{}\"}}", "\u{9b}31m\u{202e}")),
        (".ocirepo/config.json", record),
        (
            ".ocirepo/config.json",
            format!("{{\"formatVersion\":1,\"refPolicy\":\"{}\"}}", "\u{9b}31m\u{202e}"),
        ),
        (".ocirepo/last-index", POISON.to_owned()),
        (".ocirepo/cache/layers", POISON.to_owned()),
    ] {
        let state = State::two_images();
        state.json(&["tag", "a:1", "c:3"]);
        fs::create_dir_all(state.dir().join(".ocirepo/cache")).unwrap();
        state.layout.write(file, text.as_bytes());
        for args in [&["ls"][..], &["tag", "a:1", "d:4"], &["gc"], &["verify"], &["init"], &["export", "-n"]]
        {
            run(&state.ocirepo, args);
        }
    }
}
