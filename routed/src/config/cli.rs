//! The command line of catalyst-routed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::error::{ConfigError, ConfigErrors};
use super::flags::{Flag, SHORTHANDS, Shorthand, fixed};
use super::load::load_with_warnings;
use super::schema::resolve;
use super::types::Config;

/// What is wrong with the configuration ends the daemon with this code (EX_USAGE of sysexits.h).
pub const EXIT_BAD_CONFIG: u8 = 64;

const EXAMPLES: &str = "\
Examples:
  Run a node by its file:
    catalyst-routed -c routed.json

  Try a change without writing it; the last of two flags wins, null deletes a key:
    catalyst-routed -c routed.json --check \\
      --set 'peers[\"b\"].import=reject' --set peering.drain=null

  Run a node without a file:
    catalyst-routed --name a --as 65001 --org acme --listen 127.0.0.1:1790 \\
      --peer b=65002@127.0.0.2:1790,source=127.0.0.1 \\
      --service products.acme=http:graphql@http://127.0.0.1:4001 \\
      --state-dir /tmp/a --admin unix:/tmp/a/routed.sock \\
      --xds unix:/tmp/a/xds.sock

  Start an Envoy beside it:
    catalyst-routed envoy-bootstrap -c routed.json > envoy.json
    envoy -c envoy.json

Exit codes: 0 done, 1 failed, 2 usage, 64 the configuration or --log is refused.
Every key and its meaning: docs/config.md.";

/// What the command line asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Run the daemon.
    Run,
    /// Validate the configuration, then exit with 0 or [`EXIT_BAD_CONFIG`].
    Check,
    /// Print the effective configuration.
    PrintConfig,
    /// Print the bootstrap of an Envoy that belongs to this node.
    EnvoyBootstrap,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The command line, read.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// What to do.
    pub action: Action,
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// Flags that speak of the configuration, in the order given.
    pub flags: Vec<Flag>,
    /// How to log.
    pub log_format: LogFormat,
    /// What to log: a level, or a list of `target=level`.
    pub log: String,
}

impl Invocation {
    /// Reads the arguments, the program's name first.
    ///
    /// # Errors
    /// A usage error, or `--help` and `--version`: print and exit as [`clap::Error::exit`] does.
    pub fn from_args(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let matches = command().try_get_matches_from(args)?;
        if let Some(("envoy-bootstrap", sub)) = matches.subcommand() {
            return Ok(Self::new(Action::EnvoyBootstrap, sub));
        }
        let action = match (matches.get_flag("check"), matches.get_flag("print-config")) {
            (true, _) => Action::Check,
            (false, true) => Action::PrintConfig,
            (false, false) => Action::Run,
        };
        Ok(Self::new(action, &matches))
    }

    /// Loads and checks the configuration; beside it what is probably not meant.
    ///
    /// # Errors
    /// Everything that is wrong, with its place.
    pub fn load(&self) -> Result<(Config, Vec<ConfigError>), ConfigErrors> {
        load_with_warnings(self.file.as_deref(), &self.flags)
    }

    fn new(action: Action, matches: &ArgMatches) -> Self {
        let json = text(matches, "log-format").as_deref() == Some("json");
        Self {
            action,
            file: matches.get_one::<PathBuf>("config").cloned(),
            flags: flags_in_order(matches),
            log_format: if json { LogFormat::Json } else { LogFormat::Text },
            log: text(matches, "log").unwrap_or_else(|| "info".to_owned()),
        }
    }
}

/// `envoy-bootstrap` has no options of logging.
fn text(matches: &ArgMatches, id: &str) -> Option<String> {
    matches.try_get_one::<String>(id).ok().flatten().cloned()
}

fn flags_in_order(matches: &ArgMatches) -> Vec<Flag> {
    let names = SHORTHANDS.iter().map(|s| s.flag).chain(["set", "peer", "service"]);
    let mut flags: Vec<(usize, Flag)> = names
        .flat_map(|name| {
            let values = matches.get_many::<String>(name).into_iter().flatten();
            let indices = matches.indices_of(name).into_iter().flatten();
            indices.zip(values.map(move |value| Flag::new(name, value)))
        })
        .collect();
    flags.sort_by_key(|(index, _)| *index);
    flags.into_iter().map(|(_, flag)| flag).collect()
}

/// The definition of the command line.
#[must_use]
pub fn command() -> Command {
    let bootstrap = Command::new("envoy-bootstrap")
        .about("Print the bootstrap of an Envoy that belongs to this node")
        .args(configuration_args());
    Command::new("catalyst-routed")
        .about("Routes service names between nodes and organisations, and programs Envoy and the GraphQL gateway with them")
        .version(env!("CARGO_PKG_VERSION"))
        .after_long_help(EXAMPLES)
        .max_term_width(100)
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .subcommand(bootstrap)
        .args(configuration_args())
        .args(run_args())
}

fn run_args() -> [Arg; 4] {
    [
        Arg::new("check")
            .long("check")
            .action(ArgAction::SetTrue)
            .help("Validate the configuration and exit: 0 or 64"),
        Arg::new("print-config")
            .long("print-config")
            .action(ArgAction::SetTrue)
            .conflicts_with("check")
            .help("Print the effective configuration, every default written out, and exit"),
        Arg::new("log-format")
            .long("log-format")
            .value_name("FORMAT")
            .default_value("text")
            .value_parser(PossibleValuesParser::new(["text", "json"]))
            .help("How log lines look"),
        Arg::new("log")
            .long("log")
            .value_name("LEVEL")
            .default_value("info")
            .help("What to log: error, warn, info, debug or trace, also per module (info,catalyst_core=debug)"),
    ]
}

fn configuration_args() -> Vec<Arg> {
    let file = Arg::new("config")
        .short('c')
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("The configuration file; flags win over it");
    let set = repeated("set", "PATH=VALUE").help(
        "Set any key: peers[\"b\"].import=reject. Objects and lists are JSON and replace what was there; null deletes",
    );
    let peer = repeated("peer", "NAME=AS@IP:PORT[,KEY=VALUE...]").help("Add or replace a peer");
    let service = repeated("service", "NAME=PROTOCOL@URL[,URL...][,KEY=VALUE...]").help("Add or replace a service");
    [file, set]
        .into_iter()
        .chain(SHORTHANDS.iter().map(shorthand_arg))
        .chain([peer, service])
        .collect()
}

fn repeated(name: &'static str, value: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).action(ArgAction::Append)
}

fn shorthand_arg(short: &Shorthand) -> Arg {
    let arg = Arg::new(short.flag)
        .long(short.flag)
        .action(ArgAction::Append)
        .help(help(short));
    if short.value.is_empty() {
        return arg
            .value_name("BOOL")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true");
    }
    arg.value_name(short.value)
}

/// The first sentence of what the schema says.
fn help(short: &Shorthand) -> String {
    let schema = resolve(&fixed(short.path)).map(|found| found.schema["description"].as_str().unwrap_or_default());
    let description = schema.unwrap_or_default();
    let sentence = description.split_once(". ").map_or(description, |(first, _)| first);
    format!("{} [{}]", sentence.trim_end_matches('.').replace('\n', " "), short.path)
}
