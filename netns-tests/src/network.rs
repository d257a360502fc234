//! A network of nodes and what belongs to it: addresses, a folder, logs.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::Node;

/// Lines of each log that a failed test prints.
const TAIL_LINES: usize = 25;
/// Second bytes of 127.x.y.z that networks take; the demo and the benchmark live below.
const FIRST_BYTE: u32 = 64;
const SUBNETS: u32 = 64 * 256;

/// A /24 of loopback addresses and a folder.
#[derive(Debug)]
pub struct Network {
    folder: PathBuf,
    /// `None` once the folder is to be kept.
    temporary: Option<TempDir>,
    subnet: [u8; 3],
    nodes: u8,
    /// Holds the subnet against other tests, also in other processes.
    _claim: TcpListener,
}

/// Runs `test` in a network of its own. A test that fails leaves its folder (configurations and logs) behind, prints
/// where, and prints the end of every log.
///
/// # Errors
/// What `test` failed with.
pub fn scenario(test: impl FnOnce(&mut Network) -> Result<()>) -> Result<()> {
    let mut network = Network::new()?;
    let result = test(&mut network);
    if result.is_err() {
        network.keep();
    }
    result
}

impl Network {
    fn new() -> Result<Self> {
        let (subnet, claim) = claim_subnet()?;
        // Unix sockets live in there: their path has to fit into 107 bytes.
        let temporary = tempfile::Builder::new().prefix("catalyst-").tempdir()?;
        let folder = temporary.path().to_owned();
        Ok(Self {
            folder,
            temporary: Some(temporary),
            subnet,
            nodes: 0,
            _claim: claim,
        })
    }

    /// A node with an address of its own, which runs nothing yet.
    ///
    /// # Errors
    /// Its folder cannot be made.
    pub fn node(&mut self, name: &str, asn: u32, organisation: &str) -> Result<Node> {
        self.nodes += 1;
        let [a, b, c] = self.subnet;
        let folder = self.folder.join(name);
        fs::create_dir(&folder).with_context(|| format!("two nodes called {name}?"))?;
        Ok(Node::new(
            name,
            asn,
            organisation,
            Ipv4Addr::new(a, b, c, self.nodes),
            folder,
        ))
    }

    /// For what belongs to no node.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn keep(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            let folder = temporary.keep();
            eprintln!("the folder of this test is kept: {}", folder.display());
            print_logs(&folder);
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep();
        }
    }
}

fn claim_subnet() -> Result<([u8; 3], TcpListener)> {
    let start = std::process::id();
    for offset in 0..SUBNETS {
        let number = start.wrapping_add(offset) % SUBNETS;
        let [_, _, high, low] = (FIRST_BYTE * 256 + number).to_be_bytes();
        if let Ok(claim) = TcpListener::bind((Ipv4Addr::new(127, high, low, 254), 1790)) {
            return Ok(([127, high, low], claim));
        }
    }
    anyhow::bail!("no subnet of loopback addresses is free")
}

fn print_logs(folder: &Path) {
    for file in logs(folder) {
        let text = fs::read(&file)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        eprintln!("--- the end of {}\n{}", file.display(), tail.join("\n"));
    }
}

fn logs(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(logs(&path));
        } else if path.extension().is_some_and(|extension| extension == "log") {
            found.push(path);
        }
    }
    found.sort();
    found
}
