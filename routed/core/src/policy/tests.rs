use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::attrs::{Attrs, Origin, OriginNode, RouterId, ServiceAttr};
use crate::destination::Destination;

fn attrs() -> Attrs {
    Attrs {
        origin: Origin::Igp,
        as_path: vec![65002, 65003],
        next_hop: SocketAddr::from(([192, 0, 2, 1], 10000)),
        origin_node: OriginNode {
            router_id: RouterId {
                asn: 65003,
                node: "n".into(),
            },
            organisation: "beta".into(),
        },
        local_pref: None,
        med: None,
        communities: vec![65002 << 16 | 1],
        large_communities: Vec::new(),
        originator: None,
        cluster_list: Vec::new(),
        service: Some(ServiceAttr {
            protocol: Protocol::Http,
            path: None,
            weight: 1,
            health: 100,
        }),
        only_to_customer: None,
        tunnel: None,
        unknown: Vec::new(),
    }
}

fn pattern(text: &str) -> NamePattern {
    NamePattern::parse(text).unwrap()
}

fn statement(name: &str, conditions: Vec<Condition>, actions: Vec<Action>, verdict: Verdict) -> Statement {
    Statement {
        name: name.into(),
        conditions,
        actions,
        verdict,
    }
}

fn question<'a>(destination: &'a Destination, attrs: &'a Attrs) -> Question<'a> {
    Question {
        destination,
        attrs,
        table: Table::External,
        peer: "b",
        role: None,
        accepts_by_default: false,
    }
}

/// Few values, so that they meet.
fn conditions() -> impl Strategy<Value = Condition> {
    let names = ["a.x", "*.x", "*", "b-*.x", "*.y", "b-1.x"];
    let prefixes = [("10.0.0.0/8", 8, 32), ("10.1.0.0/16", 16, 16), ("::/0", 0, 128)].map(|(within, min, max)| {
        let within = within.parse().unwrap();
        PrefixPattern { within, min, max }
    });
    let communities = [
        CommunityPattern::Standard(Some(1), Some(1)),
        CommunityPattern::Standard(Some(1), None),
        CommunityPattern::Large(None, Some(2), None),
    ];
    let as_paths = ["_1_", "^1", "2$", "^$"];
    fn some<T: Clone + std::fmt::Debug + 'static>(of: Vec<T>) -> impl Strategy<Value = Vec<T>> {
        proptest::collection::vec(proptest::sample::select(of), 1..3)
    }
    let leaf = prop_oneof![
        3 => some(names.map(pattern).to_vec()).prop_map(Condition::Name),
        1 => some(prefixes.to_vec()).prop_map(Condition::Prefix),
        1 => some(vec![Family::Name, Family::Ipv4, Family::Ipv6]).prop_map(Condition::Family),
        1 => some(vec![Protocol::Http, Protocol::Tcp]).prop_map(Condition::Protocol),
        2 => some(communities.to_vec()).prop_map(Condition::Community),
        1 => some(as_paths.map(|text| AsPathPattern::parse(text).unwrap()).to_vec()).prop_map(Condition::AsPath),
        1 => some(vec!["beta".into(), "gamma".into()]).prop_map(Condition::OriginOrganisation),
        1 => some(vec!["b".into(), "c".into()]).prop_map(Condition::Peer),
        1 => some(vec![Table::Internal, Table::External]).prop_map(Condition::Table),
        1 => some(Role::ALL.to_vec()).prop_map(Condition::Role),
        1 => some(vec![1, 2]).prop_map(Condition::NeighbourAs),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        proptest::collection::vec(inner, 0..3).prop_map(Condition::Not)
    })
}

fn policies() -> impl Strategy<Value = Policy> {
    let actions = prop_oneof![
        (0..3u32).prop_map(Action::SetLocalPref),
        Just(Action::AddCommunities(vec![1 << 16 | 1, 5])),
        Just(Action::RemoveCommunities(vec![CommunityPattern::Standard(
            Some(1),
            None
        )])),
    ];
    let statements = (
        proptest::collection::vec(conditions(), 0..4),
        proptest::collection::vec(actions, 0..2),
        proptest::sample::select(vec![Verdict::Accept, Verdict::Reject, Verdict::Next]),
    );
    let statements = statements.prop_map(|(conditions, actions, verdict)| statement("s", conditions, actions, verdict));
    proptest::collection::vec(statements, 0..6).prop_map(|statements| Policy::new("p", statements))
}

fn routes() -> impl Strategy<Value = Attrs> {
    let communities = proptest::sample::subsequence(vec![5, 1 << 16 | 1, 1 << 16 | 2], 0..=3);
    let large = proptest::sample::subsequence(vec![(1, 2, 3), (2, 1, 1)], 0..=2);
    let as_paths = proptest::collection::vec(1..4u32, 0..3);
    let organisations = proptest::sample::select(vec!["beta", "gamma", "delta"]);
    (communities, large, as_paths, organisations).prop_map(|(communities, large_communities, as_path, organisation)| {
        let mut attrs = Attrs {
            communities,
            large_communities,
            as_path,
            ..attrs()
        };
        attrs.origin_node.organisation = organisation.into();
        attrs
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_compiled_policy_says_what_its_plain_reading_says(
        policy in policies(),
        attrs in routes(),
        table in proptest::sample::select(vec![Table::Internal, Table::External]),
        peer in proptest::sample::select(vec!["b", "c", "d"]),
        role in proptest::option::of(proptest::sample::select(Role::ALL.to_vec())),
        accepts_by_default in any::<bool>(),
    ) {
        let given = Given { attrs: &attrs, table, peer, role };
        let residual = policy.program().reduce(&given);
        let mut applied = Vec::new();
        for text in ["a.x", "b-1.x", "*.x", "c.y", "*", "q", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "2001:db8::/32"] {
            let destination: Destination = text.parse().unwrap();
            let (plain, plainly_applied) = evaluate(&policy, &given, Key::from(&destination));
            let decision = policy.program().decide(&residual, Key::from(&destination), &mut applied);
            prop_assert_eq!(decision, plain, "{}", text);
            let (mut compiled_after, mut plain_after) = (attrs.clone(), attrs.clone());
            policy.changes(&applied).for_each(|change| change.apply(&mut compiled_after));
            policy.changes(&plainly_applied).for_each(|change| change.apply(&mut plain_after));
            prop_assert_eq!(&compiled_after, &plain_after, "{}", text);
            let question = Question { destination: &destination, attrs: &attrs, table, peer, role, accepts_by_default };
            let trace = trace(&policy, &question);
            prop_assert_eq!(trace.accepted, plain.map_or(accepts_by_default, |decision| decision.accept));
            prop_assert_eq!(trace.decided_by.is_some(), plain.is_some());
            prop_assert_eq!(&trace.after, if trace.accepted { &plain_after } else { &attrs });
            if !policy.program().reads.key {
                prop_assert_eq!(policy.program().decide_for_all(&given, &mut applied), plain);
            }
        }
    }
}

#[test]
fn the_first_final_verdict_decides_and_next_keeps_its_changes() {
    let policy = Policy::new(
        "p",
        vec![
            statement("mark", Vec::new(), vec![Action::AddCommunities(vec![7])], Verdict::Next),
            statement(
                "own",
                vec![Condition::Name(vec![pattern("*.acme")])],
                vec![Action::SetLocalPref(200)],
                Verdict::Accept,
            ),
            statement("rest", Vec::new(), Vec::new(), Verdict::Reject),
        ],
    );
    let attrs = attrs();
    let name: Destination = "a.acme".parse().unwrap();
    let trace_of = |name: &Destination| trace(&policy, &question(name, &attrs));
    let accepted = trace_of(&name);
    assert!(accepted.accepted);
    assert_eq!(accepted.decided_by.as_deref(), Some("own"));
    assert_eq!(
        (accepted.after.local_pref, accepted.after.communities.len()),
        (Some(200), 2)
    );
    assert!(!accepted.statements[2].reached);
    let rejected = trace_of(&"a.beta".parse().unwrap());
    assert_eq!(
        (rejected.accepted, rejected.decided_by.as_deref()),
        (false, Some("rest"))
    );
    assert_eq!(rejected.after, attrs, "what does not pass does not change");
    let condition = &rejected.statements[1].conditions[0];
    assert_eq!(
        (condition.key, &*condition.wanted, &*condition.found, condition.holds),
        ("name", "*.acme", "a.beta", false)
    );
}

#[test]
fn conditions_see_the_route_as_it_came() {
    let marked = CommunityPattern::Standard(Some(0), Some(7));
    let policy = Policy::new(
        "p",
        vec![
            statement("mark", Vec::new(), vec![Action::AddCommunities(vec![7])], Verdict::Next),
            statement(
                "marked",
                vec![Condition::Community(vec![marked])],
                Vec::new(),
                Verdict::Accept,
            ),
        ],
    );
    let (attrs, name) = (attrs(), "a.acme".parse().unwrap());
    assert!(!trace(&policy, &question(&name, &attrs)).accepted);
}

#[test]
fn what_a_policy_reads_is_known() {
    let reads = |conditions| {
        Policy::new("p", vec![statement("s", conditions, Vec::new(), Verdict::Accept)])
            .program()
            .reads
    };
    assert_eq!(reads(vec![Condition::NeighbourAs(vec![1])]), Reads::default());
    let nested = Condition::Not(vec![Condition::Name(vec![pattern("*")])]);
    assert!(reads(vec![nested]).key);
    assert!(reads(vec![Condition::Peer(vec!["b".into()])]).peer);
}

#[test]
fn communities_stay_sorted_and_within_what_the_wire_carries() {
    let mut attrs = attrs();
    Action::AddCommunities(vec![9, 3, 9]).apply(&mut attrs);
    assert_eq!(attrs.communities, [3, 9, 65002 << 16 | 1]);
    Action::AddCommunities((0..65_000).collect()).apply(&mut attrs);
    assert!(attrs.communities.is_sorted() && attrs.communities.len() == crate::wire::MAX_COMMUNITIES);
    Action::RemoveCommunities(vec![CommunityPattern::Standard(Some(0), None)]).apply(&mut attrs);
    assert_eq!(attrs.communities, [65002 << 16 | 1]);
}

#[test]
fn constant_policies_are_told_from_others() {
    assert_eq!(Policy::accept().constant(), Some(Verdict::Accept));
    assert_eq!(Policy::reject().constant(), Some(Verdict::Reject));
    assert_eq!(Policy::new("p", Vec::new()).constant(), None);
    let changes = statement("s", Vec::new(), vec![Action::SetMed(None)], Verdict::Accept);
    assert_eq!(Policy::new("p", vec![changes]).constant(), None);
}
