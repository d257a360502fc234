//! The conformance suite of data planes on the whole Envoy plane and a real Envoy.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod ads_support;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use ads_support::envoy::Envoy;
use ads_support::{Patience, http};
use catalyst_envoy::bootstrap::bootstrap_json;
use catalyst_envoy::config::{EnvoyConfig, XdsAddress};
use catalyst_envoy::plane::EnvoyPlane;
use catalyst_plugin::conformance::Harness;
use catalyst_plugin::{Endpoint, NextHop, Protocol, Route, ServiceName, Table, Target};

const VARIANTS: [&str; 6] = ["0", "1", "2", "3", "4", "5"];

/// An Envoy with the bootstrap that users get, and one service per variant that answers with its number. Even variants
/// are local services with a cluster each, odd ones lead to a next hop whose cluster they share.
struct EnvoyHarness {
    config: EnvoyConfig,
    envoy: Option<Envoy>,
    services: Vec<SocketAddr>,
    /// Takes the only port for tcp services, so that Envoy refuses their listeners.
    _taken: TcpListener,
    _dir: tempfile::TempDir,
}

async fn start() -> EnvoyHarness {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut services = Vec::new();
    for (variant, name) in VARIANTS.into_iter().enumerate() {
        services.push(if variant % 2 == 0 {
            http::service(name).await
        } else {
            http::peer(name).await
        });
    }
    let config = config(&dir, taken.local_addr().unwrap().port()).await;
    let envoy = Envoy::start_with(&bootstrap_json(&config)).await;
    EnvoyHarness {
        config,
        envoy: Some(envoy),
        services,
        _taken: taken,
        _dir: dir,
    }
}

async fn config(dir: &tempfile::TempDir, tcp_port: u16) -> EnvoyConfig {
    EnvoyConfig {
        node: "a".into(),
        asn: 64512,
        organisation: "acme".into(),
        xds: XdsAddress::Unix(dir.path().join("xds.sock")),
        ingress: http::free_address().await,
        egress: http::free_address().await,
        peer_listener: http::free_address().await,
        peer_listeners: BTreeMap::new(),
        tcp_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        tcp_ports: tcp_port..=tcp_port,
        admin: ([127, 0, 0, 1], 0).into(),
        gateway: None,
        graphql_hosts: Vec::new(),
        tunnels: Vec::new(),
        state_dir: None,
    }
}

fn route(name: &ServiceName, protocol: Protocol, target: Target) -> Arc<Route> {
    Arc::new(Route {
        name: name.clone(),
        protocol,
        path: None,
        table: Table::Internal,
        origin: None,
        target,
        exported_to: Arc::default(),
    })
}

fn endpoint(at: SocketAddr) -> Target {
    Target::Local(vec![Endpoint {
        host: at.ip().to_string().into(),
        port: at.port(),
        weight: 1,
    }])
}

impl EnvoyHarness {
    fn envoy(&self) -> &Envoy {
        self.envoy.as_ref().unwrap()
    }

    async fn variant(&self, name: &str) -> Option<u32> {
        let answer = http::get(self.config.ingress, name, "/").await.ok()?;
        (answer.status == 200).then(|| answer.body.parse().unwrap())
    }
}

impl Harness for EnvoyHarness {
    type Plane = EnvoyPlane;

    async fn plane(&mut self) -> EnvoyPlane {
        // The plane before it may not have let go of the socket yet.
        let patience = Patience::new();
        loop {
            match EnvoyPlane::bind(self.config.clone()).await {
                Ok(plane) => return plane,
                Err(error) => patience.pause("the plane", &error.to_string()).await,
            }
        }
    }

    fn route(&self, name: &ServiceName, variant: u32) -> Arc<Route> {
        let at = self.services[variant as usize];
        if variant.is_multiple_of(2) {
            return route(name, Protocol::Http, endpoint(at));
        }
        route(
            name,
            Protocol::Http,
            Target::Remote(vec![NextHop { address: at, weight: 1 }]),
        )
    }

    fn bad_route(&self, name: &ServiceName) -> Arc<Route> {
        route(name, Protocol::Tcp, endpoint(self.services[0]))
    }

    async fn serves(&mut self) -> BTreeMap<ServiceName, u32> {
        let mut served = BTreeMap::new();
        for scope in self.envoy().scopes().await {
            let Some(name) = scope.strip_prefix('/') else {
                continue;
            };
            if let Some(variant) = self.variant(name).await {
                served.insert(ServiceName::parse(name).unwrap(), variant);
            }
        }
        served
    }

    async fn writes(&mut self) -> u64 {
        let writes = self.envoy().writes().await;
        assert!(writes > 0, "the suite counts after it has written");
        writes
    }

    async fn restart(&mut self) {
        // The old one must let go of its ports first.
        let mut old = self.envoy.take().unwrap();
        old.kill().await;
        self.envoy = Some(Envoy::start_with(&bootstrap_json(&self.config)).await);
    }
}

catalyst_plugin::conformance_suite!(start);
