//! A network comes up, learns every name, and goes through single changes: what each step costs, and whether it ends where
//! it should.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use catalyst_core::event::Event;
use catalyst_sim::chaos::updates;
use catalyst_sim::config::{name, service};
use catalyst_sim::gao_rexford;
use catalyst_sim::net::{Checks, Net, Rng};
use catalyst_sim::seeds::caught;
use catalyst_sim::topology::{Shape, Topology};
use catalyst_sim::walk;

use crate::Args;
use crate::measure::{Cpu, number, peak_bytes, resident_bytes};

/// Above so many pairs of node and name, a sample is walked.
const ALL_PAIRS: u64 = 2_000_000;
/// Longer than anything takes on the virtual clock.
const LONG: Duration = Duration::from_secs(600);

/// Comes up, learns, changes; prints each step.
///
/// # Errors
/// The network does not end where it should.
pub(crate) fn grow(args: &Args) -> anyhow::Result<()> {
    caught(|| Growth::new(args).run(args)).map_err(|wrong| anyhow!("seed {}: {wrong}", args.seed))
}

struct Growth {
    net: Net,
    shape: Shape,
    rng: Rng,
    aggregate: bool,
}

/// What a step has cost.
struct Step {
    cpu: Cpu,
    wall: Instant,
    events: u64,
    updates: u64,
    bytes: u64,
    began: Instant,
}

impl Step {
    fn begin(net: &Net) -> Self {
        Self {
            cpu: Cpu::now(),
            wall: Instant::now(),
            events: net.events,
            updates: updates(net),
            bytes: net.bytes_sent,
            began: net.now,
        }
    }

    /// Prints the cost; with `per`, by change.
    fn end(self, what: &str, net: &Net, per: u64) {
        let (cpu, per) = (self.cpu.spent(), per.max(1));
        let each = |value: u64| format!("{:.1}", value as f64 / per as f64);
        println!(
            "{what}: {} events, {} UPDATEs, {} bytes{}; {:.2} s of CPU ({:.1} us per change), {} s by the clock; at rest after {} ms of virtual time",
            number(net.events - self.events),
            number(updates(net) - self.updates),
            number(net.bytes_sent - self.bytes),
            if per > 1 {
                format!(" ({} UPDATEs per change)", each(updates(net) - self.updates))
            } else {
                String::new()
            },
            cpu.as_secs_f64(),
            cpu.as_secs_f64() * 1e6 / per as f64,
            self.wall.elapsed().as_secs(),
            net.last_message.saturating_duration_since(self.began).as_millis(),
        );
    }
}

impl Growth {
    fn new(args: &Args) -> Self {
        let mut rng = Rng::new(args.seed);
        let topology = args.topology.unwrap_or(Topology::ValleyFree);
        let shape = Shape::new(topology, args.nodes as usize, args.members as usize, &mut rng);
        let mut configs = gao_rexford::configs(&shape);
        if args.aggregate {
            gao_rexford::aggregate(&shape, &mut configs);
        }
        println!(
            "{} Speakers of {} organisations, {topology:?}, {} sessions ({:.1} per Speaker), {} names",
            number(u64::from(args.nodes)),
            number(shape.organisations() as u64),
            number(shape.edges.len() as u64),
            2.0 * shape.edges.len() as f64 / f64::from(args.nodes),
            number(u64::from(args.names)),
        );
        let mut net = Net::new(configs, args.seed);
        net.checks = Checks::default();
        (net.summing, net.recording) = (false, false);
        Self {
            net,
            shape,
            rng,
            aggregate: args.aggregate,
        }
    }

    fn run(mut self, args: &Args) {
        let before = resident_bytes();
        println!(
            "memory of Speakers without sessions: {} KiB each",
            before / 1024 / u64::from(args.nodes)
        );
        self.come_up();
        let up = resident_bytes();
        println!(
            "memory with sessions and no name: {} KiB per Speaker",
            up / 1024 / u64::from(args.nodes)
        );
        self.learn(args.names);
        self.report_tables(args, up);
        self.change(args.changes, args.names);
        self.check();
        println!(
            "no loop, no leak, no black hole; peak memory {} MiB",
            peak_bytes() >> 20
        );
    }

    fn come_up(&mut self) {
        let step = Step::begin(&self.net);
        self.net.start_all();
        self.net.quiet(LONG);
        self.net.run_ms(30_000);
        self.net.quiet(LONG);
        step.end("sessions come up", &self.net, 1);
    }

    fn text(&self, number: u32) -> (usize, String) {
        let node = number as usize % self.net.nodes.len();
        let organisation = self.shape.organisation[node];
        (node, format!("svc-{number}.o{organisation}"))
    }

    /// Every node offers its names at once.
    fn learn(&mut self, names: u32) {
        let step = Step::begin(&self.net);
        let nodes = u32::try_from(self.net.nodes.len()).unwrap_or(u32::MAX);
        for first in 0..nodes.min(names) {
            let own = (first..names).step_by(nodes as usize);
            let offers: Vec<Event> = own
                .map(|number| Event::ServiceAdd(service(&self.text(number).1)))
                .collect();
            self.net.batch(first as usize, offers);
        }
        self.net.quiet(LONG);
        step.end("every name is learned", &self.net, u64::from(names));
    }

    fn report_tables(&self, args: &Args, before: u64) {
        let mut selected = 0u64;
        let mut paths = 0u64;
        let mut advertised = 0u64;
        for node in &self.net.nodes {
            let (names, of_paths) = node.speaker.table_size();
            selected += names;
            paths += of_paths;
            let peers = node.speaker.peers(self.net.now);
            advertised += peers.iter().map(|peer| peer.advertised).sum::<u64>();
        }
        let (now, nodes) = (resident_bytes(), u64::from(args.nodes));
        println!(
            "tables: {} names in use, {} paths, {} advertised, {:.0} names per Speaker",
            number(selected),
            number(paths),
            number(advertised),
            selected as f64 / nodes as f64
        );
        println!(
            "memory: {} MiB, {} KiB per Speaker, {} bytes per name in use over what sessions take",
            now >> 20,
            now / 1024 / nodes,
            now.saturating_sub(before) / selected.max(1)
        );
    }

    /// One name after the other goes, and comes back, each time until all is quiet.
    fn change(&mut self, changes: u32, names: u32) {
        for coming in [false, true] {
            let mut rng = self.rng.clone();
            let mut rounds = Vec::new();
            let step = Step::begin(&self.net);
            for _ in 0..changes {
                let number = u32::try_from(rng.below(u64::from(names))).unwrap_or(0);
                let (node, text) = self.text(number);
                let began = self.net.now;
                if coming {
                    self.net.offer(node, &text);
                } else {
                    self.net.event(node, Event::ServiceRemove(name(&text)));
                }
                self.net.quiet(LONG);
                rounds.push(self.net.last_message.saturating_duration_since(began).as_millis());
            }
            rounds.sort_unstable();
            let what = if coming { "a name comes" } else { "a name goes" };
            step.end(what, &self.net, u64::from(changes));
            let (median, most) = (rounds.get(rounds.len() / 2), rounds.last());
            println!(
                "  rounds (hops of 1 ms): median {}, at most {}",
                median.unwrap_or(&0),
                most.unwrap_or(&0)
            );
        }
    }

    fn check(&mut self) {
        let cpu = Cpu::now();
        let all = walk::originators(&self.net);
        let nodes = self.net.nodes.len();
        let pairs = all.len() as u64 * nodes as u64;
        let mut walks = 0u64;
        if pairs <= ALL_PAIRS {
            walk::check(&self.net, true);
            walks = pairs;
        } else {
            let names: Vec<(&String, &BTreeSet<usize>)> = all.iter().collect();
            let each = (ALL_PAIRS / nodes as u64).max(20);
            for from in 0..nodes {
                for _ in 0..each {
                    let (name, originators) = names[self.rng.index(names.len())];
                    walk::check_one(&self.net, from, name, originators, true);
                    walks += 1;
                }
            }
            for (name, originators) in names {
                walk::check_one(&self.net, self.rng.index(nodes), name, originators, true);
                walks += 1;
            }
        }
        println!(
            "{} of {} walks from a node to a name end at its originator",
            number(walks),
            number(pairs)
        );
        let routes = self.check_leaks();
        println!(
            "{} routes are valley-free; checked in {:.1} s of CPU",
            number(routes),
            cpu.spent().as_secs_f64()
        );
    }

    /// Of some nodes, every route; of all together, at most as many as walks.
    fn check_leaks(&mut self) -> u64 {
        let mut routes = 0;
        let nodes = self.net.nodes.len();
        for turn in 0..nodes {
            let node = if nodes <= 200 { turn } else { self.rng.index(nodes) };
            for view in self.net.nodes[node].speaker.routes(None, usize::MAX, self.net.now) {
                if view.selected {
                    let (holder, path) = (self.shape.organisation[node], &view.attrs.as_path);
                    let name = &view.destination;
                    assert!(
                        self.shape.is_valley_free(holder, path),
                        "{name} came to node {node} by {path:?}"
                    );
                    routes += 1;
                }
            }
            if routes > ALL_PAIRS {
                break;
            }
        }
        if self.aggregate {
            self.audit_some();
        }
        routes
    }

    /// Some Speakers against themselves; a whole audit of all would take longer than all that came before.
    fn audit_some(&mut self) {
        let nodes = self.net.nodes.len();
        for _ in 0..nodes.min(20) {
            let node = self.rng.index(nodes);
            let wrong = self.net.nodes[node].speaker.audit();
            assert!(wrong.is_empty(), "node {node}: {wrong:#?}");
        }
    }
}
