//! What import makes of the attributes of a route: the checks of the protocol, then the policy. Pure.

use super::peer::Peer;
use crate::attrs::{Attrs, GRACEFUL_SHUTDOWN};
use crate::event::SpeakerConfig;
use crate::policy::{Action, Given, Role, Rule};
use crate::rib::Note;
use crate::route::Table;

/// Why names count as withdrawn whatever the policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The leftmost AS is not the peer's.
    LeftmostAs,
    /// The next hop is neither the peer's address nor allowed.
    NextHop,
    /// The next hop is no address of the tunnel that traffic to the peer has to go through.
    OutsideTunnel,
    /// TUNNEL of another node than the peer, or one that has passed another node.
    ForeignTunnel,
}

/// What came of it. `None` in place of attributes: they stay as they were received.
#[derive(Debug)]
pub(super) enum Judgement {
    /// RFC 7606: the names count as withdrawn.
    Withdraw(Refusal),
    /// The same for every name.
    Path(Option<Box<Attrs>>, Note),
    /// The policy reads the name; these are the attributes that go into it.
    ByName(Option<Box<Attrs>>),
}

/// Judges attributes as received from a peer.
pub(super) fn judge(config: &SpeakerConfig, peer: &Peer, attrs: &Attrs) -> Judgement {
    if !peer.internal && attrs.as_path.first() != Some(&peer.config.asn) {
        return Judgement::Withdraw(Refusal::LeftmostAs);
    }
    let speaks_of_tunnel = peer.config.tunnel.is_some() && attrs.tunnel.is_some();
    if !speaks_of_tunnel && is_outside_tunnel(peer, attrs) {
        return Judgement::Withdraw(Refusal::OutsideTunnel);
    }
    if peer.outside && !allows_next_hop(peer, attrs) {
        return Judgement::Withdraw(Refusal::NextHop);
    }
    if speaks_of_tunnel && !is_of_itself(peer, attrs) {
        return Judgement::Withdraw(Refusal::ForeignTunnel);
    }
    let cleaned = cleaned(peer, attrs);
    let note = check(config, peer, attrs);
    // Whoever configured the tunnel has accepted it: no policy is asked.
    if note != Note::Accepted || speaks_of_tunnel {
        return Judgement::Path(cleaned, note);
    }
    match &peer.import {
        Rule::Nothing => Judgement::Path(cleaned, Note::ImportPolicy),
        Rule::All => Judgement::Path(accepted(peer, attrs, cleaned, std::iter::empty()), Note::Accepted),
        Rule::Policy(policy) if policy.program().reads.key => Judgement::ByName(cleaned),
        Rule::Policy(policy) => {
            let given = given(config, peer, cleaned.as_deref().unwrap_or(attrs));
            let mut applied = Vec::new();
            let decision = policy.program().decide_for_all(&given, &mut applied);
            if decision.map_or(!peer.outside, |decision| decision.accept) {
                let accepted = accepted(peer, attrs, cleaned, policy.changes(&applied));
                Judgement::Path(accepted, Note::Accepted)
            } else {
                Judgement::Path(cleaned, Note::ImportPolicy)
            }
        }
    }
}

/// What an import policy sees of a route.
pub(super) fn given<'a>(config: &SpeakerConfig, peer: &'a Peer, attrs: &'a Attrs) -> Given<'a> {
    let ours = attrs.origin_node.organisation == config.identity.organisation;
    Given {
        attrs,
        table: if ours { Table::Internal } else { Table::External },
        peer: peer.policy_name(),
        role: peer.role(),
    }
}

fn allows_next_hop(peer: &Peer, attrs: &Attrs) -> bool {
    let ip = attrs.next_hop.ip().to_canonical();
    ip == peer.address
        || peer.reaches_by_tunnel(ip)
        || peer
            .config
            .allowed_next_hops
            .iter()
            .any(|allowed| allowed.to_canonical() == ip)
}

/// Whether traffic would pass by the tunnel that is required.
fn is_outside_tunnel(peer: &Peer, attrs: &Attrs) -> bool {
    let required = peer.config.tunnel.as_ref().is_some_and(|tunnel| tunnel.required);
    required && !peer.reaches_by_tunnel(attrs.next_hop.ip().to_canonical())
}

/// Whether a route was born at the peer and came straight from it: TUNNEL is believed of nobody else.
fn is_of_itself(peer: &Peer, attrs: &Attrs) -> bool {
    let path: &[u32] = if peer.internal { &[] } else { &[peer.config.asn] };
    attrs.origin_node.router_id == peer.router_id && attrs.as_path == path
}

pub(super) fn check(config: &SpeakerConfig, peer: &Peer, attrs: &Attrs) -> Note {
    let ours = &config.identity;
    if attrs.as_path.contains(&ours.router_id.asn) {
        return Note::OwnAs;
    }
    if peer.internal && attrs.originator.as_ref() == Some(&ours.router_id) {
        return Note::OwnOriginator;
    }
    if peer.internal && attrs.cluster_list.contains(&config.cluster) {
        return Note::OwnCluster;
    }
    if peer.outside && attrs.origin_node.organisation == ours.organisation {
        return Note::OwnOrganisation;
    }
    if is_leak(peer, attrs) {
        return Note::RouteLeak;
    }
    Note::Accepted
}

/// RFC 9234 section 5, ingress rules 1 and 2: a customer or client has no business passing on what was for customers
/// only, a lateral peer only what it marked itself.
fn is_leak(peer: &Peer, attrs: &Attrs) -> bool {
    match (peer.role(), attrs.only_to_customer) {
        (Some(Role::Provider | Role::RouteServer), Some(_)) => true,
        (Some(Role::Peer), Some(asn)) => asn != peer.config.asn,
        (Some(Role::Peer | Role::Customer | Role::RouteServerClient) | None, _) => false,
        (Some(Role::Provider | Role::RouteServer), None) => false,
    }
}

/// The attributes without what does not count on an external session, or of a peer without a tunnel, marked as RFC 9234
/// asks; `None`: as they were.
pub(super) fn cleaned(peer: &Peer, attrs: &Attrs) -> Option<Box<Attrs>> {
    let tunnel = attrs.tunnel.is_some() && peer.config.tunnel.is_none();
    if peer.internal {
        return tunnel.then(|| {
            Box::new(Attrs {
                tunnel: None,
                ..attrs.clone()
            })
        });
    }
    let foreign = attrs.local_pref.is_some() || attrs.originator.is_some() || !attrs.cluster_list.is_empty();
    let mark = is_marked_on_import(peer) && attrs.only_to_customer.is_none();
    if !foreign && !mark && !tunnel {
        return None;
    }
    // RFC 4271 section 5.1.5, RFC 7606 sections 7.9 and 7.10: ignored on external sessions.
    Some(Box::new(Attrs {
        local_pref: None,
        originator: None,
        cluster_list: Vec::new(),
        only_to_customer: attrs.only_to_customer.or(mark.then_some(peer.config.asn)),
        tunnel: attrs.tunnel.clone().filter(|_| !tunnel),
        ..attrs.clone()
    }))
}

/// RFC 9234 section 5, ingress rule 3: what comes from a provider, a lateral peer or a route server goes to customers
/// only.
fn is_marked_on_import(peer: &Peer) -> bool {
    matches!(peer.role(), Some(Role::Customer | Role::Peer | Role::RouteServerClient))
}

/// What an accepted route becomes: the changes of the policy, then what communities ask for.
pub(super) fn accepted<'a>(
    peer: &Peer,
    attrs: &Attrs,
    cleaned: Option<Box<Attrs>>,
    changes: impl Iterator<Item = &'a Action>,
) -> Option<Box<Attrs>> {
    let mut changed = cleaned;
    for change in changes {
        change.apply(changed.get_or_insert_with(|| Box::new(attrs.clone())));
    }
    let now = changed.as_deref().unwrap_or(attrs);
    // RFC 8326 section 4.2: the neighbour is about to go, any other way is better. A policy that takes the community off
    // has it otherwise.
    if !peer.internal && now.communities.contains(&GRACEFUL_SHUTDOWN) {
        changed.get_or_insert_with(|| Box::new(attrs.clone())).local_pref = Some(0);
    }
    changed
}
