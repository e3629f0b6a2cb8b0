//! Nothing that others wrote plays with the terminal. Every text of repositories, archives, lists and file names
//! carries sequences that colour, move the cursor, turn the direction of writing and begin lines of their own; every
//! verb is run over it, in every way of output; and no character of it may come out as it went in.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

mod archives;
mod errors;
mod files;
mod poison;
mod repository;
mod waiting;
