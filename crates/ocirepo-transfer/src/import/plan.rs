//! What is to be put, worked out from an open archive: everything is in the session afterwards, and
//! nothing is committed.

use std::collections::{HashMap, HashSet};

use ocirepo_store::Digest;
use ocirepo_store::Progress;
use ocirepo_store::graph::{Class, Platform};
use ocirepo_store::index::{Document, Entry};
use ocirepo_store::ingest::Ingest;
use ocirepo_store::layers::Fact;
use ocirepo_store::name::Name;

use super::carrier::Carrier;
use super::choose::{Ballot, Taken, choose};
use super::layers::{Known, Layering};
use super::merge::{self, Verdict};
use super::naming::{self, Planned, Root, Surroundings};
use super::oci::{self, Bringing, Graph, Listed, Survey};
use super::options::{ImportOptions, Layers, Untagged};
use super::recognise::recognise;
use super::{docker, platform, v1};
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
struct Images {
    listed: Vec<Listed>,
    docker: Vec<docker::Image>,
    v1: Vec<v1::Image>,
}

/// Brings the chosen images of an archive into the session.
///
/// # Errors
/// See [`Error`].
pub(crate) fn plan(
    ingest: &Ingest<'_>,
    content: &dyn Content,
    format: &'static str,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Plan> {
    let recognised = recognise(content)?;
    tracing::debug!(
        archive = content.label(),
        entries = recognised.layout.as_ref().map(|layout| layout.entries().len()),
        items = recognised.items.len(),
        v1 = recognised.is_v1,
        prefix = recognised.prefix,
        "recognised"
    );
    let format = if recognised.is_dir() { "dir: directory" } else { format };
    let carrier = Carrier { content, prefix: recognised.prefix, blobs: recognised.blobs, ingest, progress };
    let mut graph = Graph::new(&carrier);
    let entries = recognised.layout.as_ref().map_or(&[][..], Document::entries);
    let listed = oci::list(&carrier, entries, recognised.carriers)?;
    let survey = Survey::of(&mut graph, listed.iter().map(|image| &image.descriptor));
    let mut images = Images {
        docker: docker::read(&carrier, recognised.items)?,
        v1: if recognised.is_v1 { v1::read(&carrier)? } else { Vec::new() },
        listed,
    };
    images.merge(&survey);
    images.number();
    images.choose(&carrier, &survey, options)?;

    let mut warnings = content.warnings().to_vec();
    let Images { listed, docker, v1 } = &mut images;
    platform::keep(&mut graph, &options.platforms, listed, docker, v1, &mut warnings)?;
    let known = Known::new(ingest.repository());
    let layering = Layering { policy: options.layers, allow_thin: options.allow_thin, known };
    if options.verify_diff_ids {
        oci::verify(&mut graph, listed, &layering)?;
    }
    oci::relayer(&mut graph, listed, &layering)?;
    if !options.platforms.is_empty() || options.layers != Layers::Keep {
        images.leave_strays(&mut graph, &survey, &mut warnings);
    }

    let bringing = Bringing { format, require_complete: options.require_complete, survey: &survey };
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
    let policy = repository.policy(&repository.index()?)?;
    let surroundings = Session { graph: &graph };
    let entries = naming::plan(&surroundings, roots, &survey.documents, policy, options)?;
    Ok(Plan { entries, warnings, facts: layering.known.proven() })
}

impl Images {
    /// Joins what manifest.json lists with what index.json lists.
    fn merge(&mut self, survey: &Survey) {
        let mut left = Vec::new();
        let mut wrong: HashSet<Digest> = HashSet::new();
        let mut at: HashMap<Digest, Vec<usize>> = HashMap::new();
        for (position, listed) in self.listed.iter().enumerate() {
            at.entry(listed.descriptor.digest.clone()).or_default().push(position);
        }
        for mut image in std::mem::take(&mut self.docker) {
            let above = survey.above(survey.manifests_of(&image.config.digest));
            let mut positions: Vec<usize> =
                above.iter().filter_map(|digest| at.get(digest)).flatten().copied().collect();
            positions.sort_unstable();
            let roots: Vec<merge::Listed<'_>> = positions
                .iter()
                .map(|&position| &self.listed[position])
                .map(|listed| merge::Listed {
                    names: &listed.names,
                    layers: survey.layers.get(&listed.descriptor.digest).map(Vec::as_slice),
                })
                .collect();
            match merge::judge(&image.names, &image.config.diff_ids, &roots) {
                Verdict::New => left.push(image),
                Verdict::Same { names, warning } => {
                    for (position, names) in names {
                        self.listed[positions[position]].names = names;
                    }
                    self.listed[positions[0]].warnings.extend(warning);
                }
                Verdict::WrongOrder => {
                    let names = positions.iter().flat_map(|&position| self.listed[position].names.clone());
                    image.replace(names.collect());
                    wrong.extend(
                        positions.iter().map(|&position| self.listed[position].descriptor.digest.clone()),
                    );
                    left.push(image);
                }
            }
        }
        self.listed.retain(|listed| !wrong.contains(&listed.descriptor.digest));
        self.docker = left;
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
            let subject = naming::subject(&image.names, survey.subjects.get(digest));
            Ballot {
                names: &image.names,
                ids,
                about: subject.map(|subject| survey.above(&[subject])).unwrap_or_default(),
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

    /// Leaves out what is about an image that is another one now: a signature of a digest that is
    /// gone signs nothing, and would bring in what was not wanted.
    fn leave_strays(&mut self, graph: &mut Graph<'_, '_>, survey: &Survey, warnings: &mut Vec<String>) {
        let about = |image: &Listed| {
            let subject = survey.subjects.get(&image.descriptor.digest).filter(|_| image.names.is_empty())?;
            survey.documents.contains(subject).then(|| subject.clone())
        };
        let own = self.listed.iter().filter(|image| about(image).is_none());
        let mut reached = Survey::of(graph, own.map(|image| &image.descriptor)).documents;
        let mut more = true;
        while more {
            more = false;
            for image in &self.listed {
                if about(image).is_some_and(|subject| reached.contains(&subject)) {
                    more |= reached.insert(image.descriptor.digest.clone());
                }
            }
        }
        self.listed.retain(|image| match about(image).filter(|subject| !reached.contains(subject)) {
            None => true,
            Some(subject) => {
                let digest = &image.descriptor.digest;
                warnings.push(format!(
                    "{digest} was left out: it is about {subject}, which was not taken as it is"
                ));
                false
            }
        });
    }
}

/// The archive and the session, for naming.
struct Session<'g, 'a, 'c> {
    graph: &'g Graph<'a, 'c>,
}

impl Surroundings for Session<'_, '_, '_> {
    fn archive(&self) -> &str {
        self.graph.carrier.label()
    }

    fn platform(&self, config: &Digest) -> Result<Option<Platform>> {
        oci::platform_of_config(self.graph.carrier, config)
    }

    fn index(&self, entry: &Entry) -> Result<Option<Document>> {
        let Ok(descriptor) = entry.descriptor() else { return Ok(None) };
        let image = descriptor.digest.to_string();
        let bytes = self.graph.bytes(descriptor, Class::Index, &image)?;
        let fail = |reason: String| self.graph.carrier.bad_image(&image, escape(&reason));
        Document::parse(&bytes).map(Some).map_err(fail)
    }

    fn put(&self, document: &[u8]) -> Result<Digest> {
        Ok(self.graph.carrier.ingest.put_bytes(document)?)
    }
}
