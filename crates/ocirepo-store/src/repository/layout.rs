//! Telling whether a directory is an OCI image layout, and of a version we know.

use crate::blob::BLOBS;
use crate::disk::{Dir, Kind};
use crate::error::{Error, Result};
use crate::index::json;

pub(crate) const OCI_LAYOUT: &str = "oci-layout";
pub(crate) const INDEX: &str = "index.json";

/// What a new `oci-layout` says.
pub const OCI_LAYOUT_CONTENT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

const MAX_OCI_LAYOUT_SIZE: u64 = 1 << 20;

/// What a directory is, as far as its files tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// An image layout: `oci-layout` is good, index.json is there.
    Layout,
    /// There are blobs, but one of the two files is not there.
    Headless { missing: &'static str },
    /// Nothing of a layout, or only a beginning without blobs.
    Nothing { missing: &'static str },
}

/// Looks at a directory.
///
/// # Errors
/// When `oci-layout` is there but damaged or of another version, and when it cannot be read.
pub(crate) fn state(root: &Dir) -> Result<State> {
    match look(root)? {
        // Between two looks at single files somebody may have made it a repository.
        State::Headless { .. } => look(root),
        state => Ok(state),
    }
}

fn look(root: &Dir) -> Result<State> {
    // In the order opposite to that of `init`, which writes index.json last.
    let has_index = root.stat(INDEX)?.is_some();
    let has_layout = match root.read(OCI_LAYOUT, MAX_OCI_LAYOUT_SIZE)? {
        Some((bytes, _)) => {
            check_version(root, &bytes)?;
            true
        }
        None => false,
    };
    let missing = match (has_layout, has_index) {
        (true, true) => return Ok(State::Layout),
        (_, false) => INDEX,
        (false, true) => OCI_LAYOUT,
    };
    if has_index || has_blobs(root)? {
        Ok(State::Headless { missing })
    } else {
        Ok(State::Nothing { missing })
    }
}

/// Checks what `oci-layout` says: a JSON object, unknown members welcome, of version 1.0.x.
fn check_version(root: &Dir, bytes: &[u8]) -> Result<()> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Layout {
        image_layout_version: String,
    }
    let path = || root.path().join(OCI_LAYOUT);
    let damaged = |reason: String| Error::Damaged { path: path(), reason };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(damaged("it is empty".to_owned()));
    }
    json::check(bytes).map_err(damaged)?;
    let layout: Layout = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    let version = layout.image_layout_version;
    if version == "1.0" || version.strip_prefix("1.0.").is_some_and(|patch| patch.parse::<u32>().is_ok()) {
        Ok(())
    } else {
        Err(Error::UnsupportedVersion { path: path(), found: version })
    }
}

fn has_blobs(root: &Dir) -> Result<bool> {
    let Some(top) = root.open_dir(BLOBS)? else { return Ok(false) };
    for found in top.list()? {
        // What cannot be opened may be full of blobs, and must not be taken for nothing.
        if matches!(found.kind, Kind::Directory | Kind::Link)
            && let Some(algorithm) = top.open_dir(&found.name)?
            && !algorithm.list()?.is_empty()
        {
            return Ok(true);
        }
    }
    Ok(false)
}
