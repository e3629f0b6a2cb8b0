//! A file that is written appears whole or not at all.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test ends at what fails, and says what it skips"
)]

use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use ocirepo_store::OutputFile;

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn message(error: &ocirepo_store::Error) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    format!("{error}: {source}")
}

#[test]
fn a_file_that_was_written_half_never_appears() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.tar");
    let mut file = OutputFile::create(&path).unwrap();
    file.write_all(b"half").unwrap();
    let [hidden] = &names(dir.path())[..] else { panic!("{:?}", names(dir.path())) };
    assert!(hidden.starts_with(".b.tar.") && hidden.len() > ".b.tar.".len(), "{hidden}");
    assert!(!path.exists());
    drop(file);
    assert_eq!(names(dir.path()), Vec::<String>::new());
}

#[test]
fn a_file_is_replaced_in_one_step() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.tar");
    std::fs::write(&path, "old").unwrap();
    let mut reader = std::fs::File::open(&path).unwrap();
    let mut file = OutputFile::create(&path).unwrap();
    file.write_all(b"new, and longer").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(file.as_file().metadata().unwrap().len(), 15);
    file.commit().unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "new, and longer");
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "old", "whoever reads the old one goes on reading it");
    assert_eq!(names(dir.path()), ["b.tar"]);

    drop(OutputFile::create(&path).unwrap());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "new, and longer");
}

#[test]
fn it_has_the_mode_of_any_file_that_is_made_here() {
    let dir = tempfile::tempdir().unwrap();
    let (path, plain) = (dir.path().join("b.tar"), dir.path().join("plain"));
    OutputFile::create(&path).unwrap().commit().unwrap();
    std::fs::write(&plain, "").unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&path), mode(&plain));
}

#[test]
fn a_link_to_a_file_stays_and_the_file_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("there")).unwrap();
    let (link, file) = (dir.path().join("link"), dir.path().join("there/b.tar"));
    std::fs::write(&file, "old").unwrap();
    symlink("there/b.tar", &link).unwrap();
    let mut output = OutputFile::create(&link).unwrap();
    output.write_all(b"new").unwrap();
    output.commit().unwrap();
    assert!(link.is_symlink());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
}

#[test]
fn what_is_no_file_is_refused_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::create_dir(path("directory")).unwrap();
    symlink("nowhere", path("dangling")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
    for name in ["directory", "dangling", "socket", "no/such/dir.tar", "directory/.."] {
        let refused = message(&OutputFile::create(&path(name)).unwrap_err());
        assert!(refused.contains(path(name).to_str().unwrap()), "{refused}");
        assert!(!refused.contains("/.dir"), "{refused}");
    }
    assert_eq!(names(dir.path()), ["dangling", "directory", "socket"]);
}

#[test]
fn devices_and_open_files_are_written_as_they_are() {
    let mut null = OutputFile::create(Path::new("/dev/null")).unwrap();
    null.write_all(b"gone").unwrap();
    null.commit().unwrap();
    OutputFile::create(Path::new("/dev/stdout")).unwrap().commit().unwrap();

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("open");
    let open = std::fs::File::create(&path).unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&open);
    (&open).write_all(b"before ").unwrap();
    let mut output = OutputFile::create(Path::new(&format!("/dev/fd/{number}"))).unwrap();
    output.write_all(b"after").unwrap();
    output.commit().unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "before after");
}

#[test]
fn a_fifo_is_written_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    if !made.is_ok_and(|status| status.success()) {
        eprintln!("skipped: there is no mkfifo");
        return;
    }
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| std::fs::read_to_string(&path).unwrap());
        let mut output = OutputFile::create(&path).unwrap();
        output.write_all(b"through").unwrap();
        output.commit().unwrap();
        assert_eq!(reader.join().unwrap(), "through");
    });
    assert_eq!(names(dir.path()), ["fifo"]);
}

#[test]
fn the_longest_names_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ü".repeat(127));
    OutputFile::create(&path).unwrap().commit().unwrap();
    assert!(path.exists());
}
