//! hive-router as a library: its configuration, and an HTTP server of its parts and ours.

use crate::args::{Args, LogFormat};
use crate::engine::Published;
use crate::hooks::Hooks;
use crate::page;
use crate::probes::{self, GatewayName};
use anyhow::{Context as _, anyhow};
use hive_router::background_tasks::BackgroundTasksManager;
use hive_router::config::HiveRouterConfig;
use hive_router::ntex::server::Server;
use hive_router::ntex::{SharedCfg, web};
use hive_router::pipeline::request_identifiers::RequestIdentifiersService;
use hive_router::pipeline::request_summary::RequestSummaryService;
use hive_router::plugins::plugins_service::PluginService;
use hive_router::telemetry::{PrometheusAttached, Telemetry};
use hive_router::{
    PluginRegistry, RouterPaths, RouterSharedState, SchemaState, build_http_service_config, configure_app_from_config,
    configure_ntex_app, init_rustls_crypto_provider, invoke_shutdown_hooks,
};
use serde_json::json;
use std::net::TcpListener;
use std::sync::Arc;

const GRAPHQL: &str = "/graphql";
/// All services share one origin, Envoy's egress listener, so the limit per origin is the limit of the gateway.
const MAX_REQUESTS_TO_SERVICES: usize = 1024;

/// The router's configuration, without its files and environment variables: the command line is ours.
pub(crate) fn config(args: &Args) -> anyhow::Result<HiveRouterConfig> {
    let millis = |duration: std::time::Duration| format!("{}ms", duration.as_millis());
    let format = if args.log_format == LogFormat::Json {
        "json"
    } else {
        "text"
    };
    let level = args.log_level.as_str();
    // One line per request is for debugging; so is how the router is built.
    let filter = if level == "debug" {
        "debug".to_owned()
    } else {
        format!("{level},router=warn,opentelemetry_sdk=warn")
    };
    let mut config = json!({
        "supergraph": { "source": "plugin" },
        "plugins": { "catalyst": { "enabled": true } },
        "http": {
            "host": args.listen.ip(), "port": args.listen.port(), "graphql_endpoint": GRAPHQL,
            "shutdown_timeout": millis(args.shutdown_timeout),
        },
        // Its page loads from a CDN; ours does not.
        "laboratory": { "enabled": false },
        // What a service says about its error is for the client; what the router says is rewritten in `hooks`.
        "error_masking": { "enabled": false },
        "headers": { "all": { "request": [{ "propagate": { "named": ["authorization", "cookie"] } }] } },
        "traffic_shaping": {
            "max_connections_per_host": MAX_REQUESTS_TO_SERVICES,
            // Its fingerprint knows the URL, which all services share.
            "all": { "dedupe_enabled": false, "request_timeout": millis(args.request_timeout) },
        },
        "telemetry": {
            "metrics": { "exporters": [{ "kind": "prometheus", "enabled": true, "path": "/metrics" }] },
            "resource": { "attributes": { "service.name": "catalyst-gateway", "service.instance.id": args.name } },
        },
        "log": { "format": format, "level": level, "filter": filter },
    });
    if let Some(workers) = args.workers {
        config["http"]["workers"] = json!(workers);
    }
    serde_json::from_value(config).context("the router refuses its configuration")
}

/// What the HTTP server hands to its handlers, besides the router's own state.
pub(crate) struct Served {
    pub(crate) name: GatewayName,
    pub(crate) published: Arc<Published>,
}

/// Serves until SIGTERM or SIGINT. `started` runs once logging works and everything is ready.
pub(crate) async fn serve(
    config: &'static HiveRouterConfig,
    listener: TcpListener,
    served: Served,
    started: impl FnOnce(),
) -> anyhow::Result<()> {
    init_rustls_crypto_provider();
    let telemetry = Telemetry::init_global(config).context("starting telemetry")?;
    Hooks::provide(Arc::clone(&served.published));
    let mut background = BackgroundTasksManager::new();
    let plugins = PluginRegistry::new().register::<Hooks>();
    let (shared, schema) = configure_app_from_config(config, telemetry.context.clone(), &mut background, plugins)
        .await
        .map_err(|error| anyhow!("starting the router: {error}"))?;
    let prometheus = telemetry.prometheus.as_ref().and_then(|runtime| runtime.to_attached());
    let address = listener.local_addr().context("reading the listener's address")?;
    let server = http_server(config, listener, served, (Arc::clone(&shared), schema), prometheus)?;
    tracing::info!(%address, "catalyst-gateway serves");
    started();
    let ended = server.await.context("serving HTTP");
    tracing::info!("catalyst-gateway stops");
    background.graceful_shutdown().await;
    invoke_shutdown_hooks(&shared).await;
    telemetry.graceful_shutdown().await;
    ended
}

fn http_server(
    config: &'static HiveRouterConfig,
    listener: TcpListener,
    served: Served,
    (shared, schema): (Arc<RouterSharedState>, Arc<SchemaState>),
    prometheus: Option<PrometheusAttached>,
) -> anyhow::Result<Server> {
    let paths = RouterPaths::new(GRAPHQL.to_owned(), None, None);
    let mut server = web::HttpServer::new(async move || {
        let (paths, prometheus) = (paths.clone(), prometheus.clone());
        let metrics = prometheus.as_ref().map(|attached| attached.endpoint.clone());
        web::App::new()
            .middleware(PluginService::new(paths.clone(), metrics))
            .middleware(RequestSummaryService::new(GRAPHQL))
            .middleware(RequestIdentifiersService)
            .state(shared.clone())
            .state(schema.clone())
            .state(shared.telemetry_context.clone())
            .state(schema.callback_subscriptions.clone())
            .state(served.published.clone())
            .state(served.name.clone())
            .configure(own_routes)
            .configure(|app| configure_ntex_app(app, &paths, prometheus))
            .default_service(web::to(probes::not_found))
    });
    if let Some(workers) = config.workers() {
        server = server.workers(workers.get());
    }
    let server = server
        .config(SharedCfg::new("catalyst-gateway").add(build_http_service_config(config)))
        .shutdown_timeout(config.shutdown_timeout());
    Ok(server.listen(listener).context("listening")?.run())
}

/// Before the router's own: a browser's GET /graphql, and probes that know the state of the graph.
fn own_routes(app: &mut web::ServiceConfig) {
    app.service(
        web::resource(GRAPHQL)
            .guard(web::guard::fn_guard(page::is_wanted))
            .route(web::get().to(page::serve)),
    )
    .route("/health", web::get().to(probes::health))
    .route("/readiness", web::get().to(probes::readiness));
}
