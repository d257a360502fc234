use std::net::Ipv4Addr;
use std::sync::Arc;

use super::*;

fn router(node: &str) -> RouterId {
    RouterId {
        asn: 65001,
        node: Arc::from(node),
    }
}

fn plain(router_id: &RouterId) -> Candidate<'_> {
    Candidate {
        table: Table::External,
        next_hop_usable: true,
        freshness: Freshness::Fresh,
        local_pref: 100,
        local: false,
        hops: 2,
        neighbour: Some(2),
        origin: Origin::Egp,
        med: 10,
        external: true,
        cluster_len: 1,
        router_id,
        peer_address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)),
        protocol: Some(Protocol::Http),
    }
}

/// The winner of two candidates, and the step that beat the other one; the same in both orders.
fn fight<'a>(one: &Candidate<'a>, other: &Candidate<'a>) -> (usize, Option<Step>) {
    let there = decide(&[one.clone(), other.clone()]);
    let back = decide(&[other.clone(), one.clone()]);
    let winner = there.selected.unwrap();
    assert_eq!(back.selected, Some(1 - winner));
    assert_eq!(there.lost[1 - winner], back.lost[winner]);
    assert_eq!((there.lost[winner], back.lost[1 - winner]), (None, None));
    (winner, there.lost[1 - winner])
}

/// What makes the second candidate worse.
type Worsen = for<'a> fn(&mut Candidate<'a>, &'a RouterId);

const STEPS: [(Step, Worsen); 11] = [
    (Step::NextHopUnusable, |c, _| c.next_hop_usable = false),
    (Step::Stale, |c, _| c.freshness = Freshness::Stale),
    (Step::LocalPref, |c, _| c.local_pref = 99),
    (Step::LocallyOriginated, |c, _| c.local = false),
    (Step::AsPath, |c, _| c.hops = 3),
    (Step::Origin, |c, _| c.origin = Origin::Incomplete),
    (Step::Med, |c, _| c.med = 11),
    (Step::Session, |c, _| c.external = false),
    (Step::ClusterList, |c, _| c.cluster_len = 2),
    (Step::RouterId, |c, router| c.router_id = router),
    (Step::PeerAddress, |c, _| {
        c.peer_address = IpAddr::V6("::1".parse().unwrap());
    }),
];

#[test]
fn each_step_decides_where_all_before_it_are_equal_whatever_comes_after() {
    let (middle, high, low) = (router("m"), router("z"), router("a"));
    for (at, (step, worsen)) in STEPS.iter().enumerate() {
        let mut one = plain(&middle);
        one.local = *step == Step::LocallyOriginated;
        let mut other = one.clone();
        worsen(&mut other, &high);
        assert_eq!(fight(&one, &other), (0, Some(*step)));
        // Everything after the step speaks for the loser.
        for (later, worsen) in &STEPS[at + 1..] {
            if *later != Step::LocallyOriginated {
                worsen(&mut one, &high);
            }
        }
        if at < 9 {
            other.router_id = &low;
        }
        assert_eq!(
            fight(&one, &other),
            (0, Some(*step)),
            "the steps after {step:?} have no say"
        );
    }
}

#[test]
fn peers_are_told_apart_by_address_ipv4_first() {
    let id = router("m");
    let one = plain(&id);
    let mut other = plain(&id);
    other.peer_address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 10));
    assert_eq!(fight(&one, &other), (0, Some(Step::PeerAddress)));
    let mut six = plain(&id);
    six.peer_address = "::".parse().unwrap();
    assert_eq!(fight(&other, &six), (0, Some(Step::PeerAddress)));
}

#[test]
fn med_counts_between_paths_of_one_neighbour_only_and_in_any_order() {
    let ids = [router("a"), router("b"), router("c")];
    // The textbook case: pairwise, a beats b (router id), b beats c (router id), c beats a (MED).
    let mut a = plain(&ids[0]);
    (a.neighbour, a.med) = (Some(2), 20);
    let mut b = plain(&ids[1]);
    (b.neighbour, b.med) = (Some(3), 30);
    let mut c = plain(&ids[2]);
    (c.neighbour, c.med) = (Some(2), 10);
    let all = [a, b, c];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let candidates = order.map(|index| all[index].clone());
        let decision = decide(&candidates);
        assert_eq!(decision.selected.map(|index| order[index]), Some(1), "order {order:?}");
        let lost = |which: usize| decision.lost[order.iter().position(|index| *index == which).unwrap()];
        assert_eq!((lost(0), lost(2)), (Some(Step::Med), Some(Step::RouterId)));
    }
}

#[test]
fn a_path_without_usable_next_hop_never_wins() {
    let id = router("m");
    let mut only = plain(&id);
    only.next_hop_usable = false;
    let decision = decide(&[only]);
    assert_eq!(
        (decision.selected, decision.lost[0]),
        (None, Some(Step::NextHopUnusable))
    );
    assert_eq!(decide(&[]).selected, None);
}

#[test]
fn each_table_has_a_best_and_the_selected_one_is_better_of_both() {
    let ids = [router("a"), router("b"), router("c")];
    let mut internal = plain(&ids[2]);
    internal.table = Table::Internal;
    let external = plain(&ids[0]);
    let second = plain(&ids[1]);
    let candidates = [second, internal, external];
    let decision = decide(&candidates);
    assert_eq!(decision.best, [Some(1), Some(2)]);
    assert_eq!(decision.selected, Some(2));
    assert_eq!(decision.lost, [Some(Step::RouterId), Some(Step::RouterId), None]);
    let multipath: Vec<bool> = (0..3).map(|index| decision.is_multipath(&candidates, index)).collect();
    assert_eq!(multipath, [true, false, false], "never over both tables");
}

#[test]
fn multipath_is_equal_up_to_router_id_and_of_one_protocol() {
    let ids = [router("a"), router("b"), router("c"), router("d")];
    let mut grpc = plain(&ids[1]);
    grpc.protocol = Some(Protocol::HttpGrpc);
    let mut longer = plain(&ids[2]);
    longer.hops = 3;
    let candidates = [plain(&ids[0]), grpc, longer, plain(&ids[3])];
    let decision = decide(&candidates);
    assert_eq!(decision.selected, Some(0));
    let multipath: Vec<bool> = (0..4).map(|index| decision.is_multipath(&candidates, index)).collect();
    assert_eq!(multipath, [false, false, false, true]);
}

/// Every combination of the fields that matter, few values each.
fn variants<'a>(ids: &'a [RouterId; 2]) -> Vec<Candidate<'a>> {
    let paths = [(2, 2), (2, 3), (3, 3)];
    let mut all = Vec::new();
    for bits in 0..48usize {
        let mut candidate = plain(&ids[bits & 1]);
        candidate.med = if bits & 2 == 0 { 10 } else { 20 };
        candidate.table = if bits & 4 == 0 {
            Table::Internal
        } else {
            Table::External
        };
        candidate.next_hop_usable = bits & 8 == 0;
        let (hops, neighbour) = paths[bits / 16];
        (candidate.hops, candidate.neighbour) = (hops, Some(neighbour));
        all.push(candidate);
    }
    all
}

#[test]
fn the_short_cuts_agree_with_the_whole_decision() {
    let ids = [router("a"), router("b")];
    let fresh = variants(&ids);
    let mut stale = fresh.clone();
    // One of the known ones, or the new one, was told to be stale.
    stale.iter_mut().for_each(|it| it.freshness = Freshness::Stale);
    let (mut counts, mut ordered) = ([0; 3], 0);
    for [one, other, third] in [
        [&fresh, &fresh, &fresh],
        [&stale, &fresh, &fresh],
        [&fresh, &fresh, &stale],
        [&stale, &stale, &stale],
    ] {
        agrees([one, other, third], &mut counts, &mut ordered);
    }
    assert!(counts.iter().all(|count| *count > 1000), "{counts:?}");
    assert!(ordered > 1000, "{ordered}");
}

/// Where there is an order, its first one is the decision's, and so are those that share the traffic.
fn agrees_in_order(candidates: &[Candidate<'_>], decision: &Decision, ordered: &mut u32) {
    let Some((first, winner)) = first_in_order(candidates.iter().cloned().enumerate()) else {
        return;
    };
    *ordered += 1;
    assert_eq!(Some(first), decision.selected, "{candidates:?}");
    for (index, candidate) in candidates.iter().enumerate() {
        let shares = index != first && is_multipath(&winner, candidate);
        assert_eq!(shares, decision.is_multipath(candidates, index), "{candidates:?}");
    }
}

fn agrees([all, others, thirds]: [&[Candidate<'_>]; 3], counts: &mut [u32; 3], ordered: &mut u32) {
    for one in all {
        for other in others {
            for third in thirds {
                let mut known = vec![one.clone(), other.clone()];
                known[1].peer_address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));
                let Some(best) = decide(&known).selected else { continue };
                known.push(Candidate {
                    peer_address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 4)),
                    ..third.clone()
                });
                let said = one_more(&known[best], &known[2]);
                let after = decide(&known);
                agrees_in_order(&known, &after, ordered);
                counts[said as usize] += 1;
                match said {
                    OneMore::Unclear => {}
                    OneMore::Beaten => {
                        assert_eq!(
                            (after.selected, after.is_multipath(&known, 2)),
                            (Some(best), false),
                            "{known:?}"
                        );
                    }
                    OneMore::Tied => assert_eq!(after.selected, Some(best), "{known:?}"),
                }
            }
        }
    }
}

/// A path of each origin, with what it is before its rivals are looked at.
fn of_origins(id: &RouterId, freshness: impl IntoIterator<Item = Freshness>) -> Vec<Candidate<'_>> {
    let of = |freshness| Candidate { freshness, ..plain(id) };
    freshness.into_iter().map(of).collect()
}

#[test]
fn a_path_to_a_node_that_restarts_counts_as_a_stale_one_whoever_tells_of_it() {
    use Freshness::{Detour, Fresh, Stale};
    let id = router("m");
    let found = |origins: [u8; 4], before: [Freshness; 4], restarts: [bool; 4]| {
        let mut candidates = of_origins(&id, before);
        find_detours(&mut candidates, &origins, &restarts);
        candidates.iter().map(|it| it.freshness).collect::<Vec<_>>()
    };
    let first = [true, false, false, false];
    // Its own, by another, of another origin, and by another again, who says so.
    assert_eq!(
        found([1, 1, 2, 1], [Stale, Fresh, Fresh, Stale], first),
        [Stale, Detour, Fresh, Stale]
    );
    assert_eq!(
        found([1, 1, 2, 1], [Stale, Fresh, Fresh, Stale], [false; 4]),
        [Stale, Fresh, Fresh, Stale],
        "stale, and not of one that restarts"
    );
    assert_eq!(
        found([1, 2, 1, 2], [Stale, Stale, Fresh, Fresh], [true, true, false, false]),
        [Stale, Stale, Detour, Detour]
    );
}

#[test]
fn among_paths_that_are_not_fresh_the_rest_of_the_decision_is_as_ever() {
    let ids = [router("a"), router("b"), router("c")];
    let of = |id, freshness, local_pref| Candidate {
        freshness,
        local_pref,
        ..plain(id)
    };
    let all = [
        of(&ids[0], Freshness::Stale, 90),
        of(&ids[1], Freshness::Detour, 80),
        of(&ids[2], Freshness::Fresh, 10),
    ];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let decision = decide(&order.map(|index| all[index].clone()));
        assert_eq!(decision.selected.map(|index| order[index]), Some(2), "order {order:?}");
        let lost = |which: usize| decision.lost[order.iter().position(|index| *index == which).unwrap()];
        assert_eq!((lost(0), lost(1)), (Some(Step::Stale), Some(Step::Detour)));
    }
    assert_eq!(fight(&all[0], &all[1]), (0, Some(Step::LocalPref)));
    let preferred = of(&ids[1], Freshness::Detour, 95);
    assert_eq!(fight(&all[0], &preferred), (1, Some(Step::LocalPref)));
    assert_eq!(
        [Step::Stale, Step::Detour].map(Step::text),
        ["stale", "leads to a node that restarts"]
    );
}
