use super::*;
use crate::table::tests::{delta, name, reset};
use catalyst_plugin::Protocol;
use pb::watch_routes_response::Step;

fn hub() -> Hub {
    Hub::new(
        PlaneSpec {
            name: "hosts".into(),
            ipv4: false,
            ipv6: false,
            protocols: vec![Protocol::Http],
        },
        7,
    )
}

fn hello(instance: &str, holds: Option<(u64, u64)>) -> pb::Hello {
    pb::Hello {
        plane: "hosts".into(),
        instance: instance.into(),
        holds: holds.map(|(epoch, version)| pb::Position { epoch, version }),
    }
}

fn ack(version: u64, statuses: &[(&str, PlaneStatus)]) -> pb::Ack {
    let statuses = statuses
        .iter()
        .map(|(text, status)| crate::wire::status(&name(text), status));
    pb::Ack {
        version,
        statuses: statuses.collect(),
        more: false,
    }
}

fn rejected(why: &str) -> PlaneStatus {
    PlaneStatus::Rejected(why.into())
}

fn pending(why: &str) -> PlaneStatus {
    PlaneStatus::Pending(why.into())
}

fn plane(version: u64, statuses: &[(&str, PlaneStatus)]) -> Report {
    Report::Plane {
        version,
        statuses: statuses
            .iter()
            .map(|(text, status)| (name(text), status.clone()))
            .collect(),
    }
}

/// The next message as text: `reset 3: a b`, `delta 1-3: a -b`, with `...` where more follows.
fn next(hub: &mut Hub, id: StreamId) -> Option<String> {
    let message = hub.next(id)?;
    let to = message.to.unwrap();
    assert_eq!(to.epoch, 7);
    let text = |destination: Option<pb::Destination>| destination.unwrap().text;
    let (head, names): (String, Vec<String>) = match message.step.unwrap() {
        Step::Reset(reset) => (
            format!("reset {}", to.version),
            reset.routes.into_iter().map(|route| text(route.destination)).collect(),
        ),
        Step::Delta(delta) => (
            format!("delta {}-{}", delta.from, to.version),
            delta
                .changes
                .into_iter()
                .map(|change| match change.route {
                    Some(_) => text(change.destination),
                    None => format!("-{}", text(change.destination)),
                })
                .collect(),
        ),
    };
    let more = if message.more { "..." } else { "" };
    Some(format!("{head}: {}{more}", names.join(" ")))
}

/// An instance that has the whole table and has said so.
fn joined(hub: &mut Hub, instance: &str) -> StreamId {
    let id = hub.join(&hello(instance, None)).unwrap();
    assert!(next(hub, id).unwrap().starts_with("reset"));
    let version = hub.table.version().unwrap();
    hub.ack(id, ack(version, &[])).unwrap();
    id
}

#[test]
fn a_table_is_sent_acknowledged_and_told() {
    let mut hub = hub();
    let id = hub.join(&hello("one", None)).unwrap();
    assert_eq!((next(&mut hub, id), hub.reports()), (None, vec![Report::Up]));
    hub.take(reset(3, &[("a", "/"), ("b", "/")]));
    assert_eq!(next(&mut hub, id).unwrap(), "reset 3: a b");
    assert_eq!((next(&mut hub, id), hub.reports()), (None, vec![]));
    hub.ack(id, ack(3, &[("b", rejected("no"))])).unwrap();
    assert_eq!(hub.reports(), [plane(3, &[("b", rejected("no"))])]);
    hub.ack(id, ack(3, &[("b", PlaneStatus::Programmed)])).unwrap();
    assert_eq!(hub.reports(), [plane(3, &[("b", PlaneStatus::Programmed)])]);
    hub.leave(id);
    assert_eq!(hub.reports(), [Report::Down]);
}

#[test]
fn a_slow_instance_gets_the_last_word_on_each_name_once_it_is_ready() {
    let mut hub = hub();
    hub.take(reset(1, &[("a", "/0"), ("b", "/0")]));
    let id = joined(&mut hub, "slow");
    hub.take(delta(1, 2, &[("a", Some("/1"))]));
    assert_eq!(next(&mut hub, id).unwrap(), "delta 1-2: a");
    for version in 2..1000 {
        let path = format!("/{version}");
        hub.take(delta(version, version + 1, &[("a", Some(&path)), ("c", Some(&path))]));
    }
    hub.take(delta(1000, 1001, &[("b", None)]));
    assert_eq!(next(&mut hub, id), None, "the step before is not acknowledged");
    hub.ack(id, ack(2, &[])).unwrap();
    assert_eq!(next(&mut hub, id).unwrap(), "delta 2-1001: a c -b");
}

#[test]
fn what_an_instance_holds_is_not_sent_again() {
    let mut hub = hub();
    hub.take(reset(1, &[("a", "/"), ("b", "/")]));
    hub.take(delta(1, 2, &[("c", Some("/"))]));
    let id = hub.join(&hello("back", Some((7, 1)))).unwrap();
    assert_eq!(next(&mut hub, id).unwrap(), "delta 1-2: c");
    let id = hub.join(&hello("same", Some((7, 2)))).unwrap();
    assert_eq!(next(&mut hub, id).unwrap(), "delta 2-2: ");
    let id = hub.join(&hello("older run", Some((6, 1)))).unwrap();
    assert_eq!(next(&mut hub, id).unwrap(), "reset 2: a b c");
    let id = hub.join(&hello("liar", Some((7, 9)))).unwrap();
    assert_eq!(next(&mut hub, id).unwrap(), "reset 2: a b c");
}

#[test]
fn all_instances_count_and_the_worst_word_is_told() {
    let mut hub = hub();
    hub.take(reset(1, &[("a", "/"), ("b", "/")]));
    let one = joined(&mut hub, "one");
    assert_eq!(hub.reports(), [plane(1, &[]), Report::Up]);
    // What a second one lacks is pending before anybody hears of it.
    let two = hub.join(&hello("two", None)).unwrap();
    let waits = pending("two has not confirmed it yet");
    assert_eq!(hub.reports(), [plane(1, &[("a", waits.clone()), ("b", waits)])]);
    next(&mut hub, two).unwrap();
    hub.ack(two, ack(1, &[("a", rejected("full"))])).unwrap();
    let news = [("a", rejected("two: full")), ("b", PlaneStatus::Programmed)];
    assert_eq!(hub.reports(), [plane(1, &news)]);
    // A change counts once both have it; what was refused before is void.
    hub.take(delta(1, 2, &[("a", Some("/2"))]));
    next(&mut hub, one).unwrap();
    next(&mut hub, two).unwrap();
    hub.ack(one, ack(2, &[("a", rejected("no"))])).unwrap();
    assert_eq!(hub.reports(), []);
    hub.ack(two, ack(2, &[])).unwrap();
    assert_eq!(hub.reports(), [plane(2, &[("a", rejected("one: no"))])]);
    hub.leave(one);
    assert_eq!(hub.reports(), [plane(2, &[("a", PlaneStatus::Programmed)])]);
    hub.leave(two);
    assert_eq!(hub.reports(), [Report::Down]);
}

#[test]
fn an_instance_that_leaves_in_the_middle_holds_up_nobody() {
    let mut hub = hub();
    hub.take(reset(1, &[("a", "/")]));
    let one = joined(&mut hub, "one");
    hub.reports();
    let two = hub.join(&hello("two", None)).unwrap();
    hub.reports();
    hub.take(delta(1, 2, &[("b", Some("/"))]));
    next(&mut hub, one).unwrap();
    hub.ack(one, ack(2, &[])).unwrap();
    assert_eq!(hub.reports(), [], "two has nothing yet");
    hub.leave(two);
    assert_eq!(hub.reports(), [plane(2, &[("a", PlaneStatus::Programmed)])]);
}

#[test]
fn a_gap_is_asked_about_once_and_made_good() {
    let mut hub = hub();
    hub.take(reset(1, &[("a", "/"), ("b", "/")]));
    let id = joined(&mut hub, "one");
    hub.ack(id, ack(1, &[("b", rejected("no"))])).unwrap();
    hub.reports();
    hub.take(delta(2, 3, &[("c", Some("/"))]));
    hub.take(delta(3, 4, &[("d", Some("/"))]));
    assert_eq!(hub.reports(), [Report::NeedReset]);
    assert_eq!((hub.reports(), next(&mut hub, id)), (vec![], None));
    hub.take(reset(4, &[("b", "/"), ("c", "/"), ("d", "/")]));
    assert_eq!(next(&mut hub, id).unwrap(), "delta 1-4: -a c d", "no more than differs");
    hub.ack(id, ack(4, &[])).unwrap();
    assert_eq!(
        hub.reports(),
        [plane(4, &[("b", rejected("no"))])],
        "told again after a Reset"
    );
}

#[test]
fn changes_of_other_planes_are_passed_over() {
    let mut hub = hub();
    hub.take(reset(1, &[("a", "/")]));
    let id = joined(&mut hub, "one");
    hub.reports();
    for version in 1..100 {
        hub.take(delta(version, version + 1, &[]));
        assert_eq!(
            (next(&mut hub, id), hub.reports()),
            (None, vec![plane(version + 1, &[])])
        );
    }
    // It knows nothing of them.
    hub.ack(id, ack(1, &[("a", pending("warming"))])).unwrap();
    assert_eq!(hub.reports(), [plane(100, &[("a", pending("warming"))])]);
    hub.take(delta(100, 101, &[("b", Some("/"))]));
    assert_eq!(next(&mut hub, id).unwrap(), "delta 1-101: b");
    hub.ack(id, ack(101, &[])).unwrap();
    assert_eq!(hub.reports(), [plane(101, &[])]);
    // That the table is settled, or not, is news as well.
    hub.take(RouteUpdate::Delta {
        from: 101,
        to: 102,
        changes: Vec::new(),
        settled: false,
    });
    assert_eq!(next(&mut hub, id).unwrap(), "delta 101-102: ");
}

#[test]
fn a_long_table_leaves_in_parts_though_it_changes_meanwhile() {
    let mut hub = hub();
    let texts: Vec<String> = (0..4000).map(|n| format!("n{n:04}.{}", "x".repeat(60))).collect();
    let path = format!("/{}", "p".repeat(200));
    let routes: Vec<(&str, &str)> = texts.iter().map(|text| (text.as_str(), path.as_str())).collect();
    hub.take(reset(1, &routes));
    let id = hub.join(&hello("one", None)).unwrap();
    let first = next(&mut hub, id).unwrap();
    assert!(first.ends_with("..."), "{first}");
    hub.take(delta(
        1,
        2,
        &[(&texts[0], None), (&texts[3999], None), ("new", Some("/"))],
    ));
    let mut parts = 1;
    let mut seen = first.matches("n0").count();
    loop {
        let part = next(&mut hub, id).unwrap();
        assert!(part.starts_with("reset 1: "), "{part:.40}");
        parts += 1;
        seen += part.split(' ').count();
        if !part.ends_with("...") {
            break;
        }
    }
    assert!(parts > 3 && seen > 3000, "{parts} parts, {seen} names");
    hub.ack(id, ack(1, &[])).unwrap();
    let rest = next(&mut hub, id).unwrap();
    assert_eq!(rest, format!("delta 1-2: -{} -{} new", texts[0], texts[3999]));
}

#[test]
fn what_an_instance_must_not_say_is_refused() {
    let mut hub = hub();
    let id = hub.join(&hello("one", Some((7, 1)))).unwrap();
    assert!(hub.ack(id, ack(1, &[])).is_err(), "nothing was sent");
    hub.take(reset(1, &[("a", "/")]));
    next(&mut hub, id).unwrap();
    assert!(hub.ack(id, ack(2, &[])).is_err(), "not sent yet");
    hub.ack(id, ack(1, &[("nobody", rejected("?"))])).unwrap();
    hub.take(delta(1, 2, &[("a", Some("/2"))]));
    next(&mut hub, id).unwrap();
    // Late news of the version before: a has changed since.
    hub.ack(id, ack(1, &[("a", rejected("late"))])).unwrap();
    hub.ack(id, ack(2, &[])).unwrap();
    assert!(hub.ack(id, ack(1, &[])).is_err(), "backwards");
    let last = hub.reports().into_iter().next();
    assert_eq!(last, Some(plane(2, &[])));
    let stateless = pb::Ack {
        version: 2,
        statuses: vec![pb::Status::default()],
        more: false,
    };
    assert!(hub.ack(id, stateless).is_err());
}

#[test]
fn instances_are_bounded_and_their_next_hops_end_with_them() {
    let mut hub = hub();
    let ids: Vec<StreamId> = (0..MAX_INSTANCES)
        .map(|_| hub.join(&hello("one", None)).unwrap())
        .collect();
    assert!(hub.join(&hello("one more", None)).is_none());
    let state = |usable| pb::NextHopState {
        address: "127.0.0.1:1".into(),
        usable,
    };
    let address = "127.0.0.1:1".parse().unwrap();
    hub.reports();
    hub.next_hop(ids[0], &state(false)).unwrap();
    hub.next_hop(ids[1], &state(false)).unwrap();
    assert_eq!(hub.reports(), [Report::NextHop { address, usable: false }]);
    hub.next_hop(ids[0], &state(true)).unwrap();
    assert_eq!(hub.reports(), []);
    hub.leave(ids[1]);
    assert_eq!(hub.reports(), [Report::NextHop { address, usable: true }]);
}

#[test]
fn a_next_hop_that_nobody_called_unusable_is_no_news() {
    let mut hub = hub();
    let id = hub.join(&hello("one", None)).unwrap();
    hub.take(reset(1, &[]));
    for port in 1..=1000 {
        let usable = pb::NextHopState {
            address: format!("127.0.0.1:{port}"),
            usable: true,
        };
        hub.next_hop(id, &usable).unwrap();
    }
    assert!(hub.moved_hops.is_empty(), "kept until the daemon takes reports");
}
