//! What is behind a tunnel.

use catalyst_core::event::Event;
use catalyst_core::policy::Policy;
use catalyst_core::route::Target;
use catalyst_core::speaker::Preview;

use super::super::config::{address, destination, local_prefix};
use super::super::net::Net;
use super::{OF_0, OF_1, line, peer_tunnel, prefix, refusal, serial, tunnel, tunnel_event, tunnel_of};

/// As [`line`], with 0 and 2 of one AS each offering 10.2.0.0/16 to 1, 0 by its tunnel.
fn two_ways() -> Net {
    let mut configs = line();
    configs[0].peers[0].next_hop.set_ip(prefix(OF_0[0]).address());
    let mut net = Net::up(configs, 1);
    for node in [0, 2] {
        net.event(node, Event::PrefixAdd(local_prefix(prefix("10.2.0.0/16"))));
    }
    net.run_ms(10);
    net
}

fn hops(net: &Net, text: &str) -> Vec<std::net::IpAddr> {
    match net.nodes[1]
        .routes
        .get(&destination(text))
        .map(|route| route.target().clone())
    {
        Some(Target::Remote(hops)) => hops.iter().map(|hop| hop.address.ip()).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_behind_a_tunnel_is_used_while_it_is_alive() {
    let mut net = two_ways();
    let by_tunnel = prefix(OF_0[0]).address();
    net.offer(0, "x.example");
    net.run_ms(10);
    let of = |net: &Net, text: &str| {
        let path = net
            .paths(1, text)
            .into_iter()
            .find(|path| path.learned_from.as_deref() == Some("n000"))
            .unwrap();
        path.reason
    };
    assert_eq!(
        (of(&net, "10.2.0.0/16"), hops(&net, "10.2.0.0/16")),
        ("next hop unusable".into(), vec![address(2)])
    );
    assert!(net.selected(1, "x.example").is_none(), "names are no exception");
    tunnel_event(&mut net, OF_0[0], true);
    assert_eq!(hops(&net, "10.2.0.0/16"), [by_tunnel, address(2)], "multipath");
    assert_eq!(net.as_path(2, "x.example"), Some(vec![65002, 65001]));
    tunnel_event(&mut net, OF_0[0], false);
    assert_eq!(hops(&net, "10.2.0.0/16"), [address(2)]);
    assert!(
        !net.nodes[1].routes.contains_key(&destination("x.example")),
        "at once, without a drain"
    );
    assert!(net.paths(2, "x.example").is_empty());
    assert_eq!(serial(&net, OF_0[0]), Some(1), "what the tunnel is made of stays");
    // Another address, and one that is nobody's, say nothing.
    tunnel_event(&mut net, OF_0[1], true);
    tunnel_event(&mut net, "10.9.0.99/32", true);
    assert!(net.selected(1, "x.example").is_none());
    tunnel_event(&mut net, OF_0[0], true);
    assert!(net.selected(1, "x.example").is_some());
}

#[test]
fn what_drains_through_a_tunnel_ends_with_it() {
    let mut net = two_ways();
    tunnel_event(&mut net, OF_0[0], true);
    net.offer(0, "x.example");
    net.run_ms(10);
    net.withdraw(0, "x.example");
    net.run_ms(10);
    assert!(net.paths(1, "x.example")[0].draining);
    tunnel_event(&mut net, OF_0[0], false);
    assert!(net.paths(1, "x.example").is_empty());
}

#[test]
fn where_a_tunnel_is_required_nothing_goes_past_it() {
    let mut configs = line();
    tunnel_of(&mut configs[1].peers[0]).required = true;
    let mut net = Net::up(configs, 1);
    assert_eq!(
        serial(&net, OF_0[0]),
        Some(1),
        "the tunnel itself may come by the session's address"
    );
    net.offer(0, "x.example");
    net.event(0, Event::PrefixAdd(local_prefix(prefix("10.2.0.0/16"))));
    net.run_ms(10);
    let reason = "next hop 127.9.0.1 is not a tunnel address; a tunnel is required";
    assert_eq!(refusal(&net), (2, reason.to_owned()));
    assert!(net.paths(1, "x.example").is_empty() && net.paths(1, "10.2.0.0/16").is_empty());
    net.reconfigure(0, |config| config.peers[0].next_hop.set_ip(prefix(OF_0[1]).address()));
    tunnel_event(&mut net, OF_0[1], true);
    assert!(net.selected(1, "x.example").is_some() && net.selected(1, "10.2.0.0/16").is_some());
    // Not required any longer: what was refused is asked for again.
    net.reconfigure(0, |config| config.peers[0].next_hop.set_ip([0, 0, 0, 0].into()));
    net.run_ms(10);
    assert!(net.paths(1, "x.example").iter().all(|path| path.draining));
    net.reconfigure(1, |config| tunnel_of(&mut config.peers[0]).required = false);
    net.run_ms(10);
    assert!(net.selected(1, "x.example").is_some());
    assert_eq!(refusal(&net).0, 4);
}

#[test]
fn a_preview_foresees_tunnels() {
    let mut net = two_ways();
    tunnel_event(&mut net, OF_0[0], true);
    let old = net.nodes[1].config.clone();
    let mut new = old.clone();
    tunnel_of(&mut new.peers[0]).own = Some(tunnel(&[OF_1[0], "10.9.0.22/32"], 2).into());
    new.peers[1].tunnel = Some(peer_tunnel(&["10.2.0.0/24"], &[]));
    new.peers[1].export = Some(Policy::reject().into());
    let speaker = &net.nodes[1].speaker;
    let around = speaker.surroundings(&new);
    let mut preview = Preview::new(old, new, &around, Default::default(), net.now);
    preview.page(&speaker.table_page(None, usize::MAX), net.now);
    let changes = preview.finish(net.now);
    let texts = |list: &catalyst_core::view::NameList| list.first.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (_, exported) = &changes.peers["n000"];
    assert_eq!(texts(&exported.gained), ["10.9.0.22/32"]);
    assert_eq!(texts(&exported.changed), [OF_1[0]]);
    assert!(texts(&exported.lost).contains(&OF_1[1].to_owned()));
    let (imported, _) = &changes.peers["n002"];
    assert_eq!(
        texts(&imported.lost),
        ["10.2.0.0/16"],
        "it covers what is a tunnel's then"
    );
}

#[test]
fn of_two_claims_the_best_is_used_and_only_the_other_is_shadowed() {
    const CLAIM: &str = "10.2.0.0/16";
    // The tunnel of 2 has the lower address, and 0 the lower router id.
    const OF_2: &str = "10.8.0.1/32";
    let mut configs = line();
    configs[0].peers[0].next_hop.set_ip(prefix(OF_0[0]).address());
    configs[2].peers[0].next_hop.set_ip(prefix(OF_2).address());
    configs[1].peers[1].tunnel = Some(peer_tunnel(&[OF_2], &[]));
    let mut net = Net::up(configs, 1);
    let shadowed = |net: &Net| -> Vec<String> {
        let shadowed = net.nodes[1].speaker.shadowed_prefixes(10);
        shadowed
            .iter()
            .map(|(peer, prefix)| format!("{peer} {prefix}"))
            .collect()
    };
    for node in [0, 2] {
        net.event(node, Event::PrefixAdd(local_prefix(prefix(CLAIM))));
    }
    net.event(0, Event::PrefixAdd(local_prefix(prefix("10.3.0.0/16"))));
    net.run_ms(10);
    assert!(shadowed(&net).is_empty(), "no tunnel is alive: both are guarded");
    tunnel_event(&mut net, OF_2, true);
    assert_eq!(hops(&net, CLAIM), [prefix(OF_2).address()]);
    assert_eq!(
        shadowed(&net),
        [format!("n000 {CLAIM}")],
        "what nobody else claims is not"
    );
    tunnel_event(&mut net, OF_0[0], true);
    assert_eq!(hops(&net, CLAIM), [prefix(OF_0[0]).address(), prefix(OF_2).address()]);
    assert_eq!(net.selected(1, CLAIM).unwrap().learned_from.as_deref(), Some("n000"));
    assert_eq!(shadowed(&net), [format!("n002 {CLAIM}")]);
}
