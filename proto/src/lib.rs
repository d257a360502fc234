//! Protobuf interfaces of Catalyst, generated from `proto/proto/` by protox (no protoc).

/// `catalyst.admin.v1`: how catalystctl talks to catalyst-routed.
pub mod admin {
    /// Version 1.
    #[allow(
        missing_docs,
        clippy::all,
        clippy::restriction,
        unreachable_pub,
        unused_qualifications
    )]
    pub mod v1 {
        tonic::include_proto!("catalyst.admin.v1");
    }
}

/// `catalyst.gateway.v1`: how the GraphQL data plane drives catalyst-gateway.
pub mod gateway {
    /// Version 1.
    #[allow(
        missing_docs,
        clippy::all,
        clippy::restriction,
        unreachable_pub,
        unused_qualifications
    )]
    pub mod v1 {
        tonic::include_proto!("catalyst.gateway.v1");
    }
}

/// `catalyst.plugin.v1`: how a data plane that is a program of its own follows catalyst-routed.
pub mod plugin {
    /// Version 1.
    #[allow(
        missing_docs,
        clippy::all,
        clippy::restriction,
        unreachable_pub,
        unused_qualifications
    )]
    pub mod v1 {
        tonic::include_proto!("catalyst.plugin.v1");
    }
}
