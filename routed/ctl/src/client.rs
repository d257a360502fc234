//! Calls to the daemon. Errors come out as [`Failure`]s that name its address.

mod explain;

use std::error::Error;
use std::time::Duration;

use catalyst_proto::admin::v1::admin_client::AdminClient;
use catalyst_proto::admin::v1::complete_client::CompleteClient;
use catalyst_proto::admin::v1::explain_client::ExplainClient;
use catalyst_proto::admin::v1::list_names_request::Kind;
use catalyst_proto::admin::v1::operate_client::OperateClient;
use catalyst_proto::admin::v1::tunnels_client::TunnelsClient;
use catalyst_proto::admin::v1::{
    AddServiceRequest, AddServiceResponse, ConfirmReloadRequest, GetConfigRequest, GetConfigResponse, GetPeerRequest,
    GetRouteRequest, ListNamesRequest, ListPeersRequest, ListPluginsRequest, ListRoutesRequest, ListTunnelsRequest,
    ListTunnelsResponse, Peer, Plugin, ReloadEvent, ReloadRequest, RemoveServiceRequest, Route, RouteEvent,
    WatchRoutesRequest,
};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status, Streaming};

use crate::failure::{Failure, Outcome};

/// How long a daemon may take to accept a connection, and to begin an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest message of an answer in bytes: `show config` sends a whole configuration in one.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// A connection to a daemon.
pub(crate) struct Client {
    addr: String,
    admin: AdminClient<Channel>,
    explain: ExplainClient<Channel>,
    pub(crate) operate: OperateClient<Channel>,
    complete: CompleteClient<Channel>,
    pub(crate) tunnels: TunnelsClient<Channel>,
}

impl Client {
    /// Connects to `unix:PATH` or `IP:PORT`.
    pub(crate) async fn connect(addr: &str) -> Outcome<Self> {
        let endpoint = endpoint(addr)?.connect_timeout(PATIENCE).timeout(PATIENCE);
        let channel = endpoint.connect().await.map_err(|error| {
            Failure::Unreachable(format!(
                "no daemon at {addr}: {}; --addr or CATALYST_ADDR says where one is (its admin.listen)",
                root_cause(&error)
            ))
        })?;
        let admin = AdminClient::new(channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES);
        let operate = OperateClient::new(channel.clone());
        let complete = CompleteClient::new(channel.clone());
        let tunnels = TunnelsClient::new(channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES);
        let explain = ExplainClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(Self {
            addr: addr.to_owned(),
            admin,
            explain,
            operate,
            complete,
            tunnels,
        })
    }

    pub(crate) fn answer<T>(&self, result: Result<Response<T>, Status>) -> Outcome<T> {
        result
            .map(Response::into_inner)
            .map_err(|status| Failure::from_status(&status, &self.addr))
    }

    /// The next message of a stream; `None` at its end.
    pub(crate) async fn next<T>(&self, stream: &mut Streaming<T>) -> Outcome<Option<T>> {
        stream
            .message()
            .await
            .map_err(|status| Failure::from_status(&status, &self.addr))
    }

    pub(crate) async fn routes(&mut self, selected_only: bool, family: &str) -> Outcome<Streaming<Route>> {
        let request = ListRoutesRequest {
            selected_only,
            family: family.to_owned(),
        };
        let result = self.admin.list_routes(request).await;
        self.answer(result)
    }

    pub(crate) async fn route(&mut self, name: String) -> Outcome<Vec<Route>> {
        let result = self.admin.get_route(GetRouteRequest { name }).await;
        self.answer(result).map(|answer| answer.paths)
    }

    pub(crate) async fn watch_routes(&mut self) -> Outcome<Streaming<RouteEvent>> {
        let result = self.admin.watch_routes(WatchRoutesRequest {}).await;
        self.answer(result)
    }

    pub(crate) async fn peers(&mut self) -> Outcome<Vec<Peer>> {
        let result = self.admin.list_peers(ListPeersRequest {}).await;
        self.answer(result).map(|answer| answer.peers)
    }

    pub(crate) async fn peer(&mut self, name: String) -> Outcome<Peer> {
        let result = self.admin.get_peer(GetPeerRequest { name }).await;
        self.answer(result)
    }

    /// Names of a kind that begin with a text, for completion.
    pub(crate) async fn names(&mut self, kind: Kind, begin: String) -> Outcome<Vec<String>> {
        let request = ListNamesRequest {
            kind: kind.into(),
            begin,
        };
        let result = self.complete.list_names(request).await;
        self.answer(result).map(|answer| answer.names)
    }

    pub(crate) async fn plugins(&mut self) -> Outcome<Vec<Plugin>> {
        let result = self.admin.list_plugins(ListPluginsRequest {}).await;
        self.answer(result).map(|answer| answer.plugins)
    }

    pub(crate) async fn tunnels(&mut self) -> Outcome<ListTunnelsResponse> {
        let result = self.tunnels.list_tunnels(ListTunnelsRequest {}).await;
        self.answer(result)
    }

    /// The effective configuration, and how it differs from the file.
    pub(crate) async fn config(&mut self) -> Outcome<GetConfigResponse> {
        let result = self.admin.get_config(GetConfigRequest {}).await;
        self.answer(result)
    }

    pub(crate) async fn reload(&mut self, request: ReloadRequest) -> Outcome<Streaming<ReloadEvent>> {
        let result = self.admin.reload(request).await;
        self.answer(result)
    }

    /// The next message of a reload. The mistakes of a configuration come one to a line.
    pub(crate) async fn next_of_reload(&self, stream: &mut Streaming<ReloadEvent>) -> Outcome<Option<ReloadEvent>> {
        stream.message().await.map_err(|status| {
            if status.code() == Code::InvalidArgument {
                let mistakes = status.message();
                return Failure::refused(format!("nothing was changed, the configuration is bad:\n{mistakes}"));
            }
            Failure::from_status(&status, &self.addr)
        })
    }

    pub(crate) async fn confirm_reload(&mut self) -> Outcome {
        let result = self.admin.confirm_reload(ConfirmReloadRequest {}).await;
        self.answer(result).map(|_| ())
    }

    pub(crate) async fn add_service(&mut self, name: String, service_json: String) -> Outcome<AddServiceResponse> {
        let result = self.admin.add_service(AddServiceRequest { name, service_json }).await;
        self.answer(result)
    }

    /// Whether the configuration has a service of this name.
    pub(crate) async fn remove_service(&mut self, name: String) -> Outcome<bool> {
        let result = self.admin.remove_service(RemoveServiceRequest { name }).await;
        self.answer(result).map(|answer| answer.configured)
    }
}

fn endpoint(addr: &str) -> Outcome<Endpoint> {
    let usage = || Failure::Usage(format!("--addr: expected unix:PATH or IP:PORT, found {addr:?}"));
    if let Some(path) = addr.strip_prefix("unix:") {
        return if path.is_empty() {
            Err(usage())
        } else {
            Endpoint::from_shared(addr.to_owned()).map_err(|_| usage())
        };
    }
    let address: std::net::SocketAddr = addr.parse().map_err(|_| usage())?;
    Endpoint::from_shared(format!("http://{address}")).map_err(|_| usage())
}

fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
