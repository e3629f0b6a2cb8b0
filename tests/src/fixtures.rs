//! The files committed under `tests/fixtures`.

use std::path::{Path, PathBuf};

/// The path of a committed fixture; panics if there is none of that name.
///
/// `hello.tar` is a `docker save` archive of one real linux/amd64 image, `docker.io/library/hello:1.0`, whose
/// `/bin/hello` runs. `cargo xtask fixtures` builds it and larger ones.
pub fn fixture(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    assert!(path.exists(), "there is no fixture {}", path.display());
    path
}
