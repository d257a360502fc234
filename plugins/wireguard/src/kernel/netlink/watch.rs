//! What others change in our part of the kernel.

use std::{fmt, io};

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};

use super::Scope;
use super::{KernelError, link, route, rule, socket, unreachable_because};

/// RTNLGRP_LINK, _IPV4_IFADDR, _IPV6_IFADDR, _IPV4_ROUTE, _IPV4_RULE, _IPV6_ROUTE, _IPV6_RULE (linux/rtnetlink.h).
const ROUTE_GROUPS: [u32; 7] = [1, 5, 9, 7, 8, 11, 19];
/// NFNLGRP_NFTABLES (linux/netfilter/nfnetlink.h).
const NFTABLES_GROUP: u32 = 7;
const BUFFER_BYTES: usize = 1 << 16;

/// The sockets that notifications come by.
pub(super) struct Watch {
    route: TokioSocket,
    /// Missing where there is no nftables; the plane then says so anyway.
    nftables: Option<TokioSocket>,
    /// What we change ourselves is told to us too, with this number.
    own_port: u32,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Watch {
    pub(super) fn start(own_port: u32) -> Result<Self, KernelError> {
        let start = || {
            Ok::<_, io::Error>(Self {
                route: listen(netlink_sys::protocols::NETLINK_ROUTE, &ROUTE_GROUPS)?,
                nftables: listen(netlink_sys::protocols::NETLINK_NETFILTER, &[NFTABLES_GROUP]).ok(),
                own_port,
            })
        };
        start().map_err(|error| unreachable_because("netlink notifications", &error))
    }

    /// Waits for a notification that concerns us. Cancel-safe: what was read was judged.
    pub(super) async fn changed(&mut self, scope: &Scope) {
        let filter = Scope::filter(scope.table);
        let own_port = self.own_port;
        tokio::select! {
            () = wait(&self.route, |message| of_route(message, scope, own_port)) => {}
            () = wait_if_any(self.nftables.as_ref(), |message| mentions(message, filter.as_bytes())) => {}
        }
    }
}

fn listen(protocol: isize, groups: &[u32]) -> io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(protocol)?;
    socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
    groups
        .iter()
        .try_for_each(|group| socket.socket_mut().add_membership(*group))?;
    Ok(socket)
}

async fn wait_if_any(socket: Option<&TokioSocket>, concerns: impl Fn(&[u8]) -> bool) {
    match socket {
        Some(socket) => wait(socket, concerns).await,
        None => std::future::pending().await,
    }
}

async fn wait(socket: &TokioSocket, concerns: impl Fn(&[u8]) -> bool) {
    loop {
        let mut buffer = Vec::with_capacity(BUFFER_BYTES);
        // An error: some were lost (ENOBUFS).
        let mut news = match socket.recv(&mut buffer).await {
            Ok(()) => socket::split(&buffer).any(&concerns),
            Err(_) => true,
        };
        // All that is there: one burst of changes is one piece of news.
        loop {
            buffer.clear();
            match socket.socket_ref().recv(&mut buffer, 0) {
                Ok(_) => news = news || socket::split(&buffer).any(&concerns),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => news = true,
            }
        }
        if news {
            return;
        }
    }
}

fn of_route(bytes: &[u8], scope: &Scope, own_port: u32) -> bool {
    let Ok(message) = NetlinkMessage::<Message>::deserialize(bytes) else {
        return false;
    };
    if message.header.port_number == own_port {
        return false;
    }
    let NetlinkPayload::InnerMessage(message) = message.payload else {
        return false;
    };
    match message {
        Message::NewLink(link) | Message::DelLink(link) => {
            link::read(&link).is_some_and(|found| scope.devices.contains(&found.name) || found.is_ours(scope))
        }
        Message::NewRoute(route) | Message::DelRoute(route) => route::is_ours(&route, scope),
        Message::NewRule(rule) | Message::DelRule(rule) => rule::priority_of_ours(&rule, scope).is_some(),
        // Which device has the number is not said; addresses change rarely.
        Message::NewAddress(_) | Message::DelAddress(_) => true,
        _ => false,
    }
}

fn mentions(message: &[u8], name: &[u8]) -> bool {
    message.windows(name.len()).any(|window| window == name)
}
