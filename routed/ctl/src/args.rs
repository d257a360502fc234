//! The command line of catalystctl.

use std::path::PathBuf;

use catalyst_proto::admin::v1::list_names_request::Kind;
use clap::{ArgGroup, Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::complete::names;
use crate::output::Format;

/// Where the daemon listens unless told.
pub(crate) const DEFAULT_ADDR: &str = "unix:/run/catalyst/routed.sock";

const EXAMPLES: &str = "\
Examples:
  catalystctl show routes
  catalystctl show route reviews.acme
  catalystctl show route 10.2.7.1
  catalystctl show routes --output json | jq '.[] | select(.selected) | .name'
  catalystctl watch routes
  catalystctl reach orders.beta
  catalystctl policy test from-beta --peer beta --route orders.beta
  catalystctl service add reviews.acme --protocol http:graphql \\
    --endpoint http://127.0.0.1:4102
  catalystctl service remove reviews.acme
  catalystctl peer disable b --message 'moving to another rack'
  catalystctl reload --dry-run
  catalystctl reload --confirm 60s && catalystctl confirm
  catalystctl --addr unix:/tmp/a/routed.sock show peers

Exit codes: 0 done, 1 refused, 2 usage, 3 the daemon cannot be reached.";

/// Ask and tell a catalyst-routed
#[derive(Debug, Parser)]
#[command(name = "catalystctl", version, after_long_help = EXAMPLES, max_term_width = 100)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Args {
    /// Where the daemon listens: unix:PATH or IP:PORT
    #[arg(long, global = true, env = "CATALYST_ADDR", value_name = "ADDR")]
    #[arg(default_value = DEFAULT_ADDR)]
    pub(crate) addr: String,
    /// How answers are printed
    #[arg(long, global = true, value_name = "FORMAT", default_value = "table", value_enum)]
    pub(crate) output: Format,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print what the daemon knows
    #[command(subcommand)]
    Show(ShowCommand),
    /// Print what the daemon knows, then every change of it, until Ctrl-C
    #[command(subcommand)]
    Watch(WatchCommand),
    /// Find out whether a name can be called, and what is in the way: every precondition in order, then one request
    /// through this node's Envoy. Exits with 1 if it cannot
    Reach {
        /// The service name, as a client calls it
        #[arg(add = names(Kind::Route))]
        name: String,
        /// A peer that calls it, instead of clients of this node
        #[arg(long, value_name = "PEER", add = names(Kind::Peer))]
        from: Option<String>,
    },
    /// Try a policy out
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Change what this node offers, without a restart
    #[command(subcommand)]
    Service(ServiceCommand),
    /// Stop, start or refresh the session with a peer
    #[command(subcommand)]
    Peer(PeerCommand),
    /// Change the key of the tunnels to other organisations
    #[command(subcommand)]
    Tunnel(TunnelCommand),
    /// Say goodbye to every peer for good and end the daemon; the data planes serve on
    Shutdown {
        /// What to tell the operators of the peers (at most 255 bytes)
        #[arg(long, value_name = "TEXT", default_value = "the node is shut down")]
        message: String,
    },
    /// Have the configuration read again, print what differs, and apply it
    Reload(ReloadArgs),
    /// Keep what `reload --confirm` has applied
    Confirm,
    /// Print a completion script for a shell: source <(catalystctl completions bash)
    Completions {
        /// The shell
        shell: Shell,
        /// One that never asks the daemon, and knows no names
        #[arg(long = "static")]
        fixed: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ShowCommand {
    /// Every path to every name and prefix
    Routes {
        /// Only the paths in use
        #[arg(long)]
        selected: bool,
        /// Only one kind
        #[arg(long, value_enum)]
        family: Option<Family>,
    },
    /// Every path to one name or prefix, with everything known about it
    Route {
        /// A service name, a prefix (10.2.0.0/16), or an IP address: the longest prefix in use that it is in
        #[arg(add = names(Kind::Route))]
        name: String,
        /// Also what decided over each path, with the statement of the policy, and which peer is told of it or why not
        #[arg(long)]
        why: bool,
    },
    /// Every configured peer
    Peers,
    /// One peer, with everything known about it
    Peer {
        /// Its name in the configuration
        #[arg(add = names(Kind::Peer))]
        name: String,
    },
    /// Every policy, and the peers that it is for
    Policies,
    /// One policy, statement by statement
    Policy {
        /// Its name in the configuration
        #[arg(add = names(Kind::Policy))]
        name: String,
    },
    /// Every data plane
    Plugins,
    /// Every tunnel to another organisation
    Tunnels,
    /// The effective configuration, as JSON
    Config,
}

/// The kinds of routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Family {
    /// Service names
    Name,
    /// IPv4 prefixes
    Ipv4,
    /// IPv6 prefixes
    Ipv6,
}

impl Family {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum WatchCommand {
    /// Every path to every name and prefix
    Routes,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Print what a policy makes of a route, statement by statement. Nothing is changed
    Test(TestArgs),
}

/// A policy and the routes to try it with.
#[derive(Debug, ClapArgs)]
#[command(group = ArgGroup::new("routes").required(true).args(["route", "from_file"]))]
pub(crate) struct TestArgs {
    /// The policy's name in the configuration, or accept, or reject
    #[arg(add = names(Kind::Policy))]
    pub(crate) name: String,
    /// The peer that sends the route, on export the one that is to get it [default: of a live route every one, of a
    /// recorded one whom it was learned from, else an outside peer that nothing is known of]
    #[arg(long, add = names(Kind::Peer))]
    pub(crate) peer: Option<String>,
    /// Try it as an import or as an export policy
    #[arg(long, value_enum, default_value = "import")]
    pub(crate) direction: Direction,
    /// A name whose routes this node holds: on import each as its peer sent it, on export the one in use
    #[arg(long, add = names(Kind::Route), value_name = "NAME")]
    pub(crate) route: Option<String>,
    /// Routes in JSON, as `tests` of a policy or `show routes --output json` spell them; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) from_file: Option<PathBuf>,
    /// Exit with 1 unless every route ends so
    #[arg(long, value_name = "VERDICT", value_enum)]
    pub(crate) expect: Option<Expected>,
}

/// The direction of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Direction {
    /// What is taken from a peer.
    Import,
    /// What is announced to it.
    Export,
}

/// How a test is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Expected {
    /// Every route passes.
    Accept,
    /// None does.
    Reject,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    /// Offer a service; one of the same name is replaced. Kept over restarts, also in place of a configured one
    Add(AddArgs),
    /// Stop offering a service. One of the configuration is back with the next reload or restart
    Remove {
        /// The service name
        #[arg(add = names(Kind::Service))]
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PeerCommand {
    /// End the session and keep it down, until it is enabled or the daemon starts again
    Disable {
        /// The peer's name in the configuration
        #[arg(add = names(Kind::Peer))]
        name: String,
        /// What to tell its operator (at most 255 bytes)
        #[arg(long, value_name = "TEXT", default_value = "disabled by an operator")]
        message: String,
    },
    /// Let a session begin anew that was disabled, or is held idle for a while
    Enable {
        /// The peer's name in the configuration
        #[arg(add = names(Kind::Peer))]
        name: String,
    },
    /// End the session and begin it anew; with graceful restart routes stay meanwhile
    Reset {
        /// The peer's name in the configuration
        #[arg(add = names(Kind::Peer))]
        name: String,
        /// What to tell its operator (at most 255 bytes)
        #[arg(long, value_name = "TEXT", default_value = "reset by an operator")]
        message: String,
        /// Let go of the routes of both sides, also with graceful restart
        #[arg(long)]
        hard: bool,
    },
    /// Ask for the peer's whole table again; the session stays
    Refresh {
        /// The peer's name in the configuration
        #[arg(add = names(Kind::Peer))]
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TunnelCommand {
    /// Change this node's key without losing a packet, and wait until every tunnel that is up has come along
    Rotate {
        /// Only make the next key and print it, for peers that pin ours; the next change is to it
        #[arg(long)]
        prepare: bool,
        /// Return once it has begun; `show tunnels` tells how far it is
        #[arg(long, conflicts_with = "prepare")]
        no_wait: bool,
    },
}

/// How the configuration is changed.
#[derive(Debug, ClapArgs)]
pub(crate) struct ReloadArgs {
    /// Only print what would change
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Apply what can change while the daemon runs, although other keys need a restart
    #[arg(long)]
    pub(crate) partial: bool,
    /// Undo it after this time (60s, 5m; at most 24h) unless `catalystctl confirm` follows
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) confirm: Option<u64>,
    /// Go back to the configuration before the last reload
    #[arg(long, conflicts_with_all = ["partial", "confirm"])]
    pub(crate) undo: bool,
}

/// The longest wait for a confirmation, as the daemon takes it: a day.
const MAX_CONFIRM_MS: u64 = 86_400_000;

/// The time that a confirmation may take, in milliseconds.
fn parse_time(text: &str) -> Result<u64, String> {
    let expected = || format!("expected a time from 1ms to 24h, such as 60s or 5m, found {text:?}");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(expected()),
    };
    let number: u64 = number.parse().map_err(|_| expected())?;
    let time = number
        .checked_mul(millis)
        .filter(|time| (1..=MAX_CONFIRM_MS).contains(time));
    time.ok_or_else(expected)
}

/// A service, as `services.NAME` of the configuration has it.
#[derive(Debug, ClapArgs)]
pub(crate) struct AddArgs {
    /// The service name: orders.dc1.acme, *.dc1.acme or *
    #[arg(add = names(Kind::Service))]
    pub(crate) name: String,
    /// What it speaks: tcp, http, http:graphql or http:grpc
    #[arg(long)]
    pub(crate) protocol: String,
    /// Where it answers: http://HOST:PORT or tcp://HOST:PORT, and its share of the traffic; repeatable
    #[arg(long = "endpoint", value_name = "URL[=WEIGHT]", required = true, value_parser = parse_endpoint)]
    pub(crate) endpoints: Vec<Endpoint>,
    /// The HTTP path of a GraphQL endpoint [default: /graphql]
    #[arg(long)]
    pub(crate) path: Option<String>,
    /// Its share of the traffic between nodes that offer the same name [default: 100]
    #[arg(long)]
    pub(crate) weight: Option<u16>,
    /// A community to announce it with: 65001:100 or 65001:1:2; repeatable
    #[arg(long = "community", value_name = "COMMUNITY")]
    pub(crate) communities: Vec<String>,
    /// MULTI_EXIT_DISC to announce it with
    #[arg(long)]
    pub(crate) med: Option<u32>,
}

/// `URL[=WEIGHT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) url: String,
    pub(crate) weight: Option<u32>,
}

fn parse_endpoint(text: &str) -> Result<Endpoint, String> {
    let Some((url, weight)) = text.rsplit_once('=') else {
        return Ok(Endpoint {
            url: text.to_owned(),
            weight: None,
        });
    };
    match weight.parse() {
        Ok(weight) => Ok(Endpoint {
            url: url.to_owned(),
            weight: Some(weight),
        }),
        Err(_) => Err(format!("the weight {weight:?} is not a whole number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn endpoints_may_carry_a_weight() {
        let bare = Endpoint {
            url: "http://h:1".to_owned(),
            weight: None,
        };
        assert_eq!(parse_endpoint("http://h:1"), Ok(bare.clone()));
        assert_eq!(
            parse_endpoint("http://h:1=3"),
            Ok(Endpoint {
                weight: Some(3),
                ..bare
            })
        );
        assert!(parse_endpoint("http://h:1=x").is_err());
    }

    #[test]
    fn times_carry_their_unit() {
        let parsed = ["60s", "5m", "500ms", "1h"].map(|text| parse_time(text).unwrap());
        assert_eq!(parsed, [60_000, 300_000, 500, 3_600_000]);
        for bad in ["", "60", "s", "0s", "1d", "-1s", "25h", "99999999999999999h"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
    }
}
