//! Exit codes, and how an error is told: what happened, then what to do about it, which is in `hints.rs`.

use std::io;
use std::process::ExitCode;

use ocirepo_store::{Error as StoreError, ErrorKind};
use ocirepo_transfer::{Error as TransferError, Required};

use crate::context::Context;
use crate::{hints, render};

/// How a command ended. The numbers are part of the contract with scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    Ok = 0,
    Error = 1,
    Usage = 2,
    NotFound = 3,
    Corrupt = 4,
    SomeFailed = 5,
    LockTimeout = 6,
    BaseMissing = 7,
    Conflict = 9,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

impl From<ErrorKind> for Code {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Usage => Self::Usage,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Corrupt => Self::Corrupt,
            ErrorKind::LockTimeout => Self::LockTimeout,
            ErrorKind::Conflict => Self::Conflict,
            ErrorKind::BaseMissing => Self::BaseMissing,
            _ => Self::Error,
        }
    }
}

/// A mistake in the words of a command that clap cannot see.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Tells the user about an error and chooses the exit code.
pub(crate) fn report(error: &anyhow::Error, context: &Context) -> Code {
    // A reader that has seen enough is not an error.
    let closed = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    // Half an archive is one.
    let is_archive = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(TransferError::Write { .. }))
    };
    if error.chain().any(closed) && !error.chain().any(is_archive) {
        return Code::Ok;
    }
    tell(error, context);
    code_of(error)
}

/// Tells the user about an error.
pub(crate) fn tell(error: &anyhow::Error, context: &Context) {
    let label = render::paint("error:", anstyle::AnsiColor::Red, context.color);
    render::line_to_stderr(&format!("{label} {}", render::safe(&format!("{error:#}"))));
    for blob in error.chain().find_map(missing_base).unwrap_or_default() {
        let images = blob.images.join(", ");
        let line = format!("  {} {} for {images}", blob.digest, render::size(blob.size));
        render::line_to_stderr(&render::safe(&line));
    }
    if let Some(hint) = error.chain().find_map(|cause| hints::hint_for(cause, context)) {
        let label = render::paint("hint:", anstyle::AnsiColor::Cyan, context.color);
        render::line_to_stderr(&format!("{label} {}", render::safe(&hint)));
    }
}

/// What a bundle misses is a list, and not for a line.
fn missing_base<'e>(cause: &'e (dyn std::error::Error + 'static)) -> Option<&'e [Required]> {
    match cause.downcast_ref()? {
        TransferError::BaseMissing { missing, .. } => Some(missing),
        _ => None,
    }
}

fn code_of(error: &anyhow::Error) -> Code {
    error
        .chain()
        .find_map(|cause| {
            if cause.is::<UsageError>() {
                return Some(Code::Usage);
            }
            let transfer = cause.downcast_ref::<TransferError>().map(TransferError::kind);
            transfer.or_else(|| cause.downcast_ref::<StoreError>().map(StoreError::kind)).map(Code::from)
        })
        .unwrap_or(Code::Error)
}
