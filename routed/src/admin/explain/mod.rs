//! The calls of `catalyst.admin.v1.Explain`: why things are as they are.

mod policies;
mod reach;
mod trace;
mod trial;
mod why;

use catalyst_envoy::ports::LocalPorts;
use catalyst_proto::admin::v1::explain_server::Explain;
use catalyst_proto::admin::v1::test_policy_request::Routes;
use catalyst_proto::admin::v1::{
    GetPolicyRequest, GetPolicyResponse, ListPoliciesRequest, ListPoliciesResponse, ReachRequest, ReachResponse,
    TestPolicyRequest, TestPolicyResponse, WhyRouteRequest, WhyRouteResponse,
};
use tonic::{Request, Response, Status};

use super::SharedStore;
use crate::driver::SpeakerHandle;
use crate::reload::LiveConfig;
use trial::Attempt;
use why::Known;

/// Answers questions of catalystctl that begin with why.
pub(super) struct ExplainService {
    config: LiveConfig,
    store: SharedStore,
    speaker: SpeakerHandle,
    local_ports: LocalPorts,
}

impl ExplainService {
    pub(super) fn new(config: LiveConfig, store: SharedStore, speaker: SpeakerHandle, local_ports: LocalPorts) -> Self {
        Self {
            config,
            store,
            speaker,
            local_ports,
        }
    }
}

#[tonic::async_trait]
impl Explain for ExplainService {
    async fn list_policies(&self, _: Request<ListPoliciesRequest>) -> Result<Response<ListPoliciesResponse>, Status> {
        Ok(Response::new(ListPoliciesResponse {
            policies: policies::list(&self.config.get()),
        }))
    }

    async fn get_policy(&self, request: Request<GetPolicyRequest>) -> Result<Response<GetPolicyResponse>, Status> {
        policies::get(&self.config.get(), &request.into_inner().name).map(Response::new)
    }

    async fn test_policy(&self, request: Request<TestPolicyRequest>) -> Result<Response<TestPolicyResponse>, Status> {
        let request = request.into_inner();
        let config = self.config.get();
        let attempt = Attempt::new(&config, &request)?;
        let traces = match &request.routes {
            Some(Routes::Json(json)) => attempt.recorded(json)?,
            Some(Routes::Live(name)) => attempt.live(&self.speaker, name).await?,
            None => return Err(Status::invalid_argument("no route to test the policy with")),
        };
        Ok(Response::new(TestPolicyResponse { traces }))
    }

    async fn why_route(&self, request: Request<WhyRouteRequest>) -> Result<Response<WhyRouteResponse>, Status> {
        let name = request.into_inner().name;
        let known = Known {
            config: &self.config.get(),
            store: &self.store,
            ports: &self.local_ports,
        };
        Ok(Response::new(why::route(known, &self.speaker, &name).await?))
    }

    async fn reach(&self, request: Request<ReachRequest>) -> Result<Response<ReachResponse>, Status> {
        let request = request.into_inner();
        let answer = reach::reach(&self.config.get(), &self.speaker, &self.local_ports, &request).await?;
        Ok(Response::new(answer))
    }
}
