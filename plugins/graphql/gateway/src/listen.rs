//! Takes the addresses to listen on, with errors that say what to do.

use crate::args::ControlAddress;
use anyhow::{Context as _, bail};
use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The control listener.
#[derive(Debug)]
pub(crate) enum Control {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// Removes the file of a Unix socket when dropped.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Gone already is as good.
        drop(fs::remove_file(&self.0));
    }
}

/// Binds the HTTP listener.
pub(crate) fn http(address: SocketAddr) -> anyhow::Result<TcpListener> {
    tcp(address, "--listen")
}

/// Binds the control listener; the caller holds the socket's file as long as it serves.
pub(crate) fn control(address: &ControlAddress) -> anyhow::Result<(Control, Option<SocketFile>)> {
    match address {
        ControlAddress::Tcp(address) => Ok((Control::Tcp(tcp(*address, "--control")?), None)),
        ControlAddress::Unix(path) => unix(path).map(|(listener, file)| (Control::Unix(listener), Some(file))),
    }
}

fn tcp(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    let listener = match TcpListener::bind(address) {
        Ok(listener) => listener,
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            bail!("{address} is in use by another process; choose another with {flag}")
        }
        Err(error) => return Err(error).with_context(|| format!("listening on {address} ({flag})")),
    };
    listener
        .set_nonblocking(true)
        .with_context(|| format!("listening on {address} ({flag})"))?;
    Ok(listener)
}

fn unix(path: &Path) -> anyhow::Result<(UnixListener, SocketFile)> {
    remove_stale(path)?;
    make_directory(path)?;
    let listener = UnixListener::bind(path).with_context(|| format!("listening on {} (--control)", path.display()))?;
    let file = SocketFile(path.to_owned());
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .with_context(|| format!("making {} private", path.display()))?;
    listener.set_nonblocking(true).context("preparing the control socket")?;
    Ok((listener, file))
}

/// Makes the folder of the socket where it is missing, so that it does not matter who is started first.
fn make_directory(socket: &Path) -> anyhow::Result<()> {
    let Some(folder) = socket.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder)
        .with_context(|| format!("making the directory {} (--control)", folder.display()))
}

/// Removes a socket that nobody listens on; a live one, or another kind of file, is left alone.
fn remove_stale(path: &Path) -> anyhow::Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        bail!(
            "{} exists and is not a socket; choose another with --control",
            path.display()
        );
    }
    if UnixStream::connect(path).is_ok() {
        bail!(
            "another process listens on {}; choose another with --control",
            path.display()
        );
    }
    fs::remove_file(path).with_context(|| format!("removing the stale socket {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_socket_is_replaced_and_private() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("g.sock");
        drop(UnixListener::bind(&path).expect("a socket whose owner dies"));
        let control = unix(&path).expect("stale socket is replaced");
        let mode = fs::metadata(&path).expect("socket file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(control);
        assert!(!path.exists());
    }

    #[test]
    fn folder_of_the_socket_is_made_or_named() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("run/catalyst/g.sock");
        let _control = unix(&path).expect("the folder is made");
        let error = format!("{:#}", unix(&path.join("g.sock")).unwrap_err());
        let says = format!("making the directory {} (--control): ", path.display());
        assert!(error.starts_with(&says), "{error}");
    }

    #[test]
    fn live_socket_and_other_files_stay() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("g.sock");
        let _live = UnixListener::bind(&path).expect("a live socket");
        assert!(
            unix(&path)
                .unwrap_err()
                .to_string()
                .contains("another process listens on")
        );
        let file = dir.path().join("notes");
        fs::write(&file, "keep").expect("a file");
        assert!(unix(&file).unwrap_err().to_string().contains("is not a socket"));
        assert_eq!(fs::read_to_string(&file).expect("file"), "keep");
    }

    #[test]
    fn busy_port_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("free port");
        let address = taken.local_addr().expect("address");
        let text = http(address).unwrap_err().to_string();
        assert_eq!(
            text,
            format!("{address} is in use by another process; choose another with --listen")
        );
    }
}
