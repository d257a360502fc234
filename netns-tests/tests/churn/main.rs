//! See README.md beside this file.

mod restart;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, ensure};
use catalyst_netns_tests::{Example, LONG, Load, Names, Network, Node, Peering, echo, peer, poll, scenario};

const REQUESTS: u64 = 20_000;
const WORKERS: usize = 4;
/// Names at B that stay.
const STEADY: usize = 20;
/// Names at B of which a few are there at a time.
const PASSING: usize = 30;
const PASSING_AT_ONCE: usize = 5;
/// Names that nobody requests, added and removed ten at a time.
const OTHERS: usize = 300;

/// A, B, and services at B.
struct Churn {
    a: Node,
    b: Node,
    http: SocketAddr,
    tcp: SocketAddr,
    steady: Names,
    passing: Names,
}

fn passing_name(number: usize) -> String {
    format!("passing{}.acme", number % PASSING)
}

impl Churn {
    /// `further` settings of A besides.
    fn start(network: &mut Network, further: impl FnOnce(&mut Node)) -> Result<Self> {
        let mut a = network.node("a", 65001, "acme")?.with_envoy();
        further(&mut a);
        let mut b = network.node("b", 65002, "acme")?.with_envoy();
        peer(&mut a, &mut b, Peering::Both);
        let (http, tcp) = (b.run(Example::Http, "http")?, b.run(Example::Tcp, "tcp")?);
        for number in 0..STEADY {
            b.offer(&format!("steady{number}.acme"), Example::Http.service(http));
        }
        a.start()?;
        b.start()?;
        let churn = Self {
            a,
            b,
            http,
            tcp,
            steady: Names::default(),
            passing: Names::default(),
        };
        for number in 0..STEADY {
            let name = format!("steady{number}.acme");
            churn.a.wait_programmed(&name)?;
            churn.steady.open(&name);
        }
        Ok(churn)
    }

    /// Two of three requests go to names that stay, one to names that come and go; counts the latter.
    fn load(&self) -> (Load, Arc<AtomicU64>) {
        let (steady, passing) = (self.steady.clone(), self.passing.clone());
        let to_passing = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&to_passing);
        let pick = move |turn: usize| {
            let name = turn.is_multiple_of(3).then(|| passing.pick(turn / 3)).flatten();
            count.fetch_add(u64::from(name.is_some()), Ordering::Relaxed);
            name.or_else(|| steady.pick(turn))
        };
        (Load::start(WORKERS, self.a.egress(), pick), to_passing)
    }

    fn appear(&self, name: &str) -> Result<()> {
        self.b.add_service(name, &Example::Http.service(self.http))?;
        self.a.wait_programmed(name)?;
        self.passing.open(name);
        Ok(())
    }

    fn vanish(&self, name: &str) -> Result<()> {
        self.passing.close(name)?;
        self.b.remove_service(name)
    }

    /// Replaces the oldest passing name by the next.
    fn step_passing(&self, round: usize) -> Result<()> {
        self.appear(&passing_name(round + PASSING_AT_ONCE))?;
        self.vanish(&passing_name(round))
    }

    /// Adds ten names that nobody requests, or takes the ten of the round before back.
    fn step_others(&self, round: usize) -> Result<()> {
        let first = (round / 2) * 10 % OTHERS;
        for number in first..first + 10 {
            let name = format!("other{number}.acme");
            if round.is_multiple_of(2) {
                self.b.add_service(&name, &Example::Http.service(self.http))?;
            } else {
                self.b.remove_service(&name)?;
            }
        }
        Ok(())
    }

    /// A wildcard comes in one round and goes in the next.
    fn step_wildcard(&self, round: usize) -> Result<()> {
        if !round.is_multiple_of(2) {
            return self.b.remove_service("*.wild.acme");
        }
        self.b.add_service("*.wild.acme", &Example::Http.service(self.http))?;
        self.a.wait_programmed("*.wild.acme")?;
        poll("an answer below the wildcard", LONG, || {
            let answer = self.a.get("any.thing.wild.acme", "/")?;
            ensure!(answer.status == 200, "{answer:?}");
            Ok(())
        })
    }

    /// A tcp service comes in one round and goes in the next.
    fn step_tcp(&self, round: usize) -> Result<()> {
        if !round.is_multiple_of(2) {
            return self.b.remove_service("lines.acme");
        }
        self.b.add_service("lines.acme", &Example::Tcp.service(self.tcp))?;
        self.a.wait_programmed("lines.acme")?;
        poll("a line over tcp", LONG, || {
            let answer = echo(self.a.tcp_address("lines.acme")?, "hello")?;
            ensure!(answer == "tcp: hello", "{answer}");
            Ok(())
        })
    }
}

#[test]
fn no_request_fails_while_routes_come_and_go() -> Result<()> {
    scenario(|network| {
        let churn = Churn::start(network, |_| {})?;
        (0..PASSING_AT_ONCE).try_for_each(|number| churn.appear(&passing_name(number)))?;
        let (load, to_passing) = churn.load();
        let mut round = 0;
        // Every one of the other routes comes and goes at least once, also on a machine that sends fast.
        while load.sent() < REQUESTS || round < 2 * OTHERS / 10 {
            churn.step_passing(round)?;
            churn.step_others(round)?;
            churn.step_wildcard(round)?;
            churn.step_tcp(round)?;
            round += 1;
        }
        let tally = load.finish()?;
        let passing = to_passing.load(Ordering::Relaxed);
        eprintln!("{} requests, {passing} to passing names, in {round} rounds", tally.sent);
        ensure!(
            passing >= tally.sent * 3 / 10,
            "only {passing} requests went to passing names"
        );
        tally.check_all_good(REQUESTS)
    })
}
