//! The Generalized TTL Security Mechanism (RFC 5082): what has come further than a peer is away is dropped by the kernel.
//! Every router takes one off the TTL, so whoever is further away cannot send what arrives with a high one.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;

use nix::sys::socket::SetSockOpt;
use nix::sys::socket::sockopt::SetStruct;
use socket2::SockRef;

use super::ttl_filter::Guard;

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

/// The lowest TTL that what has come over so many links (1: from a neighbour) can arrive with.
pub(super) fn least_ttl(hops: u8) -> u32 {
    FULL_TTL + 1 - u32::from(hops.max(1))
}

/// Sends to a peer with full TTL, and takes nothing that has come over more than `hops` links (1: a neighbour).
///
/// # Errors
/// The kernel does not know the option.
pub(super) fn guard(socket: &impl AsFd, peer: IpAddr, hops: u8) -> io::Result<()> {
    send_with_full_ttl(socket, peer)?;
    let least = least_ttl(hops).cast_signed();
    match peer.to_canonical() {
        IpAddr::V4(_) => MinTtl.set(socket, &least)?,
        IpAddr::V6(_) => MinHopCount.set(socket, &least)?,
    }
    Ok(())
}

/// Has a listener drop what is to be dropped before it is accepted, and what it has accepted from now on until it is
/// [`take_off`].
///
/// # Errors
/// The kernel has no room for the program (`net.core.optmem_max`); the one of before stays.
pub(super) fn put_on(listener: &impl AsFd, guard: &Guard) -> io::Result<()> {
    let filters = guard.filters();
    if filters.is_empty() {
        take_off(listener);
        return Ok(());
    }
    SockRef::from(listener).attach_filter(&filters)
}

/// Takes the program of its listener off a connection, which has a limit of its own now if it is to have one.
pub(super) fn take_off(socket: &impl AsFd) {
    // An error says that there is none.
    drop(SockRef::from(socket).detach_filter());
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

    use catalyst_core::route::Prefix;
    use socket2::{Domain, Socket, Type};

    use super::*;
    use crate::driver::Source;

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

    fn listener(at: &str, callers: &[(&str, Option<u8>)]) -> TcpListener {
        let listener = TcpListener::bind(SocketAddr::new(at.parse().unwrap(), 0)).unwrap();
        re_guard(&listener, callers);
        listener.set_nonblocking(true).unwrap();
        listener
    }

    fn re_guard(listener: &TcpListener, callers: &[(&str, Option<u8>)]) {
        let source = |(ip, hops): &(&str, Option<u8>)| Source {
            from: Prefix::of_host(ip.parse().unwrap()),
            hops: *hops,
        };
        put_on(listener, &Guard::of(callers.iter().map(source).collect())).unwrap();
    }

    /// A call from an address with a TTL. An answer is there at once: loopback takes no time.
    fn call(listener: &TcpListener, from: &str, ttl: u32) -> io::Result<TcpStream> {
        let (from, port) = (from.parse::<IpAddr>().unwrap(), listener.local_addr().unwrap().port());
        let loopback = if from.is_ipv4() { "127.0.0.1" } else { "::1" };
        let to = SocketAddr::new(loopback.parse().unwrap(), port);
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(from, 0).into()).unwrap();
        set_ttl(&SockRef::from(&socket), from, ttl);
        socket.connect_timeout(&to.into(), Duration::from_millis(300))?;
        Ok(socket.into())
    }

    fn set_ttl(socket: &SockRef<'_>, from: IpAddr, ttl: u32) {
        match from {
            IpAddr::V4(_) => socket.set_ttl_v4(ttl).unwrap(),
            IpAddr::V6(_) => socket.set_unicast_hops_v6(ttl).unwrap(),
        }
    }

    #[test]
    fn who_calls_from_too_far_has_no_connection_and_others_do() {
        for (at, near, other) in [
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("::", "127.0.0.1", "127.0.0.2"),
            ("::", "::1", "127.0.0.1"),
            ("::1", "::1", "::1"),
        ] {
            let listener = listener(at, &[(near, Some(2)), ("192.0.2.1", None)]);
            assert!(call(&listener, near, 254).is_ok(), "{near}");
            assert!(call(&listener, near, 253).is_err(), "{near}");
            assert!(call(&listener, other, 64).is_ok() == (near != other), "{other}");
            re_guard(&listener, &[(near, Some(3)), ("192.0.2.1", None)]);
            assert!(call(&listener, near, 253).is_ok(), "{near}, with another limit");
            re_guard(&listener, &[]);
            assert!(call(&listener, near, 64).is_ok(), "{near}, without any");
        }
    }

    #[test]
    fn where_all_peers_are_guarded_strangers_are_dropped_like_the_furthest() {
        let listener = listener("127.0.0.1", &[("192.0.2.1", Some(1)), ("192.0.2.2", Some(3))]);
        assert!(call(&listener, "127.0.0.3", 253).is_ok());
        assert!(call(&listener, "127.0.0.3", 252).is_err());
    }

    /// What a caller sends before it is accepted, from too far away although its first segment was not.
    #[test]
    fn what_is_sent_before_the_connection_is_accepted_is_not_heard_either() {
        for ip in ["127.0.0.1", "::1"] {
            let listener = listener(ip, &[(ip, Some(1)), ("192.0.2.1", None)]);
            let mut far = call(&listener, ip, 255).unwrap();
            set_ttl(&SockRef::from(&far), ip.parse().unwrap(), 64);
            far.write_all(b"OPEN").unwrap();
            let (mut near, remote) = listener.accept().unwrap();
            guard(&near, remote.ip(), 1).unwrap();
            take_off(&near);
            near.set_nonblocking(false).unwrap();
            near.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            let heard = near.read(&mut [0; 4]);
            assert_eq!(heard.map_err(|error| error.kind()), Err(io::ErrorKind::WouldBlock));
            // It is sent again.
            set_ttl(&SockRef::from(&far), ip.parse().unwrap(), 255);
            near.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            assert_eq!(near.read(&mut [0; 4]).unwrap(), 4);
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
