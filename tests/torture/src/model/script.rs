//! A script: how a repository begins, and what is done to it then, written so that a person can repeat it.
//!
//! Numbers choose among what the catalogue and the repository have, so that every script means something and
//! a shorter one still does.

use std::fmt;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::names::{NAMES, Policy};

/// How many things the catalogue has.
pub(super) const THINGS: usize = 15;

/// One sequence.
#[derive(Debug, Clone)]
pub(super) struct Script {
    pub(super) start: Start,
    pub(super) steps: Vec<Step>,
}

/// How a repository begins.
#[derive(Debug, Clone)]
pub(super) enum Start {
    /// `init`, with names of that kind.
    Init(Policy),
    /// Another tool made it, with these entries.
    Foreign(Vec<(usize, Spelling)>),
}

/// An image to be put under a name; both are numbers into lists.
pub(super) type Put = (usize, Option<usize>);

/// One thing that is done.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Add {
        puts: Vec<Put>,
        replace: bool,
    },
    Tag {
        query: Query,
        names: Vec<usize>,
        replace: bool,
    },
    Remove {
        queries: Vec<Query>,
        untagged: bool,
        keep_referrers: bool,
    },
    Collect {
        prune: bool,
        ignore_missing_roots: bool,
    },
    Policy(Policy),
    Foreign(Edit),
    /// Blobs appear that nothing lists.
    Orphans(usize),
    Garbage(usize),
    /// A blob that is there is cut to half.
    Truncate(usize),
    /// A blob that is there is deleted.
    Delete(usize),
    /// A session brings blobs in and ends without a commit.
    Abandon(usize),
    Reopen,
    /// index.json is cut while somebody wants to write.
    Torn(Write),
}

/// What somebody may want to write to a repository whose index.json is bad.
#[derive(Debug, Clone, Copy)]
pub(super) enum Write {
    Add,
    Remove,
    Collect,
    Policy,
}

/// How an image is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Query {
    Name(usize),
    Digest(usize),
    /// The first digits of a digest.
    Prefix(usize),
    Position(usize),
}

/// How other tools name an entry.
#[derive(Debug, Clone, Copy)]
pub(super) enum Spelling {
    /// The whole reference in ref.name, as skopeo.
    Reference(usize),
    /// The tag in ref.name and nothing else, as skopeo and umoci.
    Tag(usize),
    /// The tag in ref.name and the whole reference in the image name, as docker and containerd.
    Both(usize),
    /// Not at all.
    Nameless,
    /// The digest in ref.name.
    Digest,
}

/// What a tool without our locks does to index.json.
#[derive(Debug, Clone)]
pub(super) enum Edit {
    /// It copies an image in.
    Append(usize, Spelling),
    Reverse,
    /// It takes an entry out.
    Drop(usize),
    /// It adds a field that nobody knows to an entry, and one to the document.
    Fields(usize),
    /// An entry that cannot be used; with a name or without.
    Strange(bool),
}

fn thing() -> impl Strategy<Value = usize> {
    0..THINGS
}

fn name() -> impl Strategy<Value = usize> {
    0..NAMES.len()
}

fn query() -> impl Strategy<Value = Query> {
    prop_oneof![
        5 => name().prop_map(Query::Name),
        2 => thing().prop_map(Query::Digest),
        1 => thing().prop_map(Query::Prefix),
        2 => (0..6_usize).prop_map(Query::Position),
    ]
}

fn spelling() -> impl Strategy<Value = Spelling> {
    prop_oneof![
        3 => name().prop_map(Spelling::Reference),
        3 => name().prop_map(Spelling::Tag),
        3 => name().prop_map(Spelling::Both),
        2 => Just(Spelling::Nameless),
        1 => Just(Spelling::Digest),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    select(vec![Policy::Full, Policy::Tag])
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        5 => (thing(), spelling()).prop_map(|(thing, spelling)| Edit::Append(thing, spelling)),
        1 => Just(Edit::Reverse),
        2 => (0..6_usize).prop_map(Edit::Drop),
        2 => (0..6_usize).prop_map(Edit::Fields),
        1 => any::<bool>().prop_map(Edit::Strange),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let put = || (thing(), option::weighted(0.75, name()));
    let write = select(vec![Write::Add, Write::Remove, Write::Collect, Write::Policy]);
    prop_oneof![
        32 => (vec(put(), 1..4), any::<bool>()).prop_map(|(puts, replace)| Step::Add { puts, replace }),
        8 => (query(), vec(name(), 1..3), any::<bool>())
            .prop_map(|(query, names, replace)| Step::Tag { query, names, replace }),
        14 => (vec(query(), 0..3), prop::bool::weighted(0.2), prop::bool::weighted(0.25))
            .prop_map(|(queries, untagged, keep_referrers)| Step::Remove { queries, untagged, keep_referrers }),
        14 => (prop::bool::weighted(0.4), prop::bool::weighted(0.2))
            .prop_map(|(prune, ignore_missing_roots)| Step::Collect { prune, ignore_missing_roots }),
        6 => policy().prop_map(Step::Policy),
        10 => edit().prop_map(Step::Foreign),
        3 => thing().prop_map(Step::Orphans),
        2 => (0..3_usize).prop_map(Step::Garbage),
        4 => (0..64_usize).prop_map(Step::Truncate),
        4 => (0..64_usize).prop_map(Step::Delete),
        2 => thing().prop_map(Step::Abandon),
        1 => Just(Step::Reopen),
        1 => write.prop_map(Step::Torn),
    ]
}

/// Every script that there is.
pub(super) fn scripts() -> impl Strategy<Value = Script> {
    let start = prop_oneof![
        3 => policy().prop_map(Start::Init),
        2 => vec((thing(), spelling()), 0..4).prop_map(Start::Foreign),
    ];
    (start, vec(step(), 1..20)).prop_map(|(start, steps)| Script { start, steps })
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Tag => "tag",
        })
    }
}
