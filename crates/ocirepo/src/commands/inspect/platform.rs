//! Which of the platforms of an image is meant.

use anyhow::Result;
use ocirepo_store::graph::{Documents, Platform};
use ocirepo_store::image::{Image, Manifest};
use ocirepo_transfer::PlatformPattern;

use crate::commands::summary::entry_of;
use crate::exit::UsageError;

/// The architecture of this machine as Go spells it, where that is not what the pattern reads anyway. What runs in
/// a container is for Linux wherever its host is from.
const ARCHITECTURE: &str = match std::env::consts::ARCH.as_bytes() {
    b"x86" => "386",
    b"powerpc64" => "ppc64le",
    b"loongarch64" => "loong64",
    _ => std::env::consts::ARCH,
};

/// What of an image is for a platform.
///
/// # Errors
/// When there is nothing for it.
pub(super) fn keep(
    documents: &dyn Documents,
    mut image: Image,
    wanted: &PlatformPattern,
    label: &str,
) -> Result<Image> {
    let fits = |manifest: &Manifest| manifest.platform.as_ref().is_some_and(|platform| wanted.fits(platform));
    if !image.manifests.iter().any(fits) {
        return Err(UsageError(format!("{label} has nothing for {wanted}, only {}", listed(&image))).into());
    }
    image.manifests.retain(fits);
    // Sizes and completeness are those of the part then.
    Ok(match image.manifests.as_slice() {
        [manifest] => {
            let part = entry_of(manifest);
            // Of what is missing, only what is no problem for the image is a child of it.
            match image.problem {
                None => Image::of_child(documents, &part),
                Some(_) => Image::of(documents, &part),
            }
        }
        manifests => {
            image.absent = manifests.iter().filter(|manifest| !manifest.is_present).count();
            image
        }
    })
}

/// The one manifest of an image.
///
/// # Errors
/// When there are several.
pub(super) fn only<'a>(image: &'a Image, label: &str) -> Result<&'a Manifest> {
    match image.manifests.as_slice() {
        [one] => Ok(one),
        _ => Err(several(image, label)),
    }
}

/// The manifest whose config is meant: the only one for a platform, or that for this machine.
///
/// # Errors
/// When there are several, and none or more than one is for this machine.
pub(super) fn choose<'a>(image: &'a Image, label: &str) -> Result<&'a Manifest> {
    let is_attestation = |manifest: &&Manifest| manifest.platform.as_ref().is_some_and(Platform::is_unknown);
    let images: Vec<&Manifest> = image.manifests.iter().filter(|it| !is_attestation(it)).collect();
    if let [one] = images.as_slice() {
        return Ok(one);
    }
    let here: PlatformPattern = format!("linux/{ARCHITECTURE}").parse().map_err(anyhow::Error::msg)?;
    let is_here = |manifest: &&&Manifest| manifest.platform.as_ref().is_some_and(|it| here.fits(it));
    let mut fitting = images.iter().filter(is_here);
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Ok(one),
        _ if images.is_empty() => only(image, label),
        _ => Err(several(image, label)),
    }
}

fn several(image: &Image, label: &str) -> anyhow::Error {
    UsageError(format!("{label} has {}: choose one with --platform", listed(image))).into()
}

fn listed(image: &Image) -> String {
    let platforms: Vec<String> = image.platforms().iter().map(Platform::to_string).collect();
    if platforms.is_empty() { "no platform".to_owned() } else { platforms.join(", ") }
}
