//! A data plane sees the routes of its kind and no others; versions count for all.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use catalyst_plugin::{
    Change, DataPlane, DestinationOf, Diff, PlaneError, PlaneEvent, Prefix, PrefixRoute, Protocol, Report, Route,
    RouteTable, RouteUpdate, Selected, Served, Table, Target, Touched, Verdict, Wanted, spawn,
};
use tokio::sync::mpsc;

type Held = Arc<Mutex<Vec<String>>>;

/// One resource per destination: its text.
struct Plain<R> {
    held: Held,
    kind: std::marker::PhantomData<R>,
}

impl<R: Served> DataPlane for Plain<R> {
    type Route = R;
    type Key = String;
    type Resource = ();

    fn name(&self) -> &'static str {
        "plain"
    }

    fn plan(&mut self, routes: &RouteTable<R>, touched: Touched<'_, R::Destination>) -> Vec<Wanted<Self>> {
        let wanted = |name: &R::Destination| {
            let text = Into::<catalyst_plugin::Destination>::into(name.clone()).to_string();
            (text, routes.contains_key(name).then_some(()))
        };
        match touched {
            Touched::All => routes.keys().map(wanted).collect(),
            Touched::Names(names) => names.iter().map(wanted).collect(),
        }
    }

    fn routes_of(&self, _: &String) -> Vec<DestinationOf<Self>> {
        Vec::new()
    }

    fn serves(&self, _: &R) -> bool {
        true
    }

    fn fingerprint(&self, (): &()) -> u64 {
        0
    }

    async fn observe(&mut self) -> Result<BTreeMap<String, Option<u64>>, PlaneError> {
        Ok(BTreeMap::new())
    }

    async fn apply(&mut self, diff: Diff<String, ()>) -> Result<Vec<(String, Verdict)>, PlaneError> {
        if let Ok(mut held) = self.held.lock() {
            held.retain(|text| !diff.remove.contains(text));
            held.extend(diff.upsert.into_iter().map(|(text, ())| text));
            held.sort();
        }
        Ok(Vec::new())
    }

    async fn changed(&mut self) -> PlaneEvent<String> {
        std::future::pending().await
    }
}

fn service(text: &str) -> Selected {
    Selected::Name(Arc::new(Route {
        name: text.parse().unwrap(),
        protocol: Protocol::Http,
        path: None,
        table: Table::Internal,
        origin: None,
        target: Target::Local(Vec::new()),
        exported_to: Arc::default(),
    }))
}

fn prefix(text: &str) -> Selected {
    let hop = SocketAddr::from(([10, 255, 0, 1], 0));
    Selected::Prefix(Arc::new(PrefixRoute {
        prefix: text.parse().unwrap(),
        table: Table::External,
        origin: None,
        target: Target::Remote(vec![catalyst_plugin::NextHop {
            address: hop,
            weight: 1,
        }]),
        exported_to: Arc::default(),
        tunnel: None,
    }))
}

async fn held_by<R: Served>() -> Vec<String> {
    let held = Held::default();
    let plane = Plain::<R> {
        held: Arc::clone(&held),
        kind: std::marker::PhantomData,
    };
    let (sender, mut reports) = mpsc::channel(8);
    let handle = spawn(plane, sender);
    handle.feed.send(RouteUpdate::Reset {
        version: 1,
        routes: vec![
            service("a.acme"),
            service("b.acme"),
            prefix("10.1.0.0/16"),
            prefix("::/0"),
        ],
        settled: true,
    });
    let gone: Prefix = "::/0".parse().unwrap();
    let changes = [
        (prefix("10.2.0.0/16").destination(), Some(prefix("10.2.0.0/16"))),
        (gone.into(), None),
    ];
    handle.feed.send(RouteUpdate::Delta {
        from: 1,
        to: 2,
        changes: changes.map(|(destination, route)| Change { destination, route }).into(),
        settled: true,
    });
    loop {
        let report = reports.recv().await;
        let Some(Report::Plane { version, .. }) = report else {
            panic!("{report:?}")
        };
        if version == 2 {
            return held.lock().unwrap().clone();
        }
    }
}

#[tokio::test]
async fn of_services() {
    assert_eq!(held_by::<Route>().await, ["a.acme", "b.acme"]);
}

#[tokio::test]
async fn of_prefixes() {
    assert_eq!(held_by::<PrefixRoute>().await, ["10.1.0.0/16", "10.2.0.0/16"]);
}

#[tokio::test]
async fn of_both() {
    assert_eq!(
        held_by::<Selected>().await,
        ["10.1.0.0/16", "10.2.0.0/16", "a.acme", "b.acme"]
    );
}
