//! Pure planning: routes in, xDS resources out. SKELETON: the signatures are the contract.

use catalyst_plugin::{RouteTable, ServiceName, Touched};

use crate::config::EnvoyConfig;
use crate::ports::{Ports, PortsError};
use crate::resource::{Resource, ResourceKey};

/// Plans resources and remembers which routes each of them serves.
#[derive(Debug)]
pub struct Planner {}

impl Planner {
    /// A planner that has seen no route.
    #[must_use]
    pub fn new(_config: EnvoyConfig, _ports: Ports) -> Self {
        Self {}
    }

    /// What exists without any route: listeners, the gateway's cluster and scope. [`Planner::plan`] with
    /// [`Touched::All`] gives these too, besides the extensions (which depend on the wildcards in the table).
    #[must_use]
    pub fn fixed(&self) -> Vec<Resource> {
        Vec::new()
    }

    /// The resources that change; `None`: no longer wanted. `All` gives every wanted resource (the fixed ones too) and
    /// the removal of those that this planner gave before.
    pub fn plan(&mut self, _routes: &RouteTable, _touched: Touched<'_>) -> Vec<(ResourceKey, Option<Resource>)> {
        Vec::new()
    }

    /// The routes that depend on a resource. Empty for fixed resources.
    #[must_use]
    pub fn routes_of(&self, _key: &ResourceKey) -> Vec<ServiceName> {
        Vec::new()
    }

    /// The routes that cannot be expressed, with the reason: they have no resources at all.
    #[must_use]
    pub fn rejected(&self) -> Vec<(ServiceName, String)> {
        Vec::new()
    }

    /// Writes the port assignments down if they have changed. To be called before new listeners are served.
    pub fn persist_ports(&mut self) -> Result<(), PortsError> {
        Ok(())
    }
}
