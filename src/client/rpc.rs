//! Which RPC a request message belongs to.

use tonic::{Request, Response, Status};

use super::port::{Admin, Data, PortKind};
use super::v1;

/// A request message of `taper.v1`. Each unary RPC has its own, so the type of the message selects the RPC.
pub(crate) trait Rpc: Sized {
    /// The port that serves the RPC.
    type Port: PortKind;
    /// The message of the response.
    type Response;

    /// Calls the RPC.
    fn send(
        client: &mut <Self::Port as PortKind>::Client,
        request: Request<Self>,
    ) -> impl Future<Output = Result<Response<Self::Response>, Status>> + Send;
}

macro_rules! rpcs {
    ($port:ident: $($request:ident => $method:ident -> $response:ident),* $(,)?) => { $(
        impl Rpc for v1::$request {
            type Port = $port;
            type Response = v1::$response;

            async fn send(
                client: &mut <$port as PortKind>::Client,
                request: Request<Self>,
            ) -> Result<Response<v1::$response>, Status> {
                client.$method(request).await
            }
        }
    )* };
}

rpcs!(Data:
    PredictRequest => predict -> PredictResponse,
    ReportOutcomesRequest => report_outcomes -> ReportOutcomesResponse,
);

rpcs!(Admin:
    ListModelsRequest => list_models -> ListModelsResponse,
    GetModelRequest => get_model -> GetModelResponse,
    GetTrafficPolicyRequest => get_traffic_policy -> GetTrafficPolicyResponse,
    GetStatsRequest => get_stats -> GetStatsResponse,
    CompareVersionsRequest => compare_versions -> CompareVersionsResponse,
    GetDriftRequest => get_drift -> GetDriftResponse,
    GetOutcomesRequest => get_outcomes -> GetOutcomesResponse,
    SetTrafficPolicyRequest => set_traffic_policy -> ChangeResponse,
    SetLabelRequest => set_label -> ChangeResponse,
    DeleteLabelRequest => delete_label -> ChangeResponse,
    PromoteRequest => promote -> ChangeResponse,
    UndoRequest => undo -> ChangeResponse,
    RollbackToRequest => rollback_to -> ChangeResponse,
    ConfirmRequest => confirm -> ChangeResponse,
    LoadVersionRequest => load_version -> ChangeResponse,
    UnloadVersionRequest => unload_version -> ChangeResponse,
    AcceptVersionRequest => accept_version -> ChangeResponse,
    ForgetModelRequest => forget_model -> ChangeResponse,
    RetryVersionRequest => retry_version -> RetryVersionResponse,
    ListRevisionsRequest => list_revisions -> ListRevisionsResponse,
);
