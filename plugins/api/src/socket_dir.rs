//! The folder of a Unix socket that this process is about to make.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

/// Others may look into it; the sockets in it have a mode of their own (0600).
const MODE: u32 = 0o755;
const STICKY: u32 = 0o1000;
const WRITABLE_BY_ALL: u32 = 0o002;

/// Makes the folder of `socket` and those around it, where they are missing. Not inside a folder where everyone may
/// rename what others have made: whoever is on this machine could put a socket of theirs in the place of ours.
///
/// # Errors
/// A folder cannot be made; the text names it.
pub fn ensure(socket: &Path) -> io::Result<()> {
    let Some(folder) = socket.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    if folder.is_dir() {
        return Ok(());
    }
    check_above(folder)?;
    DirBuilder::new()
        .recursive(true)
        .mode(MODE)
        .create(folder)
        .map_err(|error| told(folder, &error, error.kind()))
}

/// The nearest folder that exists decides.
fn check_above(folder: &Path) -> io::Result<()> {
    let Some((above, found)) = (folder.ancestors().skip(1))
        .map(|above| {
            if above.as_os_str().is_empty() {
                Path::new(".")
            } else {
                above
            }
        })
        .find_map(|above| Some((above, fs::metadata(above).ok()?)))
    else {
        return Ok(());
    };
    let mode = found.permissions().mode();
    if mode & WRITABLE_BY_ALL != 0 && mode & STICKY == 0 {
        let why = format!(
            "everyone may rename what is in {} (mode {:o})",
            above.display(),
            mode & 0o7777
        );
        return Err(told(folder, &why, io::ErrorKind::PermissionDenied));
    }
    Ok(())
}

fn told(folder: &Path, why: &dyn std::fmt::Display, kind: io::ErrorKind) -> io::Error {
    io::Error::new(kind, format!("cannot make the directory {}: {why}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_folders_are_made_and_present_ones_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("run/catalyst/xds.sock");
        ensure(&socket).unwrap();
        let folder = socket.parent().unwrap();
        assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o022, 0);
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
        ensure(&socket).unwrap();
        assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
        ensure(Path::new("here.sock")).unwrap();
    }

    #[test]
    fn what_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let error = ensure(&dir.path().join("file/x.sock")).unwrap_err().to_string();
        let folder = dir.path().join("file");
        assert!(
            error.starts_with(&format!("cannot make the directory {}: ", folder.display())),
            "{error}"
        );
    }

    #[test]
    fn a_folder_where_everyone_may_rename_gets_no_folder_of_ours() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let error = ensure(&open.join("a/b/x.sock")).unwrap_err().to_string();
        assert!(
            error.contains("everyone may rename") && error.contains("(mode 777)"),
            "{error}"
        );
        fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).unwrap();
        ensure(&open.join("a/b/x.sock")).expect("as in /tmp: only the owner renames");
    }
}
