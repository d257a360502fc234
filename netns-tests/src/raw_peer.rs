//! A peer that is the test itself: it says what no catalyst-routed says, by the codec of catalyst-core.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::BytesMut;
use catalyst_core::attrs::{Attrs, Origin, OriginNode, Protocol, RouterId, ServiceAttr};
use catalyst_core::prefix::Prefix;
use catalyst_core::wire::{
    Family, Message, Open, RoleCode, VERSION, decode, encode, encode_attrs, frame_length, pack_announce, pack_withdraw,
};

use crate::{LONG, Node, config, poll};

/// What is taken out of the socket at a time and thrown away.
const READ_BYTES: usize = 64 << 10;

/// An Established session with a catalyst-routed, without a hold time: it lives for as long as this does.
#[derive(Debug)]
pub struct RawPeer {
    stream: TcpStream,
    asn: u32,
    node: Arc<str>,
    organisation: Arc<str>,
    next_hop: SocketAddr,
}

impl RawPeer {
    /// Waits at the peering address of `playing`, a node that runs nothing, until its peer dials, and brings the session
    /// up as that node. `role` is the code of RFC 9234 that it claims. What the other side announces is read and forgotten.
    ///
    /// # Errors
    /// Nobody dials, or the session does not come up.
    pub fn accept(playing: &Node, role: Option<u8>) -> Result<Self> {
        let peer = Self::deaf(playing, role)?;
        let mut stream = peer.stream.try_clone()?;
        stream.set_read_timeout(None)?;
        std::thread::spawn(move || {
            let mut forgotten = vec![0; READ_BYTES];
            while stream.read(&mut forgotten).is_ok_and(|read| read > 0) {}
        });
        Ok(peer)
    }

    /// The same, but of what the other side announces only that is read which [`RawPeer::hear`] returns.
    ///
    /// # Errors
    /// Nobody dials, or the session does not come up.
    pub fn deaf(playing: &Node, role: Option<u8>) -> Result<Self> {
        let listener = TcpListener::bind((playing.ip, config::PEERING))?;
        listener.set_nonblocking(true)?;
        let (stream, _) = poll("a peer that dials", LONG, || Ok(listener.accept()?))?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(LONG))?;
        let mut peer = Self {
            stream,
            asn: playing.asn,
            node: playing.name.as_str().into(),
            organisation: playing.organisation.as_str().into(),
            next_hop: (playing.ip, config::PEER_LISTENER).into(),
        };
        peer.open(role)?;
        Ok(peer)
    }

    fn open(&mut self, role: Option<u8>) -> Result<()> {
        self.say(&Message::Open(Open {
            version: VERSION,
            asn: self.asn,
            node: self.node.clone(),
            organisation: self.organisation.clone(),
            hold_time: Duration::ZERO,
            families: Family::ALL.to_vec(),
            route_refresh: true,
            role: role.map(RoleCode),
            graceful_restart: None,
        }))?;
        let heard = self.hear()?;
        ensure!(matches!(heard, Message::Open(_)), "no OPEN but {heard:?}");
        self.say(&Message::Keepalive)?;
        let heard = self.hear()?;
        ensure!(heard == Message::Keepalive, "no KEEPALIVE but {heard:?}");
        Ok(())
    }

    /// The next message of the other side, of a peer that is otherwise deaf.
    ///
    /// # Errors
    /// None comes for long, or what comes cannot be read.
    pub fn hear(&mut self) -> Result<Message> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut frame = vec![0; frame_length(&length)?];
        self.stream.read_exact(&mut frame)?;
        let (kind, body) = frame.split_first().context("a frame has a type")?;
        Ok(decode(*kind, &body.to_vec().into())?)
    }

    /// The attributes of an HTTP service of its own, as an honest node would announce it.
    #[must_use]
    pub fn attrs(&self) -> Attrs {
        Attrs {
            origin: Origin::Igp,
            as_path: vec![self.asn],
            next_hop: self.next_hop,
            origin_node: OriginNode {
                router_id: RouterId {
                    asn: self.asn,
                    node: self.node.clone(),
                },
                organisation: self.organisation.clone(),
            },
            local_pref: None,
            med: None,
            communities: Vec::new(),
            large_communities: Vec::new(),
            originator: None,
            cluster_list: Vec::new(),
            service: Some(ServiceAttr {
                protocol: Protocol::Http,
                path: None,
                weight: 1,
                health: 100,
            }),
            only_to_customer: None,
            tunnel: None,
            unknown: Vec::new(),
        }
    }

    /// Announces names.
    ///
    /// # Errors
    /// The session is gone.
    pub fn announce(&mut self, names: &[&str], attrs: &Attrs) -> Result<()> {
        self.announce_set(names, &encode_attrs(attrs))
    }

    /// Announces names with an attribute set as these bytes spell it, well or not.
    ///
    /// # Errors
    /// The session is gone.
    pub fn announce_set(&mut self, names: &[&str], set: &[u8]) -> Result<()> {
        let mut frames = BytesMut::new();
        pack_announce(set, names.iter().copied(), &mut frames);
        self.write(&frames)
    }

    /// Announces a prefix.
    ///
    /// # Errors
    /// It is none, or the session is gone.
    pub fn announce_prefix(&mut self, prefix: &str, attrs: &Attrs) -> Result<()> {
        let prefix: Prefix = prefix.parse()?;
        let attrs = Attrs {
            service: None,
            ..attrs.clone()
        };
        let mut frames = BytesMut::new();
        pack_announce(&encode_attrs(&attrs), [prefix].into_iter(), &mut frames);
        self.write(&frames)
    }

    /// Withdraws names.
    ///
    /// # Errors
    /// The session is gone.
    pub fn withdraw(&mut self, names: &[&str]) -> Result<()> {
        let mut frames = BytesMut::new();
        pack_withdraw(names.iter().copied(), &mut frames);
        self.write(&frames)
    }

    fn say(&mut self, message: &Message) -> Result<()> {
        let mut frame = BytesMut::new();
        encode(message, &mut frame);
        self.write(&frame)
    }

    fn write(&mut self, frames: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(frames)?)
    }
}

impl Drop for RawPeer {
    fn drop(&mut self) {
        // The reader has the socket too. An error means that it is closed already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
