//! The suite of catalyst-plugin on the GraphQL plane and a recording gateway.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[allow(dead_code, reason = "shared by several tests")]
mod recording;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use catalyst_graphql::{ControlAddress, GraphqlConfig, GraphqlPlane};
use catalyst_plugin::conformance::Harness;
use catalyst_plugin::{Protocol, Route, ServiceName, Table, Target};
use recording::{REFUSED, RecordingGateway};

struct GraphqlHarness(RecordingGateway);

async fn start() -> GraphqlHarness {
    GraphqlHarness(RecordingGateway::start())
}

fn route(name: &ServiceName, path: &str) -> Arc<Route> {
    Arc::new(Route {
        name: name.clone(),
        protocol: Protocol::HttpGraphql,
        path: Some(path.into()),
        table: Table::Internal,
        origin: None,
        target: Target::Local(Vec::new()),
        exported_to: Arc::default(),
    })
}

impl Harness for GraphqlHarness {
    type Plane = GraphqlPlane;

    async fn plane(&mut self) -> GraphqlPlane {
        GraphqlPlane::new(GraphqlConfig {
            control: ControlAddress::Unix(self.0.path().into()),
            egress: (Ipv4Addr::LOCALHOST, 8081).into(),
        })
    }

    fn route(&self, name: &ServiceName, variant: u32) -> Arc<Route> {
        route(name, &format!("/v{variant}"))
    }

    fn bad_route(&self, name: &ServiceName) -> Arc<Route> {
        route(name, REFUSED)
    }

    async fn serves(&mut self) -> BTreeMap<ServiceName, u32> {
        let variant = |path: &str| path.strip_prefix("/v").unwrap().parse().unwrap();
        let serving = self.0.record.serving();
        serving
            .iter()
            .map(|one| (ServiceName::parse(&one.name).unwrap(), variant(&one.path)))
            .collect()
    }

    async fn writes(&mut self) -> u64 {
        self.0.record.writes()
    }

    async fn restart(&mut self) {
        self.0.kill();
        self.0.serve();
    }
}

catalyst_plugin::conformance_suite!(start);
