//! Structured logs: text for people, JSON for machines, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::cli::LogFormat;

/// Reads what to log: a level, or several by comma, for all modules or for one (`info,catalyst_core=debug`).
///
/// # Errors
/// What is no level, in one line. [`EnvFilter`] alone takes `wran` for a module, and is silent for ever.
pub fn filter(text: &str) -> Result<EnvFilter, String> {
    let directives: Vec<&str> = text.split(',').map(str::trim).collect();
    let wrong = directives.iter().find(|one| !is_directive(one));
    if let Some(wrong) = wrong {
        return Err(format!(
            "--log: expected error, warn, info, debug, trace or off, alone or for a module (catalyst_core=debug), \
             found {wrong:?}"
        ));
    }
    EnvFilter::try_new(directives.join(",")).map_err(|error| format!("--log: {text:?}: {error}"))
}

fn is_directive(text: &str) -> bool {
    let is_level = |text: &str| text.parse::<LevelFilter>().is_ok() && !text.is_empty();
    let is_module =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c));
    match text.split_once('=') {
        Some((module, level)) => is_module(module) && is_level(level),
        None => is_level(text),
    }
}

/// Starts logging for the whole process.
///
/// # Errors
/// Logging was started before.
pub fn init(format: LogFormat, filter: EnvFilter) -> anyhow::Result<()> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE)
        .with_target(false);
    let started = match format {
        LogFormat::Json => builder.json().flatten_event(true).with_target(true).try_init(),
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("logging cannot be started: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_taken_and_nothing_else() {
        for good in [
            "info",
            "WARN",
            "off",
            "info,catalyst_core=debug",
            "warn, catalyst_routed::driver=trace",
        ] {
            filter(good).unwrap();
        }
        for (bad, names) in [
            ("wran", "wran"),
            ("", ""),
            ("info,", ""),
            ("info,catalyst_core", "catalyst_core"),
            ("catalyst_core=loud", "catalyst_core=loud"),
            ("=info", "=info"),
        ] {
            let error = filter(bad).unwrap_err();
            assert!(error.starts_with("--log: expected error, warn"), "{error}");
            assert!(error.ends_with(&format!("found {names:?}")), "{error}");
        }
    }
}
