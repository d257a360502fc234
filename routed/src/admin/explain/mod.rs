//! The calls of `catalyst.admin.v1.Explain`: why things are as they are.

mod policies;

use catalyst_proto::admin::v1::explain_server::Explain;
use catalyst_proto::admin::v1::{GetPolicyRequest, GetPolicyResponse, ListPoliciesRequest, ListPoliciesResponse};
use tonic::{Request, Response, Status};

use crate::reload::LiveConfig;

/// Answers questions of catalystctl that begin with why.
pub(super) struct ExplainService {
    config: LiveConfig,
}

impl ExplainService {
    pub(super) fn new(config: LiveConfig) -> Self {
        Self { config }
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
}
