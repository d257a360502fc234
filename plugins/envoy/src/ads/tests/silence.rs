//! Envoys that do not answer, for a while or for ever.

use std::time::Duration;

use catalyst_plugin::Verdict;

use super::envoy::ModelEnvoy;
use super::{World, cluster, key, scope};
use crate::ads::desired::Changes;
use crate::resource::ResourceKind;

fn start(world: &mut World) -> ModelEnvoy {
    world.table([cluster("c", ""), scope("s", "c")]);
    let mut envoy = ModelEnvoy::connect(world, "a");
    envoy.settle(world);
    envoy
}

/// Everything else goes on: the wait for an answer is bounded.
#[test]
fn routes_do_not_wait_for_ever_for_clusters() {
    let mut world = World::new();
    let mut envoy = start(&mut world);
    envoy.withholds = Some(ResourceKind::Cluster);
    world
        .hub
        .update(Changes::upsert([cluster("d", ""), scope("t", "d")]), true);
    assert_eq!(envoy.receive(&mut world), Some(vec!["+d".to_owned()]));
    assert_eq!(envoy.receive(&mut world), None);
    world.pass(Duration::from_secs(5));
    envoy.withholds = None;
    envoy.settle(&mut world);
    assert_eq!(world.verdict(&scope("t", "d")), Verdict::Programmed);
}

/// The answer of another kind overtakes that of CDS: what CDS was sent last is taken back once, and sent again.
#[test]
fn withheld_clusters_are_taken_back_and_come_again() {
    let mut world = World::new();
    let mut envoy = start(&mut world);
    envoy.withholds = Some(ResourceKind::Cluster);
    world
        .hub
        .update(Changes::upsert([cluster("c", "two"), cluster("d", "")]), true);
    assert_eq!(envoy.receive(&mut world), Some(vec!["+c".to_owned(), "+d".to_owned()]));
    world.pass(Duration::from_millis(600));
    assert_eq!(envoy.receive(&mut world), Some(Vec::new()), "the question");
    assert!(envoy.answer(&mut world));
    assert_eq!(envoy.receive(&mut world), Some(vec!["+c".to_owned(), "-d".to_owned()]));
    assert_eq!(
        envoy.held[&key(ResourceKind::Cluster, "c")].version,
        cluster("c", "").version
    );
    envoy.withholds = None;
    envoy.settle(&mut world);
    assert_eq!(
        envoy.held[&key(ResourceKind::Cluster, "c")].version,
        cluster("c", "two").version
    );
    assert_eq!(world.verdict(&cluster("d", "")), Verdict::Programmed);
}

/// The bad one among them is sent once, and the good ones once more.
#[test]
fn the_bad_one_among_withheld_clusters_is_not_sent_again() {
    let mut world = World::new();
    let mut envoy = start(&mut world);
    envoy.withholds = Some(ResourceKind::Cluster);
    world
        .hub
        .update(Changes::upsert([cluster("d", ""), cluster("e", "bad")]), true);
    let mut seen = envoy.receive(&mut world).unwrap();
    world.pass(Duration::from_millis(600));
    envoy.receive(&mut world);
    envoy.answer(&mut world);
    seen.extend(envoy.receive(&mut world).unwrap());
    envoy.withholds = None;
    assert_eq!(envoy.receive(&mut world), None, "the answers come first");
    for _ in 0..10 {
        envoy.answer(&mut world);
        seen.extend(envoy.receive(&mut world).unwrap_or_default());
    }
    assert_eq!(seen, ["+d", "+e", "-d", "-e", "-e", "+d"]);
    assert_eq!(world.verdict(&cluster("d", "")), Verdict::Programmed);
}

/// A busy Envoy answers nothing at all: nothing is taken back from it.
#[test]
fn a_busy_envoy_keeps_what_it_was_sent() {
    let mut world = World::new();
    let mut envoy = start(&mut world);
    world.hub.update(Changes::upsert([cluster("d", "")]), true);
    assert_eq!(envoy.receive(&mut world), Some(vec!["+d".to_owned()]));
    world.pass(Duration::from_secs(10));
    assert_eq!(envoy.receive(&mut world), Some(Vec::new()), "the question");
    world.pass(Duration::from_secs(10));
    assert_eq!(envoy.receive(&mut world), None);
    envoy.settle(&mut world);
    assert!(envoy.held.contains_key(&key(ResourceKind::Cluster, "d")));
    assert_eq!(world.verdict(&cluster("d", "")), Verdict::Programmed);
}

/// However long CDS is silent: routes go on, clusters are sent, and the late answers are believed.
#[test]
fn a_long_silence_costs_nothing_but_the_confirmation() {
    let mut world = World::new();
    let mut envoy = start(&mut world);
    envoy.withholds = Some(ResourceKind::Cluster);
    for n in 0..500 {
        let name = format!("n{n}");
        world
            .hub
            .update(Changes::upsert([cluster(&name, ""), scope(&name, &name)]), true);
        for _ in 0..4 {
            envoy.settle(&mut world);
            world.pass(Duration::from_millis(600));
        }
        assert_eq!(world.verdict(&scope(&name, &name)), Verdict::Programmed, "{name}");
        assert!(
            matches!(world.verdict(&cluster(&name, "")), Verdict::Pending(_)),
            "{name}"
        );
    }
    envoy.withholds = None;
    envoy.settle(&mut world);
    for n in 0..500 {
        assert_eq!(
            world.verdict(&cluster(&format!("n{n}"), "")),
            Verdict::Programmed,
            "n{n}"
        );
    }
}
