//! A data plane that cannot open the listener of an outside organisation: its peers are told of no names until it can.

use catalyst_core::event::Event;
use catalyst_core::policy::Policy;
use catalyst_core::speaker::Preview;
use catalyst_core::view::ExportReason;

use super::config::{destination, each_its_own, local_prefix, network, plane};
use super::fresh::equals_a_fresh_one;
use super::model;
use super::net::Net;

/// 1 between 0, 2 and 3, an organisation each, with an Envoy; it offers a name and a prefix.
fn star() -> Net {
    let mut configs = network(&each_its_own(4), &[(0, 1), (1, 2), (1, 3)]);
    configs[1].planes = vec![plane("envoy", true)];
    for peer in configs.iter_mut().flat_map(|config| &mut config.peers) {
        peer.allowed_prefixes = ["10.0.0.0/8".parse().unwrap()].into_iter().collect();
    }
    let mut net = Net::new(configs, 1);
    net.acknowledging = true;
    (0..4).for_each(|node| net.start_node(node));
    net.offer(1, "x.example");
    net.event(1, Event::PrefixAdd(local_prefix("10.1.0.0/16".parse().unwrap())));
    net.rest();
    net
}

fn close(net: &mut Net, organisations: &[&str]) {
    let plane = "envoy".into();
    let closed = organisations.iter().map(|it| ((*it).into(), "in use".into())).collect();
    net.event(1, Event::Listeners { plane, closed });
    net.rest();
}

fn hears(net: &Net, node: usize) -> Vec<String> {
    net.advertised(1, node)
}

#[test]
fn its_peers_are_told_of_no_names_until_it_opens() {
    let mut net = star();
    let all = ["x.example", "10.1.0.0/16"];
    assert_eq!(
        (hears(&net, 0), hears(&net, 2)),
        (all.map(String::from).into(), all.map(String::from).into())
    );
    let opened = net.nodes[1].routes[&destination("x.example")].exported_to().clone();
    close(&mut net, &["org-2"]);
    assert_eq!(hears(&net, 2), ["10.1.0.0/16"]);
    assert!(net.selected(2, "x.example").is_none() && net.selected(2, "10.1.0.0/16").is_some());
    assert_eq!(hears(&net, 0), all, "the others are");
    let routes = &net.nodes[1].routes;
    assert_eq!(
        *routes[&destination("x.example")].exported_to(),
        opened,
        "what it is to open stays"
    );
    let view = net.peer_view(1, 2);
    assert_eq!(
        (view.listener_closed.as_deref(), view.established_count),
        (Some("in use"), 1)
    );
    assert_eq!(net.peer_view(1, 0).listener_closed, None);
    // What comes later, too.
    net.offer(1, "y.example");
    net.rest();
    assert_eq!((hears(&net, 2).len(), hears(&net, 0).len()), (1, 3));
    model::check(&net);
    equals_a_fresh_one(&net);
    close(&mut net, &["org-3"]);
    assert_eq!((hears(&net, 2).len(), hears(&net, 3).len()), (3, 1));
    close(&mut net, &[]);
    assert_eq!((hears(&net, 2).len(), hears(&net, 3).len()), (3, 3));
    assert!(net.selected(2, "x.example").is_some());
    model::check(&net);
}

#[test]
fn a_session_that_comes_up_meanwhile_is_told_of_none_and_is_told_so() {
    let mut net = star();
    close(&mut net, &["org-2"]);
    net.crash(2);
    net.rest();
    let why = |net: &Net| {
        let why = net.nodes[1].speaker.why(&destination("x.example"), net.now).unwrap();
        let peer = why.peers.into_iter().find(|peer| &*peer.peer == "n002").unwrap();
        peer.reason
    };
    let closed = ExportReason::ListenerClosed {
        plane: "envoy".into(),
        why: "in use".into(),
    };
    assert_eq!(why(&net), closed, "before the session that is down");
    assert_eq!(
        closed.to_string(),
        "envoy has the listener of the peer's organisation closed: in use"
    );
    net.start_node(2);
    net.rest();
    assert_eq!((hears(&net, 2), why(&net)), (vec!["10.1.0.0/16".to_owned()], closed));
    assert!(net.peer_view(2, 1).end_of_rib, "that is all there is");
    // The data plane goes and comes back: its word stands.
    net.event(1, Event::PlaneDown("envoy".into()));
    net.event(1, Event::PlaneUp("envoy".into()));
    net.rest();
    assert_eq!(hears(&net, 2), ["10.1.0.0/16"]);
    close(&mut net, &[]);
    assert_eq!(why(&net), ExportReason::Advertised);
}

#[test]
fn inside_the_organisation_and_from_strangers_it_means_nothing() {
    let mut net = star();
    let plane = "nobody".into();
    let closed = vec![("org-2".into(), "in use".into())];
    net.event(1, Event::Listeners { plane, closed });
    close(&mut net, &["org-1", "org-9"]);
    assert_eq!((hears(&net, 0).len(), hears(&net, 2).len()), (2, 2));
}

#[test]
fn a_preview_knows_of_it() {
    let mut net = star();
    net.reconfigure(1, |config| {
        for peer in &mut config.peers {
            peer.export = Some(Policy::reject().into());
        }
    });
    close(&mut net, &["org-2"]);
    let old = net.nodes[1].config.clone();
    let mut new = old.clone();
    for peer in &mut new.peers {
        peer.export = Some(Policy::accept().into());
    }
    let speaker = &net.nodes[1].speaker;
    let around = speaker.surroundings(&new);
    let mut preview = Preview::new(old, new, &around, Default::default(), net.now);
    preview.page(&speaker.table_page(None, usize::MAX), net.now);
    let changes = preview.finish(net.now);
    let gained = |peer: &str| changes.peers[peer].1.gained.count;
    assert_eq!((gained("n000"), gained("n002")), (2, 1));
}
