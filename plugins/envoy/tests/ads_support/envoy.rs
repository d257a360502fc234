//! One real Envoy process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use catalyst_envoy::config::XdsAddress;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::{Patience, http};

/// A running Envoy, killed when dropped.
pub struct Envoy {
    child: Child,
    admin: SocketAddr,
    dir: tempfile::TempDir,
}

impl Envoy {
    /// Starts an Envoy that asks `xds` for everything.
    pub async fn start(node: &str, xds: &XdsAddress) -> Self {
        Self::start_with(&bootstrap(node, xds).to_string()).await
    }

    /// Starts an Envoy with this bootstrap.
    pub async fn start_with(bootstrap: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("envoy.json");
        std::fs::write(&config, bootstrap).unwrap();
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
        let patience = Patience::new();
        loop {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            match text.trim().parse() {
                Ok(address) => return address,
                Err(_) => patience.pause("Envoy's admin address", &text).await,
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "Envoy has ended ({ended:?}): {}", self.log());
        }
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

    /// Changes that Envoy has made to what it serves, of whatever kind.
    pub async fn writes(&self) -> u64 {
        let wanted = "cluster_manager.cluster_(added|modified|removed)|listener_manager.listener_(added|modified|removed)\
                      |.*scoped_rds.*update_success|.*extension_config_discovery.*config_reload";
        let text = self.admin_get(&format!("/stats?filter=^({wanted})$")).await;
        text.lines()
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
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
        // A kind that nothing asks for yet (scopes before the first listener) is answered in plain words.
        let dump: Value = serde_json::from_str(&text).unwrap_or_default();
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

    /// The CPU time that it has used so far, all threads together.
    pub fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id().unwrap())).unwrap();
        let spent = tasks.map(|task| {
            // Nanoseconds on a CPU, nanoseconds waiting for one, turns. A thread may have ended meanwhile.
            let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default();
            text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0)
        });
        Duration::from_nanos(spent.sum())
    }

    /// Its resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
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

    /// Kills it and waits for its end.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
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
                "grpc_services": [{"envoy_grpc": {
                    "cluster_name": "xds",
                    "retry_policy": {"retry_back_off": {"base_interval": "0.1s", "max_interval": "0.5s"}},
                }}],
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
