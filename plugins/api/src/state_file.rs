//! Files of `node.state_dir`: replaced whole or not at all, and set aside, never trusted and never lost, when they are
//! damaged. A start must not depend on them.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// How many damaged versions of one file are kept; the next one takes the place of the last.
const KEPT: u32 = 9;

/// The content of a file of at most `max_bytes`; `None` if there is no such file.
///
/// # Errors
/// It cannot be read, or is larger.
pub fn read(path: &Path, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut content = Vec::new();
    if file.take(max_bytes.saturating_add(1)).read_to_end(&mut content)? as u64 > max_bytes {
        return Err(io::Error::other(format!("larger than {max_bytes} bytes")));
    }
    Ok(Some(content))
}

/// Replaces the content of a file; makes its directory. A crash at any moment, also of the machine, leaves the old
/// content or the new one: the new content is on the disk before it gets its name, and the name before this returns.
///
/// # Errors
/// It cannot be written; the old content is still there.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = directory_of(path);
    fs::create_dir_all(directory)?;
    let fresh = suffixed(path, "new");
    let mut file = File::create(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    File::open(directory)?.sync_all()
}

/// Renames a file that cannot be used, so that the next [`replace`] does not destroy what a person may still want to
/// look at; gives its new path.
///
/// # Errors
/// It cannot be renamed.
pub fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let names = (1..=KEPT).map(|number| match number {
        1 => suffixed(path, "corrupt"),
        number => suffixed(path, &format!("corrupt-{number}")),
    });
    let mut aside = suffixed(path, "corrupt");
    for name in names {
        aside = name;
        if fs::symlink_metadata(&aside).is_err() {
            break;
        }
    }
    fs::rename(path, &aside)?;
    Ok(aside)
}

fn directory_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// The path with `.SUFFIX` after its whole name.
fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_replaced_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/state.json");
        assert_eq!(read(&path, 10).unwrap(), None);
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(read(&path, 3).unwrap().unwrap(), b"two");
        assert_eq!(read(&path, 2).unwrap_err().to_string(), "larger than 2 bytes");
        let left: Vec<_> = fs::read_dir(dir.path().join("new")).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn what_cannot_be_written_leaves_the_old_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        replace(&path, b"old").unwrap();
        // What a write goes through first is in the way.
        fs::create_dir(dir.path().join("state.json.new")).unwrap();
        replace(&path, b"new").unwrap_err();
        assert_eq!(read(&path, 10).unwrap().unwrap(), b"old");
    }

    #[test]
    fn damaged_files_are_kept_apart_and_not_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        let mut last = PathBuf::new();
        for round in 0..KEPT + 3 {
            fs::write(&path, round.to_string()).unwrap();
            last = set_aside(&path).unwrap();
            assert!(!path.exists());
            assert_eq!(fs::read_to_string(&last).unwrap(), round.to_string());
        }
        assert_eq!(last, dir.path().join("state.json.corrupt-9"));
        assert_eq!(fs::read_to_string(dir.path().join("state.json.corrupt")).unwrap(), "0");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), KEPT as usize);
    }
}
