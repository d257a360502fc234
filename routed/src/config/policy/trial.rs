//! Trying a policy: a route as somebody wrote it down, brought before a policy as the Speaker would.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use catalyst_core::attrs::{Attrs, Origin, OriginNode, RouterId, ServiceAttr};
use catalyst_core::policy::{Policy, Question, Role, Trace, trace};
use catalyst_core::route::{Destination, Table};
use catalyst_core::view::Direction;

use super::super::check::Problems;
use super::super::either::Either;
use super::super::path::KeyPath;
use super::super::text::{Community, Spelled, Text};
use super::super::types::{Config, Peer};
use super::resolve::Resolver;
use super::tests::{Expectation, PolicyTest, TestRoute};
use super::types::PolicySection;
use super::words::Decision;

/// What stands for the organisation of a route that says none and comes from no known peer; no organisation is called so.
const UNKNOWN: &str = "(unknown)";
/// What a test calls the statement that decides where none does.
const DEFAULT: &str = "default";
const NO_NEXT_HOP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// A route and the peer that it comes from or goes to.
#[derive(Debug, Clone)]
pub struct Trial {
    destination: Destination,
    attrs: Attrs,
    table: Table,
    peer: Arc<str>,
    role: Option<Role>,
    outside: bool,
}

impl Trial {
    /// A route in a direction of a configured peer, or of one from outside that nothing is known of.
    #[must_use]
    pub fn new(config: &Config, direction: Direction, peer: Option<&str>, route: &TestRoute) -> Self {
        let section = peer.and_then(|name| config.peers.get(name));
        let attrs = attrs(config, direction, section, route);
        let ours = config.node.organisation.0.0.as_str();
        Self {
            destination: route.name.0.clone(),
            table: if *attrs.origin_node.organisation == *ours {
                Table::Internal
            } else {
                Table::External
            },
            attrs,
            peer: peer.unwrap_or_default().into(),
            role: section.and_then(|peer| Some(peer.role?.0)),
            outside: section.is_none_or(|peer| config.is_outside(peer)),
        }
    }

    /// The attributes before the policy.
    #[must_use]
    pub fn attrs(&self) -> &Attrs {
        &self.attrs
    }

    /// What a policy makes of it.
    #[must_use]
    pub fn of(&self, policy: &Policy) -> Trace {
        let question = Question {
            destination: &self.destination,
            attrs: &self.attrs,
            table: self.table,
            peer: &self.peer,
            role: self.role,
            accepts_by_default: !self.outside,
        };
        trace(policy, &question)
    }
}

fn attrs(config: &Config, direction: Direction, peer: Option<&Peer>, route: &TestRoute) -> Attrs {
    let import = direction == Direction::Import;
    let external = peer.filter(|peer| import && peer.asn != config.node.asn);
    let as_path = route.as_path.clone();
    let as_path = as_path.unwrap_or_else(|| external.map(|peer| peer.asn).into_iter().collect());
    let organisation = match (&route.origin_organisation, peer) {
        (Some(organisation), _) => organisation.0.0.as_str(),
        (None, Some(peer)) if import => config.organisation_of(peer),
        (None, None) if import => UNKNOWN,
        (None, _) => config.node.organisation.0.0.as_str(),
    };
    let mut attrs = Attrs {
        origin: Origin::Igp,
        next_hop: NO_NEXT_HOP,
        origin_node: OriginNode {
            router_id: RouterId {
                asn: as_path.last().copied().unwrap_or(config.node.asn),
                node: UNKNOWN.into(),
            },
            organisation: organisation.into(),
        },
        as_path,
        local_pref: route.local_pref,
        med: route.med,
        communities: Vec::new(),
        large_communities: Vec::new(),
        originator: None,
        cluster_list: Vec::new(),
        service: route.name.name().map(|_| ServiceAttr {
            protocol: route.protocol.0,
            path: None,
            weight: 100,
            health: 100,
        }),
        only_to_customer: None,
        tunnel: None,
        unknown: Vec::new(),
    };
    for community in &route.communities {
        match config.community(&community.0) {
            Some(Community::Standard(c)) => attrs.communities.push(c),
            Some(Community::Large(c)) => attrs.large_communities.push(c),
            Some(Community::Named(_)) | None => {}
        }
    }
    attrs.communities.sort_unstable();
    attrs.communities.dedup();
    attrs.large_communities.sort_unstable();
    attrs.large_communities.dedup();
    attrs
}

/// Runs the tests of a policy that holds no mistake.
pub(in crate::config) fn run_tests(
    config: &Config,
    section: &PolicySection,
    policy: &Policy,
    path: &KeyPath,
    problems: &mut Problems,
) {
    for (index, test) in section.tests.iter().enumerate() {
        let path = path.field("tests").index(index);
        if check(config, test, &path, problems)
            && let Err(message) = run(config, section, policy, test)
        {
            let shown = test.name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
            problems.add(path.field("expect"), format!("{shown}{message}"));
        }
    }
}

/// Whether what the test names is there.
fn check(config: &Config, test: &PolicyTest, path: &KeyPath, problems: &mut Problems) -> bool {
    let mut resolver = Resolver::new(config);
    if let Some(peer) = &test.peer {
        resolver.must_know_peer(&peer.0, &path.field("peer"));
    }
    let route = path.field("route").field("communities");
    for (index, community) in test.route.communities.iter().enumerate() {
        resolver.community(community, &route.index(index));
    }
    if let Either::Long(expected) = &test.expect {
        let path = path.field("expect");
        let communities = expected.communities.iter().flatten().enumerate();
        for (index, community) in communities {
            resolver.community(community, &path.field("communities").index(index));
        }
        let rejected = expected.verdict.0 == Decision::Reject && expected.wants_attributes();
        resolver.problems().unless(!rejected, path, || {
            "a rejected route has no attributes to expect anything of".to_owned()
        });
    }
    let found = resolver.into_problems();
    let good = found.errors.is_empty();
    problems.append(found);
    good
}

impl Expectation {
    fn wants_attributes(&self) -> bool {
        self.local_pref.is_some() || self.med.is_some() || self.communities.is_some() || self.prepend.is_some()
    }
}

/// Why a test fails, in one line.
fn run(config: &Config, section: &PolicySection, policy: &Policy, test: &PolicyTest) -> Result<(), String> {
    let peer = test.peer.as_ref().map(|peer| peer.0.0.0.as_str());
    let trial = Trial::new(config, test.direction.0, peer, &test.route);
    let trace = trial.of(policy);
    let decided = decided_by(&trace);
    let found = format!("{} by {decided}", verdict(trace.accepted));
    let (wanted, more) = match &test.expect {
        Either::Short(decision) => (decision.0, None),
        Either::Long(expected) => (expected.verdict.0, Some(expected)),
    };
    if (wanted == Decision::Accept) != trace.accepted {
        return Err(format!("expected {}, found {found}{}", wanted.print(), missed(&trace)));
    }
    let Some(expected) = more else { return Ok(()) };
    if let Some(statement) = expected.statement.as_ref().filter(|wanted| **wanted != decided) {
        return Err(format!("expected {} by {statement}, found {found}", wanted.print()));
    }
    let wrong = wrong_attributes(config, section, expected, &trace);
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("{} ({found})", wrong.join(", ")))
    }
}

fn verdict(accepted: bool) -> &'static str {
    if accepted { "accept" } else { "reject" }
}

fn decided_by(trace: &Trace) -> String {
    trace
        .decided_by
        .as_ref()
        .map_or_else(|| DEFAULT.to_owned(), ToString::to_string)
}

/// Where the default decided: why the statements did not.
fn missed(trace: &Trace) -> String {
    if trace.decided_by.is_some() {
        return String::new();
    }
    let missed = trace.statements.iter().filter_map(|statement| {
        let condition = statement.conditions.iter().find(|condition| !condition.holds)?;
        Some(format!(
            "{} fails on {}: {}",
            statement.name, condition.key, condition.found
        ))
    });
    let missed: Vec<String> = missed.take(3).collect();
    format!(" ({})", missed.join("; "))
}

fn wrong_attributes(config: &Config, section: &PolicySection, expected: &Expectation, trace: &Trace) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut compare = |name: &str, wanted: Option<String>, found: String| {
        if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
            wrong.push(format!("expected {name} {wanted}, found {found}"));
        }
    };
    let number = |value: Option<u32>| value.map_or_else(|| "none".to_owned(), |value| value.to_string());
    let after = &trace.after;
    compare(
        "local_pref",
        expected.local_pref.map(|n| n.to_string()),
        number(after.local_pref),
    );
    compare("med", expected.med.map(|n| n.to_string()), number(after.med));
    let wanted = expected.communities.as_ref().map(|list| numbers(config, list));
    compare(
        "communities",
        wanted.map(|list| listed(&list)),
        listed(&communities(after)),
    );
    let prepended = prepended(section, trace).to_string();
    compare("prepend", expected.prepend.map(|n| n.to_string()), prepended);
    wrong
}

/// The same community may be written by name and by number.
fn numbers(config: &Config, list: &[Spelled<Community>]) -> Vec<Community> {
    let mut numbers: Vec<Community> = list.iter().filter_map(|c| config.community(&c.0)).collect();
    numbers.sort();
    numbers.dedup();
    numbers
}

fn communities(attrs: &Attrs) -> Vec<Community> {
    let standard = attrs.communities.iter().copied().map(Community::Standard);
    let large = attrs.large_communities.iter().copied().map(Community::Large);
    standard.chain(large).collect()
}

fn listed(communities: &[Community]) -> String {
    let all: Vec<String> = communities.iter().map(Text::print).collect();
    format!("[{}]", all.join(" "))
}

fn prepended(section: &PolicySection, trace: &Trace) -> u32 {
    let applied = section
        .statements
        .iter()
        .zip(&trace.statements)
        .filter(|(_, t)| t.applies);
    let times = applied.filter_map(|(statement, _)| match &statement.then {
        Either::Long(changes) => changes.prepend,
        Either::Short(_) => None,
    });
    times.map(u32::from).sum()
}
