//! The command line.

use crate::engine::Settings;
use clap::{Parser, ValueEnum};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  Beside a catalyst-routed on the same machine:
    catalyst-gateway --control unix:/run/catalyst/gateway.sock

  A second one on the same machine:
    catalyst-gateway --name b --listen 127.0.0.1:8084 --control 127.0.0.1:8094

  What it serves, and whether all of it is well:
    curl http://127.0.0.1:8083/graphql -H 'content-type: application/json' \\
      -d '{\"query\":\"{ __typename }\"}'
    curl http://127.0.0.1:8083/health";

/// GraphQL gateway of Catalyst: one graph over all graph services, changed while it serves.
#[derive(Debug, Parser)]
#[command(name = "catalyst-gateway", version, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where /graphql, /health, /readiness and /metrics are served.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8083")]
    pub(crate) listen: SocketAddr,

    /// Where catalyst-routed drives it: unix:PATH (mode 0600) or a loopback IP:PORT.
    #[arg(long, value_name = "ADDRESS", default_value = "unix:/run/catalyst/gateway.sock")]
    pub(crate) control: ControlAddress,

    /// Its name, in logs and metrics.
    #[arg(long, default_value = "gateway")]
    pub(crate) name: String,

    /// How often the schema of each service is fetched again.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub(crate) refresh_interval: Duration,

    /// How long one fetch of a schema may take.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub(crate) fetch_timeout: Duration,

    /// How long one request to a service may take; then the answer is partial.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub(crate) request_timeout: Duration,

    /// How long requests in flight may take to end after SIGTERM.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub(crate) shutdown_timeout: Duration,

    /// Threads that serve requests [default: one per core]
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<NonZeroUsize>,

    /// Format of the log on standard output.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) log_format: LogFormat,

    /// What is logged.
    #[arg(long, value_enum, value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: LogLevel,
}

/// The least severe lines that are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

impl LogLevel {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl From<&Args> for Settings {
    fn from(args: &Args) -> Self {
        Self {
            refresh_interval: args.refresh_interval,
            fetch_timeout: args.fetch_timeout,
        }
    }
}

/// Where the control service listens. Never off this machine: it has no authentication of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ControlAddress {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

impl FromStr for ControlAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() {
                Err("unix: needs a path".into())
            } else {
                Ok(Self::Unix(path.into()))
            };
        }
        let address: SocketAddr = text
            .parse()
            .map_err(|_| "it is neither unix:PATH nor IP:PORT".to_owned())?;
        if address.ip().is_loopback() {
            Ok(Self::Tcp(address))
        } else {
            Err(format!(
                "{} is not loopback; whoever reaches the control address owns the graph",
                address.ip()
            ))
        }
    }
}

/// `500ms`, `30s` or `5m`.
fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number
        .parse()
        .map_err(|_| "it is not a number with ms, s or m, such as 30s".to_owned())?;
    let millis = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        _ => return Err("it needs a unit: ms, s or m, such as 30s".to_owned()),
    };
    match millis {
        Some(millis @ 1..=86_400_000) => Ok(Duration::from_millis(millis)),
        _ => Err("it is not between 1ms and one day".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for bad in [
            "",
            "s",
            "30",
            "0s",
            "1h",
            "-1s",
            "99999999999999999999s",
            "18446744073709551615m",
            "1441m",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn control_addresses() {
        assert_eq!(
            "unix:/run/g.sock".parse(),
            Ok(ControlAddress::Unix("/run/g.sock".into()))
        );
        assert!("127.0.0.9:1".parse::<ControlAddress>().is_ok());
        assert!("[::1]:1".parse::<ControlAddress>().is_ok());
        for bad in ["unix:", "0.0.0.0:1", "10.0.0.1:80", "gateway.sock", ""] {
            assert!(bad.parse::<ControlAddress>().is_err(), "{bad}");
        }
    }

    #[test]
    fn command_line_is_consistent() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
    }
}
