//! How a route is worded for a peer: what is private stays inside, path and next hop become ours. Pure.

use std::net::SocketAddr;

use super::peer::Peer;
use crate::attrs::{Attrs, DEFAULT_LOCAL_PREF};
use crate::event::SpeakerConfig;
use crate::policy::{Action, Role, remove_communities};
use crate::wire;

/// What the wording goes by, besides the route and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) internal: bool,
    pub(super) outside: bool,
    pub(super) next_hop_self: bool,
    pub(super) next_hop: SocketAddr,
    /// Our role, on external sessions.
    pub(super) role: Option<Role>,
}

impl Words {
    /// RFC 9234 section 5, egress rule 1: what goes to a customer, a lateral peer or a client of our route server is
    /// marked.
    fn marks(&self) -> bool {
        matches!(self.role, Some(Role::Provider | Role::Peer | Role::RouteServer))
    }
}

/// Rewrites the attributes of the selected route: `changes` are those of the export policy, `from` the peer that the
/// route comes from.
pub(super) fn rewrite<'a>(
    attrs: &mut Attrs,
    words: &Words,
    from: Option<&Peer>,
    config: &SpeakerConfig,
    changes: impl Iterator<Item = &'a Action>,
) {
    if !words.internal && from.is_some() {
        // RFC 4271 section 5.1.4: MED of one neighbour is not passed on to another. A policy may set one.
        attrs.med = None;
    }
    let mut prepended = 0;
    for change in changes {
        change.apply(attrs);
        prepended += change.prepends();
    }
    if from.is_none() || words.next_hop_self {
        attrs.next_hop = words.next_hop;
    }
    if words.outside {
        remove_communities(attrs, &config.internal_communities);
    }
    if words.internal {
        attrs.local_pref.get_or_insert(DEFAULT_LOCAL_PREF);
        if let Some(from) = from.filter(|peer| peer.internal) {
            reflect(attrs, from, config);
        }
        return;
    }
    let own = config.identity.router_id.asn;
    for _ in 0..=prepended {
        attrs.as_path.insert(0, own);
    }
    attrs.local_pref = None;
    attrs.originator = None;
    attrs.cluster_list.clear();
    if words.marks() {
        attrs.only_to_customer.get_or_insert(own);
    }
}

/// RFC 4456 section 8.
fn reflect(attrs: &mut Attrs, from: &Peer, config: &SpeakerConfig) {
    attrs.originator.get_or_insert_with(|| from.router_id.clone());
    attrs.cluster_list.insert(0, config.cluster.clone());
}

/// Whether any receiver would take it (docs/protocol.md, limits); `raw_len` is its length as it is written, in bytes.
pub(super) fn fits(attrs: &Attrs, raw_len: usize) -> bool {
    attrs.as_path.len() <= wire::MAX_HOPS
        && attrs.cluster_list.len() <= wire::MAX_CLUSTERS
        && raw_len <= wire::MAX_ATTRS_BYTES
}
