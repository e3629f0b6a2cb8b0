//! Which media types are documents that name other blobs.

/// What stands behind a descriptor, as far as its media type tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// An OCI index or a Docker manifest list.
    Index,
    /// An OCI or Docker image manifest.
    Image,
    /// The artifact manifest that OCI 1.1 dropped again.
    Artifact,
    /// A Docker schema 1 manifest.
    Schema1,
    /// A type known to be data: a config or a layer. Never opened.
    Data,
    /// A type this program does not know.
    Unknown,
}

impl Class {
    /// The class of a media type.
    #[must_use]
    pub fn of(media_type: &str) -> Self {
        // Parameters such as "; charset=utf-8" do not change the type.
        match media_type.split(';').next().unwrap_or_default().trim() {
            "application/vnd.oci.image.index.v1+json"
            | "application/vnd.docker.distribution.manifest.list.v2+json" => Self::Index,
            "application/vnd.oci.image.manifest.v1+json"
            | "application/vnd.docker.distribution.manifest.v2+json" => Self::Image,
            "application/vnd.oci.artifact.manifest.v1+json" => Self::Artifact,
            "application/vnd.docker.distribution.manifest.v1+json"
            | "application/vnd.docker.distribution.manifest.v1+prettyjws" => Self::Schema1,
            "application/vnd.oci.image.config.v1+json"
            | "application/vnd.docker.container.image.v1+json"
            | "application/vnd.oci.empty.v1+json" => Self::Data,
            other
                if other.starts_with("application/vnd.oci.image.layer.")
                    || other.starts_with("application/vnd.docker.image.rootfs.") =>
            {
                Self::Data
            }
            _ => Self::Unknown,
        }
    }

    /// Whether content of this class may name other blobs, so that it has to be opened.
    #[must_use]
    pub const fn is_document(self) -> bool {
        !matches!(self, Self::Data)
    }
}

/// Whether a media type is that of the config of an image. Artifacts have configs of all kinds.
#[must_use]
pub fn is_image_config(media_type: &str) -> bool {
    matches!(
        media_type.split(';').next().unwrap_or_default().trim(),
        "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json"
    )
}

/// Whether a layer of this type may legally be absent: it is not to be distributed.
#[must_use]
pub fn is_nondistributable(media_type: &str) -> bool {
    media_type.contains("nondistributable") || media_type.contains(".foreign.")
}
