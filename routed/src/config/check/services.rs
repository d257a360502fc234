//! Rules about services.

use std::collections::BTreeMap;

use catalyst_core::name::ServiceName;
use catalyst_core::route::Protocol;

use super::super::path::KeyPath;
use super::super::policy::Resolver;
use super::super::types::{Config, Service};
use super::super::url::Scheme;
use super::{Problems, section};

/// The most endpoints of a service.
const MAX_ENDPOINTS: usize = 1000;
/// The most communities of a service or prefix.
pub(super) const MAX_COMMUNITIES: usize = 256;
/// The largest weight of an endpoint: Envoy adds the weights of a cluster up in 32 bits.
const MAX_ENDPOINT_WEIGHT: u32 = 65_535;
/// The longest GraphQL path in bytes (docs/protocol.md, SERVICE).
const MAX_PATH_BYTES: usize = 255;

pub(super) fn check_services(config: &Config, problems: &mut Problems) {
    let mut canonical: BTreeMap<ServiceName, &str> = BTreeMap::new();
    for (key, service) in &config.services {
        let path = section("services").key(key);
        match ServiceName::parse(key) {
            Err(error) => problems.add(path.clone(), error.to_string()),
            Ok(name) => {
                check_fit(config, &name, service, &path, problems);
                if let Some(other) = canonical.insert(name, key) {
                    problems.add(
                        path.clone(),
                        format!("services[{other:?}] is the same name in another case"),
                    );
                }
            }
        }
        check_service(service, &path, problems);
        check_names(config, service, &path, problems);
    }
}

/// The communities that a service names are known.
pub(in crate::config) fn check_names(config: &Config, service: &Service, path: &KeyPath, problems: &mut Problems) {
    let mut resolver = Resolver::new(config);
    for (index, community) in service.communities.iter().enumerate() {
        resolver.community(community, &path.field("communities").index(index));
    }
    problems.append(resolver.into_problems());
}

/// The rules that need nothing but the service.
pub(in crate::config) fn check_service(service: &Service, path: &KeyPath, problems: &mut Problems) {
    check_path(service, path, problems);
    check_endpoints(service, path, problems);
    let count = service.communities.len();
    problems.unless(count <= MAX_COMMUNITIES, path.field("communities"), || {
        format!("at most {MAX_COMMUNITIES} communities, found {count}")
    });
}

fn check_path(service: &Service, path: &KeyPath, problems: &mut Problems) {
    let Some(text) = &service.path else { return };
    problems.unless(*service.protocol == Protocol::HttpGraphql, path.field("path"), || {
        "only a service of protocol http:graphql has a path".to_owned()
    });
    let printable = text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    problems.unless(text.starts_with('/') && text.len() <= MAX_PATH_BYTES && printable, path.field("path"), || {
        format!(
            "expected a path that begins with '/', of at most {MAX_PATH_BYTES} printable ASCII characters, found {}",
            super::super::type_error::quote(text)
        )
    });
}

fn check_endpoints(service: &Service, path: &KeyPath, problems: &mut Problems) {
    let path = path.field("endpoints");
    let count = service.endpoints.len();
    problems.unless((1..=MAX_ENDPOINTS).contains(&count), path.clone(), || {
        format!("expected 1 to {MAX_ENDPOINTS} endpoints, found {count}")
    });
    let (scheme, prefix) = match *service.protocol {
        Protocol::Tcp => (Scheme::Tcp, "tcp://"),
        Protocol::Http | Protocol::HttpGraphql | Protocol::HttpGrpc => (Scheme::Http, "http://"),
    };
    for (index, endpoint) in service.endpoints.iter().enumerate() {
        let path = path.index(index);
        problems.unless(endpoint.url.scheme == scheme, path.field("url"), || {
            format!(
                "a service of protocol {} has endpoints {prefix}HOST:PORT, found {}",
                service.protocol, endpoint.url
            )
        });
        problems.unless(
            (1..=MAX_ENDPOINT_WEIGHT).contains(&endpoint.weight),
            path.field("weight"),
            || {
                format!(
                    "expected a weight from 1 to {MAX_ENDPOINT_WEIGHT}, found {}",
                    endpoint.weight
                )
            },
        );
    }
}

/// The rules between a service, or its name, and the data planes.
pub(in crate::config) fn check_fit(
    config: &Config,
    name: &ServiceName,
    service: &Service,
    path: &KeyPath,
    problems: &mut Problems,
) {
    problems.unless(!reads_as_address(name), path.clone(), || {
        format!(
            "a service cannot be called {name}: whoever asks for an IP address or localhost means the graph, so that \
             nobody would reach it"
        )
    });
    let Some(envoy) = &config.plugins.envoy else { return };
    problems.unless(
        *service.protocol != Protocol::Tcp || envoy.tcp_ports.is_some(),
        path.field("protocol"),
        || {
            "a tcp service needs a local port: set plugins.envoy.tcp_ports to a range such as \"20000-20099\""
                .to_owned()
        },
    );
    problems.unless(!is_host_of_graph(config, name), path.clone(), || {
        "this name is in plugins.graphql.hosts: ingress would send its requests to the graph".to_owned()
    });
}

impl Config {
    /// Whether ingress takes a Host of this name for the graph, whatever the routes say (plugins/envoy, `scope.lua`).
    #[must_use]
    pub fn means_the_graph(&self, name: &ServiceName) -> bool {
        reads_as_address(name) || is_host_of_graph(self, name)
    }
}

fn is_host_of_graph(config: &Config, name: &ServiceName) -> bool {
    let graphql = config.plugins.graphql.as_ref();
    graphql.is_some_and(|graphql| graphql.hosts.iter().any(|host| host.0.0 == *name))
}

/// Whether this is an address of the node to whoever asks for it: as four numbers, or by the name that every host has.
fn reads_as_address(name: &ServiceName) -> bool {
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    let labels: Vec<&str> = name.as_str().split('.').collect();
    name.as_str() == "localhost" || labels.len() == 4 && labels.into_iter().all(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_as_an_address_is_no_name_of_a_service() {
        for (text, expected) in [
            ("10.0.0.1", true),
            ("010.0.0.999", true),
            ("LOCALHOST", true),
            ("10.0.0", false),
            ("*.0.0.1", false),
            ("10.0.0.1.acme", false),
            ("10.0.0.x1", false),
            ("a.localhost", false),
        ] {
            assert_eq!(reads_as_address(&ServiceName::parse(text).unwrap()), expected, "{text}");
        }
    }
}
