//! TTL security (RFC 5082) from the first segment on: a program in the peering listener (classic BPF) that drops what comes
//! from the address of a peer over more links than it is away. A connection has the program of its listener from its first
//! moment, so that nothing of such a caller is there before the connection is accepted and has a limit of its own.

use std::cmp::Reverse;
use std::net::IpAddr;

use catalyst_core::route::Prefix;
use socket2::SockFilter;

use super::ttl_security::least_ttl;

/// The longest program, in instructions (the kernel takes 4096 at most, and a small `net.core.optmem_max` less): one for a
/// peer, about twelve for an IPv6 peer without another one in its /96.
const MAX_LENGTH: usize = 1024;
/// The most values that a block compares with: every jump in it fits into 8 bits.
const MAX_VALUES: usize = 200;

/// Where connections come from, and how far that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The address of a peer, or those of dynamic peers.
    pub from: Prefix,
    /// The links that they are away at most; `None`: any number.
    pub hops: Option<u8>,
}

/// What a listener drops.
#[derive(Debug, Default)]
pub struct Guard {
    program: Vec<Op>,
    /// The guarded sources that had no room in the program: what comes from there is dropped once it is accepted.
    pub left_out: Vec<Prefix>,
}

impl Guard {
    /// For a listener with these callers. Of several prefixes that an address is in the longest counts. Where all of them
    /// are guarded, what comes from elsewhere is dropped as if from the one that may be furthest away.
    #[must_use]
    pub fn of(mut sources: Vec<Source>) -> Self {
        let mut guard = Self::default();
        let limits = || sources.iter().filter_map(|source| source.hops).map(least_ttl);
        let (Some(lowest), Some(highest)) = (limits().min(), limits().max()) else {
            return guard;
        };
        let all = sources.iter().all(|source| source.hops.is_some());
        let others = if all { at_least(lowest) } else { vec![Op::Answer(PASS)] };
        let guarded: Vec<Prefix> = sources.iter().filter(is_guarded).map(|source| source.from).collect();
        // Of the others, only exceptions matter.
        sources.retain(|it| it.hops.is_some() || guarded.iter().any(|guarded| guarded.covers(it.from)));
        sources.sort_by_key(|source| (Reverse(source.from.length()), source.from, source.hops));
        let mut sections = [Vec::new(), Vec::new()];
        let mut room = MAX_LENGTH;
        for block in blocks(&sources) {
            let code = code(block);
            // What is left out is the end of the list: in its middle, a shorter prefix would take its place.
            room = room.saturating_sub(code.len());
            if room == 0 {
                guard
                    .left_out
                    .extend(block.iter().filter(is_guarded).map(|source| source.from));
            } else {
                sections[usize::from(is_v6(block))].extend(code);
            }
        }
        guard.program = program(sections, highest, &others);
        guard
    }

    /// As the kernel takes it; empty: nothing is dropped.
    pub(super) fn filters(&self) -> Vec<SockFilter> {
        self.program.iter().copied().map(Op::filter).collect()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "for Iterator::filter")]
fn is_guarded(source: &&Source) -> bool {
    source.hops.is_some()
}

fn is_v6(block: &[Source]) -> bool {
    block.first().is_some_and(|source| source.from.address().is_ipv6())
}

/// What the program answers: take all of the segment, or none of it.
const PASS: u32 = u32::MAX;
const DROP: u32 = 0;

/// Where the program puts a number aside: 0 to 3 the words of the source address, then the TTL.
type Cell = u32;
const TTL: Cell = 4;

/// An instruction. Jumps are over so many instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    /// The byte at this offset of the IP header.
    Byte(u16),
    /// The word at this offset of the IP header.
    Word(u16),
    /// Puts it aside.
    Store(Cell),
    /// Takes it again.
    Load(Cell),
    And(u32),
    /// A jump where it is equal, another where it is not.
    IfEqual(u32, u8, u8),
    IfAtLeast(u32, u8, u8),
    Jump(u32),
    Answer(u32),
}

impl Op {
    fn filter(self) -> SockFilter {
        let (code, jump_true, jump_false, value) = match self {
            Self::Byte(at) => (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, in_ip_header(at)),
            Self::Word(at) => (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, in_ip_header(at)),
            Self::Store(cell) => (libc::BPF_ST, 0, 0, cell),
            Self::Load(cell) => (libc::BPF_LD | libc::BPF_W | libc::BPF_MEM, 0, 0, cell),
            Self::And(mask) => (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, mask),
            Self::IfEqual(value, yes, no) => (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, yes, no, value),
            Self::IfAtLeast(value, yes, no) => (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, yes, no, value),
            Self::Jump(over) => (libc::BPF_JMP | libc::BPF_JA, 0, 0, over),
            Self::Answer(bytes) => (libc::BPF_RET | libc::BPF_K, 0, 0, bytes),
        };
        // Every code is one byte.
        let [code, ..] = code.to_le_bytes();
        SockFilter::new(code.into(), jump_true, jump_false, value)
    }
}

/// A socket of TCP sees a segment from its own header on; this is where the header before it is (linux/filter.h).
fn in_ip_header(offset: u16) -> u32 {
    libc::SKF_NET_OFF.wrapping_add(offset.into()).cast_unsigned()
}

fn program([v4, v6]: [Vec<Op>; 2], highest: u32, others: &[Op]) -> Vec<Op> {
    let section = |ttl: u16, source: &[u16], blocks: Vec<Op>| {
        // First what most segments are: from near enough for everybody.
        let mut ops = vec![
            Op::Byte(ttl),
            Op::IfAtLeast(highest, 0, 1),
            Op::Answer(PASS),
            Op::Store(TTL),
        ];
        for (cell, offset) in (0..).zip(source) {
            ops.extend([Op::Word(*offset), Op::Store(cell)]);
        }
        ops.extend(blocks);
        ops.extend(others);
        ops
    };
    let v4 = section(8, &[12], v4);
    let v6 = section(7, &[8, 12, 16, 20], v6);
    // The version is in the upper half of the first byte.
    let mut ops = vec![Op::Byte(0), Op::IfAtLeast(0x60, 0, 1), Op::Jump(far(v4.len()))];
    ops.extend(v4);
    ops.extend(v6);
    ops
}

/// Sources that differ in their last word alone, in the order of all.
fn blocks(sources: &[Source]) -> impl Iterator<Item = &[Source]> {
    let alike = |a: &Source, b: &Source| {
        let shared = |source: &Source| {
            (
                source.from.family(),
                source.from.length(),
                source.hops,
                upper_words(source),
            )
        };
        shared(a) == shared(b)
    };
    sources.chunk_by(alike).flat_map(|alike| alike.chunks(MAX_VALUES))
}

/// Answers where a segment comes from one of them, else goes on behind itself.
fn code(block: &[Source]) -> Vec<Op> {
    let Some(first) = block.first() else {
        return Vec::new();
    };
    let hit = match first.hops {
        Some(hops) => at_least(least_ttl(hops)),
        None => vec![Op::Answer(PASS)],
    };
    let upper = upper_words(first);
    let values: Vec<u32> = block.iter().filter_map(|source| words(source).pop()).collect();
    let mut ops = Vec::new();
    if !values.is_empty() {
        ops.push(Op::Load(far(upper.len())));
        ops.extend(mask(first).map(Op::And));
        let to_hit = (1..=values.len()).rev();
        ops.extend(
            values
                .iter()
                .zip(to_hit)
                .map(|(value, over)| Op::IfEqual(*value, near(over), 0)),
        );
        ops.push(Op::Jump(far(hit.len())));
    }
    ops.extend(hit);
    for (cell, word) in upper.iter().enumerate().rev() {
        ops.splice(0..0, [Op::Load(far(cell)), Op::IfEqual(*word, 0, near(ops.len()))]);
    }
    ops
}

fn at_least(ttl: u32) -> Vec<Op> {
    vec![
        Op::Load(TTL),
        Op::IfAtLeast(ttl, 0, 1),
        Op::Answer(PASS),
        Op::Answer(DROP),
    ]
}

/// The words of the address that the prefix reaches into.
fn words(source: &Source) -> Vec<u32> {
    let octets = match source.from.address() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let word = |octets: &[u8]| octets.iter().fold(0, |word, octet| word << 8 | u32::from(*octet));
    let count = usize::from(source.from.length()).div_ceil(32);
    octets.chunks(4).take(count).map(word).collect()
}

fn upper_words(source: &Source) -> Vec<u32> {
    let mut words = words(source);
    words.pop();
    words
}

/// What counts of the last of them; `None`: all of it.
fn mask(source: &Source) -> Option<u32> {
    let bits = u32::from(source.from.length()) % 32;
    (bits > 0).then(|| u32::MAX << (32 - bits))
}

/// [`MAX_VALUES`] keeps it within bounds.
fn near(over: usize) -> u8 {
    u8::try_from(over).unwrap_or(u8::MAX)
}

/// [`MAX_LENGTH`] keeps it within bounds.
fn far(over: usize) -> u32 {
    u32::try_from(over).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel does with the program, for a segment from an address with a TTL.
    fn passes(guard: &Guard, from: IpAddr, ttl: u32) -> bool {
        let (version, ttl_at, source_at, octets) = match from {
            IpAddr::V4(ip) => (0x45, 8, 12, ip.octets().to_vec()),
            IpAddr::V6(ip) => (0x60, 7, 8, ip.octets().to_vec()),
        };
        let word = |at: u16| {
            let at = usize::from(at - source_at);
            u32::from_be_bytes(octets[at..at + 4].try_into().unwrap())
        };
        let (mut at, mut value, mut cells) = (0, 0, [0; 16]);
        loop {
            let over = match guard.program[at] {
                Op::Byte(0) => {
                    value = version;
                    0
                }
                Op::Byte(offset) => {
                    assert_eq!(offset, ttl_at);
                    value = ttl;
                    0
                }
                Op::Word(offset) => {
                    value = word(offset);
                    0
                }
                Op::Store(cell) => {
                    cells[cell as usize] = value;
                    0
                }
                Op::Load(cell) => {
                    value = cells[cell as usize];
                    0
                }
                Op::And(mask) => {
                    value &= mask;
                    0
                }
                Op::IfEqual(other, yes, no) => u32::from(if value == other { yes } else { no }),
                Op::IfAtLeast(other, yes, no) => u32::from(if value >= other { yes } else { no }),
                Op::Jump(over) => over,
                Op::Answer(bytes) => return bytes > 0,
            };
            at += 1 + over as usize;
        }
    }

    /// The same in plain words.
    fn is_near(sources: &[Source], from: IpAddr, ttl: u32) -> bool {
        let of_it = sources.iter().filter(|source| source.from.contains(from));
        let near = |hops: u8| ttl >= 256 - u32::from(hops);
        match of_it.max_by_key(|source| source.from.length()) {
            Some(source) => source.hops.is_none_or(near),
            None => {
                let furthest = sources.iter().map(|source| source.hops.unwrap_or(255)).max();
                near(furthest.unwrap_or(255)) || sources.iter().any(|source| source.hops.is_none())
            }
        }
    }

    fn source(from: &str, hops: Option<u8>) -> Source {
        let (address, length) = from.split_once('/').unwrap();
        let from = Prefix::new(address.parse().unwrap(), length.parse().unwrap()).unwrap();
        Source { from, hops }
    }

    const ADDRESSES: [&str; 12] = [
        "10.0.0.1",
        "10.0.0.2",
        "10.0.1.1",
        "10.1.0.1",
        "10.255.0.1",
        "192.0.2.1",
        "2001:db8::1",
        "2001:db8::2",
        "2001:db8:0:1::1",
        "2001:db8:8000::1",
        "2001:db9::1",
        "::1",
    ];

    fn check(sources: &[Source]) {
        let guard = Guard::of(sources.to_vec());
        assert_eq!(guard.left_out, []);
        for address in ADDRESSES {
            let ip: IpAddr = address.parse().unwrap();
            for ttl in [1, 64, 245, 246, 253, 254, 255] {
                let expected = is_near(sources, ip, ttl);
                assert_eq!(
                    passes(&guard, ip, ttl),
                    expected,
                    "{address} with {ttl} under {sources:?}"
                );
            }
        }
    }

    #[test]
    fn the_program_does_what_the_sources_say() {
        let all = [
            source("10.0.0.1/32", Some(1)),
            source("10.0.0.2/32", Some(1)),
            source("10.0.1.1/32", Some(10)),
            source("10.1.0.1/32", None),
            source("10.0.0.0/8", Some(2)),
            source("10.128.0.0/9", None),
            source("0.0.0.0/0", Some(2)),
            source("2001:db8::1/128", Some(1)),
            source("2001:db8::2/128", None),
            source("2001:db8::/33", Some(10)),
            source("2001:db8:0:1::/64", Some(2)),
            source("::/0", Some(10)),
        ];
        for chosen in 1_usize..1 << all.len() {
            let is_chosen = |at: &usize| chosen >> at & 1 == 1;
            let sources: Vec<_> = (0..all.len()).filter(is_chosen).map(|at| all[at]).collect();
            if sources.iter().any(|source| source.hops.is_some()) {
                check(&sources);
            }
        }
    }

    #[test]
    fn without_a_guarded_peer_there_is_no_program() {
        for sources in [vec![], vec![source("10.0.0.1/32", None)]] {
            assert!(Guard::of(sources).filters().is_empty());
        }
    }

    #[test]
    fn with_many_peers_the_longest_prefixes_have_room() {
        let peer = |at: u32| Source {
            from: Prefix::of_host(IpAddr::V4((0x0a00_0000 + at).into())),
            hops: Some(1),
        };
        let mut sources: Vec<_> = (0..2000).map(peer).collect();
        sources.push(source("11.0.0.0/8", Some(1)));
        sources.push(source("192.0.2.1/32", None));
        let guard = Guard::of(sources.clone());
        let left_out = &guard.left_out;
        assert!(guard.filters().len() <= MAX_LENGTH + 40, "{}", guard.filters().len());
        assert!((1001..1300).contains(&left_out.len()), "{}", left_out.len());
        for source in &sources {
            let guarded = source.hops.is_some() && !left_out.contains(&source.from);
            assert_eq!(passes(&guard, source.from.address(), 64), !guarded, "{source:?}");
            assert!(passes(&guard, source.from.address(), 255), "{source:?}");
        }
    }
}
