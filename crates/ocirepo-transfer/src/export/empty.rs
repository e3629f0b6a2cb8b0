//! An archive without members: what an export reads comes out of the repository alone.
//!
//! With it, the parts of the importer that cut an image down or unpack a layer work on what the
//! repository has.

use std::io::Read;

use crate::archive::{Content, Member};
use crate::error::{Error, Result};

pub(super) struct Empty {
    /// What to call the repository in messages.
    label: String,
}

impl Empty {
    pub(super) fn new(label: String) -> Self {
        Self { label }
    }
}

impl Content for Empty {
    fn label(&self) -> &str {
        &self.label
    }

    fn find(&self, _: &str) -> Result<Option<Member>> {
        Ok(None)
    }

    fn open<'a>(&'a self, member: &Member) -> Result<Box<dyn Read + Send + 'a>> {
        Err(Error::member(&self.label, &member.name, "it is not there"))
    }

    fn folders(&self) -> Vec<String> {
        Vec::new()
    }

    fn has_below(&self, _: &str) -> bool {
        false
    }

    fn is_empty(&self) -> bool {
        true
    }

    fn warnings(&self) -> &[String] {
        &[]
    }
}
