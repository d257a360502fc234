//! Which routes a call asks for.

use std::fmt;
use std::net::IpAddr;
use std::time::Instant;

use catalyst_core::route::{Destination, DestinationError};
use catalyst_core::speaker::Speaker;
use catalyst_core::view::RouteView;
use catalyst_core::wire::Family;
use catalyst_proto::admin::v1::ListRoutesRequest;
use tonic::Status;

/// Which paths `ListRoutes` sends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    selected_only: bool,
    family: Option<Family>,
}

impl Wanted {
    pub(super) fn read(request: &ListRoutesRequest) -> Result<Self, Status> {
        let unknown = || Status::invalid_argument(format!("{:?}: expected name, ipv4 or ipv6", request.family));
        let family = match &*request.family {
            "" => None,
            text => Some(Family::parse(text).ok_or_else(unknown)?),
        };
        Ok(Self {
            selected_only: request.selected_only,
            family,
        })
    }

    pub(super) fn includes(self, view: &RouteView) -> bool {
        let of_family = self.family.is_none_or(|family| view.destination.family() == family);
        of_family && (view.selected || !self.selected_only)
    }
}

/// What `GetRoute` asks for. An IP address asks where traffic for it goes, although it could be a service name: clients
/// reach none by an address.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    /// The paths of this name or prefix.
    Destination(Destination),
    /// Those of the longest prefix in use.
    Address(IpAddr),
}

impl Asked {
    pub(super) fn read(text: &str) -> Result<Self, Status> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let refused = |error: DestinationError| Status::invalid_argument(format!("{text:?}: {error}"));
        text.parse().map(Self::Destination).map_err(refused)
    }

    /// The question to the Speaker.
    pub(super) fn answer(&self) -> impl FnOnce(&mut Speaker, Instant) -> Vec<RouteView> + Send + use<> {
        let asked = self.clone();
        move |speaker, now| {
            let found = asked.find(speaker);
            found.map_or_else(Vec::new, |destination| speaker.route(&destination, now))
        }
    }

    /// What it leads to; `None`: no prefix in use holds the address.
    pub(super) fn find(&self, speaker: &Speaker) -> Option<Destination> {
        match self {
            Self::Destination(destination) => Some(destination.clone()),
            Self::Address(address) => speaker.longest_match(*address).map(Destination::Prefix),
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Destination(destination) => destination.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}
