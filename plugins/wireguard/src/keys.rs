//! Keys and their files. A secret has no `Display`, a `Debug` that says nothing, and is wiped from memory when dropped.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

/// The length of every WireGuard key.
pub const KEY_BYTES: usize = 32;
/// A key file is 44 characters and a line feed; more is a file of something else.
const MAX_FILE_BYTES: u64 = 256;
/// Only the owner reads and writes it.
const MODE: u32 = 0o600;
const OTHERS: u32 = 0o077;

/// A WireGuard public key. Shown as `wg` prints it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey(pub [u8; KEY_BYTES]);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for PublicKey {
    type Err = KeyFault;

    fn from_str(text: &str) -> Result<Self, KeyFault> {
        decode(text.as_bytes()).map(|key| Self(*key))
    }
}

/// The private key of a device.
#[derive(Clone)]
pub struct PrivateKey(Zeroizing<[u8; KEY_BYTES]>);

/// A pre-shared key of two peers, mixed into every handshake.
#[derive(Clone, PartialEq, Eq)]
pub struct PresharedKey(Zeroizing<[u8; KEY_BYTES]>);

/// Why text is not a key. Never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// Not base64 of 32 bytes.
    #[error("not a WireGuard key (44 characters of base64, as `wg genkey` prints)")]
    Form,
    /// A key that nobody generated.
    #[error("all zero")]
    Zero,
}

/// Why a key file cannot be used. Never tells what is in it.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub struct KeyError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: FileFault,
}

/// What is wrong with a key file.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// It cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What is in it.
    #[error("{0}")]
    Key(#[from] KeyFault),
    /// Longer than any key file.
    #[error("larger than {MAX_FILE_BYTES} bytes: not a key file")]
    Size,
    /// Others may read it.
    #[error("mode {0:o}: others may read or write it (chmod 600)")]
    Mode(u32),
}

impl PrivateKey {
    /// A key of these bytes, clamped as Curve25519 asks, as the kernel does.
    #[must_use]
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        let mut bytes = Zeroizing::new(bytes);
        bytes[0] &= 248;
        bytes[31] = (bytes[31] & 127) | 64;
        Self(bytes)
    }

    /// A fresh key from the system's random source.
    ///
    /// # Errors
    /// The system has no random source.
    pub fn generate() -> io::Result<Self> {
        random().map(|bytes| Self::from_bytes(*bytes))
    }

    /// The key in a file, made there (0600) if there is none.
    ///
    /// # Errors
    /// The file cannot be read or made, is readable by others, or holds no key.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        match Self::load(path) {
            Err(KeyError {
                fault: FileFault::Io(error),
                ..
            }) if error.kind() == io::ErrorKind::NotFound => {
                let key = Self::generate().map_err(|error| at(path)(error.into()))?;
                match write_new(path, &key.0) {
                    // Made by somebody else meanwhile: theirs is the one.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::load(path),
                    Err(error) => Err(at(path)(error.into())),
                    Ok(()) => Ok(key),
                }
            }
            done => done,
        }
    }

    /// The key in a file.
    ///
    /// # Errors
    /// As [`PrivateKey::load_or_create`], and if there is no such file.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        read(path).map(|key| Self::from_bytes(*key)).map_err(at(path))
    }

    /// What peers know it by.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        let secret = StaticSecret::from(*self.0);
        PublicKey(x25519_dalek::PublicKey::from(&secret).to_bytes())
    }

    /// For the kernel.
    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl PresharedKey {
    /// A key of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key in a file.
    ///
    /// # Errors
    /// The file cannot be read, is readable by others, or holds no key.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        read(path).map(Self).map_err(at(path))
    }

    /// For the kernel.
    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

impl fmt::Debug for PresharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresharedKey(..)")
    }
}

/// Bytes that nobody can guess.
pub(crate) fn random() -> io::Result<Zeroizing<[u8; KEY_BYTES]>> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(bytes.as_mut()).map_err(io::Error::other)?;
    Ok(bytes)
}

fn at(path: &Path) -> impl FnOnce(FileFault) -> KeyError + '_ {
    |fault| KeyError {
        path: path.into(),
        fault,
    }
}

fn read(path: &Path) -> Result<Zeroizing<[u8; KEY_BYTES]>, FileFault> {
    let file = File::open(path)?;
    let mode = file.metadata()?.mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(FileFault::Mode(mode));
    }
    let mut content = Zeroizing::new(Vec::with_capacity(64));
    if file.take(MAX_FILE_BYTES + 1).read_to_end(&mut content)? as u64 > MAX_FILE_BYTES {
        return Err(FileFault::Size);
    }
    Ok(decode(content.trim_ascii())?)
}

fn decode(text: &[u8]) -> Result<Zeroizing<[u8; KEY_BYTES]>, KeyFault> {
    let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| KeyFault::Form)?);
    let key: [u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_| KeyFault::Form)?;
    if key == [0; KEY_BYTES] {
        return Err(KeyFault::Zero);
    }
    Ok(Zeroizing::new(key))
}

/// Written whole under another name first: a crash leaves no half a key.
fn write_new(path: &Path, key: &[u8; KEY_BYTES]) -> io::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(format!(".new-{}", std::process::id()));
    let mut text = Zeroizing::new(STANDARD.encode(key));
    text.push('\n');
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(MODE)
        .open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    // A link fails where the name is taken; a rename would replace a key that is in use.
    let linked = fs::hard_link(&fresh, path);
    fs::remove_file(&fresh)?;
    linked?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Of RFC 7748 section 6.1.
    const ALICE: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
    const ALICE_PUBLIC: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn public_keys_are_those_of_the_rfc() {
        let (_dir, path) = file(&format!("{ALICE}\n"), 0o600);
        let key = PrivateKey::load(&path).unwrap();
        assert_eq!(key.public_key().to_string(), ALICE_PUBLIC);
        assert_eq!(ALICE_PUBLIC.parse::<PublicKey>().unwrap(), key.public_key());
    }

    #[test]
    fn a_key_is_made_once_and_for_the_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/key");
        let made = PrivateKey::load_or_create(&path).unwrap();
        let again = PrivateKey::load_or_create(&path).unwrap();
        assert_eq!(made.public_key(), again.public_key());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_to_string(&path).unwrap().len(), 45);
        assert_eq!(fs::read_dir(dir.path().join("new")).unwrap().count(), 1);
        let (one, other) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
        assert_ne!(one.public_key(), other.public_key());
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_without_what_is_in_it() {
        let long = format!("{ALICE}{}", " ".repeat(400));
        let zero = STANDARD.encode([0; 32]);
        let cut = &ALICE[..43];
        for (text, mode, said) in [
            (ALICE, 0o644, "mode 644: others may read"),
            (long.as_str(), 0o600, "larger than 256 bytes"),
            (cut, 0o600, "not a WireGuard key"),
            (&zero, 0o600, "all zero"),
            ("", 0o600, "not a WireGuard key"),
        ] {
            let (_dir, path) = file(text, mode);
            let error = PresharedKey::load(&path).unwrap_err();
            let (shown, debug) = (error.to_string(), format!("{error:?}"));
            assert!(
                shown.starts_with(path.to_str().unwrap()) && shown.contains(said),
                "{shown}"
            );
            assert!(!shown.contains(cut) && !debug.contains(cut), "{shown} {debug}");
        }
        let missing = PrivateKey::load(Path::new("/nowhere/key")).unwrap_err().to_string();
        assert!(missing.contains("/nowhere/key: No such file"), "{missing}");
    }

    #[test]
    fn secrets_are_not_shown() {
        let key = PrivateKey::from_bytes([7; 32]);
        let psk = PresharedKey::from_bytes([7; 32]);
        assert_eq!(format!("{key:?} {psk:?}"), "PrivateKey(..) PresharedKey(..)");
    }
}
