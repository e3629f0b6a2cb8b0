//! The testkit: everything the end-to-end tests of ocirepo need to make their inputs and to judge the results.
//!
//! It shares no code with ocirepo's own crates, and must not: a mistake in the store must not be repeated by
//! its judge. What it makes is deterministic: the same calls give the same bytes on every machine, except for
//! gzip and zstd output, which may change with the version of those libraries.
//!
//! | module | what it gives |
//! | --- | --- |
//! | [`image`] | images as blobs in memory |
//! | [`artifact`] | indexes, referrers, schema 1 manifests |
//! | [`tarball`], [`headers`] | tar files member by member, hostile names and all dialects included |
//! | [`archive`] | the archives that docker, podman, crane and many others write |
//! | [`producers`] | one of each such archive with what must come of it |
//! | [`large`], [`memory`] | an archive of any size, made while it is written; how much memory a command had |
//! | [`layout`] | OCI image layouts on disk, and ways to damage them |
//! | [`checker`] | the judge: is this directory a sound image layout, and what in it is garbage |
//! | [`fixtures`] | the committed archives |
//! | [`exported`] | what ocirepo exported, read back |
//! | [`volumes`] | a bundle in volumes, and ways to damage one |
//! | [`chance`] | random choices that can be repeated |
//! | [`snapshot`] | a repository at one moment, for comparison |
//! | [`cli`] | running the `ocirepo` binary in a clean environment |
//! | [`intake`] | a repository, sources to add to it, and what came of that |
//! | [`patience`] | waiting for what must come soon |
//! | [`unprivileged`] | running the binary as a user who may not write everywhere |
//! | [`pages`], [`session`] | what the documentation shows, and running it as a reader would |
//! | [`states`] | a repository in an odd state, before and after a command |
//!
//! Functions here panic when they fail: a failure of the testkit is a failure of the test.

pub mod archive;
pub mod artifact;
pub mod chance;
pub mod checker;
pub mod cli;
pub mod compress;
pub mod descriptor;
pub mod digest;
pub mod exported;
pub mod fixtures;
pub mod headers;
pub mod image;
pub mod intake;
pub mod json;
pub mod large;
pub mod layout;
pub mod memory;
pub mod noise;
pub mod pages;
pub mod patience;
pub mod producers;
pub mod session;
pub mod snapshot;
pub mod states;
pub mod tarball;
pub mod tools;
pub mod unprivileged;
pub mod volumes;
