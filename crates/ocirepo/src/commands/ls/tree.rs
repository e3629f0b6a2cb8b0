//! `ocirepo ls --tree`: below each image its platforms, and what is about it.

use std::collections::HashSet;

use anyhow::Result;
use ocirepo_store::Digest;
use ocirepo_store::graph::{Class, Platform};
use ocirepo_store::image::{Image, Manifest};
use serde::Serialize;

use super::{Row, digest_cell, state};
use crate::commands::attached::{About, Attached, kind};
use crate::commands::look::View;
use crate::commands::summary::entry_of;
use crate::render::{self, Branch, Cell, Fit, Look, Screen, Table};

/// What hangs below an image.
#[derive(Debug, Serialize)]
pub(super) struct Below {
    /// The parts of an index; none for an image of one platform.
    children: Vec<Child>,
    referrers: Vec<Attached>,
}

/// A part of an index.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Child {
    digest: String,
    media_type: String,
    size: u64,
    total_size: u64,
    platform: Option<String>,
    artifact_type: Option<String>,
    /// Whether its manifest is there.
    present: bool,
    /// Whether all of it is there.
    complete: bool,
    referrers: Vec<Attached>,
}

/// Finds what hangs below each row.
pub(super) fn grow(view: &View<'_>, rows: &mut [Row]) -> Result<()> {
    let about = About::of(view)?;
    for row in rows {
        let Ok(root) = view.document.entries()[row.position].descriptor() else {
            row.below = Some(Below { children: Vec::new(), referrers: Vec::new() });
            continue;
        };
        let mut seen = HashSet::from([root.digest.clone()]);
        let is_child = |manifest: &&Manifest| manifest.descriptor.digest != root.digest;
        let manifests = row.manifests.iter().filter(is_child);
        // Of what is complete nothing has to be looked for again.
        let is_complete = |manifest: &Manifest| row.summary.complete || is_complete(view, manifest);
        let child = |manifest| child(&about, manifest, is_complete(manifest), &mut seen);
        let children = manifests.map(child).collect();
        let referrers = about.attached(&root.digest, &mut seen);
        row.below = Some(Below { children, referrers });
    }
    Ok(())
}

fn is_complete(view: &View<'_>, manifest: &Manifest) -> bool {
    Image::of_child(view.documents, &entry_of(manifest)).is_complete
}

fn child(about: &About<'_>, manifest: &Manifest, complete: bool, seen: &mut HashSet<Digest>) -> Child {
    let descriptor = &manifest.descriptor;
    let mut sized = HashSet::new();
    let parts = manifest.config.iter().chain(&manifest.layers);
    let parts = parts.filter(|part| sized.insert(&part.digest)).map(|part| part.size);
    Child {
        digest: descriptor.digest.to_string(),
        media_type: descriptor.media_type.clone(),
        size: descriptor.size,
        total_size: parts.fold(descriptor.size, u64::saturating_add),
        platform: manifest.platform.as_ref().map(Platform::to_string),
        artifact_type: kind(manifest).map(str::to_owned),
        present: manifest.is_present,
        complete,
        referrers: about.attached(&descriptor.digest, seen),
    }
}

/// A line of the tree: its branch, and the other cells.
type Line = (Branch, [Cell; 4]);

/// Draws the trees. What is about an image that is shown stands below that alone.
pub(super) fn print(rows: &[Row], whole_digests: bool, screen: Screen) -> Result<()> {
    let mut lines = Vec::new();
    for row in tops(rows) {
        draw(row, whole_digests, &mut lines);
    }
    let (branches, cells): (Vec<Branch>, Vec<[Cell; 4]>) = lines.into_iter().unzip();
    let rows = render::tree(&branches)
        .into_iter()
        .zip(cells)
        .map(|(name, [digest, size, what, state])| [name.into(), digest, size, what, state]);
    let table = Table::new(["REFERENCE", "DIGEST", "SIZE", "TYPE", "STATE"]);
    table.right(2).fit(3, Fit::Tail).fit(4, Fit::End).print(screen, rows)?;
    Ok(())
}

/// The rows that stand below no other. Where some are about each other, the first stands for them.
fn tops(rows: &[Row]) -> Vec<&Row> {
    let below: Vec<HashSet<usize>> = rows.iter().map(positions_below).collect();
    let all: HashSet<usize> = below.iter().flatten().copied().collect();
    let is_top = |n: usize| !all.contains(&rows[n].position);
    let mut shown: Vec<usize> = (0..rows.len()).filter(|&n| is_top(n)).collect();
    let mut covered: HashSet<usize> = shown.iter().flat_map(|&n| &below[n]).copied().collect();
    for n in 0..rows.len() {
        if !is_top(n) && !covered.contains(&rows[n].position) {
            shown.push(n);
            covered.extend(&below[n]);
            covered.insert(rows[n].position);
        }
    }
    shown.sort_unstable();
    shown.into_iter().map(|n| &rows[n]).collect()
}

fn positions_below(row: &Row) -> HashSet<usize> {
    let mut positions = HashSet::new();
    let Some(below) = &row.below else { return positions };
    let mut open: Vec<&Attached> = below.referrers.iter().collect();
    open.extend(below.children.iter().flat_map(|child| &child.referrers));
    while let Some(one) = open.pop() {
        positions.extend(one.position);
        open.extend(&one.referrers);
    }
    positions
}

fn draw(row: &Row, whole_digests: bool, lines: &mut Vec<Line>) {
    let class = Class::of(row.summary.media_type.as_deref().unwrap_or_default());
    let own = row.manifests.first().and_then(kind);
    let what = match (class, own) {
        (Class::Index, _) => "index".to_owned(),
        (_, Some(kind)) => kind.to_owned(),
        _ if row.summary.platforms.is_empty() => "-".to_owned(),
        _ => row.summary.platforms.join(","),
    };
    let digest = digest_cell(row.summary.digest.as_deref(), whole_digests);
    let cells = [digest, render::size(row.summary.total_size).into(), what.into(), row.state()];
    lines
        .push((Branch { depth: 0, label: render::name(row.summary.reference.as_deref()).to_owned() }, cells));
    let Some(below) = &row.below else { return };
    for child in &below.children {
        let what = child.artifact_type.as_deref().unwrap_or("image");
        let label = child.platform.clone().unwrap_or_else(|| "-".to_owned());
        let state = match (child.present, child.complete) {
            (false, _) => Cell::new("absent", Look::Doubtful),
            (true, false) => state(false),
            (true, true) => "".into(),
        };
        let digest = digest_cell(Some(&child.digest), whole_digests);
        let cells = [digest, render::size(child.total_size).into(), what.into(), state];
        lines.push((Branch { depth: 1, label }, cells));
        draw_attached(&child.referrers, 2, whole_digests, lines);
    }
    draw_attached(&below.referrers, 1, whole_digests, lines);
}

fn draw_attached(referrers: &[Attached], depth: usize, whole_digests: bool, lines: &mut Vec<Line>) {
    for one in referrers {
        let label = one.artifact_type.clone().unwrap_or_else(|| "-".to_owned());
        let state = match (one.complete, one.listed) {
            (false, _) => state(false),
            (true, false) => Cell::new("not in index.json", Look::Dim),
            (true, true) => "".into(),
        };
        let digest = digest_cell(Some(&one.digest), whole_digests);
        let cells = [digest, render::size(one.total_size).into(), "referrer".into(), state];
        lines.push((Branch { depth, label }, cells));
        draw_attached(&one.referrers, depth + 1, whole_digests, lines);
    }
}
