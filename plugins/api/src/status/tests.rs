use super::*;
use crate::plane::ServiceName;

fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

fn names(texts: &[&str]) -> Vec<ServiceName> {
    texts.iter().map(|text| name(text)).collect()
}

fn pending(reason: &str) -> Verdict {
    Verdict::Pending(reason.into())
}

fn rejected(reason: &str) -> Verdict {
    Verdict::Rejected(reason.into())
}

fn news(board: &mut Board<u32, ServiceName>) -> Vec<(String, PlaneStatus)> {
    board
        .news(true, |_| true)
        .into_iter()
        .map(|(name, status)| (name.to_string(), status))
        .collect()
}

#[test]
fn a_name_stands_on_all_its_resources_and_rejected_wins() {
    let mut board = Board::new();
    board.judge(&1, pending("no Envoy is connected"), names(&["a", "b"]));
    board.judge(&2, rejected("bad cluster"), names(&["b"]));
    let waits = PlaneStatus::Pending("no Envoy is connected".into());
    assert_eq!(
        news(&mut board),
        [
            ("a".into(), waits.clone()),
            ("b".into(), PlaneStatus::Rejected("bad cluster".into()))
        ]
    );
    board.clear(&2);
    assert_eq!(news(&mut board), [("b".into(), waits)]);
    board.judge(&1, Verdict::Programmed, names(&["a", "b"]));
    assert_eq!(
        news(&mut board),
        [
            ("a".into(), PlaneStatus::Programmed),
            ("b".into(), PlaneStatus::Programmed)
        ]
    );
    assert_eq!(news(&mut board), []);
}

#[test]
fn equal_words_are_said_once_and_many_are_cut() {
    let mut board = Board::new();
    board.judge(&1, rejected("x"), names(&["a"]));
    board.judge(&2, rejected("x"), names(&["a"]));
    board.judge(&3, rejected("y"), names(&["a"]));
    assert_eq!(news(&mut board), [("a".into(), PlaneStatus::Rejected("x; y".into()))]);
    board.judge(&4, rejected(&"ä".repeat(3000)), names(&["a"]));
    let said = news(&mut board);
    let (_, PlaneStatus::Rejected(reason)) = &said[0] else {
        panic!("{said:?}")
    };
    assert!(
        reason.len() <= MAX_REASON_BYTES + '…'.len_utf8(),
        "{} bytes",
        reason.len()
    );
}

#[test]
fn a_word_is_repeated_after_the_name_changed() {
    let mut board = Board::new();
    board.judge(&1, rejected("x"), names(&["a", "b"]));
    assert_eq!(news(&mut board).len(), 2);
    board.touch(&name("a"));
    assert_eq!(news(&mut board), [("a".into(), PlaneStatus::Rejected("x".into()))]);
    // Also good news: what was said before must not stand.
    board.touch(&name("b"));
    board.clear(&1);
    assert_eq!(
        news(&mut board),
        [
            ("a".into(), PlaneStatus::Programmed),
            ("b".into(), PlaneStatus::Programmed)
        ]
    );
    board.touch(&name("b"));
    assert_eq!(news(&mut board), [], "programmed is what the version says");
}

#[test]
fn of_a_changed_name_nothing_is_said_before_the_plane_has_followed() {
    let mut board = Board::new();
    board.touch(&name("a"));
    board.judge(&1, rejected("x"), names(&["a", "b"]));
    let early = board.news(false, |_| true);
    assert_eq!(early, [(name("b"), PlaneStatus::Rejected("x".into()))]);
    assert_eq!(news(&mut board), [("a".into(), PlaneStatus::Rejected("x".into()))]);
}

#[test]
fn names_without_a_route_need_no_word() {
    let mut board = Board::new();
    board.judge(&1, rejected("x"), names(&["a"]));
    assert_eq!(board.news(true, |_| false), []);
    board.touch(&name("a"));
    board.clear(&1);
    assert_eq!(news(&mut board), [], "nothing was said, so nothing is taken back");
}

#[test]
fn routes_that_come_to_stand_on_a_refused_resource_hear_of_it() {
    let mut board = Board::new();
    board.judge(&1, rejected("x"), names(&["a"]));
    assert_eq!(news(&mut board).len(), 1);
    board.reindex(|_| names(&["a", "c"]));
    assert_eq!(news(&mut board), [("c".into(), PlaneStatus::Rejected("x".into()))]);
    board.reindex(|_| names(&["c"]));
    assert_eq!(news(&mut board), [("a".into(), PlaneStatus::Programmed)]);
}

#[test]
fn being_in_place_ends_a_hold_but_not_the_planes_own_waiting() {
    let mut board = Board::new();
    board.hold(&1, names(&["a"]));
    board.judge(&2, pending("schema is being fetched"), names(&["b"]));
    assert_eq!(news(&mut board).len(), 2);
    board.in_place(&1);
    board.in_place(&2);
    assert_eq!(news(&mut board), [("a".into(), PlaneStatus::Programmed)]);
}
