//! Calls of `catalyst.admin.v1.Explain`.

use catalyst_proto::admin::v1::{
    GetPolicyRequest, GetPolicyResponse, ListPoliciesRequest, Policy, PolicyTrace, ReachRequest, ReachResponse,
    TestPolicyRequest, WhyRouteRequest, WhyRouteResponse,
};

use super::Client;
use crate::failure::Outcome;

impl Client {
    pub(crate) async fn policies(&mut self) -> Outcome<Vec<Policy>> {
        let result = self.explain.list_policies(ListPoliciesRequest {}).await;
        self.answer(result).map(|answer| answer.policies)
    }

    pub(crate) async fn policy(&mut self, name: String) -> Outcome<GetPolicyResponse> {
        let result = self.explain.get_policy(GetPolicyRequest { name }).await;
        self.answer(result)
    }

    pub(crate) async fn test_policy(&mut self, request: TestPolicyRequest) -> Outcome<Vec<PolicyTrace>> {
        let result = self.explain.test_policy(request).await;
        self.answer(result).map(|answer| answer.traces)
    }

    pub(crate) async fn why_route(&mut self, name: String) -> Outcome<WhyRouteResponse> {
        let result = self.explain.why_route(WhyRouteRequest { name }).await;
        self.answer(result)
    }

    pub(crate) async fn reach(&mut self, name: String, from: String) -> Outcome<ReachResponse> {
        let result = self.explain.reach(ReachRequest { name, from }).await;
        self.answer(result)
    }
}
