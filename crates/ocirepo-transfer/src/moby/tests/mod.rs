//! Tests of what the modules make together.

mod chains;
mod configs;
mod layer_ids;
