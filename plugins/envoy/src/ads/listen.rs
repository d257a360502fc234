//! Binding the xDS address.

use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use catalyst_plugin::socket_dir;
use tokio::net::{TcpListener, UnixListener};

use crate::config::XdsAddress;

/// The xDS address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The TCP address.
    #[error("cannot listen for Envoy on {0}: {1}")]
    Tcp(SocketAddr, #[source] io::Error),
    /// The Unix socket.
    #[error("cannot listen for Envoy on {}: {source}", path.display())]
    Unix {
        /// The path of the socket.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
}

/// A bound address.
#[derive(Debug)]
pub(super) enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

pub(super) async fn bind(address: &XdsAddress) -> Result<Listener, BindError> {
    match address {
        XdsAddress::Tcp(address) => bind_tcp(*address)
            .await
            .map_err(|error| BindError::Tcp(*address, error)),
        XdsAddress::Unix(path) => bind_unix(path).map(Listener::Unix).map_err(|source| BindError::Unix {
            path: path.clone(),
            source,
        }),
    }
}

async fn bind_tcp(address: SocketAddr) -> io::Result<Listener> {
    TcpListener::bind(address).await.map(Listener::Tcp)
}

/// The socket gets its mode before it gets its name, so that nobody else can connect in between; the new name replaces
/// a socket that an earlier process left behind.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    refuse_if_in_use(path)?;
    socket_dir::ensure(path)?;
    // Short: the path of a socket has at most 107 bytes (unix(7)).
    let fresh = path.with_file_name(format!(".{:x}", std::process::id()));
    remove_stale(&fresh)?;
    let listener = UnixListener::bind(&fresh)?;
    let named =
        std::fs::set_permissions(&fresh, Permissions::from_mode(0o600)).and_then(|()| std::fs::rename(&fresh, path));
    if named.is_err() {
        remove_stale(&fresh)?;
    }
    named.map(|()| listener)
}

fn refuse_if_in_use(path: &Path) -> io::Result<()> {
    let Ok(found) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is something else than a socket",
        ));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another process is listening there",
        )),
        Err(_) => Ok(()),
    }
}

fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_folder_of_the_socket_is_made_or_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/run/xds.sock");
        let _listener = bind(&XdsAddress::Unix(path.clone())).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let blocked = path.join("x.sock");
        let error = bind(&XdsAddress::Unix(blocked.clone())).await.unwrap_err().to_string();
        let (socket, folder) = (blocked.display(), path.display());
        assert!(
            error.starts_with(&format!(
                "cannot listen for Envoy on {socket}: cannot make the directory {folder}: "
            )),
            "{error}"
        );
    }
}
