//! The Linux kernel by netlink, and `nft` for the one table that it is asked for. WireGuard itself may be a program's (`wg`).
//!
//! The kernel carries out a request while it is sent, and some take long: everything runs in a thread of its own, one
//! request at a time, and nobody else waits. `watch` hears of what others change.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "the attributes of the kernel are many and most are none of our business"
)]

mod address;
mod link;
mod nft;
mod probe;
mod route;
mod rule;
mod socket;
mod watch;
mod wg;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc as std_mpsc;
use std::thread;

use tokio::sync::oneshot;

use super::{Kernel, KernelError, Operation, Peers, Probe, Scope};
use crate::resource::{Key, Resource};
use socket::Netlink;
use watch::Watch;
use wg::WireGuard;

/// One thing to do for the thread.
type Task = Box<dyn FnOnce(&mut Worker) + Send>;

/// The kernel of the network namespace that this process is in.
#[derive(Debug)]
pub struct NetlinkKernel {
    tasks: std_mpsc::Sender<Task>,
    /// `None` until it is first asked for, and where it cannot be had.
    watch: Option<Result<Watch, KernelError>>,
    /// Our own messages are known by it.
    port: u32,
}

/// The thread's end.
struct Worker {
    route: Netlink,
    wireguard: WireGuard,
}

impl NetlinkKernel {
    /// Opens the sockets and starts the thread, which ends with the last handle. `userspace` is the program that does
    /// WireGuard in place of the kernel; its processes outlive all of this.
    ///
    /// # Errors
    /// There is no netlink here.
    pub fn open(userspace: Option<PathBuf>) -> Result<Self, KernelError> {
        let worker = Worker {
            route: Netlink::open(netlink_sys::protocols::NETLINK_ROUTE)?,
            wireguard: WireGuard::open(userspace)?,
        };
        let port = worker.route.port();
        let (tasks, queue) = std_mpsc::channel();
        let run = move || {
            let mut worker = worker;
            queue.into_iter().for_each(|task: Task| task(&mut worker));
        };
        let started = thread::Builder::new().name("netlink".to_owned()).spawn(run);
        started.map_err(|error| unreachable_because("netlink thread", &error))?;
        Ok(Self {
            tasks,
            watch: None,
            port,
        })
    }

    async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Worker) -> T + Send + 'static,
    ) -> Result<T, KernelError> {
        let (answer, answered) = oneshot::channel();
        let task = move |worker: &mut Worker| drop(answer.send(ask(worker)));
        let gone = || unreachable_because("netlink thread", &"it has ended");
        self.tasks.send(Box::new(task)).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())
    }
}

impl Kernel for NetlinkKernel {
    async fn observe(&mut self, scope: &Scope) -> Result<BTreeMap<Key, Resource>, KernelError> {
        let scope = scope.clone();
        self.ask(move |worker| worker.observe(&scope)).await?
    }

    async fn apply(&mut self, scope: &Scope, operations: Vec<Operation>) -> Vec<Result<(), KernelError>> {
        let (scope, count) = (scope.clone(), operations.len());
        match self.ask(move |worker| worker.apply(&scope, &operations)).await {
            Ok(outcomes) => outcomes,
            Err(error) => vec![Err(error); count],
        }
    }

    async fn peers(&mut self, scope: &Scope) -> Result<Peers, KernelError> {
        let scope = scope.clone();
        self.ask(move |worker| worker.peers(&scope)).await?
    }

    async fn probe(&mut self, probes: Vec<Probe>) {
        let sent = self.ask(move |_| probes.iter().for_each(probe::send)).await;
        if let Err(error) = sent {
            tracing::debug!(%error, "tunnels are not probed");
        }
    }

    async fn changed(&mut self, scope: &Scope) {
        let port = self.port;
        let start = || {
            // Drift is then found by the next full comparison; WireGuard's own at the next look.
            Watch::start(port).inspect_err(|error| tracing::warn!(%error, "changes by others are not heard of at once"))
        };
        match self.watch.get_or_insert_with(start) {
            Ok(watch) => watch.changed(scope).await,
            Err(_) => std::future::pending().await,
        }
    }
}

impl Worker {
    fn observe(&mut self, scope: &Scope) -> Result<BTreeMap<Key, Resource>, KernelError> {
        let mut held = BTreeMap::new();
        let links = link::ours(&mut self.route, scope)?;
        for found in &links {
            self.observe_device(scope, found, &mut held)?;
        }
        address::observe(&mut self.route, &links, &mut held)?;
        route::observe(&mut self.route, scope, &links, &mut held)?;
        rule::observe(&mut self.route, scope, &mut held)?;
        match nft::observe(scope.table) {
            Ok(Some(filter)) => drop(held.insert(Key::Filter { table: scope.table }, filter)),
            Ok(None) => {}
            // It is put once more then, and that says what is wrong.
            Err(error) => tracing::debug!(%error, "the nftables table cannot be read"),
        }
        Ok(held)
    }

    fn observe_device(
        &mut self,
        scope: &Scope,
        found: &link::Found,
        held: &mut BTreeMap<Key, Resource>,
    ) -> Result<(), KernelError> {
        let Some(device) = self.read(found)? else {
            // It may also have gone since the list was read.
            held.insert(Key::Device(found.name.clone()), Resource::Altered);
            return Ok(());
        };
        let whole = found.up && link::is_loose(&found.name) != Some(false);
        let resource = if whole {
            found.resource(scope, &device)
        } else {
            Resource::Altered
        };
        held.insert(Key::Device(found.name.clone()), resource);
        let mut peers = Peers::default();
        device.into_peers(&found.name, &mut peers);
        held.append(&mut peers.held);
        let endpoints = peers.endpoints.into_iter();
        held.extend(endpoints.map(|((device, key), at)| (Key::Endpoint { device, key }, Resource::Endpoint(at))));
        Ok(())
    }

    fn peers(&mut self, scope: &Scope) -> Result<Peers, KernelError> {
        let mut peers = Peers::default();
        for found in link::ours(&mut self.route, scope)? {
            if let Some(device) = self.read(&found)? {
                device.into_peers(&found.name, &mut peers);
            }
        }
        Ok(peers)
    }

    /// `None`: there is no such device, or none that works.
    fn read(&mut self, found: &link::Found) -> Result<Option<wg::Read>, KernelError> {
        if !found.is_of(&self.wireguard) {
            return Ok(None);
        }
        match self.wireguard.read(&found.name) {
            // Of one process, which says nothing of the others.
            Err(error) if self.wireguard.program().is_some() => {
                tracing::warn!(device = %found.name, %error, "its process does not answer");
                Ok(None)
            }
            read => read,
        }
    }

    /// Runs of changes to one device's peers go in one message; if that fails, one by one, so that each has its answer.
    fn apply(&mut self, scope: &Scope, operations: &[Operation]) -> Vec<Result<(), KernelError>> {
        let mut outcomes = Vec::with_capacity(operations.len());
        for run in operations.chunk_by(wg::in_one_message) {
            if run.len() > 1 && self.run(scope, run).is_ok() {
                outcomes.extend(run.iter().map(|_| Ok(())));
            } else {
                outcomes.extend(run.iter().map(|operation| self.one(scope, operation)));
            }
        }
        outcomes
    }

    fn run(&mut self, scope: &Scope, operations: &[Operation]) -> Result<(), KernelError> {
        let Some(device) = operations.first().and_then(wg::device_of) else {
            return Ok(());
        };
        match link::index(&mut self.route, scope, device) {
            // With the device they are gone too.
            Err(_) if matches!(operations, [Operation::Remove(_), ..]) => return Ok(()),
            found => found?,
        };
        self.wireguard.change(operations)
    }

    fn one(&mut self, scope: &Scope, operation: &Operation) -> Result<(), KernelError> {
        match operation {
            Operation::Put(Key::Device(name), Resource::Device(device)) => self.put_device(scope, name, device),
            Operation::Remove(Key::Device(name)) => link::remove(&mut self.route, scope, name),
            Operation::Put(Key::Address { device, prefix }, _) => address::put(&mut self.route, scope, device, *prefix),
            Operation::Remove(Key::Address { device, prefix }) => {
                address::remove(&mut self.route, scope, device, *prefix)
            }
            Operation::Put(Key::Guard { table, prefix }, _) => {
                route::put_guard(&mut self.route, scope, *table, *prefix)
            }
            Operation::Remove(Key::Guard { table, prefix }) => {
                route::remove_guard(&mut self.route, scope, *table, *prefix)
            }
            Operation::Put(Key::Route { table, prefix }, Resource::Route(route)) => {
                route::put(&mut self.route, scope, *table, *prefix, route)
            }
            Operation::Remove(Key::Route { table, prefix }) => route::remove(&mut self.route, scope, *table, *prefix),
            Operation::Put(
                Key::Rule {
                    table,
                    priority,
                    family,
                },
                _,
            ) => rule::put(&mut self.route, scope, *table, *priority, *family),
            Operation::Remove(Key::Rule {
                table,
                priority,
                family,
            }) => rule::remove(&mut self.route, scope, *table, *priority, *family),
            Operation::Put(Key::Filter { table }, Resource::Filter(filter)) => nft::put(*table, filter),
            Operation::Remove(Key::Filter { table }) => nft::remove(*table),
            Operation::Put(..) | Operation::Remove(_) => self.run(scope, std::slice::from_ref(operation)),
        }
    }

    fn put_device(
        &mut self,
        scope: &Scope,
        name: &std::sync::Arc<str>,
        device: &crate::resource::Device,
    ) -> Result<(), KernelError> {
        let index = link::make(&mut self.route, &mut self.wireguard, scope, name, device)?;
        link::loosen(name)?;
        self.wireguard.configure(name, device)?;
        link::raise(&mut self.route, index)
    }
}

pub(super) fn unreachable_because(what: &str, why: &dyn std::fmt::Display) -> KernelError {
    KernelError::Unreachable {
        what: what.into(),
        why: why.to_string().into(),
    }
}
