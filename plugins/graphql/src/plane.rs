//! The data plane: one subgraph per exact `http:graphql` route.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use catalyst_plugin::{
    DataPlane, Diff, PlaneError, PlaneEvent, Route, RouteTable, ServiceName, Touched, Verdict, Wanted,
};

use crate::client::Client;
use crate::config::{ControlAddress, GraphqlConfig};
use crate::subgraph::{Subgraph, held_fingerprint, is_subgraph};
use crate::verdict::{unheard, verdicts};
use crate::watcher::Watcher;

/// Drives a catalyst-gateway.
///
/// The gateway may come and go at any time: calls fail while it is away and the loop tries again; when it is back,
/// [`PlaneEvent::Resync`] makes the loop look at what it holds.
#[derive(Debug)]
pub struct GraphqlPlane {
    control: ControlAddress,
    egress: SocketAddr,
    /// Made on first use, which is on a runtime.
    client: Option<Client>,
    watcher: Option<Watcher>,
}

impl GraphqlPlane {
    /// A plane for the gateway of this configuration. Connects when it is first used.
    #[must_use]
    pub fn new(config: GraphqlConfig) -> Self {
        let GraphqlConfig { control, egress } = config;
        Self {
            control,
            egress: reachable(egress),
            client: None,
            watcher: None,
        }
    }

    fn client(&mut self) -> Result<&mut Client, PlaneError> {
        if self.client.is_none() {
            self.client = Some(Client::new(&self.control)?);
        }
        // Just filled.
        self.client.as_mut().ok_or_else(|| PlaneError("no client".into()))
    }
}

/// A listener on all addresses is dialled on loopback.
fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, listener.port())
}

impl DataPlane for GraphqlPlane {
    type Route = Route;
    type Key = ServiceName;
    type Resource = Subgraph;

    fn name(&self) -> &'static str {
        "graphql"
    }

    fn plan(&mut self, routes: &RouteTable, touched: Touched<'_>) -> Vec<Wanted<Self>> {
        let subgraph = |name: &ServiceName| {
            let route = routes.get(name).filter(|route| is_subgraph(route));
            (name.clone(), route.map(|route| Subgraph::of(route, self.egress)))
        };
        match touched {
            Touched::All => routes.keys().map(subgraph).collect(),
            Touched::Names(names) => names.iter().map(subgraph).collect(),
        }
    }

    fn routes_of(&self, key: &ServiceName) -> Vec<ServiceName> {
        vec![key.clone()]
    }

    fn serves(&self, route: &Route) -> bool {
        is_subgraph(route)
    }

    fn fingerprint(&self, subgraph: &Subgraph) -> u64 {
        subgraph.fingerprint()
    }

    /// Refusals are about schemas, which live at the services: a gateway that was restarted is to try them itself.
    fn rejects_for_outside_reasons(&self) -> bool {
        true
    }

    async fn observe(&mut self) -> Result<BTreeMap<ServiceName, Option<u64>>, PlaneError> {
        let held = self.client()?.observe().await?;
        let ours = |name: &str| ServiceName::parse(name).ok().filter(|parsed| parsed.as_str() == name);
        Ok(held
            .iter()
            .filter_map(|subgraph| Some((ours(&subgraph.name)?, held_fingerprint(subgraph))))
            .collect())
    }

    /// Gives the verdicts on all subgraphs, so that a run that adopts a serving gateway knows them at once.
    async fn apply(&mut self, diff: Diff<ServiceName, Subgraph>) -> Result<Vec<(ServiceName, Verdict)>, PlaneError> {
        let client = self.client()?;
        let refusals = client
            .upsert(diff.upsert.iter().map(|(_, subgraph)| subgraph.to_proto()).collect())
            .await?;
        client
            .remove(diff.remove.iter().map(ToString::to_string).collect())
            .await?;
        let (state, _) = client.watch().await?;
        let mut told: BTreeMap<ServiceName, Verdict> =
            diff.upsert.into_iter().map(|(name, _)| (name, unheard())).collect();
        told.extend(verdicts(&state));
        for (name, reason) in refusals {
            let name = ServiceName::parse(&name).map_err(|error| PlaneError(error.to_string()))?;
            told.insert(name, Verdict::Rejected(reason.into()));
        }
        Ok(told.into_iter().collect())
    }

    async fn changed(&mut self) -> PlaneEvent<ServiceName> {
        if self.watcher.is_none() {
            match self.client() {
                Ok(client) => self.watcher = Some(Watcher::start(client.clone())),
                // Said by every observe as well, where it is reported and tried again.
                Err(_) => return std::future::pending().await,
            }
        }
        match &mut self.watcher {
            Some(watcher) => watcher.next().await,
            None => std::future::pending().await,
        }
    }
}
