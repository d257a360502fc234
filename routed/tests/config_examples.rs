//! The configurations of examples/ are good, and so is everything that is made of them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use catalyst_core::policy::Policy;
use catalyst_routed::config::{Config, load};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

fn read(name: &str) -> Config {
    load(Some(&examples().join(name)), &[]).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn every_example_is_good() {
    let folders = std::fs::read_dir(examples())
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_dir());
    let files: Vec<PathBuf> = folders
        .flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()))
        .filter(|file| file.extension().is_some_and(|e| e == "json"))
        .collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        load(Some(&file), &[]).unwrap_or_else(|e| panic!("{e}"));
    }
}

#[test]
fn the_two_nodes_fit_each_other() {
    let (a, b) = (read("two-nodes/a.json"), read("two-nodes/b.json"));
    for (one, other, name) in [(&a, &b, "b"), (&b, &a, "a")] {
        let speaker = one.speaker();
        let peer = &speaker.peers[0];
        assert_eq!(&*peer.name, name);
        assert_eq!(peer.asn, other.node.asn);
        assert_eq!(peer.address, *other.peering.listen);
        assert_eq!(peer.next_hop, *one.plugins.envoy.as_ref().unwrap().peer_listener);
        let accept = Some(Policy::accept().into());
        assert_eq!((&peer.import, &peer.export), (&accept, &accept));
        assert_eq!(
            speaker.planes.iter().map(|p| &*p.name).collect::<Vec<_>>(),
            ["envoy", "graphql"]
        );
        assert_eq!(one.local_services().len(), 1);
        assert_eq!(
            one.envoy().unwrap().gateway,
            Some(*one.plugins.graphql.as_ref().unwrap().gateway)
        );
        assert_eq!(
            one.graphql().unwrap().egress,
            *one.plugins.envoy.as_ref().unwrap().egress
        );
    }
}
