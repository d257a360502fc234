//! The calls of `catalyst.admin.v1.Explain`: why things are as they are.

mod policies;
mod trace;
mod trial;
mod why;

use catalyst_proto::admin::v1::explain_server::Explain;
use catalyst_proto::admin::v1::test_policy_request::Routes;
use catalyst_proto::admin::v1::{
    GetPolicyRequest, GetPolicyResponse, ListPoliciesRequest, ListPoliciesResponse, TestPolicyRequest,
    TestPolicyResponse, WhyRouteRequest, WhyRouteResponse,
};
use tonic::{Request, Response, Status};

use crate::driver::SpeakerHandle;
use crate::reload::LiveConfig;
use trial::Attempt;

/// Answers questions of catalystctl that begin with why.
pub(super) struct ExplainService {
    config: LiveConfig,
    speaker: SpeakerHandle,
}

impl ExplainService {
    pub(super) fn new(config: LiveConfig, speaker: SpeakerHandle) -> Self {
        Self { config, speaker }
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
        let answer = why::route(&self.config.get(), &self.speaker, &name).await?;
        Ok(Response::new(answer))
    }
}
