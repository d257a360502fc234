//! Which port the egress listener of a tcp service has. The same name keeps its port, across restarts too.

use std::path::Path;
use std::ops::RangeInclusive;

/// The assignments could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: {error}")]
pub struct PortsError {
    path: std::path::PathBuf,
    error: std::io::Error,
}

/// Port assignments.
#[derive(Debug)]
pub struct Ports {}

impl Ports {
    /// Loads the assignments from `state_dir`. A broken file is set aside and named in the warning.
    #[must_use]
    pub fn load(_state_dir: Option<&Path>, _range: RangeInclusive<u16>) -> (Self, Option<String>) {
        (Self {}, None)
    }
}
