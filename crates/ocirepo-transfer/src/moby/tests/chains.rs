//! Which images folders make.

use std::fs;

use tempfile::TempDir;

use crate::archive::Directory;
use crate::error::Result;
use crate::moby::chains::{self, V1Image};

/// An unpacked archive in the making.
struct Archive(TempDir);

impl Archive {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn write(self, name: &str, content: &str) -> Self {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    fn layer(self, id: &str, parent: &str) -> Self {
        self.write(&format!("{id}/VERSION"), "1.0")
            .write(&format!("{id}/json"), &format!(r#"{{"id":"{id}","parent":"{parent}"}}"#))
            .write(&format!("{id}/layer.tar"), id)
    }

    fn read(&self, prefix: &str) -> Result<Vec<V1Image>> {
        chains::read(&Directory::open(self.0.path(), "old.tar".to_owned()).unwrap(), prefix)
    }

    /// Names and chains in one line an image.
    fn images(&self, prefix: &str) -> Vec<String> {
        let images = self.read(prefix).unwrap();
        let line = |image: &V1Image| {
            let chain: Vec<&str> = image.chain().iter().map(|layer| layer.id.as_str()).collect();
            format!("{} {}", image.names.join(","), chain.join("<"))
        };
        images.iter().map(line).collect()
    }

    fn error(&self) -> String {
        self.read("").unwrap_err().to_string()
    }
}

#[test]
fn images_are_what_has_a_name_and_what_is_nobodys_parent() {
    let archive = Archive::new()
        .layer("base", "")
        .layer("mid", "base")
        .layer("top", "mid")
        .layer("other", "base")
        .layer("alone", "")
        .write("0123.json", "not looked at")
        .write("notes/readme", "not looked at")
        .write("repositories", r#"{"z/app":{"2":"top","1":"mid","latest":"top"},"app":{"sha256:ab":"mid"}}"#);
    let named = ["z/app:2,z/app:latest base<mid<top", "z/app:1,app@sha256:ab base<mid"];
    assert_eq!(archive.images(""), [&named[..], &[" alone", " base<other"]].concat());
    let images = archive.read("").unwrap();
    assert_eq!(images[0].chain()[1].member, "mid/layer.tar");
    assert_eq!(images[0].chain()[1].json.parent(), Some("base"));
}

#[test]
fn nobody_needs_a_name() {
    let archive = Archive::new().layer("a", "").layer("b", "a");
    assert_eq!(archive.images(""), [" a<b"]);
    for repositories in ["", "\n", "null", "{}", r#"{"a":null,"b":{}}"#] {
        let archive = Archive::new().layer("a", "").write("repositories", repositories);
        assert_eq!(archive.images(""), [" a"], "{repositories:?}");
    }
    assert!(Archive::new().write("repositories", "{}").images("").is_empty());
}

#[test]
fn what_has_a_name_is_found_in_a_folder_too() {
    let archive = Archive::new()
        .layer("saved/a", "")
        .write("saved/b/json", r#"{"parent":"a"}"#)
        .write("saved/b/layer.tar", "")
        .write("saved/repositories", r#"{"app":{"1":"b"}}"#);
    assert_eq!(archive.images("saved/"), ["app:1 a<b"]);
    assert_eq!(archive.read("saved/").unwrap()[0].chain()[0].member, "saved/a/layer.tar");
}

#[test]
fn what_is_incomplete_is_said_with_its_image_and_its_folder() {
    let repositories = r#"{"app":{"1":"b"}}"#;
    let lost_image = Archive::new().layer("a", "").write("repositories", repositories);
    assert_eq!(
        lost_image.error(),
        "old.tar: image app:1: repositories says that it is b, which is not in the archive; \
         save the image again, with all of its layers"
    );
    let lost_parent = Archive::new().layer("b", "a").write("repositories", repositories);
    assert_eq!(
        lost_parent.error(),
        "old.tar: image app:1: the parent of its layer b, a, is not in the archive; \
         save the image again, with all of its layers"
    );
    let lost_layer = Archive::new().layer("b", "a").write("a/json", "{}");
    assert_eq!(
        lost_layer.error(),
        "old.tar: image b: its layer a/layer.tar is not in the archive; \
         save the image again, with all of its layers"
    );
}

#[test]
fn ids_are_names_of_folders() {
    for id in ["", ".", "..", "./a", "a/", "/a"] {
        let archive = Archive::new().layer("a", "").write("json", "{}").write("layer.tar", "");
        let archive = archive.write("repositories", &format!(r#"{{"app":{{"1":"{id}"}}}}"#));
        assert!(archive.error().contains("which is not in the archive"), "{id:?}");
    }
}

#[test]
fn a_circle_of_parents_is_refused_with_a_name_and_without() {
    let circle = || Archive::new().layer("a", "c").layer("b", "a").layer("c", "b");
    assert!(circle().error().contains("image a: its layer b has a, which is above it, as its parent"));
    let named = circle().write("repositories", r#"{"app":{"1":"b"}}"#);
    assert!(named.error().contains("image app:1: its layer c has b, which is above it"));
    assert!(Archive::new().layer("a", "a").error().contains("which is above it"));
}

#[test]
fn damaged_documents_are_named() {
    let archive = Archive::new().layer("a", "").write("a/json", r#"{"created":"now"}"#);
    assert!(archive.error().starts_with("old.tar: member a/json: its created is not usable"));
    for repositories in ["[]", r#"{"a":"b"}"#, r#"{"a":{"1":null}}"#, r#"{"a":{"1":"x","1":"x"}}"#, "{"] {
        let archive = Archive::new().layer("x", "").write("repositories", repositories);
        assert!(archive.error().starts_with("old.tar: member repositories: "), "{repositories}");
    }
}

#[test]
fn chains_are_bounded() {
    let mut archive = Archive::new().layer("0", "");
    for n in 1..500 {
        archive = archive.layer(&n.to_string(), &(n - 1).to_string());
    }
    assert_eq!(archive.read("").unwrap()[0].chain().len(), 500);
    let archive = archive.layer("500", "499");
    assert!(archive.error().contains("image 500: it has more than 500 layers"), "{}", archive.error());
}
