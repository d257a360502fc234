//! `show route --why`: what decided over each path, and who is told of the one in use.

use catalyst_proto::admin::v1::{PathWhy, PeerWhy, PolicyTrace, WhyRouteResponse};
use serde::Serialize;

use crate::answer::Answer;
use crate::client::Client;
use crate::failure::Outcome;
use crate::model;
use crate::output::{Format, Output};
use crate::policy_test::{Attributes, Trace, condition_text};
use crate::routes::{describe_path, or};
use crate::text::count;

pub(crate) async fn show(name: String, client: &mut Client, out: &mut Output) -> Outcome {
    let why = client.why_route(name.clone()).await?;
    if out.format == Format::Json {
        return out.json(&Why::from(&why));
    }
    describe(&name, &why).iter().try_for_each(|line| out.line(line))
}

/// What `--output json` prints.
#[derive(Debug, Serialize)]
struct Why<'a> {
    paths: Vec<Path<'a>>,
    peers: Vec<Peer<'a>>,
}

#[derive(Debug, Serialize)]
struct Path<'a> {
    #[serde(flatten)]
    route: Option<model::Route>,
    /// What decided over the path.
    why: &'a str,
    /// How the import policy came to its result; `null`: none was asked.
    import: Option<Trace<'a>>,
}

#[derive(Debug, Serialize)]
struct Peer<'a> {
    peer: &'a str,
    advertised: bool,
    why: &'a str,
    /// How the export policy came to its result; `null`: none was asked.
    export: Option<Trace<'a>>,
    /// What the peer is told, or would be; `null`: it may not know.
    told: Option<Attributes<'a>>,
}

impl<'a> From<&'a WhyRouteResponse> for Why<'a> {
    fn from(why: &'a WhyRouteResponse) -> Self {
        let paths = why.paths.iter().map(|path| Path {
            route: path.path.clone().map(model::Route::from),
            why: &path.reason,
            import: path.import.as_ref().map(Trace::from),
        });
        let peers = why.peers.iter().map(|peer| Peer {
            peer: &peer.peer,
            advertised: peer.advertised,
            why: &peer.reason,
            export: peer.export.as_ref().map(Trace::from),
            told: peer.told.as_ref().map(Attributes::from),
        });
        Self {
            paths: paths.collect(),
            peers: peers.collect(),
        }
    }
}

/// `asked` is told where there is no path, as with the address of our end of a tunnel.
fn describe(asked: &str, why: &WhyRouteResponse) -> Vec<String> {
    let mut answer = Answer::default();
    let name = why
        .paths
        .iter()
        .find_map(|why| why.path.as_ref())
        .map(|path| path.name.as_str());
    answer.heading(&format!(
        "{}: {}",
        name.unwrap_or(asked),
        count(why.paths.len() as u64, "path")
    ));
    for path in &why.paths {
        answer.lines.push(String::new());
        describe_why(path, &mut answer);
    }
    if !why.peers.is_empty() {
        answer.lines.push(String::new());
        answer.heading("who is told");
    }
    for peer in &why.peers {
        answer.property(if peer.advertised { "yes" } else { "no" }, &told(peer));
    }
    answer.lines
}

fn describe_why(why: &PathWhy, answer: &mut Answer) {
    let Some(path) = &why.path else { return };
    describe_path(path, &why.reason, answer);
    if let Some(import) = &why.import {
        answer.property("import", &verdict(import));
    }
}

/// The result of a policy, and where no statement accepts what stood in the way of each.
fn verdict(trace: &PolicyTrace) -> String {
    let decided = or(&trace.decided_by, "default");
    if trace.accepted {
        return format!("{}: accepted by {decided}", trace.policy);
    }
    let missed: Vec<String> = trace
        .statements
        .iter()
        .filter_map(|statement| {
            let condition = statement.conditions.iter().find(|condition| !condition.holds)?;
            Some(format!(
                "{} does not apply: {}",
                statement.name,
                condition_text(condition)
            ))
        })
        .collect();
    let missed = if missed.is_empty() {
        String::new()
    } else {
        format!(" ({})", missed.join("; "))
    };
    format!("{}: rejected by {decided}{missed}", trace.policy)
}

fn told(peer: &PeerWhy) -> String {
    let name = &peer.peer;
    match &peer.export {
        Some(export) if !export.accepted => format!("{name}: {}", verdict(export)),
        Some(export) if peer.advertised => format!("{name}: {}", verdict(export)),
        Some(_) | None => format!("{name}: {}", peer.reason),
    }
}

#[cfg(test)]
mod tests {
    use catalyst_proto::admin::v1::{ConditionTrace, Route, StatementTrace};

    use super::*;
    use crate::text::{WIDTH, width};

    fn trace(accepted: bool, decided_by: &str) -> PolicyTrace {
        let condition = ConditionTrace {
            key: "community".to_owned(),
            found: "none".to_owned(),
            wanted: "65001:100".to_owned(),
            ..ConditionTrace::default()
        };
        PolicyTrace {
            policy: "public".to_owned(),
            accepted,
            decided_by: decided_by.to_owned(),
            statements: vec![StatementTrace {
                name: "open".to_owned(),
                conditions: if accepted { Vec::new() } else { vec![condition] },
                ..StatementTrace::default()
            }],
            ..PolicyTrace::default()
        }
    }

    fn peer(name: &str, advertised: bool, reason: &str, export: Option<PolicyTrace>) -> PeerWhy {
        PeerWhy {
            peer: name.to_owned(),
            advertised,
            reason: reason.to_owned(),
            export,
            told: None,
        }
    }

    fn why() -> WhyRouteResponse {
        let path = Route {
            name: "a.acme".to_owned(),
            selected: true,
            best: true,
            protocol: "http".to_owned(),
            ..Route::default()
        };
        WhyRouteResponse {
            paths: vec![PathWhy {
                path: Some(path),
                reason: "lower LOCAL_PREF (100; the winner: 200)".to_owned(),
                import: Some(trace(true, "open")),
            }],
            peers: vec![
                peer("b", true, "advertised", Some(trace(true, "open"))),
                peer("c", false, "whatever", Some(trace(false, ""))),
                peer("d", false, "split horizon: the selected path came from this peer", None),
                peer(
                    "e",
                    false,
                    "the session is down (Idle); else it would be advertised",
                    Some(trace(true, "open")),
                ),
            ],
        }
    }

    #[test]
    fn every_path_and_every_peer_has_its_reason() {
        let text = describe("orders.acme", &why()).join("\n");
        for part in [
            "a.acme: 1 path\n\n>* from this node: in use\n  reason          lower LOCAL_PREF (100; the winner: 200)\n",
            "\n  import          public: accepted by open\n",
            "\n\nwho is told\n  yes             b: public: accepted by open\n",
            "  no              c: public: rejected by default (open does not apply: community is none, wanted 65001:100)\n",
            "  no              d: split horizon: the selected path came from this peer\n",
            "  no              e: the session is down (Idle); else it would be advertised",
        ] {
            let one_line = text.replace("\n                  ", " ");
            assert!(one_line.contains(part), "{part:?} is not in\n{text}");
        }
    }

    #[test]
    fn what_has_no_path_is_called_as_it_was_asked_for() {
        let bare = WhyRouteResponse::default();
        assert_eq!(describe("10.255.0.1/32", &bare), ["10.255.0.1/32: 0 paths"]);
    }

    #[test]
    fn the_worst_case_fits_100_columns() {
        let mut worst = why();
        worst.peers[1].peer = "p".repeat(63);
        worst.paths[0].reason = "r".repeat(400);
        for line in describe("orders.acme", &worst) {
            assert!(width(&line) <= WIDTH, "{} columns: {line}", width(&line));
        }
    }
}
