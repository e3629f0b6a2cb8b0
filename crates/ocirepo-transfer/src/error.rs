//! What can go wrong with an archive, each variant with the archive, the image and the member.
//!
//! Text that comes out of an archive is escaped before it goes into a message, because messages
//! end on terminals. Variants keep that escaped text; digests are safe by their grammar.

use std::io;

use ocirepo_store::{Digest, ErrorKind};

use crate::bundle::Required;

/// The result of a transfer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a transfer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The repository refused.
    #[error(transparent)]
    Store(#[from] ocirepo_store::Error),
    /// The source cannot be read.
    #[error("cannot read {archive}")]
    Read {
        /// The source.
        archive: String,
        /// What the system said.
        source: io::Error,
    },
    /// The source is nothing that holds images.
    #[error("{archive} is not an image archive: {reason}")]
    NotAnArchive {
        /// The source.
        archive: String,
        /// What it is, or what it lacks.
        reason: String,
    },
    /// The source is something known that cannot be added.
    #[error("{archive} is {what}, which is not supported")]
    Unsupported {
        /// The source.
        archive: String,
        /// What it is, with its article.
        what: &'static str,
    },
    /// The source ends too early, or its compression or its tar headers are damaged.
    #[error("{archive} is damaged: {reason}")]
    Damaged {
        /// The source.
        archive: String,
        /// What is wrong, and where.
        reason: String,
    },
    /// A member of the archive cannot be used.
    #[error("{archive}: member {member}: {reason}")]
    BadMember {
        /// The source.
        archive: String,
        /// The name of the member.
        member: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A blob does not hash to its name.
    #[error("{archive}: the content of {member} hashes to {found}, not to {expected}")]
    BadBlob {
        /// The source.
        archive: String,
        /// The name of the member.
        member: String,
        /// The digest it goes by.
        expected: Digest,
        /// The digest it has.
        found: Digest,
    },
    /// A blob has another size than its descriptor says.
    #[error("{archive}: {member} should be {expected} bytes, but there are {found}")]
    BadSize {
        /// The source.
        archive: String,
        /// The name of the member.
        member: String,
        /// The size its descriptor declares, in bytes.
        expected: u64,
        /// The size it has, in bytes.
        found: u64,
    },
    /// The uncompressed content of a layer is not what the config of its image says.
    #[error("{archive}: image {image}: layer {member} unpacks to {found}, its config says {expected}")]
    BadLayer {
        /// The source.
        archive: String,
        /// The image.
        image: String,
        /// The name of the member.
        member: String,
        /// The diffID in the config.
        expected: Digest,
        /// The digest of the uncompressed layer.
        found: Digest,
    },
    /// An image cannot be used.
    #[error("{archive}: image {image}: {reason}")]
    BadImage {
        /// The source.
        archive: String,
        /// The image, by name or digest.
        image: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Neither the archive nor the repository has a blob that an image needs.
    #[error("{archive}: image {image} needs {digest}, which is not in the archive")]
    MissingBlob {
        /// The source.
        archive: String,
        /// The image, by name or digest.
        image: String,
        /// The blob.
        digest: Digest,
    },
    /// A digest of an algorithm that cannot be verified.
    #[error("{archive}: image {image} names {digest}, whose algorithm this program cannot verify")]
    UnknownAlgorithm {
        /// The source.
        archive: String,
        /// The image, by name or digest.
        image: String,
        /// The digest.
        digest: Digest,
    },
    /// One name stands for two images in the same source.
    #[error("{archive} gives the name {name} to two images, {first} and {second}")]
    NameTwice {
        /// The source.
        archive: String,
        /// The name.
        name: String,
        /// One image.
        first: Digest,
        /// The other image.
        second: Digest,
    },
    /// A docker archive leaves out a layer.
    #[error("{archive}: image {image}: its layer {layer} ({diff_id}) is not in the archive")]
    MissingLayer {
        /// The source.
        archive: String,
        /// The image, by name.
        image: String,
        /// The member that should be the layer.
        layer: String,
        /// What the layer should unpack to.
        diff_id: Digest,
    },
    /// An image was selected that the source does not hold.
    #[error("{archive} holds no image {wanted}; it holds {}", list(images))]
    NoSuchImage {
        /// The source.
        archive: String,
        /// What was selected.
        wanted: String,
        /// The images it holds, by position, name or digest.
        images: Vec<String>,
    },
    /// What was selected may be one of several images.
    #[error("{wanted} may be any of these in {archive}: {}", list(images))]
    AmbiguousImage {
        /// The source.
        archive: String,
        /// What was selected.
        wanted: String,
        /// The images it may be.
        images: Vec<String>,
    },
    /// An image is not there for a platform that was asked for.
    #[error("{archive}: image {image} is not there for {wanted}, only for {}", list(there))]
    NoPlatform {
        /// The source.
        archive: String,
        /// The image, by name or digest.
        image: String,
        /// The platforms that were asked for.
        wanted: String,
        /// The platforms it is there for.
        there: Vec<String>,
    },
    /// An image lacks platforms that it lists, and was asked to be complete.
    #[error("{archive}: image {image} is sparse: the archive does not have {lacks}")]
    Incomplete {
        /// The source.
        archive: String,
        /// The image, by name or digest.
        image: String,
        /// The platforms or manifests that are missing.
        lacks: String,
    },
    /// A bundle leaves blobs to the repository that it does not have, or has damaged.
    #[error("{archive} needs {} that the repository does not have", count(missing.len()))]
    BaseMissing {
        /// The bundle.
        archive: String,
        /// What is missing.
        missing: Vec<Required>,
    },
    /// An image of the repository is damaged.
    #[error("image {image} in {repository} is damaged: {reason}")]
    BadStored {
        /// The repository.
        repository: String,
        /// The image, by name or digest.
        image: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The repository lacks a blob that an image needs.
    #[error("image {image} needs {digest}, which is not in {repository}")]
    Lacking {
        /// The repository.
        repository: String,
        /// The image, by name or digest.
        image: String,
        /// The blob.
        digest: Digest,
    },
    /// An image lacks platforms that it lists, and runtimes would stumble over that.
    #[error("image {image} is sparse: {repository} does not have {lacks}")]
    Sparse {
        /// The repository.
        repository: String,
        /// The image, by name or digest.
        image: String,
        /// The platforms or manifests that are missing.
        lacks: String,
    },
    /// An image has no form in the archive that was asked for.
    #[error("image {image} cannot be in a {format}: {reason}")]
    NoForm {
        /// The image, by name or digest.
        image: String,
        /// The format.
        format: &'static str,
        /// What stands against it.
        reason: String,
    },
    /// A blob of the repository cannot be read, or is not what its digest says.
    #[error("cannot copy {digest} out of the repository")]
    Blob {
        /// The blob.
        digest: Digest,
        /// What is wrong with it.
        source: io::Error,
    },
    /// A volume of a bundle is damaged, or is none of the bundle that it says it is of.
    #[error("{archive}: volume {volume} of bundle {bundle}: {reason}")]
    BadVolume {
        /// The source.
        archive: String,
        /// The bundle.
        bundle: Digest,
        /// The number of the volume, from 1.
        volume: u32,
        /// What is wrong with it.
        reason: String,
    },
    /// What came of a bundle is not what it was, or was forged. It has been taken away.
    #[error(
        "bundle {bundle}: what waited of {} is damaged; {} needed again",
        list(&spelled(digests)),
        numbered(volumes)
    )]
    WaitingDamaged {
        /// The bundle.
        bundle: Digest,
        /// The blobs that were damaged.
        digests: Vec<Digest>,
        /// The volumes that hold them.
        volumes: Vec<u32>,
    },
    /// No bundle of that id waits for volumes.
    #[error("no bundle {wanted} waits for volumes{}", some(bundles))]
    NoSuchBundle {
        /// What was asked for.
        wanted: String,
        /// The bundles that wait.
        bundles: Vec<String>,
    },
    /// What was asked for begins the id of several bundles that wait.
    #[error("{wanted} may be any of these bundles: {}", list(bundles))]
    AmbiguousBundle {
        /// What was asked for.
        wanted: String,
        /// The bundles that it may be.
        bundles: Vec<String>,
    },
    /// Only a whole source can be treated that way, and this is a volume of a bundle.
    #[error("{archive} is a volume of a bundle, which goes in as it is: {option} cannot be used with it")]
    VolumeAsItIs {
        /// The source.
        archive: String,
        /// What was asked for.
        option: &'static str,
    },
    /// A volume has no room for what every volume has to hold.
    #[error("volumes of {size} bytes are too small for this bundle; {least} bytes would do")]
    VolumeTooSmall {
        /// The size that was asked for, in bytes.
        size: u64,
        /// The least size, in bytes.
        least: u64,
    },
    /// There would be more volumes than there can be.
    #[error("there would be more than {most} volumes")]
    TooManyVolumes {
        /// How many there can be.
        most: u32,
    },
    /// There is nothing to export.
    #[error("{repository} holds no images")]
    NothingToExport {
        /// The repository.
        repository: String,
    },
    /// What is exported cannot be written.
    #[error("cannot write {output}")]
    Write {
        /// What is written.
        output: String,
        /// What the system said.
        source: io::Error,
    },
    /// A list of blobs cannot be used.
    #[error("{file}{}: {reason}", line_of(*line))]
    BadInventory {
        /// The file.
        file: String,
        /// The line, from 1, where the file has lines.
        line: Option<u64>,
        /// What is wrong.
        reason: String,
    },
    /// Which blobs an archive of docker holds shows only when it is added.
    #[error("{archive} is a docker archive: which blobs it holds is not known before it is added")]
    UnknownBlobs {
        /// The source.
        archive: String,
    },
    /// A name was given for the one image in a source that does not hold exactly one.
    #[error("{archive} holds {} images, so they cannot all be named {name}: {}", images.len(), list(images))]
    NotOneImage {
        /// The source.
        archive: String,
        /// The name that was given.
        name: String,
        /// The images it holds, by name or digest.
        images: Vec<String>,
    },
}

impl Error {
    /// The error with what caused it, as one text.
    pub(crate) fn with_cause(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }

    /// Which kind of error this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Read { .. }
            | Self::Write { .. }
            | Self::NotAnArchive { .. }
            | Self::NoForm { .. }
            | Self::Unsupported { .. } => ErrorKind::Other,
            Self::Damaged { .. }
            | Self::BadInventory { .. }
            | Self::BadMember { .. }
            | Self::BadVolume { .. }
            | Self::WaitingDamaged { .. }
            | Self::BadBlob { .. }
            | Self::BadSize { .. }
            | Self::BadLayer { .. }
            | Self::BadImage { .. }
            | Self::MissingBlob { .. }
            | Self::MissingLayer { .. }
            | Self::Incomplete { .. }
            | Self::Lacking { .. }
            | Self::BadStored { .. }
            | Self::Blob { .. }
            | Self::Sparse { .. }
            | Self::UnknownAlgorithm { .. } => ErrorKind::Corrupt,
            Self::NameTwice { .. } | Self::AmbiguousImage { .. } | Self::AmbiguousBundle { .. } => {
                ErrorKind::Conflict
            }
            Self::NoSuchImage { .. }
            | Self::NoSuchBundle { .. }
            | Self::NoPlatform { .. }
            | Self::NothingToExport { .. } => ErrorKind::NotFound,
            Self::BaseMissing { .. } => ErrorKind::BaseMissing,
            Self::VolumeTooSmall { .. } | Self::TooManyVolumes { .. } => ErrorKind::Usage,
            Self::NotOneImage { .. } | Self::UnknownBlobs { .. } | Self::VolumeAsItIs { .. } => {
                ErrorKind::Usage
            }
        }
    }

    /// An error of reading a source. Decoders report damaged input as I/O errors too; what the
    /// system said has a number, and what is beyond a limit has a kind of its own.
    pub(crate) fn read(archive: &str, error: io::Error) -> Self {
        let archive = archive.to_owned();
        if error.raw_os_error().is_some() || error.kind() == io::ErrorKind::Unsupported {
            Self::Read { archive, source: error }
        } else {
            Self::Damaged { archive, reason: escape(&error.to_string()) }
        }
    }

    pub(crate) fn member(archive: &str, member: &str, reason: impl Into<String>) -> Self {
        Self::BadMember { archive: archive.to_owned(), member: escape(member), reason: reason.into() }
    }
}

/// Where in a file something stands.
fn line_of(line: Option<u64>) -> String {
    line.map_or_else(String::new, |line| format!(", line {line}"))
}

fn count(blobs: usize) -> String {
    if blobs == 1 { "a blob".to_owned() } else { format!("{blobs} blobs") }
}

fn spelled(digests: &[Digest]) -> Vec<String> {
    digests.iter().map(ToString::to_string).collect()
}

/// Volumes as the subject of a sentence, with its verb.
fn numbered(volumes: &[u32]) -> String {
    let numbers: Vec<String> = volumes.iter().map(ToString::to_string).collect();
    match volumes {
        [only] => format!("volume {only} is"),
        _ => format!("volumes {} are", list(&numbers)),
    }
}

/// What there is instead, if there is anything.
fn some(items: &[String]) -> String {
    if items.is_empty() { String::new() } else { format!(", only {}", list(items)) }
}

/// A list in a message, cut short where nobody would read on.
fn list(items: &[String]) -> String {
    const MOST: usize = 20;
    let more = if items.len() > MOST { format!(", and {} more", items.len() - MOST) } else { String::new() };
    format!("{}{more}", items[..items.len().min(MOST)].join(", "))
}

/// Text from an archive, made fit for a message: control characters spelled out, and cut short.
pub(crate) fn escape(text: &str) -> String {
    const LONGEST: usize = 300;
    let mut out = String::with_capacity(text.len().min(LONGEST));
    for c in text.chars() {
        if out.len() > LONGEST {
            out.push('…');
            break;
        }
        // Marks that turn the direction of writing are no control characters, but fool the eye.
        let turns = matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || turns || c == '\\' {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_an_archive_cannot_move_the_cursor() {
        assert_eq!(escape("a\u{1b}[2Jb\n\u{202e}ü"), "a\\u{1b}[2Jb\\n\\u{202e}ü");
        assert!(escape(&"x".repeat(10_000)).len() < 400);
    }
}
