//! Images as docker kept them before 1.10: a folder a layer, each with a `json` that names its parent.
//!
//! Such an image has no config, and so no image ID. Later dockers made one when they loaded it;
//! what is made here is that config, byte for byte, so that an image keeps the ID under which
//! docker showed it.
//!
//! | module | what it knows |
//! |---|---|
//! | `chains` | which folders make an image, and what it is called |
//! | `v1` | what becomes of a `json`, and the config of a chain of them |
//! | `layer_ids` | the way back: the layers and their IDs that an image of today would have had |
//! | `types` | the types through which docker passed it, as tables |
//! | `record` | what passing through a type does to a document |
//! | `go_json`, `go_time` | how Go spells JSON and times |
//! | `members` | the members of an object in their order |

pub(crate) mod chains;
mod go_json;
mod go_time;
pub(crate) mod layer_ids;
mod members;
mod record;
#[cfg(test)]
mod tests;
mod types;
pub(crate) mod v1;
