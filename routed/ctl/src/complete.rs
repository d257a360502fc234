//! Completion of the command line, names from the daemon included.
//!
//! The script of `completions SHELL` has the shell call this program with [`VAR`] set whenever somebody presses TAB. What
//! fails then, fails silently: a shell that waits, or prints an error into the line being typed, is worse than no names.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use catalyst_proto::admin::v1::list_names_request::Kind;
use clap::CommandFactory;
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::Shells;

use crate::args::{Args, DEFAULT_ADDR};
use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// The variable that turns a run into an answer to the shell.
const VAR: &str = "CATALYSTCTL_COMPLETE";
const PROGRAM: &str = "catalystctl";
/// A person waits.
const PATIENCE: Duration = Duration::from_millis(500);

/// Answers the shell and ends the process, if that is what it was started for.
pub(crate) fn answer_shell() {
    // It is asked rarely, and looks around before it sees that it is not.
    if std::env::var_os(VAR).is_none() {
        return;
    }
    CompleteEnv::with_factory(Args::command).var(VAR).complete();
}

/// Prints the script for a shell: one that asks this program, or one without names of the daemon.
pub(crate) fn script(shell: clap_complete::Shell, fixed: bool, out: &mut Output) -> Outcome {
    let mut script = Vec::new();
    if fixed {
        clap_complete::generate(shell, &mut Args::command(), PROGRAM, &mut script);
    } else {
        let name = shell.to_string();
        let shells = Shells::builtins();
        let known = shells.completer(&name);
        let shell = known.ok_or_else(|| Failure::refused(format!("no script for {name}; try --static")))?;
        shell.write_registration(VAR, PROGRAM, PROGRAM, &this_program(), &mut script)?;
        if name == "bash" {
            return out.line(&with_whole_words(&String::from_utf8_lossy(&script)));
        }
    }
    out.line(String::from_utf8_lossy(&script).trim_end())
}

/// The script for bash, called with words that are whole.
fn with_whole_words(script: &str) -> String {
    let script = script.replace("-F _clap_complete_catalystctl ", "-F _catalystctl ");
    format!("{}\n{}", script.trim_end(), include_str!("complete.bash").trim_end())
}

/// As it was called; by its whole path unless the shell found it.
fn this_program() -> String {
    let called = std::env::args_os().next().unwrap_or_else(|| PROGRAM.into());
    if Path::new(&called).components().count() < 2 {
        return called.to_string_lossy().into_owned();
    }
    let whole = std::env::current_dir().map(|folder| folder.join(&called));
    whole.unwrap_or_else(|_| called.into()).to_string_lossy().into_owned()
}

/// Names of a kind that the daemon knows.
pub(crate) fn names(kind: Kind) -> ArgValueCompleter {
    ArgValueCompleter::new(move |begin: &OsStr| candidates(kind, begin))
}

fn candidates(kind: Kind, begin: &OsStr) -> Vec<CompletionCandidate> {
    let names = begin.to_str().and_then(|begin| ask(kind, begin.to_owned()));
    names
        .unwrap_or_default()
        .into_iter()
        .map(CompletionCandidate::new)
        .collect()
}

fn ask(kind: Kind, begin: String) -> Option<Vec<String>> {
    let addr = addr_of(std::env::args_os(), std::env::var_os("CATALYST_ADDR"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let asked = async {
        let mut client = Client::connect(&addr).await.ok()?;
        client.names(kind, begin).await.ok()
    };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, asked).await.ok() })?
}

/// The daemon that the line being typed is for: `--addr` in it, else `CATALYST_ADDR`, else the usual one.
fn addr_of(args: impl Iterator<Item = OsString>, variable: Option<OsString>) -> Option<String> {
    let mut typed = None;
    let mut args = args.skip_while(|arg| arg != "--").skip(1).peekable();
    while let Some(arg) = args.next() {
        let arg = arg.to_str()?.to_owned();
        if arg == "--addr" {
            typed = args
                .peek()
                .and_then(|value| value.to_str().map(str::to_owned))
                .or(typed);
        } else if let Some(value) = arg.strip_prefix("--addr=") {
            typed = Some(value.to_owned());
        }
    }
    let variable = variable.and_then(|value| value.into_string().ok());
    Some(typed.or(variable).unwrap_or_else(|| DEFAULT_ADDR.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemon_is_the_one_that_the_line_names() {
        let addr = |line: &str, variable: Option<&str>| {
            let args = line.split_whitespace().map(OsString::from);
            addr_of(args, variable.map(OsString::from)).unwrap()
        };
        for (line, variable, expected) in [
            ("x -- x show route", None, DEFAULT_ADDR),
            ("x -- x show route", Some("unix:/v"), "unix:/v"),
            ("x -- x --addr unix:/a show route o", Some("unix:/v"), "unix:/a"),
            ("x -- x show --addr=unix:/a route o", None, "unix:/a"),
            ("x -- x --addr", Some("unix:/v"), "unix:/v"),
            ("x --addr unix:/before -- x show", None, DEFAULT_ADDR),
        ] {
            assert_eq!(addr(line, variable), expected, "{line}");
        }
    }
}
