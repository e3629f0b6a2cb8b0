//! Copies that cost no room: two files with the same blocks, until one of them is written.

use std::fs::File;

/// Gives `target`, which is empty, the content of `source` without copying it. `false` where the
/// file system cannot, and then `target` is still empty.
#[cfg(all(target_os = "linux", not(any(target_arch = "sparc", target_arch = "sparc64"))))]
pub(crate) fn share_blocks(source: &File, target: &File) -> bool {
    rustix::fs::ioctl_ficlone(target, source).is_ok()
}

/// Shares blocks: never, on this platform.
#[cfg(not(all(target_os = "linux", not(any(target_arch = "sparc", target_arch = "sparc64")))))]
pub(crate) fn share_blocks(_: &File, _: &File) -> bool {
    false
}
