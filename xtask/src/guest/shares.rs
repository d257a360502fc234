//! The folders of the host that the guest sees, by virtiofs.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use anyhow::Context;

use crate::apt;

/// A folder, and the process that serves it to one machine and ends with that.
pub(super) struct Share {
    socket: PathBuf,
    process: Child,
}

impl Share {
    /// Serves `source` at the socket `TAG` in `folder`, with a log beside it. `cache` is how long the guest may believe
    /// what it has read.
    pub(super) fn start(folder: &Path, tag: &str, source: &Path, cache: &str) -> anyhow::Result<Self> {
        let program = apt::virtiofsd()?;
        let socket = folder.join(tag);
        // It inherits the socket: a machine can connect at once, and nobody has to wait until the socket is there.
        let listener = UnixListener::bind(&socket)?;
        let log = File::create(folder.join(format!("{tag}.log")))?;
        let process = as_root(program)?
            .args(["--fd=0", "-o"])
            .arg(format!("source={},sandbox=chroot,cache={cache}", source.display()))
            .stdin(OwnedFd::from(listener))
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start virtiofsd")?;
        Ok(Self { socket, process })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // One that no machine came to waits for it still; below sudo, no signal of ours reaches it.
        drop(UnixStream::connect(&self.socket));
        super::end(&mut self.process);
    }
}

/// `program` as root, killed by the kernel when we are.
///
/// # Errors
/// We are not root and sudo asks for a password. virtiofsd gives up in a user namespace of ours.
fn as_root(program: &Path) -> anyhow::Result<Command> {
    let prefix = apt::sudo().context("a guest needs root, or sudo without a password: virtiofsd does")?;
    let mut command = Command::new("env");
    command
        .args(prefix)
        .args(["setpriv", "--pdeathsig", "KILL"])
        .arg(program);
    Ok(command)
}
