//! Short histories by hand, and what a power failure may leave of them.

use std::collections::BTreeSet;

use ocirepo_tests::chance::Chance;

use super::disk::{Disk, Tree};
use super::history::History;
use super::ops::{NodeId, Place, ROOT};
use super::states::{Class, Moment};

/// A directory with the file "a", which holds "old".
fn begun() -> (History, NodeId) {
    let mut before = History::new(Disk::empty());
    let file = before.make_file(at("a"));
    before.write(file, 0, b"old");
    (History::new(before.now().clone()), file)
}

fn at(name: &str) -> Place {
    Place::new(ROOT, name)
}

fn sync(history: &mut History, node: NodeId) {
    history.sync(node, history.ops().len());
}

/// Writes a new file and renames it to "a".
fn replaced(synced: bool) -> History {
    let (mut history, _) = begun();
    let file = history.make_file(at("a.new"));
    history.write(file, 0, b"new!");
    if synced {
        sync(&mut history, file);
    }
    assert!(history.rename(at("a.new"), at("a")));
    history
}

/// The states of one class at one moment.
fn states(history: &History, moment: usize, class: Class) -> Vec<Tree> {
    let states = Moment::new(history, moment).states(class, &mut Chance::new(1));
    states.iter().map(|state| state.disk(history).tree()).collect()
}

/// The states of all classes at all moments.
fn all(history: &History) -> Vec<Tree> {
    let moments = 0..=history.ops().len();
    moments.flat_map(|moment| at_moment(history, moment)).collect()
}

fn at_moment(history: &History, moment: usize) -> Vec<Tree> {
    Class::ALL.into_iter().flat_map(|class| states(history, moment, class)).collect()
}

fn content_of<'t>(tree: &'t Tree, path: &str) -> Option<&'t [u8]> {
    tree.files().find(|(it, _)| *it == path).map(|(_, content)| content)
}

fn contents<'t>(trees: &'t [Tree], path: &str) -> BTreeSet<Option<&'t [u8]>> {
    trees.iter().map(|tree| content_of(tree, path)).collect()
}

#[test]
fn what_is_renamed_and_was_not_synced_may_be_empty_torn_or_zeros() {
    let history = replaced(false);
    let end = history.ops().len();
    assert_eq!(contents(&states(&history, end, Class::Names), "a"), [Some(&b""[..])].into());
    assert_eq!(contents(&states(&history, end, Class::Nothing), "a"), [Some(&b"old"[..])].into());
    let torn = states(&history, end, Class::Torn);
    assert_eq!(contents(&torn, "a"), [Some(&b"ne"[..]), Some(&b"\0\0\0\0"[..])].into());
}

#[test]
fn what_is_synced_before_it_is_renamed_is_the_old_or_the_new() {
    let trees = all(&replaced(true));
    assert_eq!(contents(&trees, "a"), [Some(&b"old"[..]), Some(&b"new!"[..])].into());
}

#[test]
fn a_synced_directory_makes_names_durable_and_a_synced_file_does_not() {
    let mut history = replaced(true);
    let end = history.ops().len();
    assert_eq!(contents(&at_moment(&history, end), "a").len(), 2);
    sync(&mut history, ROOT);
    let trees = at_moment(&history, end + 1);
    assert_eq!(contents(&trees, "a"), [Some(&b"new!"[..])].into());
    assert_eq!(contents(&trees, "a.new"), [None].into());
}

/// What comes of "a" when it was renamed to "dir/b", and something was synced then.
fn moved(synced: impl Fn(NodeId) -> NodeId) -> (Vec<Tree>, Vec<Tree>) {
    let (mut history, _) = begun();
    let dir = history.make_dir(at("dir"));
    sync(&mut history, ROOT);
    assert!(history.rename(at("a"), Place::new(dir, "b")));
    let end = history.ops().len();
    sync(&mut history, synced(dir));
    (at_moment(&history, end), at_moment(&history, end + 1))
}

#[test]
fn a_rename_is_never_half_there_and_durable_when_either_directory_is() {
    for synced in [|dir| dir, |_| ROOT] {
        let (before, after) = moved(synced);
        assert_eq!(contents(&before, "a").len(), 2);
        assert!(
            before.iter().all(|tree| content_of(tree, "a").is_some() != content_of(tree, "dir/b").is_some())
        );
        assert_eq!(contents(&after, "a"), [None].into());
        assert_eq!(contents(&after, "dir/b"), [Some(&b"old"[..])].into());
    }
}

#[test]
fn an_exchange_is_never_half_there() {
    let (mut history, _) = begun();
    let file = history.make_file(at("b"));
    history.write(file, 0, b"new");
    sync(&mut history, file);
    sync(&mut history, ROOT);
    let begin = history.ops().len();
    assert!(history.exchange(at("b"), at("a")));
    let pairs: BTreeSet<_> = at_moment(&history, begin + 1)
        .iter()
        .map(|tree| (content_of(tree, "a").unwrap().to_owned(), content_of(tree, "b").unwrap().to_owned()))
        .collect();
    let pair = |a: &str, b: &str| (a.as_bytes().to_owned(), b.as_bytes().to_owned());
    assert_eq!(pairs, [pair("old", "new"), pair("new", "old")].into());
}

#[test]
fn a_directory_that_is_gone_takes_along_what_is_in_it() {
    let (mut history, _) = begun();
    let dir = history.make_dir(at("dir"));
    let file = history.make_file(Place::new(dir, "b"));
    history.write(file, 0, b"new");
    sync(&mut history, file);
    sync(&mut history, dir);
    let end = history.ops().len();
    assert_eq!(contents(&states(&history, end, Class::Nothing), "dir/b"), [None].into());
    assert_eq!(contents(&states(&history, end, Class::Names), "dir/b"), [Some(&b"new"[..])].into());
    sync(&mut history, ROOT);
    assert_eq!(contents(&at_moment(&history, end + 1), "dir/b"), [Some(&b"new"[..])].into());
}

#[test]
fn what_was_removed_may_be_there_again() {
    let (mut history, _) = begun();
    assert!(history.unlink(at("a")));
    assert_eq!(contents(&at_moment(&history, 1), "a"), [Some(&b"old"[..]), None].into());
    sync(&mut history, ROOT);
    assert_eq!(contents(&at_moment(&history, 2), "a"), [None].into());
    assert!(!history.unlink(at("a")));
}

#[test]
fn names_that_keep_their_order_are_there_up_to_one_and_others_as_they_like() {
    let (mut history, _) = begun();
    for name in ["x", "y", "z"] {
        history.make_file(at(name));
    }
    let seen = |class| -> BTreeSet<Vec<bool>> {
        let there = |tree: &Tree| ["x", "y", "z"].map(|name| content_of(tree, name).is_some()).to_vec();
        states(&history, 3, class).iter().map(there).collect()
    };
    let rows = |rows: &[[bool; 3]]| rows.iter().map(|row| row.to_vec()).collect::<BTreeSet<_>>();
    let (t, f) = (true, false);
    assert_eq!(seen(Class::Ordered), rows(&[[f, f, f], [t, f, f], [t, t, f], [t, t, t]]));
    assert_eq!(seen(Class::One), rows(&[[t, f, f], [f, t, f], [f, f, t]]));
    assert_eq!(seen(Class::AllButOne), rows(&[[f, t, t], [t, f, t], [t, t, f]]));
}

#[test]
fn where_names_keep_their_order_a_durable_one_has_those_before_it_made_durable() {
    let (mut history, _) = begun();
    let dir = history.make_dir(at("dir"));
    sync(&mut history, ROOT);
    history.make_file(at("x"));
    history.make_file(Place::new(dir, "y"));
    sync(&mut history, dir);
    let end = history.ops().len();
    assert_eq!(contents(&states(&history, end, Class::Ordered), "x"), [Some(&b""[..])].into());
    assert_eq!(contents(&states(&history, end, Class::Nothing), "x"), [None].into());
    let orders: Vec<bool> = [Class::Ordered, Class::Nothing]
        .map(|class| {
            let states = Moment::new(&history, end).states(class, &mut Chance::new(1));
            states[0].describe(&history).to_string().contains("(names keep their order)")
        })
        .to_vec();
    assert_eq!(orders, [true, false]);
}

#[test]
fn a_sync_covers_what_was_done_before_it_began() {
    let (mut history, file) = begun();
    let began = history.ops().len();
    history.write(file, 3, b"er");
    history.sync(file, began);
    assert_eq!(contents(&states(&history, 2, Class::Nothing), "a"), [Some(&b"old"[..])].into());
    sync(&mut history, file);
    assert_eq!(contents(&at_moment(&history, 3), "a"), [Some(&b"older"[..])].into());
}

#[test]
fn what_is_written_in_place_may_be_old_cut_off_or_have_holes() {
    let (mut history, file) = begun();
    history.resize(file, 0);
    history.write(file, 0, b"ab");
    history.write(file, 2, b"cd");
    let trees = all(&history);
    let seen = contents(&trees, "a");
    // "abd" is what is left of "old" under "ab" when the size is not there yet.
    for content in ["old", "", "a", "ab", "abc", "abcd", "abd", "\0\0cd"] {
        assert!(seen.contains(&Some(content.as_bytes())), "{content:?} in {seen:?}");
    }
}

#[test]
fn a_second_name_goes_alone() {
    let (mut history, file) = begun();
    assert!(history.link(&at("a"), at("b")));
    assert!(history.unlink(at("a")));
    sync(&mut history, file);
    let trees = all(&history);
    let lost = |tree: &Tree| content_of(tree, "a").is_none() && content_of(tree, "b").is_none();
    assert!(trees.iter().any(lost), "any order may lose both");
    let ordered = (0..=3).flat_map(|moment| states(&history, moment, Class::Ordered)).collect::<Vec<_>>();
    assert!(!ordered.iter().any(lost), "in order there is always one");
}

#[test]
fn states_that_come_to_the_same_have_the_same_key() {
    let (mut history, _) = begun();
    history.make_file(at("x"));
    history.make_file(at("y"));
    let key = |moment, class| {
        let states = Moment::new(&history, moment).states(class, &mut Chance::new(1));
        states.iter().map(super::states::State::key).collect::<Vec<_>>()
    };
    assert_eq!(key(0, Class::Nothing), key(2, Class::Nothing));
    assert_eq!(key(1, Class::Names)[0], key(2, Class::One)[0]);
    assert_ne!(key(2, Class::Names), key(2, Class::Nothing));
}

#[test]
fn random_choices_keep_what_was_synced_and_repeat() {
    let mut history = replaced(true);
    sync(&mut history, ROOT);
    for name in ["x", "y", "z"] {
        let file = history.make_file(at(name));
        history.write(file, 0, b"some bytes");
    }
    let end = history.ops().len();
    let choose = |seed| {
        let mut chance = Chance::new(seed);
        let moment = Moment::new(&history, end);
        (0..10).flat_map(|_| moment.states(Class::Random, &mut chance)).collect::<Vec<_>>()
    };
    assert_eq!(choose(3), choose(3));
    let trees: Vec<Tree> = choose(3).iter().map(|state| state.disk(&history).tree()).collect();
    assert_eq!(contents(&trees, "a"), [Some(&b"new!"[..])].into());
    let different: BTreeSet<u64> = trees.iter().map(Tree::fingerprint).collect();
    assert!(different.len() > 10, "{}", different.len());
}
