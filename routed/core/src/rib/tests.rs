use super::*;
use crate::attrs::{Attrs, Origin, OriginNode, Protocol, RouterId, ServiceAttr};

fn attrs(med: u32) -> Attrs {
    let router_id = RouterId {
        asn: 65001,
        node: Arc::from("a"),
    };
    Attrs {
        origin: Origin::Igp,
        as_path: vec![65001],
        next_hop: ([127, 0, 0, 1], 1).into(),
        origin_node: OriginNode {
            router_id,
            organisation: Arc::from("acme"),
        },
        local_pref: None,
        med: Some(med),
        communities: Vec::new(),
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

fn learn(rib: &mut Rib, name: &str, peer: PeerId, med: u32, note: Note) -> bool {
    let attr = rib.attrs.intern(&attrs(med));
    let name = rib.names.intern(name.as_bytes());
    rib.upsert(
        name,
        peer,
        Learned {
            attr_in: attr,
            attr,
            note,
        },
        0,
    )
}

fn rib_of(peers: PeerId) -> Rib {
    let mut rib = Rib::new(Arc::from("acme"));
    rib.add_peer(peers);
    rib
}

fn peers_of(rib: &Rib, name: &str) -> Vec<PeerId> {
    let name = rib.names.lookup(name.as_bytes());
    name.map_or_else(Vec::new, |name| rib.paths_of(name).map(|(_, path)| path.peer).collect())
}

fn clean_all(rib: &mut Rib) -> usize {
    let dirty = rib.take_dirty();
    let count = dirty.len();
    for &name in &dirty {
        rib.clean(name);
    }
    rib.give_back(dirty);
    rib.sweep();
    count
}

#[test]
fn a_peer_has_one_path_per_name_and_the_same_again_is_no_change() {
    let mut rib = rib_of(3);
    assert!(learn(&mut rib, "x.acme", 1, 1, Note::Accepted));
    assert!(learn(&mut rib, "x.acme", 2, 1, Note::Accepted));
    assert_eq!(clean_all(&mut rib), 1);
    assert!(!learn(&mut rib, "x.acme", 1, 1, Note::Accepted));
    assert_eq!(clean_all(&mut rib), 0);
    assert!(learn(&mut rib, "x.acme", 1, 2, Note::OwnAs));
    assert_eq!((rib.peer(1).accepted, rib.peer(1).rejected), (0, 1));
    assert_eq!(peers_of(&rib, "x.acme"), [2, 1]);
}

#[test]
fn removal_keeps_both_lists_whole_in_any_order() {
    let names = ["a.acme", "b.acme", "c.acme", "d.acme"];
    for first in 0..4 {
        for second in 0..4 {
            let mut rib = rib_of(3);
            for peer in 1..=3 {
                for name in names {
                    learn(&mut rib, name, peer, 1, Note::Accepted);
                }
            }
            for at in [first, second] {
                let name = rib.names.lookup(names[at].as_bytes()).unwrap();
                rib.remove(name, 2);
            }
            rib.drop_peer(2);
            assert!(
                names.iter().all(|name| peers_of(&rib, name) == [3, 1]),
                "{first} {second}"
            );
            rib.drop_peer(3);
            rib.drop_peer(1);
            clean_all(&mut rib);
            assert_eq!((rib.names.len(), rib.attrs.references().count()), (0, 0));
        }
    }
}

#[test]
fn a_dropped_peer_leaves_hard_losses_and_a_withdrawal_does_not() {
    let mut rib = rib_of(1);
    learn(&mut rib, "a.acme", 1, 1, Note::Accepted);
    learn(&mut rib, "b.acme", 1, 1, Note::Accepted);
    clean_all(&mut rib);
    let (a, b) = (
        rib.names.lookup(b"a.acme").unwrap(),
        rib.names.lookup(b"b.acme").unwrap(),
    );
    rib.remove(a, 1);
    rib.drop_peer(1);
    assert_eq!(rib.take_dirty(), [a, b]);
    assert_eq!((rib.clean(a).hard_loss, rib.clean(b).hard_loss), (false, true));
}

#[test]
fn one_more_path_is_told_from_everything_else() {
    let mut rib = rib_of(3);
    learn(&mut rib, "a.acme", 1, 1, Note::Accepted);
    let a = rib.names.lookup(b"a.acme").unwrap();
    assert!(rib.clean(a).one_more);
    learn(&mut rib, "a.acme", 2, 1, Note::Accepted);
    assert!(rib.clean(a).one_more);
    learn(&mut rib, "a.acme", 2, 2, Note::Accepted);
    assert!(!rib.clean(a).one_more, "a changed path");
    learn(&mut rib, "a.acme", 3, 1, Note::Accepted);
    rib.remove(a, 2);
    assert!(!rib.clean(a).one_more, "one came and one went");
    rib.remove(a, 1);
    assert!(!rib.clean(a).one_more, "one went");
}

#[test]
fn attribute_sets_stay_what_they_are_when_most_others_leave() {
    let mut rib = rib_of(1);
    // Far more than the arena tolerates as free places.
    let ids: Vec<AttrId> = (0..20_000).map(|med| rib.attrs.intern(&attrs(med))).collect();
    let before: Vec<_> = ids.iter().map(|id| rib.attrs.raw(*id).to_vec()).collect();
    ids.iter().step_by(100).for_each(|id| rib.attrs.retain(*id));
    rib.sweep();
    assert_eq!(rib.attrs.references().count(), 200);
    for (med, id) in (0..20_000).zip(&ids).step_by(100) {
        let raw = &before[med as usize];
        assert_eq!((rib.attrs.raw(*id), rib.attrs.find(raw)), (&raw[..], Some(*id)));
        assert_eq!(rib.attrs.decode(*id).med, Some(med));
    }
}
