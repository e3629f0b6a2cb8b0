//! What is to be put, worked out from an open archive: everything is in the session afterwards, and
//! nothing is committed.

use std::collections::{HashMap, HashSet};

use ocirepo_store::Digest;
use ocirepo_store::Progress;
use ocirepo_store::graph::{Class, Link, Node, Platform, is_image_config};
use ocirepo_store::index::{Document, Entry};
use ocirepo_store::ingest::Ingest;
use ocirepo_store::layers::Fact;
use ocirepo_store::name::Name;

use super::carrier::Carrier;
use super::choose::{Ballot, Taken, choose};
use super::companions::{about, companions, leave_strays};
use super::layers::{Known, Layering};
use super::merge::{self, Verdict};
use super::naming::{self, Planned, Root, Surroundings};
use super::oci::{self, Bringing, Graph, Listed, Survey};
use super::options::{ImportOptions, Layers, Untagged};
use super::recognise::{Described, Recognised};
use super::{base, docker, platform, v1};
use crate::archive::Content;
use crate::error::{Error, Result, escape};

/// Everything that is to be put, its blobs in the session.
pub(crate) struct Plan {
    pub(crate) entries: Vec<Planned>,
    pub(crate) warnings: Vec<String>,
    /// Which blobs were seen to unpack to what.
    pub(crate) facts: Vec<Fact>,
}

/// The images of a source, by how they are described.
pub(super) struct Images {
    pub(super) listed: Vec<Listed>,
    pub(super) docker: Vec<docker::Image>,
    pub(super) v1: Vec<v1::Image>,
}

/// Brings the chosen images of an archive into the session.
///
/// # Errors
/// See [`Error`].
pub(crate) fn plan(
    ingest: &Ingest<'_>,
    content: &dyn Content,
    recognised: Recognised,
    format: &'static str,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Plan> {
    tracing::debug!(
        archive = content.label(),
        entries = recognised.described.layout.as_ref().map(|layout| layout.entries().len()),
        items = recognised.described.items.len(),
        v1 = recognised.described.is_v1,
        prefix = recognised.prefix,
        "recognised"
    );
    let format = if recognised.is_dir() { "dir: directory" } else { format };
    let carrier = Carrier::new(content, (recognised.prefix, recognised.blobs), ingest, progress);
    if let Some(toc) = &recognised.toc {
        base::check(&carrier, toc, options.verify_base)?;
    }
    let mut graph = Graph::new(&carrier);
    let (mut images, survey) = Images::read(&mut graph, recognised.described)?;
    images.choose(&carrier, &survey, options)?;

    let mut warnings = content.warnings().to_vec();
    let may_change = !options.platforms.is_empty() || options.layers != Layers::Keep;
    let companions = if may_change { companions(&mut graph, &images.listed) } else { HashMap::new() };
    let Images { listed, docker, v1 } = &mut images;
    platform::keep(&mut graph, &options.platforms, &companions, listed, docker, v1, &mut warnings)?;
    let known = Known::new(ingest.repository());
    let layering = Layering { policy: options.layers, allow_thin: options.allow_thin, known };
    if options.verify_diff_ids {
        oci::verify(&mut graph, listed, &layering)?;
    }
    oci::relayer(&mut graph, listed, &layering)?;
    if may_change {
        leave_strays(&mut graph, &mut images.listed, &companions, &mut warnings);
    }

    let bundled = recognised.toc.as_ref().map(|toc| toc.blobs.as_slice()).unwrap_or_default();
    let bringing = Bringing { format, require_complete: options.require_complete, survey: &survey, bundled };
    let mut roots: Vec<Root> = oci::bring(&mut graph, images.listed, &bringing)?;
    roots.extend(docker::import(&carrier, &images.docker, &layering)?);
    roots.extend(v1::import(&carrier, &images.v1, &layering)?);
    if roots.is_empty() && options.untagged == Untagged::Skip {
        warnings.push("nothing was taken: all of its images are nameless".to_owned());
        return Ok(Plan { entries: Vec::new(), warnings, facts: Vec::new() });
    }
    if roots.is_empty() {
        let reason = "it holds no images".to_owned();
        return Err(Error::NotAnArchive { archive: content.label().to_owned(), reason });
    }
    let repository = ingest.repository();
    let policy = repository.current_policy()?;
    let surroundings = Session { graph: &graph };
    let entries = naming::plan(&surroundings, roots, &survey.documents, policy, options)?;
    Ok(Plan { entries, warnings, facts: layering.known.proven() })
}

impl Images {
    /// Reads which images a source holds. What it lists twice is joined.
    pub(super) fn read(graph: &mut Graph<'_, '_>, described: Described) -> Result<(Self, Survey)> {
        let carrier = graph.carrier;
        let entries = described.layout.as_ref().map_or(&[][..], Document::entries);
        let listed = oci::list(carrier, entries, described.carriers)?;
        let survey = Survey::of(graph, listed.iter().map(|image| &image.descriptor));
        let mut images = Self {
            docker: docker::read(carrier, described.items)?,
            v1: if described.is_v1 { v1::read(carrier)? } else { Vec::new() },
            listed,
        };
        images.merge(&survey);
        images.number();
        Ok((images, survey))
    }

    /// Joins what manifest.json lists with what index.json lists.
    fn merge(&mut self, survey: &Survey) {
        let mut left = Vec::new();
        let mut wrong: HashSet<Digest> = HashSet::new();
        let mut at: HashMap<Digest, Vec<usize>> = HashMap::new();
        for (position, listed) in self.listed.iter().enumerate() {
            at.entry(listed.descriptor.digest.clone()).or_default().push(position);
        }
        // Every item is judged against what index.json says, not against what other items made of it.
        let given: Vec<Vec<Name>> = self.listed.iter().map(|listed| listed.names.clone()).collect();
        let mut called: HashMap<usize, Vec<Name>> = HashMap::new();
        let united = self.united();
        let mut judged: HashSet<Digest> = HashSet::new();
        for mut image in std::mem::take(&mut self.docker) {
            let config = &image.config.digest;
            let above = survey.above(survey.manifests_of(config));
            let mut positions: Vec<usize> =
                above.iter().filter_map(|digest| at.get(digest)).flatten().copied().collect();
            positions.sort_unstable();
            let roots: Vec<merge::Listed<'_>> = positions
                .iter()
                .map(|&position| merge::Listed {
                    names: &given[position],
                    layers: survey.layers.get(&self.listed[position].descriptor.digest).map(Vec::as_slice),
                })
                .collect();
            match merge::judge(&united[config], &image.config.diff_ids, &roots) {
                Verdict::New => left.push(image),
                Verdict::Same { names, warning } => {
                    if !judged.insert(config.clone()) {
                        continue;
                    }
                    for (position, names) in names {
                        insert_new(called.entry(positions[position]).or_default(), names);
                    }
                    insert_new(&mut self.listed[positions[0]].warnings, warning);
                }
                Verdict::WrongOrder => {
                    image.replace(positions.iter().flat_map(|&position| given[position].clone()).collect());
                    wrong.extend(
                        positions.iter().map(|&position| self.listed[position].descriptor.digest.clone()),
                    );
                    left.push(image);
                }
            }
        }
        for (position, names) in called {
            self.listed[position].names = names;
        }
        self.listed.retain(|listed| !wrong.contains(&listed.descriptor.digest));
        self.docker = left;
    }

    /// The names of all items of manifest.json that have one config.
    fn united(&self) -> HashMap<Digest, Vec<Name>> {
        let mut united: HashMap<Digest, Vec<Name>> = HashMap::new();
        for image in &self.docker {
            let names = united.entry(image.config.digest.clone()).or_default();
            insert_new(names, image.names.iter().cloned());
        }
        united
    }

    /// Gives every image its position: what `@N` means.
    fn number(&mut self) {
        let listed = self.listed.iter_mut().map(|image| &mut image.position);
        let docker = self.docker.iter_mut().map(|image| &mut image.position);
        let v1 = self.v1.iter_mut().map(|image| &mut image.position);
        listed.chain(docker).chain(v1).enumerate().for_each(|(n, position)| *position = n);
    }

    /// Leaves the images that the user wants.
    fn choose(&mut self, carrier: &Carrier<'_>, survey: &Survey, options: &ImportOptions) -> Result<()> {
        let listed = self.listed.iter().map(|image| {
            let digest = &image.descriptor.digest;
            let ids = std::iter::once(digest).chain(survey.configs.get(digest)).cloned().collect();
            Ballot {
                names: &image.names,
                ids,
                about: about(image, survey).map(|subject| survey.above(&[subject])).unwrap_or_default(),
            }
        });
        let mut docker = Vec::with_capacity(self.docker.len());
        for image in &self.docker {
            // Only whoever selects needs to know, and it takes a look at every layer.
            let foretold = if options.select.is_empty() { None } else { image.foretold(carrier)? };
            let ids = foretold.into_iter().chain([image.config.digest.clone()]).collect();
            docker.push((&image.names, ids));
        }
        let v1 = self.v1.iter().map(|image| (&image.names, Vec::new()));
        let plain =
            docker.into_iter().chain(v1).map(|(names, ids)| Ballot { names, ids, about: HashSet::new() });
        let ballots: Vec<Ballot<'_>> = listed.chain(plain).collect();
        let chosen = choose(carrier.label(), &ballots, options)?;
        let mut position = 0..;
        let mut is_chosen = |names: &mut Vec<Name>| {
            let taken = position.next().and_then(|position| chosen.get(&position));
            if let Some(Taken::Under(wanted)) = taken {
                names.retain(|name| wanted.contains(name));
            }
            taken.is_some()
        };
        self.listed.retain_mut(|image| is_chosen(&mut image.names));
        self.docker.retain_mut(|image| is_chosen(&mut image.names));
        self.v1.retain_mut(|image| is_chosen(&mut image.names));
        Ok(())
    }
}

/// Adds those of `items` that are not there.
fn insert_new<T: PartialEq>(list: &mut Vec<T>, items: impl IntoIterator<Item = T>) {
    for item in items {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}

/// The archive and the session, for naming.
pub(super) struct Session<'g, 'a, 'c> {
    pub(super) graph: &'g Graph<'a, 'c>,
}

impl Surroundings for Session<'_, '_, '_> {
    fn archive(&self) -> &str {
        self.graph.carrier.label()
    }

    fn platform(&self, config: &Digest) -> Result<Option<Platform>> {
        oci::platform_of_config(self.graph.carrier, config)
    }

    fn platform_of(&self, image: &Entry) -> Result<Option<Platform>> {
        let Ok(descriptor) = image.descriptor() else { return Ok(None) };
        let label = descriptor.digest.to_string();
        let Some(bytes) = self.graph.find_bytes(descriptor, Class::Image, &label)? else { return Ok(None) };
        let fail = |reason: String| self.graph.carrier.bad_image(&label, escape(&reason));
        let node = Node::parse(&bytes, Class::Image).map_err(fail)?;
        let config = node.linked(Link::Config).find(|config| is_image_config(&config.media_type));
        config.map_or(Ok(None), |config| oci::platform_of_config(self.graph.carrier, &config.digest))
    }

    fn index(&self, entry: &Entry) -> Result<Option<Document>> {
        let Ok(descriptor) = entry.descriptor() else { return Ok(None) };
        let image = descriptor.digest.to_string();
        let Some(bytes) = self.graph.find_bytes(descriptor, Class::Index, &image)? else { return Ok(None) };
        let fail = |reason: String| self.graph.carrier.bad_image(&image, escape(&reason));
        Document::parse(&bytes).map(Some).map_err(fail)
    }

    fn put(&self, document: &[u8]) -> Result<Digest> {
        Ok(self.graph.carrier.ingest.put_bytes(document)?)
    }
}
