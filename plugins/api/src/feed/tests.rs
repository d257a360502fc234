use super::*;
use crate::plane::{Protocol, Route, ServiceName, Table, Target};

fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

fn route(text: &str) -> Arc<Route> {
    Arc::new(Route {
        name: name(text),
        protocol: Protocol::Http,
        path: None,
        table: Table::Internal,
        origin: None,
        target: Target::Discard,
        exported_to: Arc::default(),
    })
}

fn reset(version: u64, names: &[&str]) -> RouteUpdate {
    RouteUpdate::Reset {
        version,
        routes: names.iter().map(|name| route(name).into()).collect(),
        settled: true,
    }
}

fn delta(from: u64, add: &[&str], remove: &[&str]) -> RouteUpdate {
    let added = add.iter().map(|text| Change {
        destination: name(text).into(),
        route: Some(route(text).into()),
    });
    let removed = remove.iter().map(|text| Change {
        destination: name(text).into(),
        route: None,
    });
    RouteUpdate::Delta {
        from,
        to: from + 1,
        changes: added.chain(removed).collect(),
        settled: true,
    }
}

async fn merged(updates: Vec<RouteUpdate>) -> RouteUpdate {
    let (feed, mut source) = feed();
    updates.into_iter().for_each(|update| feed.send(update));
    source.next().await.unwrap()
}

#[tokio::test]
async fn deltas_merge_into_one_with_the_last_word_per_name() {
    let update = merged(vec![
        delta(3, &["a", "b"], &[]),
        delta(4, &["c"], &["a"]),
        delta(5, &[], &["b"]),
    ])
    .await;
    let RouteUpdate::Delta { from, to, changes, .. } = update else {
        panic!("not a delta: {update:?}")
    };
    assert_eq!((from, to), (3, 6));
    let words: Vec<(String, bool)> = changes
        .iter()
        .map(|change| (change.destination.to_string(), change.route.is_some()))
        .collect();
    assert_eq!(words, [("a".into(), false), ("b".into(), false), ("c".into(), true)]);
}

#[tokio::test]
async fn a_delta_after_a_waiting_reset_becomes_part_of_it() {
    assert_eq!(
        merged(vec![reset(7, &["a", "b"]), delta(7, &["c"], &["a"])]).await,
        reset(8, &["b", "c"])
    );
}

#[tokio::test]
async fn a_reset_replaces_all_that_waits() {
    assert_eq!(
        merged(vec![delta(1, &["a"], &[]), reset(9, &["z"])]).await,
        reset(9, &["z"])
    );
}

#[tokio::test]
async fn a_gap_is_handed_on_as_a_gap() {
    // The consumer holds version 3 at most: it sees that 6 is not what it holds.
    assert_eq!(
        merged(vec![delta(3, &["a"], &[]), delta(6, &["b"], &[])]).await,
        delta(6, &["b"], &[])
    );
    assert_eq!(
        merged(vec![reset(3, &["a"]), delta(6, &["b"], &[])]).await,
        delta(6, &["b"], &[])
    );
}

#[tokio::test]
async fn the_settled_flag_is_the_last_one() {
    let RouteUpdate::Delta { to, .. } = delta(1, &[], &[]) else {
        unreachable!()
    };
    let unsettled = RouteUpdate::Reset {
        version: 1,
        routes: Vec::new(),
        settled: false,
    };
    assert_eq!(merged(vec![unsettled, delta(1, &[], &[])]).await, reset(to, &[]));
}

#[tokio::test]
async fn names_that_come_and_go_for_ever_cost_bounded_memory() {
    let (feed, mut source) = feed();
    let per_update: u64 = 1024;
    let updates = MAX_CHANGES as u64 / per_update + 1;
    for version in 0..updates {
        let changes = (0..per_update)
            .map(|index| Change {
                destination: name(&format!("n{}", version * per_update + index)).into(),
                route: None,
            })
            .collect();
        feed.send(RouteUpdate::Delta {
            from: version,
            to: version + 1,
            changes,
            settled: true,
        });
        let held = source
            .shared
            .lock()
            .waiting
            .as_ref()
            .map_or(0, |waiting| waiting.names.len());
        assert!(held <= MAX_CHANGES, "{held} changes wait");
    }
    let update = source.next().await.unwrap();
    let RouteUpdate::Delta { from, to, .. } = update else {
        panic!("not a delta: {update:?}")
    };
    assert_eq!(to, updates);
    assert_ne!(from, 0, "a consumer at version 0 must see that it missed something");
}

#[tokio::test]
async fn a_dropped_feed_ends_the_source_and_whoever_waits() {
    let (feed, mut source) = feed();
    let (before, after) = (source.closed(), source.closed());
    feed.send(reset(1, &["a"]));
    let waiting = tokio::spawn(before);
    tokio::task::yield_now().await;
    drop(feed);
    waiting.await.unwrap();
    after.await;
    assert_eq!(source.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn the_gate_opens_with_the_version_or_after_the_patience() {
    let (feed, source) = feed();
    let (settle, settled) = watch::channel(0);
    let mut source = source.hold_until(settled, Duration::from_secs(1));
    feed.send(reset(5, &["a"]));
    let start = Instant::now();
    assert!(
        tokio::time::timeout(Duration::from_millis(300), source.next())
            .await
            .is_err(),
        "not before its time"
    );
    feed.send(delta(5, &["b"], &[]));
    settle.send_replace(5);
    assert_eq!(source.next().await, Some(reset(5, &["a"])), "cancelling lost nothing");
    assert_eq!(start.elapsed(), Duration::from_millis(300));
    assert_eq!(source.next().await, Some(delta(5, &["b"], &[])));
    assert_eq!(start.elapsed(), Duration::from_millis(1300));
    feed.send(delta(6, &["c"], &[]));
    drop(settle);
    assert_eq!(
        source.next().await,
        Some(delta(6, &["c"], &[])),
        "a gate that is gone is open"
    );
}
