//! Exit codes, and how an error is told: what happened, then what to do about it.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use ocirepo_store::{Error as StoreError, ErrorKind};
use ocirepo_transfer::{Error as TransferError, Required};

use crate::context::Context;
use crate::render;

/// How a command ended. The numbers are part of the contract with scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    Ok = 0,
    Error = 1,
    Usage = 2,
    NotFound = 3,
    Corrupt = 4,
    SomeFailed = 5,
    LockTimeout = 6,
    BaseMissing = 7,
    Conflict = 9,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

impl From<ErrorKind> for Code {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Usage => Self::Usage,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Corrupt => Self::Corrupt,
            ErrorKind::LockTimeout => Self::LockTimeout,
            ErrorKind::Conflict => Self::Conflict,
            ErrorKind::BaseMissing => Self::BaseMissing,
            _ => Self::Error,
        }
    }
}

/// A mistake in the words of a command that clap cannot see.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Tells the user about an error and chooses the exit code.
pub(crate) fn report(error: &anyhow::Error, context: &Context) -> Code {
    // A reader that has seen enough is not an error.
    let closed = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    // Half an archive is one.
    let is_archive = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(TransferError::Write { .. }))
    };
    if error.chain().any(closed) && !error.chain().any(is_archive) {
        return Code::Ok;
    }
    tell(error, context);
    code_of(error)
}

/// Tells the user about an error.
pub(crate) fn tell(error: &anyhow::Error, context: &Context) {
    let label = render::paint("error:", anstyle::AnsiColor::Red, context.color);
    render::line_to_stderr(&format!("{label} {}", render::safe(&format!("{error:#}"))));
    for blob in error.chain().find_map(missing_base).unwrap_or_default() {
        let images = blob.images.join(", ");
        let line = format!("  {} {} for {images}", blob.digest, render::size(blob.size));
        render::line_to_stderr(&render::safe(&line));
    }
    if let Some(hint) = error.chain().find_map(|cause| hint_for(cause, &context.path)) {
        let label = render::paint("hint:", anstyle::AnsiColor::Cyan, context.color);
        render::line_to_stderr(&format!("{label} {}", render::safe(&hint)));
    }
}

/// What a bundle misses is a list, and not for a line.
fn missing_base<'e>(cause: &'e (dyn std::error::Error + 'static)) -> Option<&'e [Required]> {
    match cause.downcast_ref()? {
        TransferError::BaseMissing { missing, .. } => Some(missing),
        _ => None,
    }
}

fn code_of(error: &anyhow::Error) -> Code {
    error
        .chain()
        .find_map(|cause| {
            if cause.is::<UsageError>() {
                return Some(Code::Usage);
            }
            let transfer = cause.downcast_ref::<TransferError>().map(TransferError::kind);
            transfer.or_else(|| cause.downcast_ref::<StoreError>().map(StoreError::kind)).map(Code::from)
        })
        .unwrap_or(Code::Error)
}

/// What to do about one cause in the chain of an error of a command on `repository`.
fn hint_for(cause: &(dyn std::error::Error + 'static), repository: &Path) -> Option<String> {
    match cause.downcast_ref::<TransferError>() {
        Some(TransferError::Store(store)) => store_hint(store, repository),
        Some(TransferError::NoSuchImage { wanted, .. }) => Some(format!(
            "{}`ocirepo add --dry-run` lists what a source holds, each with its @N",
            read_as(wanted)
        )),
        Some(transfer) if is_about(transfer, repository) => Some(HEAL.to_owned()),
        Some(transfer) => transfer_hint(transfer).map(str::to_owned),
        None => store_hint(cause.downcast_ref::<StoreError>()?, repository),
    }
}

const HEAL: &str = "`ocirepo verify` lists all damage; `ocirepo verify --repair-from SOURCE` heals it from an archive or a \
     repository that has the blobs";

/// Whether something is damaged in the repository itself, rather than in a source.
fn is_about(error: &TransferError, repository: &Path) -> bool {
    match error {
        TransferError::Damaged { archive, .. }
        | TransferError::BadMember { archive, .. }
        | TransferError::BadBlob { archive, .. }
        | TransferError::BadSize { archive, .. }
        | TransferError::BadLayer { archive, .. }
        | TransferError::BadImage { archive, .. } => Path::new(archive) == repository,
        _ => false,
    }
}

/// What to do about a source that was not added. The repository is as it was.
fn transfer_hint(error: &TransferError) -> Option<&'static str> {
    Some(match error {
        // A limit: the message itself says what to do.
        TransferError::Read { source, .. } if source.kind() == io::ErrorKind::Unsupported => return None,
        TransferError::Read { archive, source } if source.kind() == io::ErrorKind::NotFound => {
            absent_hint(archive)
        }
        TransferError::Read { .. } => "check the path and its permissions; - is standard input",
        TransferError::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
            "the disk is full: free some space, or write to another one"
        }
        TransferError::NotAnArchive { .. } => {
            "ocirepo takes what docker save, podman save, skopeo copy and crane pull write, and OCI layouts"
        }
        TransferError::Unsupported { what, .. } => unsupported_hint(what),
        TransferError::Damaged { .. }
        | TransferError::BadMember { .. }
        | TransferError::BadBlob { .. }
        | TransferError::BadSize { .. }
        | TransferError::BadLayer { .. }
        | TransferError::BadImage { .. } => {
            "copy or save the archive again: it was cut short, damaged on the way, or written wrongly; nothing was added"
        }
        TransferError::BadVolume { .. } => {
            "nothing of this volume was kept; those that came before wait on, see `ocirepo ls --pending`"
        }
        TransferError::WaitingDamaged { .. } => {
            "what is damaged was taken away; the rest waits on, see `ocirepo ls --pending`"
        }
        TransferError::VolumeAsItIs { .. } => {
            "add all volumes as they are, then use `ocirepo tag`, `ocirepo rm` or `ocirepo export --platform`"
        }
        TransferError::NoSuchBundle { .. } => {
            "`ocirepo ls --pending` lists the bundles that wait for volumes"
        }
        TransferError::AmbiguousBundle { .. } => "give more of the id",
        TransferError::MissingBlob { .. } => {
            "save the image again with all its layers, or add first what holds the missing blob; nothing was added"
        }
        TransferError::MissingLayer { .. } => {
            "save the image again with all its layers; --allow-thin takes layers from the repository where it has \
             them; nothing was added"
        }
        TransferError::BadInventory { .. } => {
            "an inventory has a line for each blob, its digest and its size; `ocirepo inventory` writes one"
        }
        TransferError::UnknownBlobs { .. } => {
            "add it to a repository first, and name that, or save the images as an OCI layout"
        }
        TransferError::UnknownAlgorithm { .. } => "push the image with sha256 digests; nothing was added",
        TransferError::BaseMissing { .. } => {
            "nothing was added; add what brought these blobs first, or send the inventory of this repository \
             (`ocirepo inventory`) back for `ocirepo export --have`"
        }
        TransferError::Sparse { .. } => {
            "--platform takes the platforms that are there, under another digest; --keep-index keeps the \
             index, which docker and k3s load and ctr refuses"
        }
        TransferError::Lacking { .. } | TransferError::BadStored { .. } => {
            "nothing was written; heal it with `ocirepo verify --repair-from SOURCE` from an archive or a repository that \
             has the blobs, or remove it with `ocirepo rm`"
        }
        TransferError::Blob { .. } => {
            "what was written is incomplete; `ocirepo verify` finds all that is damaged, and heals it with --repair-from"
        }
        TransferError::NameTwice { .. } => "save the images under different names; nothing was added",
        TransferError::NotOneImage { .. } => {
            "--select takes one of them; without --ref they are added under the names in the archive"
        }
        TransferError::AmbiguousImage { .. } => "give more of the digest, or the position as @N",
        TransferError::NoPlatform { .. } => {
            "ask for a platform that is there, `ocirepo inspect NAME` lists them; or leave --platform or this image \
             away"
        }
        TransferError::Incomplete { .. } => {
            "save the image with all its platforms, or take those that are there with --platform"
        }
        _ => return None,
    })
}

/// What to do when there is no file or directory of that name: it may be one in another tool's words.
fn absent_hint(source: &str) -> &'static str {
    const TRANSPORTS: [&str; 5] = ["oci:", "oci-archive:", "docker-archive:", "dir:", "ocidir://"];
    if source.starts_with("docker://") {
        "registries are not read yet: `skopeo copy docker://REFERENCE oci-archive:FILE:REFERENCE`, then add FILE"
    } else if TRANSPORTS.iter().any(|transport| source.starts_with(transport)) {
        "leave the transport and the name away: a path is enough, and --select takes one of its images"
    } else if !source.starts_with(['.', '/']) && source.contains(['/', ':']) && !source.contains(".tar") {
        "check the path; if it is the name of an image, registries are not read yet: save the image to a file first"
    } else {
        "check the path and its permissions; - is standard input"
    }
}

/// What to do with something known that holds no images, or not in a way that can be added.
fn unsupported_hint(what: &str) -> &'static str {
    if what.contains("lz4") {
        "decompress it on the way: `lz4 -dc FILE | ocirepo add -`"
    } else if what.contains("imgpkg") {
        "`imgpkg copy --tar FILE --to-repo …` puts it into a registry; save the images from there"
    } else if what.contains("registry") {
        "start a registry on it and copy the images out with `skopeo copy docker://… oci-archive:…`"
    } else {
        "a root file system has no manifest: make an image of it first, for example with `docker import`"
    }
}

/// What to do when nothing has that name, saying how it was read.
fn not_found_hint(query: &str, similar: &[String]) -> String {
    if query.contains(['*', '?', '[']) {
        return "patterns are for `export` and `rm --glob`; `ocirepo ls` lists what is there".to_owned();
    }
    if query.starts_with("sha256:") {
        return "of a digest, 7 hex digits or more are enough; `ocirepo ls --digests` lists what is there"
            .to_owned();
    }
    match similar {
        [] => format!("{}`ocirepo ls` lists what is there", read_as(query)),
        _ => format!("{}did you mean {}?", read_as(query), similar.join(" or ")),
    }
}

/// How a reference was read, if not as it was written.
fn read_as(query: &str) -> String {
    match ocirepo_store::name::Name::parse(query) {
        Ok(name) if name.to_string() != query => format!("it was read as {name}; "),
        _ => String::new(),
    }
}

/// What to do about an error of the store, when `repository` is what -C names.
fn store_hint(error: &StoreError, repository: &Path) -> Option<String> {
    if error.is_out_of_space() {
        if let StoreError::Io { path, .. } = error
            && path.starts_with(std::env::temp_dir())
            && !path.starts_with(repository)
        {
            let hint =
                "free some space, or set TMPDIR to a directory on a larger disk; the repository is as it was";
            return Some(hint.to_owned());
        }
        return Some(
            "the disk is full: free some space and try again; the repository is as it was".to_owned(),
        );
    }
    if error.is_not_writable() {
        return Some(
            "that is not permitted there: check the owner and the permissions, or work on a copy".to_owned(),
        );
    }
    Some(match error {
        StoreError::Io { action: "create", source, .. } if source.kind() == io::ErrorKind::NotFound => {
            "the directory that it is to be in has to be there".to_owned()
        }
        StoreError::Unsettled { .. } => {
            "the change is made, as `ocirepo ls` shows; see what is wrong with the disk".to_owned()
        }
        // To make a mistyped path a repository would be the wrong cure.
        StoreError::NotARepository { path, .. } if path != repository => {
            "check the path: it has to be a repository, or for `export --type dir` a new or empty directory"
                .to_owned()
        }
        StoreError::NotARepository { path, .. } if path.exists() && !path.is_dir() => {
            "name the directory of a repository with -C".to_owned()
        }
        StoreError::NotARepository { path, .. } if path == Path::new(".") => {
            "make this directory one with `ocirepo init`, or name another with -C".to_owned()
        }
        StoreError::NotARepository { path, .. } => {
            format!("make it one with `ocirepo -C {} init`, or name another with -C", path.display())
        }
        StoreError::Headless { path, missing } => {
            let previous = path.join(".ocirepo/index.prev");
            if *missing == "index.json" && previous.exists() {
                format!(
                    "{} is the index before the last change: copy it to index.json; or list what is there, without \
                     names, with `ocirepo -C {} init --adopt`",
                    previous.display(),
                    path.display()
                )
            } else {
                format!("`ocirepo -C {} init --adopt` makes it a repository of what is there", path.display())
            }
        }
        StoreError::Damaged { path, .. } if path.ends_with("index.json") => {
            let previous = path.with_file_name(".ocirepo").join("index.prev");
            if previous.exists() {
                format!(
                    "{} is the index before the last change; nothing is written until index.json is mended",
                    previous.display()
                )
            } else {
                "nothing is written or swept until it is mended; restore it from a copy".to_owned()
            }
        }
        StoreError::Damaged { path, .. } if path.ends_with("oci-layout") => {
            "it should say {\"imageLayoutVersion\":\"1.0.0\"}; nothing is written or swept until it is mended"
                .to_owned()
        }
        StoreError::UnsupportedVersion { .. } => "use a newer ocirepo; nothing was changed".to_owned(),
        StoreError::NotFound { query, similar, .. } => not_found_hint(query, similar),
        StoreError::NoMatch { .. } => "`ocirepo ls --names` lists the names".to_owned(),
        StoreError::Ambiguous { .. } => {
            "say which one, as it is written there, or by its position as @N".to_owned()
        }
        StoreError::TagConflict { .. } => {
            "--replace takes the tag from the other image; `ocirepo config ref-policy full` lets both stay"
                .to_owned()
        }
        StoreError::TagTwice { .. } => {
            "take one of them alone; `ocirepo config ref-policy full` lets both in, and so does --names full in an \
             export to a new directory"
                .to_owned()
        }
        StoreError::NoPlatform { .. } => {
            "--merge-platforms joins images for different platforms; give this one another name with --ref"
                .to_owned()
        }
        StoreError::PolicyConflict { .. } => {
            "give all but one of them another tag with `ocirepo tag`, and remove the old names; an export keeps them \
             apart with --names full"
                .to_owned()
        }
        StoreError::LockTimeout { .. } => {
            "wait for them, or allow more time with --lock-timeout 5m".to_owned()
        }
        StoreError::LockUnsupported { .. } => {
            "keep the repository on a file system with flock, such as ext4, xfs, btrfs or tmpfs".to_owned()
        }
        StoreError::BrokenManifest { .. }
        | StoreError::MissingBlob { .. }
        | StoreError::SizeMismatch { .. } => HEAL.to_owned(),
        StoreError::InvalidReference { .. } => {
            "a reference looks like docker.io/library/alpine:3.11".to_owned()
        }
        StoreError::Contended { .. } => "stop the other tool, or try again when it is done".to_owned(),
        _ => return None,
    })
}
