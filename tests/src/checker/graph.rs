//! From the entries of `index.json` to every blob they need.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::blobs::{BlobFiles, is_digest};
use super::{Report, strict};
use crate::descriptor::{
    DOCKER_LIST, DOCKER_MANIFEST, DOCKER_SCHEMA1, OCI_ARTIFACT, OCI_INDEX, OCI_MANIFEST,
};

/// A blob larger than this is not searched for a `subject`.
const REFERRER_LIMIT: u64 = 4 << 20;

/// How a blob was reached, which decides what it may point at and whether it must be there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    /// An entry of `index.json`: a manifest that must be there.
    Root,
    /// A manifest that may be absent: a child of an index, a subject, a referrer.
    Manifest,
    /// A config, a layer or another part, never opened.
    Part,
}

struct Step {
    descriptor: Value,
    role: Role,
    /// Who points here, for messages.
    parent: String,
    /// Found as a child of an index; only these count as sparse.
    child: bool,
}

/// Fills in `live`, `sparse` and the problems of every image.
pub(super) fn walk(entries: &[Value], blobs: &BlobFiles, report: &mut Report) {
    let mut walk = Walk { blobs, report, seen: BTreeSet::new(), manifests: BTreeSet::new() };
    let root = |(position, entry): (usize, &Value)| Step {
        descriptor: entry.clone(),
        role: Role::Root,
        parent: format!("index.json entry {position}"),
        child: false,
    };
    walk.run(entries.iter().enumerate().map(root).collect());
    loop {
        let referrers = walk.unseen_referrers();
        if referrers.is_empty() {
            break;
        }
        walk.run(referrers);
    }
}

struct Walk<'a> {
    blobs: &'a BlobFiles,
    report: &'a mut Report,
    seen: BTreeSet<(String, Role)>,
    /// Digests reached as manifests, present or not: the possible subjects of referrers.
    manifests: BTreeSet<String>,
}

impl Walk<'_> {
    fn run(&mut self, mut todo: Vec<Step>) {
        while let Some(step) = todo.pop() {
            self.visit(&step, &mut todo);
        }
    }

    fn visit(&mut self, step: &Step, todo: &mut Vec<Step>) {
        let digest = step.descriptor["digest"].as_str().unwrap_or_default();
        if !is_digest(digest) || step.descriptor["size"].as_u64().is_none() {
            self.report.problem(format!("{}: not a descriptor: {}", step.parent, step.descriptor));
            return;
        }
        if step.role != Role::Part {
            self.manifests.insert(digest.to_owned());
        }
        let Some(blob) = self.blobs.get(digest) else {
            self.missing(step, digest);
            return;
        };
        if Some(blob.size) != step.descriptor["size"].as_u64() {
            let told = &step.descriptor["size"];
            self.report.problem(format!("{digest}: {} bytes, but {} says {told}", blob.size, step.parent));
        }
        self.report.live.insert(digest.to_owned());
        if self.seen.insert((digest.to_owned(), step.role)) && step.role != Role::Part {
            let bytes = fs::read(&blob.path).unwrap_or_default();
            self.open(step, digest, &bytes, todo);
        }
    }

    fn missing(&mut self, step: &Step, digest: &str) {
        let elsewhere = step.descriptor.get("urls").is_some();
        if step.role != Role::Manifest && !elsewhere {
            self.report.problem(format!("{digest}: missing, needed by {}", step.parent));
        } else if step.child {
            self.report.sparse.insert(digest.to_owned());
        }
    }

    fn open(&mut self, step: &Step, digest: &str, bytes: &[u8], todo: &mut Vec<Step>) {
        let media_type = step.descriptor["mediaType"].as_str().unwrap_or_default();
        let known = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST, OCI_ARTIFACT]
            .contains(&media_type)
            || media_type.starts_with(DOCKER_SCHEMA1.trim_end_matches("+prettyjws"));
        let document = match strict::parse(bytes) {
            Ok(document) => document,
            // A thing of another type stands here by right and need not be JSON.
            Err(_) if !known => return,
            Err(error) => {
                self.report.problem(format!("{digest}: the manifest is not JSON: {error}"));
                return;
            }
        };
        let mut push = |descriptor: &Value, role, child| {
            let parent = digest.to_owned();
            todo.push(Step { descriptor: descriptor.clone(), role, parent, child });
        };
        if !known {
            each_descriptor(&document, &mut |descriptor| push(descriptor, Role::Manifest, false));
            return;
        }
        items(&document["manifests"]).for_each(|child| push(child, Role::Manifest, true));
        items(&document["layers"])
            .chain(items(&document["blobs"]))
            .for_each(|part| push(part, Role::Part, false));
        for (field, role) in [("config", Role::Part), ("subject", Role::Manifest)] {
            if let Some(descriptor) = document.get(field) {
                push(descriptor, role, false);
            }
        }
        let said = document.get("mediaType").and_then(Value::as_str);
        if said.is_some_and(|said| said != media_type) {
            self.report.problem(format!("{digest}: is {said:?}, but {} says {media_type}", step.parent));
        }
        for layer in items(&document["fsLayers"]) {
            self.schema1_layer(digest, layer["blobSum"].as_str().unwrap_or_default());
        }
    }

    /// Schema 1 tells no sizes.
    fn schema1_layer(&mut self, manifest: &str, digest: &str) {
        if self.blobs.get(digest).is_some() {
            self.report.live.insert(digest.to_owned());
        } else {
            self.report.problem(format!("{digest}: missing, needed by {manifest}"));
        }
    }

    /// Blobs not reached so far whose `subject` was reached as a manifest.
    fn unseen_referrers(&self) -> Vec<Step> {
        let unseen = self
            .blobs
            .iter()
            .filter(|(digest, blob)| !self.manifests.contains(*digest) && blob.size <= REFERRER_LIMIT);
        let referrer = |(digest, blob): (&String, &super::blobs::BlobFile)| {
            let bytes = fs::read(&blob.path).ok()?;
            let document = bytes.starts_with(b"{").then(|| strict::parse(&bytes).ok())??;
            let subject = document["subject"]["digest"].as_str()?;
            let media_type = document["mediaType"].as_str().unwrap_or(OCI_MANIFEST);
            let descriptor =
                serde_json::json!({"mediaType": media_type, "digest": digest, "size": blob.size});
            let parent = format!("its subject {subject}");
            self.manifests.contains(subject).then_some(Step {
                descriptor,
                role: Role::Manifest,
                parent,
                child: false,
            })
        };
        unseen.filter_map(referrer).collect()
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Every object in a document of unknown type that looks like a descriptor.
fn each_descriptor(value: &Value, found: &mut impl FnMut(&Value)) {
    match value {
        Value::Object(members) => {
            if value["digest"].as_str().is_some_and(is_digest) && value["size"].as_u64().is_some() {
                found(value);
            }
            members.values().for_each(|member| each_descriptor(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| each_descriptor(item, found)),
        _ => {}
    }
}
