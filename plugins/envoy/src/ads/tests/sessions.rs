//! Single behaviours of streams.

use std::time::Duration;

use catalyst_plugin::{PlaneEvent, Verdict};

use super::envoy::ModelEnvoy;
use super::{World, cluster, extension, key, listener, rejected, scope};
use crate::ads::desired::Changes;
use crate::resource::{Resource, ResourceKey, ResourceKind};

/// A server with a table, and an Envoy that has all of it.
fn settled(table: impl IntoIterator<Item = Resource>) -> (World, ModelEnvoy) {
    let mut world = World::new();
    world.table(table);
    let mut envoy = ModelEnvoy::connect(&mut world, "a");
    envoy.settle(&mut world);
    (world, envoy)
}

/// # Panics
/// The next thing that the reconcile loop hears is something else than verdicts.
fn next_verdicts(world: &mut World) -> Vec<(ResourceKey, Verdict)> {
    let Some(PlaneEvent::Verdicts(news)) = world.hub.next_event() else {
        panic!("no verdicts")
    };
    news
}

#[test]
fn nothing_is_answered_before_the_first_table() {
    let mut world = World::new();
    let mut envoy = ModelEnvoy::connect(&mut world, "a");
    while envoy.ask(&mut world) {}
    assert_eq!(envoy.receive(&mut world), None);
    world.table([]);
    // One empty answer per kind: an empty table is an answer too.
    for _ in 0..3 {
        assert_eq!(envoy.receive(&mut world), Some(Vec::new()));
        envoy.answer(&mut world);
    }
    assert_eq!(envoy.receive(&mut world), None);
}

#[test]
fn a_change_costs_one_resource() {
    let (mut world, mut envoy) = settled((0..1000).map(|n| cluster(&format!("c{n}"), "one")));
    let before = envoy.received;
    let round = world.hub.update(Changes::upsert([cluster("c7", "two")]), true);
    assert!(!world.hub.is_complete(round));
    envoy.settle(&mut world);
    assert!(world.hub.is_complete(round));
    assert_eq!(envoy.received - before, 1);
}

#[test]
fn changes_coalesce_while_an_answer_is_outstanding() {
    let (mut world, mut envoy) = settled([]);
    for n in 0..100 {
        world.hub.update(Changes::upsert([cluster("c", &n.to_string())]), true);
        let sent = envoy.receive(&mut world);
        assert_eq!(sent.is_some(), n == 0, "{n}");
    }
    envoy.answer(&mut world);
    assert_eq!(envoy.receive(&mut world), Some(vec!["+c".to_owned()]));
    assert_eq!(
        envoy.held[&key(ResourceKind::Cluster, "c")].version,
        cluster("c", "99").version
    );
}

/// The table comes after the Envoy that has it already: nobody waits for an answer that will not come.
#[test]
fn what_an_envoy_brought_along_is_complete_without_being_sent() {
    let (_, mut envoy) = settled([cluster("c", ""), scope("s", "c")]);
    let received = envoy.received;
    let mut world = World::new();
    envoy.reconnect(&mut world);
    envoy.settle(&mut world);
    let round = world.table([cluster("c", ""), scope("s", "c")]);
    envoy.settle(&mut world);
    assert!(world.hub.is_complete(round));
    assert_eq!(envoy.received, received);
}

/// What is wanted again while its removal waits for its turn is not taken for held.
#[test]
fn a_resource_that_is_wanted_again_during_its_removal_is_pending_until_it_is_back() {
    let both = [cluster("c", ""), scope("s", "c")];
    let (mut world, mut envoy) = settled(both.clone());
    world.table([]);
    assert_eq!(envoy.receive(&mut world), Some(vec!["-s".to_owned()]));
    let round = world.table(both.clone());
    assert!(!world.hub.is_complete(round));
    assert!(matches!(world.verdict(&both[0]), Verdict::Pending(_)));
    envoy.settle(&mut world);
    assert!(world.hub.is_complete(round));
    assert_eq!(world.verdict(&both[0]), Verdict::Programmed);
    assert_eq!(envoy.held.len(), 2);
}

#[test]
fn make_before_break_in_one_change() {
    let (mut world, mut envoy) = settled([cluster("old", ""), scope("s", "old")]);
    world.table([cluster("new", ""), scope("s", "new")]);
    let mut seen = Vec::new();
    while let Some(names) = envoy.receive(&mut world) {
        seen.extend(names);
        assert_eq!(envoy.receive(&mut world), None, "the next step waits for the answer");
        envoy.answer(&mut world);
    }
    assert_eq!(seen, ["+new", "+s", "-old"]);
}

/// A reconnecting Envoy names one kind after the other; the routes come after the clusters.
#[test]
fn a_reconnect_removes_no_cluster_before_its_routes_are_known() {
    let (_, mut envoy) = settled([cluster("old", ""), scope("s", "old")]);
    let mut world = World::new();
    world.table([]);
    envoy.reconnect(&mut world);
    envoy.ask(&mut world);
    assert_eq!(envoy.receive(&mut world), None);
    while envoy.ask(&mut world) {}
    envoy.settle(&mut world);
    assert!(envoy.held.is_empty());
}

/// One that never asks for routes has none.
#[test]
fn removals_do_not_wait_for_ever() {
    let (_, mut envoy) = settled([cluster("old", "")]);
    let mut world = World::new();
    world.table([]);
    envoy.reconnect(&mut world);
    envoy.ask(&mut world);
    assert_eq!(envoy.receive(&mut world), None);
    world.pass(Duration::from_secs(3));
    assert_eq!(envoy.receive(&mut world), Some(vec!["-old".to_owned()]));
}

#[test]
fn names_that_are_asked_for_are_answered_out_of_turn() {
    let (mut world, mut envoy) = settled([extension("lua", "one")]);
    assert_eq!(envoy.received, 0);
    envoy.ask_for(&mut world, ResourceKind::Extension, &["lua", "unknown"]);
    assert_eq!(
        envoy.receive(&mut world),
        Some(vec!["+lua".to_owned(), "-unknown".to_owned()])
    );
    envoy.answer(&mut world);
    assert_eq!(world.verdict(&extension("lua", "one")), Verdict::Programmed);
    // Asked for again on the same stream, it is sent again; no longer asked for, it is not.
    envoy.ask_for(&mut world, ResourceKind::Extension, &["lua"]);
    assert_eq!(envoy.receive(&mut world), Some(vec!["+lua".to_owned()]));
    envoy.answer(&mut world);
    envoy.unsubscribe(&mut world, ResourceKind::Extension, &["lua"]);
    world.table([extension("lua", "two")]);
    assert_eq!(envoy.receive(&mut world), None);
}

#[test]
fn an_unknown_name_is_not_denied_while_it_may_still_turn_up() {
    let mut world = World::new();
    world.hub.update(Changes::table([]), false);
    let mut envoy = ModelEnvoy::connect(&mut world, "a");
    envoy.settle(&mut world);
    envoy.ask_for(&mut world, ResourceKind::Extension, &["lua"]);
    assert_eq!(envoy.receive(&mut world), None);
    world.hub.update(Changes::default(), true);
    assert_eq!(envoy.receive(&mut world), Some(vec!["-lua".to_owned()]));
}

#[test]
fn a_refusal_of_an_old_content_says_nothing_of_the_new_one() {
    let mut world = World::new();
    world.table([cluster("c", "bad")]);
    let mut envoy = ModelEnvoy::connect(&mut world, "a");
    while envoy.ask(&mut world) {}
    envoy.receive(&mut world);
    world.table([cluster("c", "good")]);
    envoy.settle(&mut world);
    assert_eq!(world.verdict(&cluster("c", "good")), Verdict::Programmed);
    assert!(world.hub.report().rejected.is_empty());
}

#[test]
fn a_refused_resource_is_told_once_and_not_sent_again() {
    let mut world = World::new();
    let round = world.table([cluster("c", "bad"), cluster("d", "good")]);
    let mut envoy = ModelEnvoy::connect(&mut world, "a");
    envoy.settle(&mut world);
    assert!(world.hub.is_complete(round));
    let news = next_verdicts(&mut world);
    let why = "Error adding/updating: c: it is bad";
    assert_eq!(
        news,
        [
            (cluster("c", "").key, rejected(why)),
            (cluster("d", "").key, Verdict::Programmed)
        ]
    );
    let received = envoy.received;
    world.table([cluster("c", "bad"), cluster("d", "good")]);
    envoy.reconnect(&mut world);
    envoy.settle(&mut world);
    assert_eq!(envoy.received, received);
}

#[test]
fn a_stranger_to_the_protocol_does_no_harm() {
    let (mut world, envoy) = settled([cluster("c", "")]);
    let mut other = ModelEnvoy::connect(&mut world, "b");
    other.ask_for(&mut world, ResourceKind::Endpoints, &["*", ""]);
    other.unsubscribe(&mut world, ResourceKind::Cluster, &["*", "c", "nothing"]);
    other.unsubscribe(&mut world, ResourceKind::Extension, &["nothing"]);
    other.settle(&mut world);
    other.disconnect(&mut world);
    other.settle(&mut world);
    assert_eq!(world.verdict(&cluster("c", "")), Verdict::Programmed);
    assert_eq!(envoy.held.len(), 1);
}

/// A fresh Envoy beside one that is up to date: what it lacks is pending, then programmed again.
#[test]
fn a_second_envoy_makes_everything_pending_until_it_has_it() {
    let all = [cluster("c", ""), scope("s", "c")];
    let (mut world, first) = settled(all.clone());
    while world.hub.next_event().is_some() {}
    let mut second = ModelEnvoy::connect(&mut world, "b");
    assert_eq!(world.verdict(&all[0]), Verdict::Programmed);
    second.ask(&mut world);
    let news = next_verdicts(&mut world);
    assert!(news.iter().all(|(_, verdict)| matches!(verdict, Verdict::Pending(_))));
    assert_eq!(news.len(), 2);
    second.settle(&mut world);
    let news = next_verdicts(&mut world);
    assert!(news.iter().all(|(_, verdict)| *verdict == Verdict::Programmed));
    // One of two goes: nothing changes. The last one goes: that is an event.
    first.disconnect(&mut world);
    assert!(world.hub.next_event().is_none());
    second.disconnect(&mut world);
    assert!(matches!(world.hub.next_event(), Some(PlaneEvent::Connected(false))));
    assert_eq!(world.verdict(&all[0]), Verdict::Pending("no Envoy connected".into()));
}

/// All news, the word on whether an Envoy serves last.
fn drain(world: &mut World) -> Vec<PlaneEvent<ResourceKey>> {
    std::iter::from_fn(|| world.hub.next_event()).collect()
}

fn all() -> [Resource; 3] {
    [cluster("c", ""), scope("s", "c"), listener("l")]
}

#[test]
fn an_envoy_counts_as_connected_once_its_listeners_are_open() {
    let mut world = World::new();
    let round = world.table(all());
    let mut envoy = ModelEnvoy::connect(&mut world, "a");
    envoy.withholds = Some(ResourceKind::Listener);
    envoy.settle(&mut world);
    assert_eq!(drain(&mut world), []);
    assert!(!world.hub.is_complete(round));
    let closed = Verdict::Pending("Envoy a has not opened its listeners yet".into());
    assert_eq!(world.verdict(&all()[0]), closed, "although it holds it");
    envoy.withholds = None;
    envoy.settle(&mut world);
    assert!(world.hub.is_complete(round));
    assert!(drain(&mut world).contains(&PlaneEvent::Connected(true)));
    for resource in all() {
        assert_eq!(world.verdict(&resource), Verdict::Programmed);
    }
}

/// No request reaches the second one before its listeners are open: it holds up nobody, and stands in for nobody.
#[test]
fn of_two_envoys_the_one_that_serves_counts() {
    let (mut world, first) = settled(all());
    drain(&mut world);
    let mut second = ModelEnvoy::connect(&mut world, "b");
    second.withholds = Some(ResourceKind::Listener);
    second.settle(&mut world);
    assert_eq!(drain(&mut world), []);
    assert_eq!(world.verdict(&all()[1]), Verdict::Programmed);
    first.disconnect(&mut world);
    assert_eq!(drain(&mut world), [PlaneEvent::Connected(false)]);
    assert!(matches!(world.verdict(&all()[1]), Verdict::Pending(_)));
    second.withholds = None;
    second.settle(&mut world);
    assert!(drain(&mut world).contains(&PlaneEvent::Connected(true)));
    assert_eq!(world.verdict(&all()[1]), Verdict::Programmed);
    // One that never served goes without a word.
    let mut third = ModelEnvoy::connect(&mut world, "c");
    third.withholds = Some(ResourceKind::Listener);
    third.settle(&mut world);
    third.disconnect(&mut world);
    assert_eq!(drain(&mut world), []);
}

/// Its listeners may be open all the time, in front of what nobody knows.
#[test]
fn an_envoy_that_comes_back_holds_everything_up_until_it_has_named_what_it_holds() {
    let (mut world, _first) = settled(all());
    let mut second = ModelEnvoy::connect(&mut world, "b");
    second.settle(&mut world);
    second.reconnect(&mut world);
    drain(&mut world);
    second.ask(&mut world);
    let news = next_verdicts(&mut world);
    assert_eq!(news.len(), 3);
    assert!(news.iter().all(|(_, verdict)| matches!(verdict, Verdict::Pending(_))));
    second.settle(&mut world);
    for resource in all() {
        assert_eq!(world.verdict(&resource), Verdict::Programmed);
    }
}

/// A port that is taken does not keep the others from serving.
#[test]
fn a_listener_that_is_refused_is_not_waited_for() {
    let (mut world, envoy) = settled([cluster("c", "")]);
    drain(&mut world);
    let mut taken = Changes::upsert([listener("l")]);
    taken.set(key(ResourceKind::Cluster, "c"), Some(cluster("c", "two")));
    world.hub.update(taken, true);
    envoy.disconnect(&mut world);
    let mut fresh = ModelEnvoy::connect(&mut world, "b");
    fresh.bad_listeners = true;
    fresh.settle(&mut world);
    assert!(matches!(world.verdict(&listener("l")), Verdict::Rejected(_)));
    assert_eq!(world.verdict(&cluster("c", "two")), Verdict::Programmed);
}

#[test]
fn a_listener_that_is_tried_again_is_heard_of_once_its_fate_changes() {
    let mut world = World::new();
    world.table([listener("l"), cluster("c", "")]);
    let mut envoy = ModelEnvoy::connect(&mut world, "a");
    envoy.bad_listeners = true;
    envoy.settle(&mut world);
    drain(&mut world);
    for _ in 0..2 {
        assert!(world.hub.retry(ResourceKind::Listener));
        assert_eq!(world.hub.rejected().len(), 1, "it is not open meanwhile either");
        assert_eq!(envoy.receive(&mut world), Some(vec!["+l".to_owned()]));
        envoy.settle(&mut world);
        assert_eq!(world.hub.next_event(), None);
        assert_eq!(world.hub.rejected().len(), 1);
    }
    assert!(!world.hub.retry(ResourceKind::Cluster), "nothing else is");
    envoy.bad_listeners = false;
    assert!(world.hub.retry(ResourceKind::Listener));
    envoy.settle(&mut world);
    let opened = (key(ResourceKind::Listener, "l"), Verdict::Programmed);
    assert_eq!(next_verdicts(&mut world), [opened]);
    assert!(world.hub.rejected().is_empty());
    assert!(!world.hub.retry(ResourceKind::Listener), "there is nothing left to try");
}
