//! What the guest is told: a shell script of assignments.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Variables that a command in the guest sees as one on the host does. Those of xtask's own package are left out, as
/// wherever xtask starts a program.
const PREFIXES: [&str; 4] = ["CARGO", "RUST", "NEXTEST", "CATALYST_"];
const NAMES: [&str; 3] = ["PATH", "HOME", "LANG"];
const OF_XTASK: [&str; 2] = ["CARGO_PKG_", "CARGO_MANIFEST_"];

/// Where things are, and what is to run.
pub(super) struct Settings<'a> {
    /// The folder that `boot` and `lib/modules` of the kernel lie in.
    pub(super) kernel: &'a Path,
    /// The one folder that the guest may write to.
    pub(super) target: &'a Path,
    /// Where the command runs.
    pub(super) folder: &'a Path,
    pub(super) command: &'a [OsString],
}

impl Settings<'_> {
    /// Spells them for `init.sh`.
    pub(super) fn spell(&self, environment: impl Iterator<Item = (OsString, OsString)>) -> Vec<u8> {
        let mut script = Vec::new();
        for (name, value) in environment.filter(|(name, _)| is_passed_on(name)) {
            script.extend(b"export ");
            assign(&mut script, name.as_bytes(), &value);
        }
        assign(&mut script, b"guest_kernel", self.kernel.as_os_str());
        assign(&mut script, b"guest_target", self.target.as_os_str());
        assign(&mut script, b"guest_folder", self.folder.as_os_str());
        let words: Vec<_> = self.command.iter().map(|word| quoted(word)).collect();
        assign(&mut script, b"guest_command", OsStr::from_bytes(&words.join(&b' ')));
        script
    }
}

fn is_passed_on(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let wanted = NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    plain && wanted && !OF_XTASK.iter().any(|prefix| name.starts_with(prefix))
}

fn assign(script: &mut Vec<u8>, name: &[u8], value: &OsStr) {
    script.extend(name);
    script.push(b'=');
    script.extend(quoted(value));
    script.push(b'\n');
}

/// One word of a shell, whatever it is made of.
fn quoted(word: &OsStr) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for byte in word.as_bytes() {
        match byte {
            b'\'' => quoted.extend(br"'\''"),
            other => quoted.push(*other),
        }
    }
    quoted.push(b'\'');
    quoted
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn spell(command: &[&str], environment: &[(&str, &str)]) -> String {
        let command: Vec<_> = command.iter().map(OsString::from).collect();
        let settings = Settings {
            kernel: Path::new("/kernel"),
            target: Path::new("/it's/target"),
            folder: Path::new("/it's"),
            command: &command,
        };
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
        String::from_utf8(settings.spell(environment)).expect("UTF-8")
    }

    #[test]
    fn a_shell_reads_the_words_that_were_meant() {
        let words = ["printf", "<%s>\\n", "it's", "$HOME `id`", "two\nlines", ""];
        let script = format!("{}\neval \"set -- $guest_command\"\n\"$@\"", spell(&words, &[]));
        let output = Command::new("sh").args(["-c", &script]).output().expect("sh runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said, "<it's>\n<$HOME `id`>\n<two\nlines>\n<>\n", "{script}");
    }

    #[test]
    fn the_variables_that_matter_are_passed_on_and_no_others() {
        let environment = [
            ("CARGO_HOME", "/c"),
            ("CARGO_PKG_NAME", "xtask"),
            ("CATALYST_ENVOY", "/e"),
            ("PATH", "/bin"),
            ("RUST_LOG", "debug"),
            ("RUST LOG", "x"),
            ("SSH_AUTH_SOCK", "/s"),
        ];
        let script = spell(&["true"], &environment);
        let exported: Vec<_> = script.lines().filter_map(|line| line.strip_prefix("export ")).collect();
        assert_eq!(
            exported,
            [
                "CARGO_HOME='/c'",
                "CATALYST_ENVOY='/e'",
                "PATH='/bin'",
                "RUST_LOG='debug'"
            ]
        );
    }
}
