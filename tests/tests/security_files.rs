//! How files are made: beside other users, under any umask, in directories where somebody may have planted something.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use ocirepo_tests::archive;
use ocirepo_tests::cli::{Ocirepo, Output};
use ocirepo_tests::compress::Packing;
use ocirepo_tests::image::ImageSpec;
use ocirepo_tests::snapshot::tree;
use ocirepo_tests::states::State;
use ocirepo_tests::tools;

/// Runs a command under a umask.
fn under(umask: &str, ocirepo: &Ocirepo, args: &[&str]) -> Output {
    let inner = ocirepo.command(args);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
    command.arg(inner.get_program()).args(inner.get_args()).current_dir(ocirepo.dir()).env_clear();
    command.envs(inner.get_envs().filter_map(|(key, value)| Some((key, value?)))).stdin(Stdio::null());
    ocirepo.spawn_command(&mut command).wait()
}

fn archive_at(path: &Path) -> String {
    let image = ImageSpec::seeded("a").noise_layer(1, 100_000).build();
    fs::write(path, archive::docker_save(&[(&image, &["docker.io/test/a:1"])]).to_bytes()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// No umask makes what ocirepo writes writable for others; a strict one keeps it to oneself.
#[test]
fn modes_under_any_umask() {
    for (umask, file, directory) in
        [("000", 0o644, 0o755), ("022", 0o644, 0o755), ("027", 0o640, 0o750), ("077", 0o600, 0o700)]
    {
        let ocirepo = Ocirepo::new();
        let source = archive_at(&ocirepo.scratch("in.tar"));
        under(umask, &ocirepo, &["init", "new"]).ok();
        let inside = ocirepo.in_dir(ocirepo.dir().join("new"));
        under(umask, &inside, &["add", &source, "--layers", "gzip"]).ok();
        under(umask, &inside, &["tag", "test/a:1", "test/b:1"]).ok();
        under(umask, &inside, &["config", "ref-policy", "full"]).ok();
        under(umask, &inside, &["rm", "test/a:1"]).ok();
        under(umask, &inside, &["gc"]).ok();
        for (path, (mode, ..)) in tree(inside.dir()).into_iter().filter(|(path, _)| !path.is_empty()) {
            let most = if mode & 0o170_000 == 0o040_000 { directory } else { file };
            assert_eq!(mode & 0o7777, most, "umask {umask}: {path}");
        }
        // What is written elsewhere is as any file that is made there.
        let out = ocirepo.scratch("out.tar");
        under(umask, &inside, &["export", "-o", out.to_str().unwrap(), "--sums"]).ok();
        let mode = fs::metadata(&out).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o666 & !u32::from_str_radix(umask, 8).unwrap(), "umask {umask}");
    }
}

/// Temporary files outside of the repository are for nobody else to read or to replace.
#[test]
fn temporary_directories_are_ones_own() {
    let state = State::two_images();
    let source = archive_at(&state.ocirepo.scratch("in.tar"));
    let bytes = Packing::Gzip.pack(&fs::read(&source).unwrap());
    let tmp = state.ocirepo.scratch("tmp");
    for verb in [&["add", "-n", "-"][..], &["ls", "-"], &["verify", "-"]] {
        // Its input does not end, so that it is seen at work.
        let inner = state.ocirepo.command(verb);
        let mut command = Command::new("sh");
        command.args(["-c", "umask 000; exec \"$@\"", "sh"]).arg(inner.get_program()).args(inner.get_args());
        command.current_dir(state.dir()).env_clear().stdin(Stdio::piped());
        command.envs(inner.get_envs().filter_map(|(key, value)| Some((key, value?))));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&bytes[..bytes.len() / 2]).unwrap();
        stdin.flush().unwrap();
        let seen = loop {
            let seen: Vec<_> = fs::read_dir(&tmp).unwrap().collect::<Result<_, _>>().unwrap();
            if !seen.is_empty() || child.try_wait().unwrap().is_some() {
                break seen;
            }
            std::thread::yield_now();
        };
        assert_eq!(seen.len(), 1, "{verb:?}");
        let mode = fs::metadata(seen[0].path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700, "{verb:?}: {}", seen[0].path().display());
        drop(stdin);
        child.wait().unwrap();
        assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0, "{verb:?}");
    }
}

/// Whatever ocirepo creates, it creates anew or not through a link: no name that somebody planted leads elsewhere.
#[test]
fn nothing_is_created_through_a_link() {
    let Some(strace) = tools::strace() else { return };
    let ocirepo = Ocirepo::new();
    let source = archive_at(&ocirepo.scratch("in.tar"));
    let packed = ocirepo.scratch("in.tar.gz").to_str().unwrap().to_owned();
    fs::write(&packed, Packing::Gzip.pack(&fs::read(&source).unwrap())).unwrap();
    let trace = ocirepo.scratch("trace");
    let mut seen = 0;
    for args in [
        &["init"][..],
        &["add", &source, "--layers", "gzip"],
        &["add", &packed, "--ref", "test/c:3"],
        &["add", "-n", &packed],
        &["ls", &packed],
        &["tag", "test/a:1", "test/b:2"],
        &["config", "ref-policy", "tag"],
        &["rm", "test/b:2"],
        &["gc"],
        &["verify"],
        &["export", "-o", "../out.tar", "--sums"],
        &["export", "-o", "../out.tar", "--volume-size", "70kB"],
        &["export", "--type", "dir", "-o", "../out"],
        &["inventory", "-o", "../have.txt"],
    ] {
        let options =
            ["-o", trace.to_str().unwrap(), "-e", "trace=openat,open,creat,openat2,chmod,chown,lchown,mknod"];
        ocirepo.spawn_traced(&strace, &options, args).wait().ok();
        for line in fs::read_to_string(&trace).unwrap().lines() {
            let is_refused =
                line.contains("O_CREAT") && !line.contains("O_EXCL") && !line.contains("O_NOFOLLOW");
            assert!(!is_refused, "{args:?}: {line}");
            // By path, what has the path by then would be changed.
            let by_path =
                ["creat(", "chmod(", "chown(", "lchown(", "mknod("].iter().any(|call| line.contains(call));
            assert!(!by_path, "{args:?}: {line}");
            seen += usize::from(line.contains("O_CREAT"));
        }
    }
    assert!(seen > 30, "{seen} files were created");
}

/// An export replaces what its path leads to, as a redirection would, and never something half-way there.
#[test]
fn export_targets_that_are_links() {
    let state = State::two_images();
    let at = |name: &str| state.ocirepo.scratch(name);
    let run = |path: &Path| state.ocirepo.run(&["export", "-o", path.to_str().unwrap()]);
    fs::write(at("real.tar"), "before").unwrap();
    symlink("real.tar", at("link.tar")).unwrap();
    run(&at("link.tar")).ok();
    assert!(at("link.tar").is_symlink(), "the link stays");
    assert!(fs::read(at("real.tar")).unwrap().len() > 1000, "and the file is replaced");
    symlink("nothing.tar", at("dangling.tar")).unwrap();
    run(&at("dangling.tar")).fails_with(1).says("a link that leads to nothing");
    assert!(!at("nothing.tar").exists());
    symlink(at("loop.tar"), at("loop.tar")).unwrap();
    run(&at("loop.tar")).fails_with(1);
    symlink(state.dir().join("index.json"), at("index.tar")).unwrap();
    run(&at("index.tar")).fails_with(2).says("part of the repository");
    symlink(state.dir().join("blobs"), at("blobs")).unwrap();
    run(&at("blobs/x.tar")).fails_with(2).says("part of the repository");
    run(&at("tmp")).fails_with(2).says("a directory");
    // Another name of a file is another file afterwards: what else has its content keeps it.
    fs::write(at("mine"), "mine").unwrap();
    fs::hard_link(at("mine"), at("second.tar")).unwrap();
    run(&at("second.tar")).ok();
    assert_eq!(fs::read_to_string(at("mine")).unwrap(), "mine");
    // Nothing hidden is left beside any of it.
    let hidden = fs::read_dir(at("")).unwrap().filter(|entry| {
        entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with('.'))
    });
    assert_eq!(hidden.count(), 0);
}
