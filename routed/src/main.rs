//! `catalyst-routed`: the routing daemon.

use std::process::ExitCode;

use catalyst_routed::config::cli::{Action, EXIT_BAD_CONFIG, Invocation};
use catalyst_routed::config::{Config, ConfigError};
use catalyst_routed::reload::Source;
use catalyst_routed::{daemon, telemetry};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let invocation = match Invocation::from_args(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(error) => error.exit(),
    };
    let log = match telemetry::filter(&invocation.log) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(EXIT_BAD_CONFIG);
        }
    };
    let (config, warnings) = match invocation.load() {
        Ok(loaded) => loaded,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(EXIT_BAD_CONFIG);
        }
    };
    match act(&invocation, log, config, &warnings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("catalyst-routed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(invocation: &Invocation, log: EnvFilter, config: Config, warnings: &[ConfigError]) -> anyhow::Result<()> {
    // The daemon says them in its log.
    if invocation.action != Action::Run {
        warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    }
    match invocation.action {
        Action::Check => Ok(()),
        Action::PrintConfig => print(&serde_json::to_string_pretty(&config)?),
        Action::EnvoyBootstrap => {
            let envoy = config
                .envoy()
                .ok_or_else(|| anyhow::anyhow!("plugins.envoy is not configured"))?;
            print(&catalyst_envoy::bootstrap::bootstrap_json(&envoy))
        }
        Action::Run => {
            telemetry::init(invocation.log_format, log)?;
            warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
            let source = Source {
                file: invocation.file.clone(),
                flags: invocation.flags.clone(),
            };
            daemon::run(config, source)
        }
    }
}

/// Prints a line; a reader that has gone away (`| head`) is no error.
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}
