//! What a data plane is.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;

pub use catalyst_core::route::{
    Change, Destination, DestinationError, Endpoint, NextHop, OriginNode, PlaneStatus, Prefix, PrefixRoute, Protocol,
    Route, RouteUpdate, RouterId, Selected, ServiceName, Table, Target, Tunnel,
};

/// The routes that a data plane is to serve, by destination.
pub type RouteTable<R = Route> = BTreeMap<<R as Served>::Destination, Arc<R>>;

/// The destinations whose routes may differ since the last call of [`DataPlane::plan`].
#[derive(Debug)]
pub enum Touched<'a, D = ServiceName> {
    /// All of them (after a Reset).
    All,
    /// These.
    Names(&'a [D]),
}

// Derived, they would ask the same of destinations.
impl<D> Clone for Touched<'_, D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for Touched<'_, D> {}

/// A kind of routes: of services, of prefixes, or both ([`Selected`]). A data plane sees none but its kind.
pub trait Served: Debug + PartialEq + Send + Sync + 'static {
    /// What such a route leads to.
    type Destination: Ord + Clone + Debug + Send + Sync + Into<Destination>;

    /// The route, if it is of this kind.
    fn of(selected: Selected) -> Option<Arc<Self>>;

    /// The destination, if routes of this kind lead to it.
    fn narrow(destination: Destination) -> Option<Self::Destination>;
}

impl Served for Route {
    type Destination = ServiceName;

    fn of(selected: Selected) -> Option<Arc<Self>> {
        match selected {
            Selected::Name(route) => Some(route),
            Selected::Prefix(_) => None,
        }
    }

    fn narrow(destination: Destination) -> Option<ServiceName> {
        match destination {
            Destination::Name(name) => Some(name),
            Destination::Prefix(_) => None,
        }
    }
}

impl Served for PrefixRoute {
    type Destination = Prefix;

    fn of(selected: Selected) -> Option<Arc<Self>> {
        match selected {
            Selected::Prefix(route) => Some(route),
            Selected::Name(_) => None,
        }
    }

    fn narrow(destination: Destination) -> Option<Prefix> {
        destination.prefix()
    }
}

impl Served for Selected {
    type Destination = Destination;

    fn of(selected: Selected) -> Option<Arc<Self>> {
        Some(Arc::new(selected))
    }

    fn narrow(destination: Destination) -> Option<Destination> {
        Some(destination)
    }
}

/// What the routes of a data plane lead to.
pub type DestinationOf<P> = <<P as DataPlane>::Route as Served>::Destination;

/// One wanted resource: `None` means that it is wanted no longer.
pub type Wanted<D> = (<D as DataPlane>::Key, Option<<D as DataPlane>::Resource>);

/// What is to be changed in the data plane.
#[derive(Debug, Clone)]
pub struct Diff<K, R> {
    /// Resources to create or change.
    pub upsert: Vec<(K, R)>,
    /// Resources to remove.
    pub remove: Vec<K>,
    /// Whether the table is settled. While it is not, resources that the data plane already has are held as they are
    /// (the loop leaves observed keys out of `upsert` and `remove`; a plane whose instances appear later holds too).
    pub settled: bool,
}

/// The verdict on one resource after [`DataPlane::apply`], or later by [`PlaneEvent::Verdicts`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// In place, confirmed by every connected instance.
    Programmed,
    /// Taken, not confirmed (what it waits for).
    Pending(Arc<str>),
    /// Refused by the data plane in these words; quarantined until its content changes.
    Rejected(Arc<str>),
}

/// What a data plane says of its own accord.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaneEvent<K> {
    /// The first instance connected (`true`) or the last one was lost (`false`).
    Connected(bool),
    /// Later news of resources.
    Verdicts(Vec<(K, Verdict)>),
    /// What it holds may differ from what was applied: observe and diff everything again.
    Resync,
    /// Its own settings have changed, and with them what it wants for the same routes: plan everything again.
    Replan,
    /// A next hop was found usable or not.
    NextHop(std::net::SocketAddr, bool),
    /// The tunnel to this address of a peer was found alive or dead; dead until it says so.
    Tunnel(std::net::IpAddr, bool),
}

/// The data plane cannot be reached or failed as a whole; the loop tries again with back-off and a fresh observe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PlaneError(pub String);

/// A data plane: something that serves traffic by the selected table.
///
/// `plan` is pure planning over an index of its own; `observe` and `apply` do the work; the loop in this crate does the
/// rest: coalescing per name, diff over desired and observed (orphans are removed, what is right is left untouched),
/// retry with back-off, resync, hold while not settled, status back to the routes.
pub trait DataPlane: Send + 'static {
    /// The routes that it sees: [`Route`] for one that serves services.
    type Route: Served;
    /// Names a resource.
    type Key: Ord + Clone + Debug + Send + Sync;
    /// The wanted content of a resource.
    type Resource: Clone + Debug + PartialEq + Send + Sync;

    /// The name in tables and logs (`envoy`).
    fn name(&self) -> &'static str;

    /// The resources that change because these routes changed. No I/O, no clock; idempotent: planning `All` over the
    /// same table gives the same resources, and `Names` after `All` gives only differences.
    fn plan(
        &mut self,
        routes: &RouteTable<Self::Route>,
        touched: Touched<'_, DestinationOf<Self>>,
    ) -> Vec<Wanted<Self>>
    where
        Self: Sized;

    /// The routes that depend on a resource (a rejected cluster concerns all names behind it).
    fn routes_of(&self, key: &Self::Key) -> Vec<DestinationOf<Self>>;

    /// Whether this plane serves the route at all (the GraphQL plane serves `http:graphql` only).
    fn serves(&self, route: &Self::Route) -> bool;

    /// A fingerprint of the content, stable across restarts and builds.
    fn fingerprint(&self, resource: &Self::Resource) -> u64;

    /// Our resources that the data plane holds now, with the fingerprint of their content. `None` as a fingerprint:
    /// held, content unknown.
    fn observe(&mut self) -> impl Future<Output = Result<BTreeMap<Self::Key, Option<u64>>, PlaneError>> + Send;

    /// Makes the data plane follow `diff` and gives a verdict per upserted key (a key left out counts as Programmed);
    /// verdicts on other keys are welcome. Bounds its own waiting. Called with an empty diff when only `settled` changed,
    /// and once at the start of each run.
    fn apply(
        &mut self,
        diff: Diff<Self::Key, Self::Resource>,
    ) -> impl Future<Output = Result<Vec<(Self::Key, Verdict)>, PlaneError>> + Send;

    /// Whether a rejection depends on more than the content (a GraphQL schema that lives elsewhere): then a rejected
    /// resource that the data plane turns out not to hold (it restarted) is given to it again, unchanged. Without this,
    /// a rejected resource stays out until its content changes.
    fn rejects_for_outside_reasons(&self) -> bool {
        false
    }

    /// The outside organisations whose peer listener it cannot open, each with the reason. Asked after every verdict: peers
    /// of such an organisation are told of no names until it is open.
    fn closed(&self) -> BTreeMap<Arc<str>, Arc<str>> {
        BTreeMap::new()
    }

    /// Waits until the data plane has something to say. Cancel-safe.
    fn changed(&mut self) -> impl Future<Output = PlaneEvent<Self::Key>> + Send;
}
