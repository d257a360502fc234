//! What each listener opens, over random tables that follow each other on one Envoy, against a model.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use catalyst_plugin::Protocol::{Http, Tcp};
use catalyst_plugin::Route;
use hyper::Method;
use tokio::time::{Duration, Instant};

use crate::client::{get, h2};
use crate::envoy::DEADLINE;
use crate::node::{Node, discard, exported, local};
use crate::services::{self, Service};

const ORGS: [&str; 2] = ["globex", "initech"];
const WEBS: [&str; 7] = ["*", "*.acme", "*.dc1.acme", "*.lab.acme", "a.dc1.acme", "b.acme", "c"];
const TABLES: u64 = 12;

/// What a table holds under a name, as far as it matters here.
#[derive(Debug, Clone, PartialEq)]
enum Held {
    Web(&'static [&'static str]),
    Database(&'static [&'static str]),
    Nothing,
}

type Model = BTreeMap<&'static str, Held>;

/// What a listener of a class (`None`: our own) answers: the service, or nothing.
fn served(model: &Model, class: Option<&str>, host: &str) -> Option<&'static str> {
    let open = |orgs: &[&str]| class.is_none_or(|class| orgs.contains(&class));
    let (name, held) = match model.get_key_value(host) {
        Some(exact) => exact,
        None => model
            .iter()
            .filter(|(name, _)| name.strip_prefix('*').is_some_and(|suffix| host.ends_with(suffix)))
            .max_by_key(|(name, _)| name.len())?,
    };
    match held {
        Held::Web(orgs) if open(orgs) => Some(name),
        Held::Web(_) | Held::Database(_) | Held::Nothing => None,
    }
}

/// Whether CONNECT to a host is taken: by tcp services alone, under their exact names.
fn tunnels(model: &Model, class: Option<&str>, host: &str) -> bool {
    let open = |orgs: &[&str]| class.is_none_or(|class| orgs.contains(&class));
    matches!(model.get(host), Some(Held::Database(orgs)) if open(orgs))
}

struct Random(u64);

impl Random {
    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        from[usize::try_from(self.0 % from.len() as u64).unwrap()].clone()
    }

    fn orgs(&mut self) -> &'static [&'static str] {
        self.pick(&[&[] as &[&str], &["globex"], &["initech"], &["globex", "initech"]])
    }

    fn table(&mut self) -> Model {
        let mut model = Model::new();
        for name in WEBS {
            match self.pick(&[0, 1, 1, 1, 2]) {
                0 => {}
                1 => drop(model.insert(name, Held::Web(self.orgs()))),
                _ => drop(model.insert(name, Held::Nothing)),
            }
        }
        if self.pick(&[true, false]) {
            model.insert("db.dc1.acme", Held::Database(self.orgs()));
        }
        model
    }
}

/// Every service that a table may name.
struct Everything {
    webs: BTreeMap<&'static str, Service>,
    database: Service,
}

impl Everything {
    async fn start() -> Self {
        let mut webs = BTreeMap::new();
        for name in WEBS {
            webs.insert(name, services::http(name).await);
        }
        Self {
            webs,
            database: services::tcp("db").await,
        }
    }

    fn route(&self, name: &str, held: &Held) -> Route {
        match held {
            Held::Web(orgs) => exported(local(name, Http, &[self.webs[name].at]), orgs),
            Held::Database(orgs) => exported(local(name, Tcp, &[self.database.at]), orgs),
            // An aggregate is exported although there is nothing at it itself.
            Held::Nothing => exported(discard(name), &ORGS),
        }
    }
}

#[tokio::test]
async fn every_listener_opens_what_the_table_says_and_nothing_else() {
    let everything = Everything::start().await;
    let mut node = Node::with("a", 65001, "acme", |config| {
        ORGS.iter().for_each(|org| Node::listen_for(config, org));
    })
    .await;
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut before = Model::new();
    for round in 0..TABLES {
        let model = random.table();
        let gone: Vec<&str> = before
            .keys()
            .filter(|name| !model.contains_key(*name))
            .copied()
            .collect();
        node.remove(&gone).await;
        node.add(model.iter().map(|(name, held)| everything.route(name, held)))
            .await;
        check(&node, &model, round).await;
        before = model;
    }
}

async fn check(node: &Node, model: &Model, round: u64) {
    let hosts = [
        "a.dc1.acme",
        "b.acme",
        "c",
        "db.dc1.acme",
        "x.dc1.acme",
        "y.x.dc1.acme",
        "x.lab.acme",
        "x.acme",
        "acme",
        "other",
    ];
    let own = [(None, node.config.egress), (None, node.config.peer_listener)];
    let outside = ORGS.map(|org| (Some(org), node.config.peer_listeners[org]));
    for (class, at) in own.into_iter().chain(outside) {
        for host in hosts {
            let wanted = served(model, class, host);
            let seen = answer(at, host, wanted).await;
            assert_eq!(
                seen.as_deref(),
                wanted,
                "round {round}: {host} at {class:?}, {at}: {model:?}"
            );
            if at == node.config.egress {
                continue;
            }
            let connected = h2(at, Method::CONNECT, &format!("{host}:1"), &[]).await.unwrap();
            let expected = if tunnels(model, class, host) { 200 } else { 404 };
            assert_eq!(
                connected.status, expected,
                "round {round}: CONNECT {host} at {class:?}: {model:?}"
            );
        }
    }
}

/// Who answers; `None` for 404. Asks again for a while: what went may be there for a moment.
async fn answer(at: SocketAddr, host: &str, wanted: Option<&str>) -> Option<String> {
    let end = Instant::now() + DEADLINE;
    loop {
        let reply = get(at, host, "/").await;
        let seen = match reply.status {
            200 => Some(reply.who().to_owned()),
            404 => None,
            status => panic!("{host}: {status} {}", reply.body),
        };
        if seen.as_deref() == wanted || Instant::now() > end {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whoever may not use a name does not learn that it is there.
#[tokio::test]
async fn what_is_kept_back_looks_like_what_is_not_there() {
    let (web, db) = (services::http("web").await, services::tcp("db").await);
    let mut node = Node::with("a", 65001, "acme", |config| Node::listen_for(config, "globex")).await;
    node.add([
        local("web.acme", Http, &[web.at]),
        local("db.acme", Tcp, &[db.at]),
        local("*.lab.acme", Http, &[web.at]),
        exported(local("open.acme", Http, &[web.at]), &["globex"]),
    ])
    .await;
    let globex = node.config.peer_listeners["globex"];
    assert_eq!(get(globex, "open.acme", "/").await.status, 200);
    for host in ["nobody.acme", "web.acme", "db.acme", "x.lab.acme"] {
        let reply = get(globex, host, "/").await;
        assert_eq!((reply.status, reply.body), (404, format!("no route to {host}\n")));
        let connect = h2(globex, Method::CONNECT, &format!("{host}:1"), &[]).await.unwrap();
        assert_eq!(connect.status, 404, "{host}");
    }
}
