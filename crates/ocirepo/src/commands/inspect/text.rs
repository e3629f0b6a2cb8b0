//! What `inspect` tells, for people.

use anyhow::Result;

use super::config::Runtime;
use super::shape::{Member, Output, Part};
use crate::commands::attached::Attached;
use crate::render::{self, Branch, Cell, Fit, Look, Screen, Table};

/// Prints an image: what the entry says, then its one manifest in full or a table of several, then what
/// is about it.
pub(super) fn print(output: &Output, screen: Screen) -> Result<()> {
    let lines = Lines { screen };
    let summary = &output.summary;
    lines.field("Reference", render::name(summary.reference.as_deref()))?;
    for other in output.references.iter().filter(|name| Some(*name) != summary.reference.as_ref()) {
        lines.field("Also", other)?;
    }
    lines.field("Digest", summary.digest.as_deref().unwrap_or("-"))?;
    lines.field("Type", summary.media_type.as_deref().unwrap_or("-"))?;
    lines.field("Size", &format!("{} in all", render::size(summary.total_size)))?;
    if !summary.platforms.is_empty() {
        lines.field("Platforms", &summary.platforms.join(", "))?;
    }
    lines.cell("State", state(output))?;
    for (name, value) in &output.annotations {
        lines.field("Annotation", &format!("{name}={value}"))?;
    }
    match output.manifests.as_slice() {
        [one] => lines.manifest(one, summary.digest.as_deref() != Some(one.digest.as_str()))?,
        several => lines.manifests(several)?,
    }
    let of_parts = output.manifests.iter().flat_map(|member| {
        let of = member.platform.as_deref().unwrap_or("-");
        member.referrers.iter().map(move |one| (format!("{of}: "), one))
    });
    let referrers = output.referrers.iter().map(|one| (String::new(), one));
    lines.referrers(referrers.chain(of_parts))
}

fn state(output: &Output) -> Cell {
    let summary = &output.summary;
    match (&summary.problem, summary.sparse) {
        (Some(problem), _) => {
            // The digests of the image and of its one manifest stand beside it.
            let own = [summary.digest.as_deref(), output.manifests.first().map(|one| one.digest.as_str())];
            let rest = problem.split_once(": ").filter(|(digest, _)| own.contains(&Some(*digest)));
            Cell::new(rest.map_or(problem.as_str(), |(_, rest)| rest), Look::Bad)
        }
        (None, Some((0, 1))) => Cell::new("absent: the index lists it, but it is not there", Look::Doubtful),
        (None, Some((here, all))) => {
            let state = format!("sparse: {here} of {all} manifests here, the rest absent");
            Cell::new(state, Look::Doubtful)
        }
        (None, None) if summary.complete => "complete".into(),
        (None, None) => Cell::new("incomplete", Look::Doubtful),
    }
}

struct Lines {
    screen: Screen,
}

impl Lines {
    fn field(&self, name: &str, value: &str) -> Result<()> {
        self.cell(name, value.into())
    }

    fn cell(&self, name: &str, value: Cell) -> Result<()> {
        Ok(render::cells(self.screen, &[format!("{name:<11}").into(), value])?)
    }

    /// One manifest; `is_part` says that it is one of an index.
    fn manifest(&self, member: &Member, is_part: bool) -> Result<()> {
        if is_part {
            self.field("Manifest", &member.digest)?;
        }
        if let Some(artifact_type) = &member.artifact_type {
            self.field("Artifact", artifact_type)?;
        }
        let annotations = member.annotations.as_object().into_iter().flatten();
        for (name, value) in annotations {
            self.field("Annotation", &format!("{name}={}", value.as_str().unwrap_or_default()))?;
        }
        if let Some(config) = &member.config {
            let state = if config.present { "" } else { " (not there)" };
            self.field("Config", &format!("{}{state}", config.digest))?;
        }
        if let Some(runtime) = &member.runtime {
            self.runtime(runtime)?;
        }
        if !member.layers.is_empty() {
            render::line("")?;
            let table = Table::new(["LAYER", "SIZE", "TYPE", "DIGEST"]).right(1).fit(2, Fit::Tail);
            table.fit(3, Fit::Digest).print(self.screen, member.layers.iter().enumerate().map(layer))?;
        }
        Ok(())
    }

    fn runtime(&self, runtime: &Runtime) -> Result<()> {
        let words = |words: &[String]| (!words.is_empty()).then(|| serde_json::json!(words).to_string());
        let fields = [
            ("Created", runtime.created.clone()),
            ("Author", runtime.author.clone()),
            ("User", runtime.user.clone()),
            ("Directory", runtime.working_dir.clone()),
            ("Entrypoint", words(&runtime.entrypoint)),
            ("Cmd", words(&runtime.cmd)),
            ("Ports", Some(runtime.exposed_ports.join(", ")).filter(|ports| !ports.is_empty())),
            ("Volumes", Some(runtime.volumes.join(", ")).filter(|volumes| !volumes.is_empty())),
            ("Signal", runtime.stop_signal.clone()),
        ];
        for (name, value) in fields {
            value.map_or(Ok(()), |value| self.field(name, &value))?;
        }
        runtime.env.iter().try_for_each(|variable| self.field("Env", variable))?;
        runtime.labels.iter().try_for_each(|(name, value)| self.field("Label", &format!("{name}={value}")))
    }

    fn manifests(&self, members: &[Member]) -> Result<()> {
        if members.is_empty() {
            return Ok(());
        }
        render::line("")?;
        let rows = members.iter().map(|member| {
            let name = member.platform.as_deref().or(member.artifact_type.as_deref()).unwrap_or("-");
            let sizes = member.config.iter().chain(&member.layers).map(|part| part.size);
            let size = sizes.fold(member.size, u64::saturating_add);
            let created = member.runtime.as_ref().and_then(|runtime| runtime.created.as_deref());
            // The day is enough to tell builds apart.
            let created = created.map(|time| time.split('T').next().unwrap_or(time));
            let is_whole =
                member.present && member.layers.iter().chain(&member.config).all(|part| part.present);
            let state = match (member.present, is_whole) {
                (false, _) => Cell::new("absent", Look::Doubtful),
                (true, false) => Cell::new("incomplete", Look::Doubtful),
                (true, true) => "complete".into(),
            };
            [
                name.into(),
                render::size(size).into(),
                created.unwrap_or("-").into(),
                state,
                Cell::new(&member.digest, Look::Dim),
            ]
        });
        let table = Table::new(["PLATFORM", "SIZE", "CREATED", "STATE", "DIGEST"]).right(1);
        Ok(table.fit(4, Fit::Digest).print(self.screen, rows)?)
    }

    fn referrers<'a>(&self, referrers: impl Iterator<Item = (String, &'a Attached)>) -> Result<()> {
        let mut rows: Vec<(Branch, &Attached)> = Vec::new();
        for (of, one) in referrers {
            grow(one, 0, &of, &mut rows);
        }
        if rows.is_empty() {
            return Ok(());
        }
        render::line("")?;
        let (branches, all): (Vec<Branch>, Vec<&Attached>) = rows.into_iter().unzip();
        let rows = render::tree(&branches).into_iter().zip(all).map(|(label, one)| {
            let listed = if one.listed { "yes" } else { "no" };
            [
                label.into(),
                render::size(one.total_size).into(),
                listed.into(),
                Cell::new(&one.digest, Look::Dim),
            ]
        });
        let table = Table::new(["REFERRER", "SIZE", "LISTED", "DIGEST"]).right(1).fit(3, Fit::Digest);
        Ok(table.print(self.screen, rows)?)
    }
}

fn grow<'a>(one: &'a Attached, depth: usize, of: &str, rows: &mut Vec<(Branch, &'a Attached)>) {
    let kind = one.artifact_type.as_deref().unwrap_or("-");
    rows.push((Branch { depth, label: format!("{of}{kind}") }, one));
    for below in &one.referrers {
        grow(below, depth + 1, "", rows);
    }
}

fn layer((number, layer): (usize, &Part)) -> [Cell; 4] {
    let number = number + 1;
    let number = match layer.present {
        true => number.to_string().into(),
        false => Cell::new(format!("{number} (not there)"), Look::Doubtful),
    };
    let media_type = layer.media_type.as_str();
    [number, render::size(layer.size).into(), media_type.into(), Cell::new(&layer.digest, Look::Dim)]
}
