//! Which images an archive of docker before 1.10 holds: folders linked by `parent`, and names for
//! some of them.
//!
//! Every folder with a `json` is a layer. Each layer that has a name is an image, and so is each
//! one that is nobody's parent. What is incomplete is an error, also where no name leads to it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use ocirepo_store::index::check_json;

use super::members::Members;
use super::v1::V1Json;
use crate::archive::limits::{MAX_CONFIG, MAX_INDEX};
use crate::archive::{Content, read_whole};
use crate::error::{Error, Result, escape};

const REPOSITORIES: &str = "repositories";

/// The most layers in one image. docker made 127 at most.
const MAX_LAYERS: usize = 500;

/// The most bytes in the `json` of all layers together.
const MAX_DOCUMENTS: u64 = 256 << 20;

const CURE: &str = "save the image again, with all of its layers";

/// A layer and, through its parent, all layers below it.
#[derive(Debug)]
pub(crate) struct V1Layer {
    /// The folder it lies in, which is what others call it by.
    pub(crate) id: String,
    pub(crate) json: V1Json,
    /// The member that is the layer itself.
    pub(crate) member: String,
    parent: Option<Rc<V1Layer>>,
    /// How many layers there are from the base to this one.
    height: usize,
}

/// An image.
#[derive(Debug)]
pub(crate) struct V1Image {
    /// Its names, `repository:tag` or `repository@digest`; none for a nameless one.
    pub(crate) names: Vec<String>,
    top: Rc<V1Layer>,
}

impl V1Image {
    /// Its layers from the base to the top.
    pub(crate) fn chain(&self) -> Vec<&V1Layer> {
        let mut chain: Vec<&V1Layer> =
            std::iter::successors(Some(&*self.top), |layer| layer.parent.as_deref()).collect();
        chain.reverse();
        chain
    }
}

/// Reads which images there are: those with a name in the order of `repositories`, then those
/// without by their IDs. The images are those below `prefix`, a folder with its slash or nothing.
///
/// # Errors
/// When a document is damaged, and when a name or a parent leads to what is not in the archive.
pub(crate) fn read(content: &dyn Content, prefix: &str) -> Result<Vec<V1Image>> {
    let named = read_repositories(content, prefix)?;
    let mut found = Found::read(content, prefix, &named)?;
    let ids: Vec<String> = found.documents.keys().cloned().collect();
    let mut taken: HashSet<String> = named.iter().map(|named| named.id.clone()).collect();
    taken.extend(found.documents.values().filter_map(|json| json.parent().map(str::to_owned)));

    let mut images = Vec::with_capacity(named.len());
    for Named { id, names } in named {
        let label = names.first().unwrap_or(&id).clone();
        images.push(V1Image { top: found.layer(&id, &label)?, names });
    }
    for id in ids.into_iter().filter(|id| !taken.contains(id)) {
        images.push(V1Image { top: found.layer(&id, &id)?, names: Vec::new() });
    }
    // In a circle of parents every layer is one, so nothing led to it yet.
    if let Some(id) = found.documents.keys().next().cloned() {
        found.layer(&id, &id)?;
    }
    Ok(images)
}

/// The layers of an archive.
struct Found<'c> {
    content: &'c dyn Content,
    prefix: &'c str,
    /// Those that are not in `layers` yet.
    documents: BTreeMap<String, V1Json>,
    layers: HashMap<String, Rc<V1Layer>>,
}

impl<'c> Found<'c> {
    fn read(content: &'c dyn Content, prefix: &'c str, named: &[Named]) -> Result<Self> {
        let mut waiting: Vec<String> = named.iter().map(|named| named.id.clone()).collect();
        // Only the top can be listed. Elsewhere, what has a name leads to what it needs.
        if prefix.is_empty() {
            waiting.extend(content.folders());
        }
        let mut seen: HashSet<String> = HashSet::new();
        let mut documents = BTreeMap::new();
        let mut bytes_read = 0_u64;
        while let Some(id) = waiting.pop() {
            if !is_folder_name(&id) || !seen.insert(id.clone()) {
                continue;
            }
            let Some(member) = content.find(&format!("{prefix}{id}/json"))? else { continue };
            let fail = |reason: &str| Error::member(content.label(), &member.name, escape(reason));
            bytes_read = bytes_read.saturating_add(member.size);
            if bytes_read > MAX_DOCUMENTS {
                let limit = MAX_DOCUMENTS >> 20;
                return Err(fail(&format!("the documents of all layers are more than {limit} MiB")));
            }
            let bytes = read_whole(content, &member, MAX_CONFIG)?;
            let json = V1Json::parse(&bytes).map_err(|reason| fail(&reason))?;
            waiting.extend(json.parent().map(str::to_owned));
            documents.insert(id, json);
        }
        Ok(Self { content, prefix, documents, layers: HashMap::new() })
    }

    /// The layer of that ID, with all that is below it. `image` is what needs it.
    fn layer(&mut self, id: &str, image: &str) -> Result<Rc<V1Layer>> {
        let mut missing: Vec<(String, V1Json)> = Vec::new();
        let mut parent = None;
        let mut next = Some(id.to_owned());
        while let Some(id) = next {
            if let Some(layer) = self.layers.get(&id) {
                parent = Some(Rc::clone(layer));
                break;
            }
            let Some(json) = self.documents.remove(&id) else {
                return Err(self.broken(image, &id, &missing));
            };
            next = json.parent().map(str::to_owned);
            missing.push((id, json));
        }
        while let Some((id, json)) = missing.pop() {
            let member = format!("{}{id}/layer.tar", self.prefix);
            if self.content.find(&member)?.is_none() {
                let reason = format!("its layer {} is not in the archive; {CURE}", escape(&member));
                return Err(self.bad_image(image, reason));
            }
            let height = parent.as_ref().map_or(0, |parent: &Rc<V1Layer>| parent.height) + 1;
            if height > MAX_LAYERS {
                return Err(self.bad_image(image, format!("it has more than {MAX_LAYERS} layers")));
            }
            let layer = Rc::new(V1Layer { id: id.clone(), json, member, parent, height });
            self.layers.insert(id, Rc::clone(&layer));
            parent = Some(layer);
        }
        Ok(parent.expect("the first ID was found, or it was an error"))
    }

    /// Why there is no `id` below `above`.
    fn broken(&self, image: &str, id: &str, above: &[(String, V1Json)]) -> Error {
        let reason = match above.last() {
            None => {
                format!("{REPOSITORIES} says that it is {}, which is not in the archive; {CURE}", escape(id))
            }
            Some((child, _)) if above.iter().any(|(above, _)| above == id) => {
                format!("its layer {} has {}, which is above it, as its parent", escape(child), escape(id))
            }
            Some((child, _)) => {
                let (child, id) = (escape(child), escape(id));
                format!("the parent of its layer {child}, {id}, is not in the archive; {CURE}")
            }
        };
        self.bad_image(image, reason)
    }

    fn bad_image(&self, image: &str, reason: String) -> Error {
        Error::BadImage { archive: self.content.label().to_owned(), image: escape(image), reason }
    }
}

/// Anything else would lead to another folder than the one it says.
fn is_folder_name(id: &str) -> bool {
    !matches!(id, "" | "." | "..") && !id.contains('/')
}

/// An ID and all names it has.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    id: String,
    names: Vec<String>,
}

/// What `repositories` says. An archive of nameless images has none.
fn read_repositories(content: &dyn Content, prefix: &str) -> Result<Vec<Named>> {
    let Some(member) = content.find(&format!("{prefix}{REPOSITORIES}"))? else {
        return Ok(Vec::new());
    };
    let bytes = read_whole(content, &member, MAX_INDEX)?;
    parse_repositories(&bytes).map_err(|reason| Error::member(content.label(), &member.name, escape(&reason)))
}

fn parse_repositories(bytes: &[u8]) -> Result<Vec<Named>, String> {
    if bytes.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    check_json(bytes)?;
    let json = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let mut named: Vec<Named> = Vec::new();
    let mut positions: HashMap<String, usize> = HashMap::new();
    let repositories = Members::parse(json).map_err(|_| "it is not an object of repositories".to_owned())?;
    for (repository, tags) in repositories.into_iter().flat_map(|repositories| repositories.0) {
        let tags =
            Members::parse(tags.get()).map_err(|_| format!("{repository} is not an object of tags"))?;
        for (tag, id) in tags.into_iter().flat_map(|tags| tags.0) {
            let name = name(&repository, &tag);
            let id: String = serde_json::from_str(id.get()).map_err(|_| format!("{name} has no ID"))?;
            let position = *positions.entry(id.clone()).or_insert_with(|| {
                named.push(Named { id, names: Vec::new() });
                named.len() - 1
            });
            named[position].names.push(name);
        }
    }
    Ok(named)
}

/// Docker 1.6 to 1.9 kept the digests by which images were pulled among the tags.
fn name(repository: &str, tag: &str) -> String {
    if tag.contains(':') { format!("{repository}@{tag}") } else { format!("{repository}:{tag}") }
}
