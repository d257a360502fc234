//! One real Envoy process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use catalyst_envoy::config::XdsAddress;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::{eventually, http};

/// A running Envoy, killed when dropped.
pub struct Envoy {
    child: Child,
    admin: SocketAddr,
    dir: tempfile::TempDir,
}

impl Envoy {
    /// Starts an Envoy that asks `xds` for everything.
    pub async fn start(node: &str, xds: &XdsAddress) -> Self {
        Self::start_with(node, xds, &[]).await
    }

    pub async fn start_with(node: &str, xds: &XdsAddress, arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("envoy.json");
        std::fs::write(&config, serde_json::to_vec_pretty(&bootstrap(node, xds)).unwrap()).unwrap();
        let admin_file = dir.path().join("admin");
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = Command::new(binary())
            .args([
                "--disable-hot-restart",
                "--concurrency",
                "1",
                "--log-level",
                "warning",
                "-c",
            ])
            .arg(&config)
            .arg("--admin-address-path")
            .arg(&admin_file)
            .args(arguments)
            .stdout(Stdio::from(log.try_clone().unwrap()))
            .stderr(Stdio::from(log))
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut envoy = Self {
            child,
            admin: ([127, 0, 0, 1], 0).into(),
            dir,
        };
        envoy.admin = envoy.wait_for_admin(&admin_file).await;
        envoy
    }

    async fn wait_for_admin(&mut self, file: &Path) -> SocketAddr {
        let log = self.dir.path().join("log");
        eventually("Envoy's admin address", async || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("Envoy has ended ({status}): {}", std::fs::read_to_string(&log).unwrap());
            }
            let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
            text.trim().parse().map_err(|error| format!("{text:?}: {error}"))
        })
        .await
    }

    /// The value of a counter or gauge; 0 if Envoy does not know it (yet).
    pub async fn stat(&self, name: &str) -> u64 {
        let text = self.admin_get(&format!("/stats?filter=^{name}$")).await;
        text.trim()
            .rsplit(' ')
            .next()
            .and_then(|value| value.parse().ok())
            .unwrap_or_default()
    }

    /// How often Envoy has taken an update of a kind that changed something (`cluster_manager.cds`).
    pub async fn updates(&self) -> Vec<(String, u64)> {
        let text = self.admin_get("/stats?filter=.*update_success$").await;
        let lines = text.lines().filter_map(|line| line.split_once(": "));
        lines
            .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
            .collect()
    }

    /// The names of the resources that Envoy holds of one kind, by its configuration dump.
    pub async fn dump(&self, resource: &str) -> Vec<Value> {
        let text = self.admin_get(&format!("/config_dump?resource={resource}")).await;
        let dump: Value = serde_json::from_str(&text).unwrap();
        dump["configs"].as_array().cloned().unwrap_or_default()
    }

    pub async fn clusters(&self) -> Vec<String> {
        let dump = self.dump("dynamic_active_clusters").await;
        let mut names: Vec<_> = dump
            .iter()
            .map(|entry| entry["cluster"]["name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }

    pub async fn warming_clusters(&self) -> Vec<String> {
        let dump = self.dump("dynamic_warming_clusters").await;
        dump.iter()
            .map(|entry| entry["cluster"]["name"].as_str().unwrap().to_owned())
            .collect()
    }

    pub async fn listeners(&self) -> Vec<String> {
        let dump = self.dump("dynamic_listeners").await;
        let active = dump.iter().filter(|entry| !entry["active_state"].is_null());
        let mut names: Vec<_> = active.map(|entry| entry["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    pub async fn scopes(&self) -> Vec<String> {
        let dump = self.dump("dynamic_scoped_route_configs").await;
        let configs = dump
            .iter()
            .flat_map(|entry| entry["scoped_route_configs"].as_array().cloned().unwrap_or_default());
        let mut names: Vec<_> = configs
            .map(|scope| scope["name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }

    pub async fn admin_get(&self, path: &str) -> String {
        http::get(self.admin, "admin", path).await.unwrap().body
    }

    /// Sends a signal (`STOP`, `CONT`, `KILL`).
    pub async fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        let status = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status()
            .await
            .unwrap();
        assert!(status.success(), "kill -{name} {pid}");
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }
}

fn bootstrap(node: &str, xds: &XdsAddress) -> Value {
    let address = match xds {
        XdsAddress::Unix(path) => json!({"pipe": {"path": path}}),
        XdsAddress::Tcp(at) => json!({"socket_address": {"address": at.ip().to_string(), "port_value": at.port()}}),
    };
    json!({
        "node": {"id": node, "cluster": "test"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": true,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
            },
            "cds_config": {"ads": {}, "resource_api_version": "V3"},
            "lds_config": {"ads": {}, "resource_api_version": "V3"},
        },
        "static_resources": {"clusters": [{
            "name": "xds",
            "type": "STATIC",
            "connect_timeout": "1s",
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http2_protocol_options": {}},
                },
            },
            "load_assignment": {
                "cluster_name": "xds",
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
            },
        }]},
    })
}

/// `CATALYST_ENVOY`, what `cargo xtask install` fetched, or an `envoy` on the path.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("CATALYST_ENVOY") {
        return path.into();
    }
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/envoy-1.40.0/envoy");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = std::iter::once(fetched).chain(std::env::split_paths(&path).map(|dir| dir.join("envoy")));
    candidates
        .into_iter()
        .find(|candidate| candidate.is_file())
        .expect("no Envoy found: run `cargo xtask install`, put `envoy` (1.40 or later) on PATH, or set CATALYST_ENVOY")
}
