//! Whether `node.state_dir` can keep anything, before something is to be kept.

use std::io;
use std::path::Path;

use nix::unistd::{AccessFlags, access};

/// Makes nothing: a folder that nobody needs yet is made by the first file in it.
///
/// # Errors
/// Why no file can be made in it, or it itself cannot be.
pub(crate) fn check(directory: &Path) -> io::Result<()> {
    let there = directory.ancestors().find(|folder| folder.symlink_metadata().is_ok());
    // A relative path of which nothing is there yet begins in the working directory.
    let there = there.unwrap_or(Path::new("."));
    if !there.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(access(there, AccessFlags::W_OK | AccessFlags::X_OK)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_there_or_can_be_made() {
        let dir = tempfile::tempdir().unwrap();
        check(dir.path()).unwrap();
        check(&dir.path().join("not/there/yet")).unwrap();
        check(Path::new("surely-not-there")).unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        for bad in [file.clone(), file.join("state")] {
            assert!(check(&bad).is_err(), "{}", bad.display());
        }
    }
}
