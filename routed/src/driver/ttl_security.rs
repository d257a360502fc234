//! The Generalized TTL Security Mechanism (RFC 5082): what has come further than a peer is away is dropped by the kernel.
//! Every router takes one off the TTL, so whoever is further away cannot send what arrives with a high one.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;

use nix::sys::socket::SetSockOpt;
use nix::sys::socket::sockopt::SetStruct;
use socket2::SockRef;

/// What packets leave with that are to arrive with as much as can be.
const FULL_TTL: u32 = 255;

/// IP_MINTTL (ip(7)).
#[derive(Debug, Clone, Copy)]
struct MinTtl;
nix::setsockopt_impl!(MinTtl, libc::IPPROTO_IP, libc::IP_MINTTL, i32, SetStruct<'_, i32>);

/// IPV6_MINHOPCOUNT (ipv6(7)).
#[derive(Debug, Clone, Copy)]
struct MinHopCount;
nix::setsockopt_impl!(
    MinHopCount,
    libc::IPPROTO_IPV6,
    libc::IPV6_MINHOPCOUNT,
    i32,
    SetStruct<'_, i32>
);

/// Sends to a peer with full TTL, and takes nothing that has come over more than `hops` links (1: a neighbour).
///
/// # Errors
/// The kernel does not know the option.
pub(super) fn guard(socket: &impl AsFd, peer: IpAddr, hops: u8) -> io::Result<()> {
    send_with_full_ttl(socket, peer)?;
    let least = 256 - i32::from(hops.max(1));
    match peer.to_canonical() {
        IpAddr::V4(_) => MinTtl.set(socket, &least)?,
        IpAddr::V6(_) => MinHopCount.set(socket, &least)?,
    }
    Ok(())
}

/// Whatever leaves this socket towards such an address has full TTL.
pub(super) fn send_with_full_ttl(socket: &impl AsFd, to: IpAddr) -> io::Result<()> {
    let socket = SockRef::from(socket);
    match to.to_canonical() {
        IpAddr::V4(_) => socket.set_ttl_v4(FULL_TTL),
        IpAddr::V6(_) => {
            // For IPv4 on a socket that takes both; one that does not may refuse it.
            drop(socket.set_ttl_v4(FULL_TTL));
            socket.set_unicast_hops_v6(FULL_TTL)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    /// A connection over loopback, which takes nothing off: the guarded end, and the other with this TTL.
    fn pair(ip: &str, hops: u8, ttl: u32) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(SocketAddr::new(ip.parse().unwrap(), 0)).unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, remote) = listener.accept().unwrap();
        guard(&near, remote.ip(), hops).unwrap();
        let socket = SockRef::from(&far);
        match remote.ip() {
            IpAddr::V4(_) => socket.set_ttl_v4(ttl).unwrap(),
            IpAddr::V6(_) => socket.set_unicast_hops_v6(ttl).unwrap(),
        }
        near.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        (near, far)
    }

    fn arrives(ip: &str, hops: u8, ttl: u32) -> bool {
        let (mut near, mut far) = pair(ip, hops, ttl);
        far.write_all(b"x").unwrap();
        match near.read(&mut [0]) {
            Ok(count) => count == 1,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                false
            }
        }
    }

    #[test]
    fn what_comes_from_too_far_is_not_heard() {
        for ip in ["127.0.0.1", "::1"] {
            assert!(arrives(ip, 1, 255), "{ip}");
            assert!(!arrives(ip, 1, 254), "{ip}");
            assert!(arrives(ip, 10, 246), "{ip}");
            assert!(!arrives(ip, 10, 245), "{ip}");
            assert!(!arrives(ip, 254, 1), "{ip}");
            assert!(arrives(ip, 254, 2), "{ip}");
        }
    }

    #[test]
    fn both_ends_hear_each_other_where_both_are_guarded() {
        let (near, mut far) = pair("127.0.0.1", 1, 255);
        guard(&far, near.peer_addr().unwrap().ip(), 1).unwrap();
        (&near).write_all(b"x").unwrap();
        assert_eq!(far.read(&mut [0]).unwrap(), 1);
    }
}
