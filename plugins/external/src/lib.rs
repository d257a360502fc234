//! Data planes that are programs of their own (`catalyst.plugin.v1`, docs/plugins.md).
//!
//! The daemon's end is [`ExternalPlane`]: `table` knows the difference between any two versions, `instance` is one stream,
//! `hub` is all of them, `server` does the I/O. The other end is for authors of data planes: [`Client`] keeps one that
//! writes its whole table at a time, [`client::run`] one that implements [`DataPlane`](catalyst_plugin::DataPlane).

pub mod client;
mod hub;
mod instance;
mod server;
mod spec;
mod table;
mod wire;

pub use catalyst_plugin::{
    Destination, Endpoint, NextHop, Prefix, PrefixRoute, Protocol, Route, Selected, ServiceName, Target,
};
pub use client::{Client, View};
pub use server::ExternalPlane;
pub use spec::PlaneSpec;
pub use wire::WireError;
