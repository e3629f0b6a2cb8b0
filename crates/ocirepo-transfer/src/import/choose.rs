//! Which images of a source are taken: those that the user selects, and what is about them.

use std::collections::{HashMap, HashSet};

use ocirepo_store::Digest;
use ocirepo_store::name::Name;

use super::naming;
use super::options::{ImportOptions, Select, Untagged};
use crate::error::{Error, Result};

/// An image as the user chooses it.
pub(crate) struct Ballot<'a> {
    pub(crate) names: &'a [Name],
    /// The digests that it goes by: that of its manifest or index, and that of a config.
    pub(crate) ids: Vec<Digest>,
    /// What else of the source it is about; empty for an image of its own.
    pub(crate) about: HashSet<Digest>,
}

impl Ballot<'_> {
    fn label(&self, position: usize) -> String {
        let names: Vec<String> = self.names.iter().map(naming::spell).collect();
        let id = self.ids.first();
        let what = match (names.is_empty(), id) {
            (true, Some(id)) => id.to_string(),
            (true, None) => String::new(),
            (false, Some(id)) => format!("{} ({})", names.join(", "), &id.to_string()[..SHORT]),
            (false, None) => names.join(", "),
        };
        format!("@{position} {what}").trim_end().to_owned()
    }
}

/// So much of a digest as people need to tell images apart: `sha256:` and 12 digits.
const SHORT: usize = 19;

/// Under which of its names an image is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Under whatever names it has, if any.
    AsItIs,
    /// Under these, by which it was selected.
    Under(Vec<Name>),
}

/// Which of the images are taken, by position.
///
/// # Errors
/// When something is selected that is not there, or that may mean several images.
pub(crate) fn choose(
    archive: &str,
    ballots: &[Ballot<'_>],
    options: &ImportOptions,
) -> Result<HashMap<usize, Taken>> {
    let mut chosen: HashMap<usize, Taken> = HashMap::new();
    if options.select.is_empty() {
        chosen.extend((0..ballots.len()).map(|position| (position, Taken::AsItIs)));
    }
    for select in &options.select {
        for (position, taken) in meant(archive, ballots, select)? {
            match (chosen.get_mut(&position), taken) {
                (Some(Taken::Under(names)), Taken::Under(more)) => names.extend(more),
                (Some(Taken::AsItIs), _) => {}
                (_, taken) => {
                    chosen.insert(position, taken);
                }
            }
        }
    }
    if options.untagged == Untagged::Skip {
        chosen.retain(|&position, _| !ballots[position].names.is_empty());
    }
    // Signatures and the like come with what they are about, and so on.
    loop {
        let taken: HashSet<&Digest> = chosen.keys().flat_map(|&position| &ballots[position].ids).collect();
        let more: Vec<usize> = (0..ballots.len())
            .filter(|position| !chosen.contains_key(position))
            .filter(|&position| ballots[position].about.iter().any(|about| taken.contains(about)))
            .collect();
        if more.is_empty() {
            return Ok(chosen);
        }
        chosen.extend(more.into_iter().map(|position| (position, Taken::AsItIs)));
    }
}

fn meant(archive: &str, ballots: &[Ballot<'_>], select: &Select) -> Result<Vec<(usize, Taken)>> {
    if let Some(position) = select.position().filter(|&position| position < ballots.len()) {
        return Ok(vec![(position, Taken::AsItIs)]);
    }
    // Two images of one name are two platforms of it, and are taken together.
    let named: Vec<(usize, Taken)> = ballots
        .iter()
        .enumerate()
        .map(|(position, ballot)| (position, select.among(ballot.names)))
        .filter(|(_, names)| !names.is_empty())
        .map(|(position, names)| (position, Taken::Under(names)))
        .collect();
    if !named.is_empty() {
        return Ok(named);
    }
    let found: Vec<usize> = select.digest_prefix().map_or_else(Vec::new, |prefix| {
        let fits = |ballot: &Ballot<'_>| ballot.ids.iter().any(|id| id.encoded().starts_with(prefix));
        (0..ballots.len()).filter(|&position| fits(&ballots[position])).collect()
    });
    let digests: HashSet<Option<&Digest>> =
        found.iter().map(|&position| ballots[position].ids.first()).collect();
    let archive = archive.to_owned();
    let label = |position: usize| ballots[position].label(position);
    match digests.len() {
        0 => Err(Error::NoSuchImage {
            archive,
            wanted: select.to_string(),
            images: (0..ballots.len()).map(label).collect(),
        }),
        1 => Ok(found.into_iter().map(|position| (position, Taken::AsItIs)).collect()),
        _ => Err(Error::AmbiguousImage {
            archive,
            wanted: select.to_string(),
            images: found.into_iter().map(label).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(select: &[&str], untagged: Untagged) -> Result<Vec<usize>> {
        let image = Digest::sha256(b"image");
        let names = [Name::parse("alpine:1").unwrap(), Name::parse("busybox:1").unwrap()];
        let ballot = |names, id: &[u8], about: Option<&Digest>| Ballot {
            names,
            ids: vec![Digest::sha256(id)],
            about: about.into_iter().cloned().collect(),
        };
        let signature = Digest::sha256(b"signature");
        let ballots = [
            ballot(&names[..1], b"image", None),
            ballot(&names[1..], b"other", None),
            ballot(&[], b"nameless", None),
            ballot(&[], b"signature", Some(&image)),
            ballot(&[], b"timestamp", Some(&signature)),
        ];
        let select = select.iter().map(|text| Select::new(*text)).collect();
        let options = ImportOptions { select, untagged, ..ImportOptions::default() };
        let mut chosen: Vec<usize> = choose("x", &ballots, &options)?.into_keys().collect();
        chosen.sort_unstable();
        Ok(chosen)
    }

    #[test]
    fn what_is_about_an_image_comes_along() {
        assert_eq!(chosen(&[], Untagged::Keep).unwrap(), [0, 1, 2, 3, 4]);
        assert_eq!(chosen(&["docker.io/library/alpine:1"], Untagged::Keep).unwrap(), [0, 3, 4]);
        assert_eq!(chosen(&[], Untagged::Skip).unwrap(), [0, 1, 3, 4]);
        assert_eq!(chosen(&["@1", "@2"], Untagged::Keep).unwrap(), [1, 2]);
        let digest = Digest::sha256(b"other");
        assert_eq!(chosen(&[digest.as_str()], Untagged::Keep).unwrap(), [1]);
        assert_eq!(chosen(&[&digest.encoded()[..9]], Untagged::Keep).unwrap(), [1]);
    }

    #[test]
    fn an_image_that_is_selected_by_one_name_is_taken_under_that_name() {
        let names = [Name::parse("alpine:1").unwrap(), Name::parse("alpine:latest").unwrap()];
        let taken = |select: &[&str]| {
            let ballot = Ballot { names: &names, ids: vec![Digest::sha256(b"image")], about: HashSet::new() };
            let select = select.iter().map(|text| Select::new(*text)).collect();
            let options = ImportOptions { select, ..ImportOptions::default() };
            choose("x", &[ballot], &options).unwrap().remove(&0).unwrap()
        };
        assert_eq!(taken(&["alpine:1"]), Taken::Under(names[..1].to_vec()));
        assert_eq!(taken(&["alpine:1", "alpine"]), Taken::Under(names.to_vec()));
        assert_eq!(taken(&["alpine:1", "@0"]), Taken::AsItIs);
    }

    #[test]
    fn what_is_not_there_is_an_error_that_lists_what_is() {
        let error = chosen(&["alpine:2"], Untagged::Keep).unwrap_err();
        assert!(matches!(&error, Error::NoSuchImage { images, .. } if images.len() == 5), "{error}");
        assert!(error.to_string().contains("docker.io/library/busybox:1"), "{error}");
        assert!(chosen(&["@9"], Untagged::Keep).is_err());
    }
}
