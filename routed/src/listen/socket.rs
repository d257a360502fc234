//! A Unix socket that only its owner reaches, that a crash does not block, and that no second daemon takes over.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use catalyst_plugin::socket_dir;
use tokio::net::UnixListener;

/// A bound Unix socket and its file.
#[derive(Debug)]
pub(crate) struct UnixSocket {
    pub(super) listener: UnixListener,
    pub(super) file: SocketFile,
}

/// The file of a socket; removed on drop, unless another daemon has put its own in its place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    id: (u64, u64),
}

impl UnixSocket {
    /// Binds `path` with mode 0600. A socket that a dead daemon left is replaced, a live one is refused.
    pub(super) fn bind(path: &Path) -> anyhow::Result<Self> {
        refuse_others(path)?;
        let directory = path
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        socket_dir::ensure(path)?;
        // Bound under another name, so that the socket is not reachable before its mode is set.
        let private = directory.join(format!(".{}", std::process::id()));
        remove(&private)?;
        let listener = UnixListener::bind(&private)?;
        fs::set_permissions(&private, fs::Permissions::from_mode(0o600))?;
        fs::rename(&private, path)?;
        let file = SocketFile {
            path: path.to_owned(),
            id: identity(path)?,
        };
        Ok(Self { listener, file })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|id| id == self.id) {
            // Nothing depends on its removal: the next daemon replaces a stale socket.
            drop(remove(&self.path));
        }
    }
}

fn refuse_others(path: &Path) -> anyhow::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        bail!("the file exists and is not a socket");
    }
    match UnixStream::connect(path) {
        Ok(_) => bail!("another process listens there"),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(error).context("the socket exists and cannot be tried"),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|m| (m.dev(), m.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_owner_reaches_it_and_it_goes_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/routed.sock");
        let socket = UnixSocket::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        UnixStream::connect(&path).unwrap();
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_live_socket_and_a_plain_file_are_refused_a_stale_socket_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("routed.sock");
        let live = UnixSocket::bind(&path).unwrap();
        assert!(
            UnixSocket::bind(&path)
                .unwrap_err()
                .to_string()
                .contains("another process listens there")
        );
        let UnixSocket { listener, file } = live;
        drop(listener);
        let next = UnixSocket::bind(&path).unwrap();
        drop(file);
        UnixStream::connect(&path).expect("the old owner leaves the new socket alone");
        drop(next);
        fs::write(&path, "").unwrap();
        assert!(
            UnixSocket::bind(&path)
                .unwrap_err()
                .to_string()
                .contains("not a socket")
        );
    }
}
