//! Tests of what the modules make together.

mod chains;
mod configs;
