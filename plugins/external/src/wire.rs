//! Routes, changes and statuses as messages of `catalyst.plugin.v1`, and back.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use catalyst_plugin::{
    Destination, DestinationError, Endpoint, NextHop, OriginNode, PlaneStatus, PrefixRoute, Protocol, Route, RouterId,
    Selected, Table, Target,
};
use catalyst_proto::plugin::v1 as pb;
use pb::destination::Family;
use pb::route::{Table as PbTable, Target as PbTarget};
use pb::status::State;

/// The longest reason that is kept, in bytes.
pub(crate) const MAX_REASON_BYTES: usize = 1024;

/// A message that says what it must not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A field without which the message means nothing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A value that does not exist.
    #[error("{what}: {text:?} is not known")]
    Unknown {
        /// The field.
        what: &'static str,
        /// Its value.
        text: String,
    },
    /// A destination that cannot be one.
    #[error("destination {text:?}: {why}")]
    Destination {
        /// Its text.
        text: String,
        /// What is wrong with it.
        why: String,
    },
}

fn unknown(what: &'static str, text: impl Into<String>) -> WireError {
    WireError::Unknown {
        what,
        text: text.into(),
    }
}

pub(crate) fn destination(destination: &Destination) -> pb::Destination {
    pb::Destination {
        family: family(destination).into(),
        text: destination.to_string(),
    }
}

fn family(destination: &Destination) -> Family {
    match destination {
        Destination::Name(_) => Family::Name,
        Destination::Prefix(prefix) => match prefix.address() {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        },
    }
}

/// `None`: of a family that a later version of the protocol knows.
pub(crate) fn destination_of(message: Option<pb::Destination>) -> Result<Option<Destination>, WireError> {
    let message = message.ok_or(WireError::Missing("destination"))?;
    let said = match Family::try_from(message.family) {
        Err(_) => return Ok(None),
        Ok(Family::Unspecified) => return Err(WireError::Missing("destination.family")),
        Ok(said) => said,
    };
    let wrong = |why: String| WireError::Destination {
        text: message.text.clone(),
        why,
    };
    let parsed: Destination = message
        .text
        .parse()
        .map_err(|error: DestinationError| wrong(error.to_string()))?;
    if family(&parsed) != said {
        return Err(wrong("of another family than it says".to_owned()));
    }
    Ok(Some(parsed))
}

pub(crate) fn route(route: &Selected) -> pb::Route {
    let message = pb::Route {
        destination: Some(destination(&route.destination())),
        target: Some(target(route.target())),
        exported_to: route.exported_to().iter().map(ToString::to_string).collect(),
        ..pb::Route::default()
    };
    match route {
        Selected::Name(route) => pb::Route {
            protocol: route.protocol.to_string(),
            path: route.path.as_deref().unwrap_or_default().to_owned(),
            table: table(route.table).into(),
            origin: route.origin.as_ref().map(origin),
            ..message
        },
        Selected::Prefix(route) => pb::Route {
            table: table(route.table).into(),
            origin: route.origin.as_ref().map(origin),
            ..message
        },
    }
}

fn table(table: Table) -> PbTable {
    match table {
        Table::Internal => PbTable::Internal,
        Table::External => PbTable::External,
    }
}

fn origin(origin: &OriginNode) -> pb::Origin {
    pb::Origin {
        asn: origin.router_id.asn,
        node: origin.router_id.node.to_string(),
        organisation: origin.organisation.to_string(),
    }
}

fn target(target: &Target) -> PbTarget {
    match target {
        Target::Local(endpoints) => PbTarget::Local(pb::Local {
            endpoints: endpoints.iter().map(endpoint).collect(),
        }),
        Target::Remote(hops) => PbTarget::Remote(pb::Remote {
            next_hops: hops.iter().map(next_hop).collect(),
        }),
        Target::Discard => PbTarget::Discard(pb::Discard {}),
    }
}

fn endpoint(endpoint: &Endpoint) -> pb::Endpoint {
    pb::Endpoint {
        host: endpoint.host.to_string(),
        port: endpoint.port.into(),
        weight: endpoint.weight,
    }
}

fn next_hop(hop: &NextHop) -> pb::NextHop {
    pb::NextHop {
        address: hop.address.to_string(),
        weight: hop.weight,
    }
}

/// `None`: of a family that a later version of the protocol knows.
pub(crate) fn route_of(route: pb::Route) -> Result<Option<Selected>, WireError> {
    let table = match route.table() {
        PbTable::Internal => Table::Internal,
        PbTable::External => Table::External,
        PbTable::Unspecified => return Err(WireError::Missing("route.table")),
    };
    let Some(destination) = destination_of(route.destination)? else {
        return Ok(None);
    };
    let origin = route.origin.map(origin_of);
    let target = target_of(route.target.ok_or(WireError::Missing("route.target"))?)?;
    let exported_to = route.exported_to.into_iter().map(Arc::from).collect();
    Ok(Some(match destination {
        Destination::Name(name) => Selected::from(Arc::new(Route {
            name,
            protocol: Protocol::parse(&route.protocol).ok_or_else(|| unknown("route.protocol", &route.protocol))?,
            path: (!route.path.is_empty()).then(|| route.path.into()),
            table,
            origin,
            target,
            exported_to,
        })),
        Destination::Prefix(prefix) => Selected::from(Arc::new(PrefixRoute {
            prefix,
            table,
            origin,
            target,
            exported_to,
            tunnel: None,
        })),
    }))
}

fn origin_of(origin: pb::Origin) -> OriginNode {
    OriginNode {
        router_id: RouterId {
            asn: origin.asn,
            node: origin.node.into(),
        },
        organisation: origin.organisation.into(),
    }
}

fn target_of(target: PbTarget) -> Result<Target, WireError> {
    match target {
        PbTarget::Local(local) => {
            let endpoints: Result<_, _> = local.endpoints.into_iter().map(endpoint_of).collect();
            endpoints.map(Target::Local)
        }
        PbTarget::Remote(remote) => {
            let hops: Result<_, _> = remote.next_hops.iter().map(next_hop_of).collect();
            hops.map(Target::Remote)
        }
        PbTarget::Discard(pb::Discard {}) => Ok(Target::Discard),
    }
}

fn endpoint_of(endpoint: pb::Endpoint) -> Result<Endpoint, WireError> {
    let port = u16::try_from(endpoint.port).map_err(|_| unknown("endpoint.port", endpoint.port.to_string()))?;
    Ok(Endpoint {
        host: endpoint.host.into(),
        port,
        weight: endpoint.weight,
    })
}

fn next_hop_of(hop: &pb::NextHop) -> Result<NextHop, WireError> {
    Ok(NextHop {
        address: address_of(&hop.address)?,
        weight: hop.weight,
    })
}

pub(crate) fn address_of(text: &str) -> Result<SocketAddr, WireError> {
    text.parse().map_err(|_| unknown("next hop", text))
}

pub(crate) fn status(of: &Destination, status: &PlaneStatus) -> pb::Status {
    let (state, reason) = match status {
        PlaneStatus::Pending(reason) => (State::Pending, reason.to_string()),
        PlaneStatus::Programmed => (State::Programmed, String::new()),
        PlaneStatus::Rejected(reason) => (State::Rejected, reason.to_string()),
    };
    pb::Status {
        destination: Some(destination(of)),
        state: state.into(),
        reason,
    }
}

/// `None`: of a family that a later version of the protocol knows.
pub(crate) fn status_of(status: pb::Status) -> Result<Option<(Destination, PlaneStatus)>, WireError> {
    let reason = clip(&status.reason).into();
    let state = match status.state() {
        State::Pending => PlaneStatus::Pending(reason),
        State::Programmed => PlaneStatus::Programmed,
        State::Rejected => PlaneStatus::Rejected(reason),
        State::Unspecified => return Err(WireError::Missing("status.state")),
    };
    Ok(destination_of(status.destination)?.map(|destination| (destination, state)))
}

/// The beginning of a reason.
pub(crate) fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_REASON_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> OriginNode {
        OriginNode {
            router_id: RouterId {
                asn: 4_200_000_000,
                node: "b".into(),
            },
            organisation: "globex".into(),
        }
    }

    fn hop(text: &str) -> NextHop {
        NextHop {
            address: text.parse().unwrap(),
            weight: 0,
        }
    }

    fn local() -> Route {
        Route {
            name: "*.dc1.acme".parse().unwrap(),
            protocol: Protocol::HttpGraphql,
            path: Some("/graphql".into()),
            table: Table::Internal,
            origin: Some(origin()),
            target: Target::Local(vec![Endpoint {
                host: "::1".into(),
                port: 65535,
                weight: 7,
            }]),
            exported_to: ["globex", "initech"].map(Arc::from).into(),
        }
    }

    fn prefix(text: &str, target: Target) -> Selected {
        Arc::new(PrefixRoute {
            prefix: text.parse().unwrap(),
            table: Table::External,
            origin: Some(origin()),
            target,
            exported_to: Arc::default(),
            tunnel: None,
        })
        .into()
    }

    fn routes() -> Vec<Selected> {
        let remote = Route {
            name: "db.acme".parse().unwrap(),
            protocol: Protocol::Tcp,
            path: None,
            table: Table::External,
            target: Target::Remote(vec![hop("127.0.0.2:8082"), hop("[2001:db8::1]:1")]),
            exported_to: Arc::default(),
            ..local()
        };
        let discard = Route {
            name: "*".parse().unwrap(),
            origin: None,
            target: Target::Discard,
            ..remote.clone()
        };
        let names = [local(), remote, discard].map(|route| Selected::from(Arc::new(route)));
        let prefixes = [
            prefix("10.2.0.0/16", Target::Remote(vec![hop("127.0.0.2:8082")])),
            prefix("2001:db8::/32", Target::Discard),
        ];
        names.into_iter().chain(prefixes).collect()
    }

    #[test]
    fn routes_and_statuses_come_back_as_they_were() {
        for one in routes() {
            assert_eq!(route_of(route(&one)), Ok(Some(one)));
        }
        for text in ["a.acme", "192.0.2.0/24"] {
            let destination: Destination = text.parse().unwrap();
            for one in [
                PlaneStatus::Pending("warming".into()),
                PlaneStatus::Programmed,
                PlaneStatus::Rejected("no".into()),
            ] {
                let back = status_of(status(&destination, &one));
                assert_eq!(back, Ok(Some((destination.clone(), one))));
            }
        }
    }

    #[test]
    fn what_means_nothing_is_refused_by_its_field() {
        let good = route(&routes()[0]);
        let broken = |change: fn(&mut pb::Route)| {
            let mut route = good.clone();
            change(&mut route);
            route_of(route).unwrap_err().to_string()
        };
        assert_eq!(broken(|route| route.destination = None), "destination is missing");
        assert_eq!(broken(|route| route.target = None), "route.target is missing");
        assert_eq!(broken(|route| route.table = 0), "route.table is missing");
        assert_eq!(
            broken(|route| route.protocol = "udp".into()),
            "route.protocol: \"udp\" is not known"
        );
        let bad_name = broken(|route| route.destination.as_mut().unwrap().text = "a b".into());
        assert!(bad_name.starts_with("destination \"a b\": "), "{bad_name}");
        let other = broken(|route| route.destination.as_mut().unwrap().set_family(Family::Ipv4));
        assert!(other.ends_with("of another family than it says"), "{other}");
    }

    #[test]
    fn families_of_later_versions_are_passed_over_and_reasons_cut() {
        let later = pb::Destination {
            family: 77,
            text: "?".into(),
        };
        assert_eq!(destination_of(Some(later)), Ok(None));
        let long = PlaneStatus::Rejected("ä".repeat(1000).into());
        let name: Destination = "a".parse().unwrap();
        let Ok(Some((_, PlaneStatus::Rejected(reason)))) = status_of(status(&name, &long)) else {
            panic!("not a rejection")
        };
        assert_eq!(reason.len(), MAX_REASON_BYTES);
    }
}
