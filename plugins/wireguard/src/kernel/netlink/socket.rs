//! Requests and answers on a netlink socket.

use std::fmt::Debug;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
};
use netlink_sys::{Socket, SocketAddr};
use zeroize::Zeroize;

use super::{KernelError, unreachable_because};

/// More than the kernel puts into one read.
const BUFFER_BYTES: usize = 1 << 17;
/// The kernel answers at once, but for what takes it long; it always answers.
const PATIENCE: Duration = Duration::from_secs(300);
/// A list that changes while it is read is read again, so often.
const INTERRUPTED: usize = 5;
const HEADER_BYTES: usize = 16;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// One answer, or none: the flags besides.
    Do(u16),
    /// All of a list.
    Dump,
}

/// A socket to one part of the kernel.
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
    port: u32,
    /// What answers are read into; all zero between two reads.
    buffer: Box<[u8]>,
}

/// What was read, wiped once it was looked at: private keys are told too.
struct Told<'a>(&'a mut [u8]);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Netlink {
    pub(super) fn open(protocol: isize) -> Result<Self, KernelError> {
        let open = || {
            let mut socket = Socket::new(protocol)?;
            let port = socket.bind_auto()?.port_number();
            socket.connect(&SocketAddr::new(0, 0))?;
            socket2::SockRef::from(&socket).set_read_timeout(Some(PATIENCE))?;
            // Lists are filtered by the kernel: another table may have a million routes. Old kernels have no such option.
            if protocol == netlink_sys::protocols::NETLINK_ROUTE {
                socket.set_netlink_get_strict_chk(true)?;
            }
            Ok::<_, std::io::Error>(Self {
                socket,
                sequence: 0,
                port,
                buffer: vec![0; BUFFER_BYTES].into(),
            })
        };
        open().map_err(|error| unreachable_because("netlink", &error))
    }

    pub(super) fn port(&self) -> u32 {
        self.port
    }

    /// Sends a request and takes its answers. `what` is for the error, which tells nothing of the request itself.
    pub(super) fn request<M>(&mut self, what: &str, message: &M, ask: Ask) -> Result<Vec<M>, KernelError>
    where
        M: NetlinkSerializable + NetlinkDeserializable + Debug + Clone,
    {
        for _ in 0..INTERRUPTED {
            self.send(what, message.clone(), ask)?;
            if let Some(answers) = self.answers(what)? {
                return Ok(answers);
            }
        }
        Err(unreachable_because(what, &"it changes faster than it can be read"))
    }

    fn send<M: NetlinkSerializable>(&mut self, what: &str, message: M, ask: Ask) -> Result<(), KernelError> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.sequence_number = self.sequence;
        header.flags = NLM_F_REQUEST
            | match ask {
                Ask::Do(flags) => NLM_F_ACK | flags,
                Ask::Dump => NLM_F_DUMP,
            };
        let mut packet = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        packet.finalize();
        // Private keys pass through here.
        let mut bytes = zeroize::Zeroizing::new(vec![0; packet.buffer_len()]);
        packet.serialize(&mut bytes);
        self.socket
            .send(&bytes, 0)
            .map_err(|error| unreachable_because(what, &error))?;
        Ok(())
    }

    /// `None`: the list changed while it was read.
    fn answers<M>(&mut self, what: &str) -> Result<Option<Vec<M>>, KernelError>
    where
        M: NetlinkDeserializable + Debug,
    {
        let (mut found, mut interrupted) = (Vec::new(), false);
        loop {
            let read = self.socket.recv(&mut &mut *self.buffer, 0);
            let length = read.map_err(|error| unreachable_because(what, &error))?;
            let told = Told(self.buffer.get_mut(..length).unwrap_or_default());
            for bytes in split(told.0) {
                let Ok(message) = NetlinkMessage::<M>::deserialize(bytes) else {
                    // Somebody else's link, route or rule of a kind that is newer than our reader. Not shown: it may be a key.
                    tracing::debug!(%what, "an answer that cannot be read is passed over");
                    continue;
                };
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
                match message.payload {
                    NetlinkPayload::InnerMessage(inner) => found.push(inner),
                    NetlinkPayload::Done(done) if done.code == 0 => return Ok((!interrupted).then_some(found)),
                    NetlinkPayload::Done(done) => return Err(refused(what, done.code)),
                    NetlinkPayload::Error(error) if error.code.is_none() => return Ok(Some(found)),
                    NetlinkPayload::Error(error) => return Err(refused(what, error.raw_code())),
                    _ => {}
                }
            }
        }
    }
}

fn refused(what: &str, code: i32) -> KernelError {
    KernelError::Refused {
        what: what.into(),
        errno: code.saturating_abs(),
    }
}

/// The messages of one read.
pub(super) fn split(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = bytes.first_chunk::<4>().map(|length| u32::from_ne_bytes(*length))?;
        let length = usize::try_from(length)
            .ok()
            .filter(|length| (HEADER_BYTES..=bytes.len()).contains(length))?;
        let (message, _) = bytes.split_at(length);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// Takes these for done: what was to be made is there, what was to be removed is not.
pub(super) fn forgive<T>(outcome: Result<T, KernelError>, errors: &[i32]) -> Result<(), KernelError> {
    match outcome {
        Err(KernelError::Refused { errno, .. }) if errors.contains(&errno) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

/// No such process: what the kernel says of a route that is not there.
pub(super) const ESRCH: i32 = 3;
/// No such entry.
pub(super) const ENOENT: i32 = 2;
/// It exists.
pub(super) const EEXIST: i32 = 17;
/// No such device.
pub(super) const ENODEV: i32 = 19;
/// Not supported.
pub(super) const EOPNOTSUPP: i32 = 95;
/// No such address.
pub(super) const EADDRNOTAVAIL: i32 = 99;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_split_into_its_messages_and_nothing_is_read_beyond() {
        let message = |length: u32, body: usize| {
            let mut bytes = length.to_ne_bytes().to_vec();
            bytes.resize(body, 7);
            bytes
        };
        let two = [message(18, 20), message(16, 16)].concat();
        assert_eq!(split(&two).map(<[u8]>::len).collect::<Vec<_>>(), [18, 16]);
        for bad in [message(15, 20), message(21, 20), message(0, 20), vec![1, 0]] {
            assert_eq!(split(&bad).count(), 0, "{bad:?}");
        }
    }
}
