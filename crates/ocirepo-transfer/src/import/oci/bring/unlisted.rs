//! Documents about an image that no entry lists.
//!
//! A store keeps what is about a living image, listed or not, and an export carries it. What a bundle
//! has of that comes in with the image.

use std::collections::HashMap;

use ocirepo_store::Digest;
use ocirepo_store::graph::{
    Class, Descriptor, Link, MAX_MANIFEST_SIZE, Node, class_by_shape, own_media_type,
};

use super::{Found, Step, Walk};
use crate::bundle::TocBlob;
use crate::error::Result;

impl Walk<'_, '_, '_> {
    /// Follows those of `candidates` that are about something that was found, and what is about
    /// those.
    ///
    /// # Errors
    /// When one of them is damaged.
    pub(super) fn follow_unlisted(&mut self, candidates: &[TocBlob]) -> Result<()> {
        let mut about: HashMap<Digest, Vec<Descriptor>> = HashMap::new();
        for TocBlob { digest, size, .. } in candidates {
            if *size <= MAX_MANIFEST_SIZE
                && !self.is_named(digest)
                && let Some((subject, descriptor)) = self.candidate(digest, *size)?
            {
                about.entry(subject).or_default().push(descriptor);
            }
        }
        let mut judged = 0;
        while judged < self.documents.len() {
            // Each document is judged once: a chain of referrers is as long as a bundle makes it.
            let newer = &self.documents[judged..];
            let mut steps: Vec<(Digest, Descriptor)> = Vec::new();
            for Found { descriptor: Descriptor { digest: subject, .. }, .. } in newer {
                let referrers = about.remove(subject).unwrap_or_default();
                steps.extend(referrers.into_iter().map(|referrer| (subject.clone(), referrer)));
            }
            judged = self.documents.len();
            steps.sort_by(|(_, a), (_, b)| a.digest.cmp(&b.digest));
            for (subject, descriptor) in steps {
                self.below.entry(subject).or_default().push(descriptor.digest.clone());
                self.labels.entry(descriptor.digest.clone()).or_insert_with(|| descriptor.digest.to_string());
                self.follow(Step { descriptor, link: Some(Link::Referrer), is_sized: true, in_index: true })?;
            }
        }
        Ok(())
    }

    /// Whether something that was found names a blob, or it is an entry.
    fn is_named(&self, digest: &Digest) -> bool {
        self.parents.contains_key(digest) || self.labels.contains_key(digest)
    }

    /// What a blob is about, if it is a document that is about something.
    fn candidate(&self, digest: &Digest, size: u64) -> Result<Option<(Digest, Descriptor)>> {
        let Some(bytes) = self.carrier.read_blob(digest, MAX_MANIFEST_SIZE)? else { return Ok(None) };
        let Some(class) = class_by_shape(&bytes) else { return Ok(None) };
        let usual = match class {
            Class::Image => "application/vnd.oci.image.manifest.v1+json",
            Class::Index => "application/vnd.oci.image.index.v1+json",
            Class::Artifact => "application/vnd.oci.artifact.manifest.v1+json",
            _ => return Ok(None),
        };
        let own = own_media_type(&bytes).filter(|own| Class::of(own) == class);
        let Ok(node) = Node::parse(&bytes, class) else { return Ok(None) };
        let Some(subject) = node.subject() else { return Ok(None) };
        let media_type = own.unwrap_or_else(|| usual.to_owned());
        let descriptor = Descriptor::new(media_type, digest.clone(), size);
        Ok(Some((subject.digest.clone(), descriptor)))
    }
}
