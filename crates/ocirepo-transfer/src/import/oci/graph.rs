//! The documents of an image layout: each loaded once, some of them made here.
//!
//! Taking one platform out of an index, or compressing a layer anew, makes a document that no
//! archive holds. It stands in the graph like any other.

use std::collections::HashMap;
use std::rc::Rc;

use ocirepo_store::Digest;
use ocirepo_store::graph::{Class, Descriptor, Node};

use crate::error::{Result, escape};
use crate::import::carrier::{Carrier, Document};
use crate::import::join::check_size;

/// What stands behind a descriptor.
#[derive(Debug, Clone)]
pub(crate) enum Held {
    Node(Rc<Node>),
    /// Something too large to be a document, under a type that is not known.
    Data,
    Absent,
}

/// So many bytes of documents are held; what comes then is read each time. A parsed document takes
/// about three times its size.
const MAX_CACHED: u64 = 64 << 20;

/// Documents by digest, and by the class that they were read as.
pub(crate) struct Graph<'a, 'c> {
    pub(crate) carrier: &'a Carrier<'c>,
    held: HashMap<(Digest, Class), Held>,
    sizes: HashMap<Digest, u64>,
    /// How many bytes of documents are held.
    cached: u64,
    made: HashMap<Digest, Vec<u8>>,
}

impl<'a, 'c> Graph<'a, 'c> {
    pub(crate) fn new(carrier: &'a Carrier<'c>) -> Self {
        Self { carrier, held: HashMap::new(), sizes: HashMap::new(), cached: 0, made: HashMap::new() }
    }

    /// The document that a descriptor describes. `size` is what it declares, `image` is for messages.
    ///
    /// # Errors
    /// When it is there, but is not what the descriptor says.
    pub(crate) fn load(
        &mut self,
        descriptor: &Descriptor,
        class: Class,
        size: Option<u64>,
        image: &str,
    ) -> Result<Held> {
        let key = (descriptor.digest.clone(), class);
        if let Some(held) = self.held.get(&key) {
            let held = held.clone();
            self.check_size(descriptor, size, image)?;
            return Ok(held);
        }
        let held = match self.carrier.load(descriptor, class, size, image)? {
            Document::Content(bytes) => {
                self.sizes.insert(descriptor.digest.clone(), bytes.len() as u64);
                Held::Node(Rc::new(self.parse(&descriptor.digest, class, &bytes, image)?))
            }
            Document::Data => Held::Data,
            Document::Absent => Held::Absent,
        };
        let size = self.sizes.get(&descriptor.digest).copied().unwrap_or_default();
        if self.cached + size <= MAX_CACHED {
            self.cached += size;
            self.held.insert(key, held.clone());
        }
        Ok(held)
    }

    /// Two descriptors of one document must agree on its size.
    fn check_size(&self, descriptor: &Descriptor, size: Option<u64>, image: &str) -> Result<()> {
        let digest = &descriptor.digest;
        match (size, self.sizes.get(digest)) {
            (Some(size), Some(&found)) if size != found => {
                let reason = format!("{digest} should be {size} bytes, but there are {found}");
                Err(self.carrier.bad_image(image, reason))
            }
            _ => Ok(()),
        }
    }

    fn parse(&self, digest: &Digest, class: Class, bytes: &[u8], image: &str) -> Result<Node> {
        let fail = |reason: String| self.carrier.bad_image(image, format!("{digest}: {}", escape(&reason)));
        Node::parse(bytes, class).map_err(fail)
    }

    /// The bytes of a document that is known to be there.
    ///
    /// # Errors
    /// When they cannot be had any more.
    pub(crate) fn bytes(&self, descriptor: &Descriptor, class: Class, image: &str) -> Result<Vec<u8>> {
        let bytes = self.find_bytes(descriptor, class, image)?;
        bytes.ok_or_else(|| self.carrier.missing(image, &descriptor.digest))
    }

    /// The bytes of a document, if it is there.
    ///
    /// # Errors
    /// When it is there, but is not what the descriptor says.
    pub(crate) fn find_bytes(
        &self,
        descriptor: &Descriptor,
        class: Class,
        image: &str,
    ) -> Result<Option<Vec<u8>>> {
        if let Some(made) = self.made.get(&descriptor.digest) {
            return Ok(Some(made.clone()));
        }
        match self.carrier.load(descriptor, class, None, image)? {
            Document::Content(bytes) => Ok(Some(bytes)),
            Document::Data | Document::Absent => Ok(None),
        }
    }

    /// Takes in a document that was made here.
    ///
    /// # Errors
    /// When it is not one.
    pub(crate) fn make(&mut self, class: Class, bytes: Vec<u8>) -> Result<Digest> {
        let digest = Digest::sha256(&bytes);
        check_size(&bytes).map_err(|reason| self.carrier.bad_image(digest.as_str(), reason))?;
        let node = Rc::new(self.parse(&digest, class, &bytes, digest.as_str())?);
        self.held.insert((digest.clone(), class), Held::Node(node));
        self.sizes.insert(digest.clone(), bytes.len() as u64);
        self.made.insert(digest.clone(), bytes);
        Ok(digest)
    }

    /// The documents that were made here.
    pub(crate) fn made(&self) -> &HashMap<Digest, Vec<u8>> {
        &self.made
    }

    /// Makes a document that was found part of the session.
    ///
    /// # Errors
    /// When it cannot be read again or written.
    pub(crate) fn keep(
        &self,
        descriptor: &Descriptor,
        class: Class,
        size: Option<u64>,
        image: &str,
    ) -> Result<()> {
        match self.made.get(&descriptor.digest) {
            Some(bytes) => self.carrier.put(&descriptor.digest, bytes),
            None => self.carrier.document(descriptor, class, size, image).map(drop),
        }
    }
}
