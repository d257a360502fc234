//! Configurations by the rules of Gao and Rexford: customers before lateral peers before providers, and to providers and
//! lateral peers only what is our own or a customer's. Such policies have one stable state.

use std::sync::Arc;

use catalyst_core::event::{Aggregate, Members, PeerConfig, SpeakerConfig};
use catalyst_core::policy::{Action, CommunityPattern, Condition, Policy, Role, Statement, Verdict};
use catalyst_core::route::Table;

use crate::config::{name, network, node_name};
use crate::policy_words::{accept, names, reject, statement};
use crate::topology::{Relation, Shape, organisation_name};

/// What is learned from a customer carries this inside the organisation.
const CUSTOMER: u32 = 64512 << 16 | 1;
const MARKS: CommunityPattern = CommunityPattern::Standard(Some(64512), None);

/// The direction of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// What comes in.
    Import,
    /// What goes out.
    Export,
}

/// The policy of a session on which we play this role; with `but_not`, names that fit are held back besides.
#[must_use]
pub fn policy(role: Role, direction: Direction, but_not: Option<&str>) -> Arc<Policy> {
    let held_back = but_not.map(|pattern| reject("held-back", vec![names(&[pattern])]));
    let rest = match direction {
        Direction::Import => vec![import(role)],
        Direction::Export if role == Role::Provider => vec![accept("all", Vec::new())],
        Direction::Export => vec![
            accept("own", vec![Condition::Table(vec![Table::Internal])]),
            accept(
                "customers",
                vec![Condition::Community(vec![CommunityPattern::Standard(
                    Some(64512),
                    Some(1),
                )])],
            ),
        ],
    };
    let statements: Vec<Statement> = held_back.into_iter().chain(rest).collect();
    let direction = if direction == Direction::Import { "from" } else { "to" };
    Arc::new(Policy::new(
        &format!("{direction}-{}", role.counterpart().as_str()),
        statements,
    ))
}

fn import(role: Role) -> Statement {
    // What is our own has 100 and goes before all of them: else two organisations that offer the same prefix, and prefer
    // each other's, have two stable states.
    let preference = match role {
        Role::Provider | Role::RouteServer => 90,
        Role::Peer => 80,
        Role::Customer | Role::RouteServerClient => 70,
    };
    let mut actions = vec![Action::RemoveCommunities(vec![MARKS]), Action::SetLocalPref(preference)];
    if role == Role::Provider {
        actions.push(Action::AddCommunities(vec![CUSTOMER]));
    }
    statement("relation", Vec::new(), actions, Verdict::Accept)
}

/// The nodes of a shape. Each organisation has its domain; sessions between organisations have roles and policies.
#[must_use]
pub fn configs(shape: &Shape) -> Vec<SpeakerConfig> {
    let edges: Vec<(usize, usize)> = shape.edges.iter().map(|(one, other, _)| (*one, *other)).collect();
    let mut configs = network(&shape.who(), &edges);
    for (node, config) in configs.iter_mut().enumerate() {
        config.internal_communities = vec![MARKS];
        config.domains = vec![name(&organisation_name(shape.organisation[node]))];
    }
    for &(one, other, relation) in &shape.edges {
        let role = match relation {
            Relation::Inside => continue,
            Relation::ProviderOf => Role::Provider,
            Relation::Lateral => Role::Peer,
        };
        set_role(peer_of(&mut configs, one, other), role);
        set_role(peer_of(&mut configs, other, one), role.counterpart());
    }
    configs
}

fn peer_of(configs: &mut [SpeakerConfig], node: usize, peer: usize) -> &mut PeerConfig {
    let peer = node_name(peer);
    let mut peers = configs[node].peers.iter_mut();
    peers.find(|it| *it.name == *peer).unwrap()
}

fn set_role(peer: &mut PeerConfig, role: Role) {
    peer.role = Some(role);
    peer.import = Some(policy(role, Direction::Import, None));
    peer.export = Some(policy(role, Direction::Export, None));
}

/// Each organisation stands for its names by `*.domain` towards others, and gives customers that give nobody transit
/// themselves `*` in place of everything.
pub fn aggregate(shape: &Shape, configs: &mut [SpeakerConfig]) {
    let stubs = shape.stubs();
    for (node, config) in configs.iter_mut().enumerate() {
        let own = shape.organisation[node];
        let is_stub_customer = |peer: &&PeerConfig| {
            let organisation = peer.organisation[1..].parse::<usize>();
            peer.role == Some(Role::Provider) && organisation.is_ok_and(|it| stubs[it])
        };
        let customers = config.peers.iter().filter(is_stub_customer);
        let customers: Vec<_> = customers.map(|peer| peer.name.clone()).collect();
        config.aggregates = vec![an_aggregate(&format!("*.{}", organisation_name(own)))];
        if !customers.is_empty() {
            config.aggregates.push(Aggregate {
                to: Some(customers),
                members: Members::Any,
                always: true,
                ..an_aggregate("*")
            });
        }
    }
}

fn an_aggregate(text: &str) -> Aggregate {
    Aggregate {
        name: name(text),
        to: None,
        suppress: true,
        members: Members::Own,
        always: false,
        communities: Vec::new(),
        large_communities: Vec::new(),
        med: None,
    }
}
