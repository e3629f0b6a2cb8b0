//! What to do about an error: one sentence with the cure, for each kind that has one.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use ocirepo_store::Error as StoreError;
use ocirepo_transfer::Error as TransferError;

use crate::context::Context;

/// What to do about one cause in the chain of an error.
pub(crate) fn hint_for(cause: &(dyn std::error::Error + 'static), context: &Context) -> Option<String> {
    let repository = &context.path;
    match cause.downcast_ref::<TransferError>() {
        Some(TransferError::Store(store)) => store_hint(store, repository),
        Some(TransferError::NoSuchImage { wanted, .. }) => Some(format!(
            "{}`ocirepo add --dry-run` lists what a source holds, each with its @N",
            read_as(wanted)
        )),
        Some(transfer) if is_about(transfer, repository) => Some(HEAL.to_owned()),
        Some(transfer) => transfer_hint(transfer).map(|hint| match context.verb {
            "add" => hint.to_owned(),
            _ => hint.trim_end_matches(NOTHING_ADDED).to_owned(),
        }),
        None => store_hint(cause.downcast_ref::<StoreError>()?, repository),
    }
}

/// What ends a hint about a source that one wanted to add.
const NOTHING_ADDED: &str = "; nothing was added";

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
            "copy this volume again: nothing of it was kept; `ocirepo ls --pending` shows what waits for it"
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
            "add what brought these blobs first, or send the inventory of this repository (`ocirepo inventory`) back \
             for `ocirepo export --have`; nothing was added"
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
        [] => format!("{}{}`ocirepo ls` lists what is there", meant_otherwise(query), read_as(query)),
        _ => format!("{}did you mean {}?", read_as(query), similar.join(" or ")),
    }
}

/// What else the user may have meant by a word that is no image.
fn meant_otherwise(query: &str) -> String {
    let is_path = query.starts_with(['.', '/']) || query.contains(".tar") || query.contains(".tgz");
    if is_path && !Path::new(query).exists() {
        return "there is no such file either; ".to_owned();
    }
    let encoded = query.strip_prefix("sha256:").unwrap_or(query);
    match encoded.len() < 7 && encoded.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => "of a digest 7 hex digits are needed; ".to_owned(),
        false => String::new(),
    }
}

/// How a reference was read, if not as it was written.
fn read_as(query: &str) -> String {
    match ocirepo_store::name::Name::parse(query) {
        Ok(name) if name.to_string() != query => format!("it was read as {name}; "),
        _ => String::new(),
    }
}

/// Whether a path is that of the variable which stands for -C.
fn is_from_environment(path: &Path) -> bool {
    std::env::var_os("OCIREPO_DIR").is_some_and(|named| path == Path::new(&named))
}

/// What to do about what may not be written. Those who made a repository alone write to it.
fn not_permitted_hint(error: &StoreError, repository: &Path) -> String {
    let is_denied = |path: &Path, source: &io::Error| {
        path.starts_with(repository) && source.kind() == io::ErrorKind::PermissionDenied
    };
    match (error, std::fs::metadata(repository)) {
        (StoreError::Io { path, source, .. }, Ok(it)) if is_denied(path, source) => format!(
            "that is not permitted: only the owner of {}, the user with the id {}, can change it; work as that user or \
             on a copy, or check the permissions",
            repository.display(),
            it.uid()
        ),
        _ => "that is not permitted there: check the owner and the permissions, or work on a copy".to_owned(),
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
        return Some(not_permitted_hint(error, repository));
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
        StoreError::NotARepository { path, .. } if is_from_environment(path) => format!(
            "the environment variable OCIREPO_DIR names it{}: mend or unset it, or make it a repository with `ocirepo init`",
            if path.is_relative() { ", seen from the current directory" } else { "" }
        ),
        StoreError::NotARepository { path, .. } if path == Path::new(".") => {
            "make this directory one with `ocirepo init`, or name another with -C".to_owned()
        }
        StoreError::NotARepository { path, .. } => {
            format!("check the path, or make it one with `ocirepo -C {} init`", path.display())
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
