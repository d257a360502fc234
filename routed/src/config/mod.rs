//! The configuration: `routed.json`, the command line, or both.
//!
//! A text becomes a tree that knows where each value stands (`tree`), flags are laid over it (`set`), the tree is
//! read into types (`types`, all that is wrong by `recover`), rules between keys are checked, and the result is turned into what the core runs on.
//! Each error names its place and its key: `routed.json:12:7: peers["b"].address: expected IP:port, found "x"`.

pub mod cli;
pub mod docs;
pub mod schema;

mod aggregates;
mod as_range;
mod check;
mod communities;
mod convert;
mod de;
mod differ;
mod dynamic;
mod either;
mod error;
mod flags;
mod limits;
mod load;
mod nearest;
mod parse;
mod path;
mod plugins;
pub mod policy;
mod recover;
mod set;
mod text;
mod tree;
mod type_error;
mod types;
mod url;
mod wireguard;

pub use as_range::AsRange;
pub use convert::local_service;
pub use differ::{KeyChange, key_changes, without_restart};
pub use dynamic::DynamicPeers;
pub use either::{Either, Many};
pub use error::{ConfigError, ConfigErrors};
pub use flags::Flag;
pub use load::{MAX_FILE_BYTES, SERVICES_VERSION, load, load_services, load_text, load_with_warnings, parse_service};
pub use path::{KeyPath, Step};
pub use plugins::{Envoy, Graphql, Plugins};
pub use text::{Community, ExactName, Label, Listen, PortRange, Spelled, Text};
pub use types::{Admin, Config, Endpoint, Node, Peer, Peering, Service};
pub use url::{EndpointUrl, Scheme};
pub use wireguard::{OwnTunnel, PeerTunnel, SecondDevice, StaticTunnel, Wireguard, WireguardKey};
