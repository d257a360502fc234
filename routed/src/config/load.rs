//! Text and flags to a checked configuration.

use std::io::Read;
use std::path::Path;

use catalyst_core::event::LocalService;
use catalyst_core::name::ServiceName;
use serde::de::DeserializeOwned;

use super::check::{Problem, Problems, check, check_service};
use super::convert::local_service;
use super::error::{ConfigError, ConfigErrors, Sources};
use super::path::KeyPath;
use super::set::{Override, apply};
use super::tree::{Node, Origin};
use super::types::{Config, Service};
use super::{de, parse};

/// The largest configuration file in bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// The largest service in an administrative request, in bytes.
const MAX_SERVICE_BYTES: usize = 1 << 20;
/// How many problems are listed.
const MAX_PROBLEMS: usize = 50;

/// Reads a configuration from a file, flags, or both (flags win, later flags over earlier ones).
///
/// # Errors
/// Everything that is wrong, with its place.
pub fn load(file: Option<&Path>, overrides: &[Override]) -> Result<Config, ConfigErrors> {
    let Some(file) = file else {
        return load_text(None, overrides);
    };
    let name = file.display().to_string();
    let text = read(file).map_err(|message| {
        let sources = Sources::default();
        ConfigErrors(vec![ConfigError {
            place: name.clone(),
            ..sources.error(Origin::Nowhere, KeyPath::default(), message)
        }])
    })?;
    load_text(Some((&name, &text)), overrides)
}

/// As [`load`], from a text and its name.
///
/// # Errors
/// Everything that is wrong, with its place.
pub fn load_text(file: Option<(&str, &str)>, overrides: &[Override]) -> Result<Config, ConfigErrors> {
    let sources = Sources {
        file: file.map(|(name, _)| name.to_owned()).unwrap_or_default(),
        flags: overrides.iter().map(|o| o.flag.clone()).collect(),
    };
    let mut root = match file {
        Some((_, text)) => parse_text(&sources, text)?,
        None => Node::empty(),
    };
    for (index, one) in overrides.iter().enumerate() {
        apply(&mut root, one, index)
            .map_err(|message| ConfigErrors(vec![sources.error(Origin::Flag(index), one.path.clone(), message)]))?;
    }
    let mut config: Config = typed(&sources, &root)?;
    refuse(&sources, &root, &KeyPath::default(), check(&config))?;
    config.complete();
    Ok(config)
}

/// Reads one service as it is spelled under `services.NAME`, for `service add`.
///
/// # Errors
/// Everything that is wrong.
pub fn parse_service(name: &str, json: &str) -> Result<LocalService, ConfigErrors> {
    let sources = Sources {
        file: "service".to_owned(),
        flags: Vec::new(),
    };
    let path = KeyPath::default().field("services").key(name);
    let fail = |message: String| ConfigErrors(vec![sources.error(Origin::Nowhere, path.clone(), message)]);
    let name = ServiceName::parse(name).map_err(|e| fail(e.to_string()))?;
    if json.len() > MAX_SERVICE_BYTES {
        return Err(fail(format!("larger than {MAX_SERVICE_BYTES} bytes")));
    }
    let root = parse_text(&sources, json)?;
    let service: Service = typed(&sources, &root)?;
    let mut problems = Problems::default();
    check_service(&service, &KeyPath::default(), &mut problems);
    refuse(&sources, &root, &KeyPath::default(), problems.0)?;
    Ok(local_service(name, &service))
}

fn read(file: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let open = std::fs::File::open(file);
    open.and_then(|f| f.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|e| format!("cannot be read: {e}"))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("larger than {MAX_FILE_BYTES} bytes"));
    }
    String::from_utf8(bytes).map_err(|e| format!("not UTF-8 at byte {}", e.utf8_error().valid_up_to()))
}

fn parse_text(sources: &Sources, text: &str) -> Result<Node, ConfigErrors> {
    parse::parse(text).map_err(|e| ConfigErrors(vec![sources.error(e.origin, e.path, e.message)]))
}

fn typed<T: DeserializeOwned>(sources: &Sources, root: &Node) -> Result<T, ConfigErrors> {
    de::from_node(root).map_err(|e| {
        let origin = e.origin.unwrap_or(root.origin);
        ConfigErrors(vec![sources.error(origin, e.path(), e.message)])
    })
}

/// Turns broken rules into errors with places.
fn refuse(sources: &Sources, root: &Node, base: &KeyPath, problems: Vec<Problem>) -> Result<(), ConfigErrors> {
    let _ = base;
    let mut errors: Vec<ConfigError> = problems
        .into_iter()
        .take(MAX_PROBLEMS)
        .map(|(path, message)| sources.error(root.locate(&path), path, message))
        .collect();
    errors.sort();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(ConfigErrors(errors))
    }
}
