//! One datagram through a tunnel. Whoever is there answers, if only that nobody listens; whoever does not may not say so
//! has its WireGuard confirm it within ten seconds (KEEPALIVE_TIMEOUT).

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

use super::Probe;

/// discard (RFC 863).
const PORT: u16 = 9;

/// What goes wrong is seen as silence.
pub(super) fn send(probe: &Probe) {
    if let Err(error) = try_send(probe) {
        tracing::debug!(device = %probe.device, to = %probe.to, %error, "a tunnel cannot be probed");
    }
}

fn try_send(probe: &Probe) -> std::io::Result<()> {
    let domain = if probe.to.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    // Never around the tunnel, whatever the routes are.
    socket.bind_device(Some(probe.device.as_bytes()))?;
    socket.bind(&SocketAddr::new(probe.from, 0).into())?;
    socket.send_to(&[0], &SocketAddr::new(probe.to, PORT).into()).map(drop)
}
