//! Text and flags to a checked configuration.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use catalyst_core::name::ServiceName;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::check::{Problem, Problems, check, check_fit, check_names, check_service};
use super::error::{ConfigError, ConfigErrors, Sources};
use super::flags::Flag;
use super::parse::{self, SyntaxError};
use super::path::KeyPath;
use super::recover::{self, Required, required_by_schema};
use super::schema;
use super::set::apply;
use super::tree::{Node, Origin, Value};
use super::type_error::TypeError;
use super::types::{Config, Service};

/// The largest configuration file in bytes.
pub const MAX_FILE_BYTES: u64 = 16 << 20;
/// The largest service in an administrative request, in bytes.
const MAX_SERVICE_BYTES: usize = 1 << 20;
/// How many mistakes are listed.
const MAX_LISTED: usize = 20;

/// Reads a configuration from a file, flags, or both (flags win, later flags over earlier ones).
///
/// # Errors
/// Everything that is wrong, with its place.
pub fn load(file: Option<&Path>, flags: &[Flag]) -> Result<Config, ConfigErrors> {
    load_with_warnings(file, flags).map(|(config, _)| config)
}

/// As [`load`], and what the configuration says that is probably not meant, with its place.
///
/// # Errors
/// Everything that is wrong, with its place.
pub fn load_with_warnings(file: Option<&Path>, flags: &[Flag]) -> Result<(Config, Vec<ConfigError>), ConfigErrors> {
    let Some(file) = file else {
        return read_all(None, flags);
    };
    let name = file.display().to_string();
    match read(file) {
        Ok(text) => read_all(Some((&name, &text)), flags),
        Err(message) => Err(Sources {
            file: name,
            flags: Vec::new(),
        }
        .refuse(Origin::Nowhere, KeyPath::default(), message)),
    }
}

/// As [`load`], from a text and its name.
///
/// # Errors
/// Everything that is wrong, with its place.
pub fn load_text(file: Option<(&str, &str)>, flags: &[Flag]) -> Result<Config, ConfigErrors> {
    read_all(file, flags).map(|(config, _)| config)
}

fn read_all(file: Option<(&str, &str)>, flags: &[Flag]) -> Result<(Config, Vec<ConfigError>), ConfigErrors> {
    let sources = Sources {
        file: file.map(|(name, _)| name.to_owned()).unwrap_or_default(),
        flags: flags.iter().map(Flag::shown).collect(),
    };
    let (root, mut errors) = overlaid(&sources, file.map(|(_, text)| text), flags)?;
    let config = typed(&sources, &root, &required_by_schema);
    if !errors.is_empty() {
        errors.extend(config.err().into_iter().flat_map(|errors| errors.0));
        return Err(listed(errors));
    }
    let mut config: Config = config?;
    let problems = check(&config);
    refuse(&sources, &root, problems.errors)?;
    config.complete();
    Ok((config, listed(placed(&sources, &root, problems.warnings)).0))
}

/// The text with the flags laid over it, and the duplicate keys of the text.
fn overlaid(sources: &Sources, text: Option<&str>, flags: &[Flag]) -> Result<(Node, Vec<ConfigError>), ConfigErrors> {
    let (mut root, duplicates) = match text {
        Some(text) => parse_text(sources, text)?,
        None if flags.is_empty() => {
            let message = "no configuration: give a file by -c FILE, or at least --name, --as and --org";
            return Err(sources.refuse(Origin::Nowhere, KeyPath::default(), message.to_owned()));
        }
        None => (Node::empty(), Vec::new()),
    };
    let mut errors = duplicates.clone();
    for (index, flag) in flags.iter().enumerate() {
        let laid = flag
            .expand()
            .and_then(|all| all.iter().try_for_each(|one| apply(&mut root, one, index)));
        errors.extend(
            laid.err()
                .map(|(path, message)| sources.error(Origin::Flag(index), path, message)),
        );
    }
    // A flag that could not be used may be what the rest lacks.
    if errors.len() > duplicates.len() {
        return Err(listed(errors));
    }
    Ok((root, duplicates))
}

impl Config {
    /// Reads one service as it is spelled under `services.NAME`, for `service add`, by the rules of this configuration.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn parse_service(&self, name: &str, json: &str) -> Result<(ServiceName, Service), ConfigErrors> {
        let (name, service) = parse_service(name, json)?;
        let mut problems = Problems::default();
        let key = KeyPath::default().field("services").key(name.as_str());
        check_fit(self, &name, &service, &key, &mut problems);
        check_names(self, &service, &key, &mut problems);
        let refused = refuse(&Sources::service(), &Node::empty(), problems.errors);
        refused.map_err(|errors| errors.below(&KeyPath::default()))?;
        Ok((name, self.with_numbers(&service)))
    }
}

/// Reads one service as it is spelled under `services.NAME`.
///
/// # Errors
/// Everything that is wrong.
pub fn parse_service(name: &str, json: &str) -> Result<(ServiceName, Service), ConfigErrors> {
    let sources = Sources::service();
    let path = KeyPath::default().field("services").key(name);
    let fail = |message: String| {
        sources
            .refuse(Origin::Nowhere, KeyPath::default(), message)
            .below(&path)
    };
    let name = ServiceName::parse(name).map_err(|e| fail(e.to_string()))?;
    if json.len() > MAX_SERVICE_BYTES {
        return Err(fail(format!("larger than {MAX_SERVICE_BYTES} bytes")));
    }
    let root = parse_whole(&sources, json)?;
    let service = checked_service(&sources, &root).map_err(|errors| errors.below(&path))?;
    Ok((name, service))
}

fn checked_service(sources: &Sources, root: &Node) -> Result<Service, ConfigErrors> {
    let below_services = |path: &KeyPath| {
        let mut whole = KeyPath::default().field("services").key("*");
        whole.0.extend(path.0.iter().cloned());
        required_by_schema(&whole)
    };
    let service: Service = typed(sources, root, &below_services)?;
    let mut problems = Problems::default();
    check_service(&service, &KeyPath::default(), &mut problems);
    refuse(sources, root, problems.errors)?;
    Ok(service)
}

/// The version of the file of services that [`load_services`] reads.
pub const SERVICES_VERSION: u32 = 1;

/// What is in a file of services.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServicesFile {
    #[serde(rename = "version")]
    _version: u32,
    services: BTreeMap<String, Service>,
}

/// Reads a file of services: `version` ([`SERVICES_VERSION`]) and `services`, by name, as the configuration spells them.
///
/// # Errors
/// Everything that is wrong, with its place.
pub fn load_services(file: &Path) -> Result<BTreeMap<ServiceName, Service>, ConfigErrors> {
    let sources = Sources {
        file: file.display().to_string(),
        flags: Vec::new(),
    };
    let text = read(file).map_err(|message| sources.refuse(Origin::Nowhere, KeyPath::default(), message))?;
    let root = parse_whole(&sources, &text)?;
    check_version(&sources, &root)?;
    // The file has keys of its own; what is below `services` is spelled as in the configuration.
    let required = |path: &KeyPath| {
        if path.0.is_empty() {
            vec!["version".to_owned(), "services".to_owned()]
        } else {
            required_by_schema(path)
        }
    };
    let ServicesFile { services, .. } = typed(&sources, &root, &required)?;
    let mut problems = Problems::default();
    let mut by_name = BTreeMap::new();
    for (key, service) in services {
        let path = KeyPath::default().field("services").key(&key);
        check_service(&service, &path, &mut problems);
        match ServiceName::parse(&key) {
            Ok(name) => drop(by_name.insert(name, service)),
            Err(error) => problems.add(path, error.to_string()),
        }
    }
    refuse(&sources, &root, problems.errors)?;
    Ok(by_name)
}

/// Before anything else is read: another version may look like anything.
fn check_version(sources: &Sources, root: &Node) -> Result<(), ConfigErrors> {
    let Some(member) = root.member("version") else {
        return Ok(());
    };
    match &member.node.value {
        Value::Number(found) if found.as_u64() != Some(SERVICES_VERSION.into()) => {
            let message = format!("expected {SERVICES_VERSION}, found {found}: another catalyst-routed has written it");
            let path = KeyPath::default().field("version");
            Err(sources.refuse(member.node.origin, path, message))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            Ok(())
        }
    }
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

/// The text and its duplicate keys, of which the first counts.
fn parse_text(sources: &Sources, text: &str) -> Result<(Node, Vec<ConfigError>), ConfigErrors> {
    let placed = |errors: Vec<SyntaxError>| -> Vec<ConfigError> {
        let place = |e: SyntaxError| sources.error(e.origin, schema::spell(&e.path), e.message);
        errors.into_iter().map(place).collect()
    };
    match parse::parse_on(text) {
        Ok((node, duplicates)) => Ok((node, placed(duplicates))),
        Err(errors) => Err(listed(placed(errors))),
    }
}

/// As [`parse_text`]; duplicate keys are refused.
fn parse_whole(sources: &Sources, text: &str) -> Result<Node, ConfigErrors> {
    let (node, duplicates) = parse_text(sources, text)?;
    if duplicates.is_empty() {
        Ok(node)
    } else {
        Err(listed(duplicates))
    }
}

fn typed<T: DeserializeOwned>(sources: &Sources, root: &Node, required: Required<'_>) -> Result<T, ConfigErrors> {
    let place = |e: TypeError| sources.error(e.origin.unwrap_or(root.origin), e.path(), e.message);
    recover::read(root, required, MAX_LISTED + 1).map_err(|errors| listed(errors.into_iter().map(place).collect()))
}

/// Errors, or warnings, in the order of the text, and not without end.
fn listed(mut errors: Vec<ConfigError>) -> ConfigErrors {
    // Of one place and key they stand as they were found: keys that are missing in the order of docs/config.md.
    errors.sort_by(|one, other| (one.origin, &one.path).cmp(&(other.origin, &other.path)));
    if errors.len() > MAX_LISTED {
        errors.truncate(MAX_LISTED);
        let message = format!("these are the first {MAX_LISTED}, there are more");
        errors.push(ConfigError::note(message));
    }
    ConfigErrors(errors)
}

/// Turns broken rules into errors.
fn refuse(sources: &Sources, root: &Node, problems: Vec<Problem>) -> Result<(), ConfigErrors> {
    let errors = placed(sources, root, problems);
    if errors.is_empty() { Ok(()) } else { Err(listed(errors)) }
}

/// Problems with their places.
fn placed(sources: &Sources, root: &Node, problems: Vec<Problem>) -> Vec<ConfigError> {
    let place = |(path, message): Problem| sources.error(root.locate(&path), path, message);
    problems.into_iter().map(place).collect()
}
