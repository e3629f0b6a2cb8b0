//! Names of members: cleaned once, compared as text, never used as paths.

use ocirepo_store::Digest;

/// A member name without `./`, leading and repeated slashes. `None` when it has a `..` or a NUL in
/// it, or nothing else: such a member can be skipped, but not be needed.
pub(crate) fn clean(name: &str) -> Option<String> {
    if name.contains('\0') {
        return None;
    }
    let mut cleaned = String::with_capacity(name.len());
    for component in name.split('/') {
        match component {
            "" | "." => {}
            ".." => return None,
            _ => join(&mut cleaned, component),
        }
    }
    (!cleaned.is_empty()).then_some(cleaned)
}

/// The member that a symbolic link means: relative to its own directory, `..` allowed as long as
/// it stays inside the archive.
pub(crate) fn symlink_target(link: &str, target: &str) -> Option<String> {
    let mut components: Vec<&str> = if target.starts_with('/') {
        Vec::new()
    } else {
        let mut parents: Vec<&str> = link.split('/').collect();
        parents.pop();
        parents
    };
    for component in target.split('/') {
        match component {
            "" | "." => {}
            ".." => {
                components.pop()?;
            }
            _ => components.push(component),
        }
    }
    clean(&components.join("/"))
}

/// Where an image layout keeps a blob.
pub(crate) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm_name(), digest.encoded())
}

/// The digest that a member is named by, if it lies where an image layout keeps its blobs, at the
/// top or in a folder.
pub(crate) fn blob_digest(name: &str) -> Option<Digest> {
    let mut components = name.rsplit('/');
    let (encoded, algorithm) = (components.next()?, components.next()?);
    if components.next() != Some("blobs") {
        return None;
    }
    Digest::from_parts(algorithm, encoded).ok()
}

/// The digest that the name of a layer member suggests: `sha256:<hex>`, `<hex>.tar.gz`,
/// `blobs/sha256/<hex>`. A hint and no more.
pub(crate) fn suggested_digest(name: &str) -> Option<Digest> {
    let last = name.rsplit('/').next()?;
    let stem = last.split('.').next()?;
    let hex = stem.strip_prefix("sha256:").unwrap_or(stem);
    Digest::from_parts("sha256", hex).ok()
}

fn join(path: &mut String, component: &str) {
    if !path.is_empty() {
        path.push('/');
    }
    path.push_str(component);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned_of_what_means_nothing() {
        for (name, cleaned) in [
            ("./index.json", Some("index.json")),
            ("//blobs///sha256/./x", Some("blobs/sha256/x")),
            ("/index.json", Some("index.json")),
            ("a/", Some("a")),
            ("../etc/passwd", None),
            ("a/../../b", None),
            ("a\0b", None),
            ("./", None),
            ("", None),
        ] {
            assert_eq!(clean(name).as_deref(), cleaned, "{name:?}");
        }
    }

    #[test]
    fn links_stay_inside_the_archive() {
        assert_eq!(symlink_target("a/layer.tar", "../b/layer.tar").as_deref(), Some("b/layer.tar"));
        assert_eq!(symlink_target("a/layer.tar", "other.tar").as_deref(), Some("a/other.tar"));
        assert_eq!(symlink_target("a/layer.tar", "/b").as_deref(), Some("b"));
        assert_eq!(symlink_target("a/layer.tar", "../../etc/passwd"), None);
        assert_eq!(symlink_target("a", ".."), None);
    }

    #[test]
    fn digests_are_read_off_names() {
        let digest = Digest::sha256(b"x");
        let hex = digest.encoded();
        assert_eq!(blob_digest(&format!("blobs/sha256/{hex}")), Some(digest.clone()));
        assert_eq!(blob_digest(&format!("images/{}", blob_name(&digest))), Some(digest.clone()));
        assert_eq!(blob_digest(&format!("sha256/{hex}")), None);
        assert_eq!(blob_digest("blobs/sha256/short"), None);
        for name in
            [format!("sha256:{hex}"), format!("{hex}.tar.gz"), format!("a/{hex}.json"), blob_name(&digest)]
        {
            assert_eq!(suggested_digest(&name), Some(digest.clone()), "{name}");
        }
        assert_eq!(suggested_digest("abc/layer.tar"), None);
    }
}
