//! From an UPDATE to adj_rib_in: checks on receipt, then import policy; once per attribute set, and once per name only
//! for what the name decides.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::Speaker;
use super::judge::{Judgement, Refusal, judge};
use super::offers::{NotOffered, OfferJudge};
use super::peer::Peer;
use super::refusals::{RefusalKind, Refusals};
use crate::attrs::{Attrs, RouterId};
use crate::destination::{Destination, PrefixKey};
use crate::event::PeerName;
use crate::intern::{AttrId, Cached, NameId};
use crate::policy::{Key, Role, Rule};
use crate::prefix::PrefixSet;
use crate::rib::{LOCAL, Learned, Note, PeerId, Rib};
use crate::wire::{self, NlriBlock, Update, UpdateFrame};

/// What import makes of an attribute set.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    /// A path, usable or kept with the reason why not.
    Learned(Learned),
    /// The import policy reads the name; `attr` is what goes into it.
    ByName(Learned),
    /// RFC 7606: the names count as withdrawn.
    Withdraw(RefusalKind, Arc<str>),
}

impl Verdict {
    /// The attribute sets that it refers to.
    pub(super) fn sets(&self) -> Option<[AttrId; 2]> {
        match self {
            Self::Learned(learned) | Self::ByName(learned) => Some([learned.attr_in, learned.attr]),
            Self::Withdraw(..) => None,
        }
    }
}

/// Notes of cached verdicts that are no path; [`Note`] has the codes below.
const BAD_NEXT_HOP: u8 = 128;
const BAD_LEFTMOST_AS: u8 = 129;
const BY_NAME: u8 = 130;
const OUTSIDE_TUNNEL: u8 = 131;
const FOREIGN_TUNNEL: u8 = 132;

/// Peers whose routes import judges alike.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Class {
    internal: bool,
    outside: bool,
    /// The leftmost AS that AS_PATH must have; external sessions only.
    leftmost: Option<u32>,
    /// The next hops that outside peers may name.
    next_hops: Vec<IpAddr>,
    rule: Rule,
    role: Option<Role>,
    /// Where the policy reads it.
    peer: Option<PeerName>,
    tunnel: Option<TunnelClass>,
}

/// What the routes of a peer with a tunnel are judged by.
#[derive(Debug, PartialEq, Eq)]
struct TunnelClass {
    addresses: PrefixSet,
    required: bool,
    /// The only node of which it is believed.
    of: RouterId,
}

impl TunnelClass {
    fn of(peer: &Peer) -> Option<Self> {
        let tunnel = peer.config.tunnel.as_ref()?;
        Some(Self {
            addresses: tunnel.addresses.clone(),
            required: tunnel.required,
            of: peer.router_id.clone(),
        })
    }
}

impl Class {
    pub(super) fn of(peer: &Peer) -> Self {
        let allowed = peer.config.allowed_next_hops.iter().map(IpAddr::to_canonical);
        let next_hops = std::iter::once(peer.address).chain(allowed).filter(|_| peer.outside);
        Self {
            internal: peer.internal,
            outside: peer.outside,
            leftmost: (!peer.internal).then_some(peer.config.asn),
            next_hops: next_hops.collect(),
            rule: peer.import.clone(),
            role: peer.role(),
            peer: peer.import.reads().peer.then(|| peer.policy_name().clone()),
            tunnel: TunnelClass::of(peer),
        }
    }
}

/// What comes of the names of one UPDATE.
#[derive(Debug, Default)]
struct Counts {
    hijacks: u64,
    leaks: u64,
    not_offered: u64,
    /// Beyond the number of routes that the peer may bring.
    blocked: u64,
    last_not_offered: Option<NotOffered>,
    refusals: Refusals,
}

/// Takes in what came of one destination.
fn take(rib: &mut Rib, peer: PeerId, key: &[u8], judged: Result<Learned, NotOffered>, since: u32, counts: &mut Counts) {
    match judged {
        Ok(learned) => {
            let name = rib.names.intern(key);
            if rib.upsert(name, peer, learned, since) {
                counts.hijacks += u64::from(matches!(
                    learned.note,
                    Note::OwnDomain | Note::OwnPrefix | Note::TunnelAddress
                ));
                counts.leaks += u64::from(learned.note == Note::RouteLeak);
                counts.refusals.count_kept(learned.note, key);
            }
        }
        Err(not_offered) => {
            counts.not_offered += 1;
            counts.last_not_offered = Some(not_offered);
            let newest = || (Destination::from_key(key).to_string(), not_offered.reason());
            counts.refusals.count(not_offered.kind(), 1, newest);
            if !not_offered.leaves_held()
                && let Some(name) = rib.names.lookup(key)
            {
                rib.remove(name, peer);
            }
        }
    }
}

impl Speaker {
    pub(super) fn on_update(&mut self, index: usize, update: &UpdateFrame, now: Instant) {
        let Some(up) = &mut self.peers[index].up else {
            return;
        };
        up.updates_in += 1;
        update.steps().for_each(|step| self.on_step(index, &step, now));
        self.keep_pace(index, update, now);
        self.check_limit(index, now);
    }

    fn on_step(&mut self, index: usize, update: &Update, now: Instant) {
        let id = self.peers[index].id;
        let rib = &mut self.rib;
        update.withdrawn.for_each_key(|key| {
            if let Some(name) = rib.names.lookup(key) {
                rib.remove(name, id);
            }
        });
        if !update.announced.is_empty() {
            match self.verdict_on(index, update) {
                Verdict::Withdraw(kind, reason) => self.treat_as_withdraw(index, update, kind, reason),
                verdict @ (Verdict::Learned(_) | Verdict::ByName(_)) => self.learn(index, update, &verdict, now),
            }
        }
    }

    fn learn(&mut self, index: usize, update: &Update, verdict: &Verdict, now: Instant) {
        let since = self.tenths(now);
        let cap = self.peers[index].cap();
        let fits_all = cap.fits_all(&update.announced, &self.rib);
        let (mut judge, rib) = self.offers(index);
        let id = judge.peer.id;
        match (&update.announced, verdict) {
            (block @ NlriBlock::Names(_), Verdict::Learned(learned))
                if fits_all && judge.takes_any_name() && learned.note != Note::RouteLeak =>
            {
                rib.upsert_all(block, id, *learned, since);
            }
            (NlriBlock::Names(names), _) => {
                let mut counts = Counts::default();
                names.for_each(|text| {
                    if !fits_all && !cap.admits(text.as_bytes(), rib) {
                        counts.blocked += 1;
                        return;
                    }
                    let judged = judge.judge(verdict, Key::Name(text), rib);
                    take(rib, id, text.as_bytes(), judged, since, &mut counts);
                });
                self.peers[index].count_import(counts);
            }
            (NlriBlock::Prefixes(prefixes), _) => {
                let mut counts = Counts::default();
                prefixes.for_each(|prefix| {
                    if !fits_all && !cap.admits(PrefixKey::new(prefix).as_bytes(), rib) {
                        counts.blocked += 1;
                        return;
                    }
                    let judged = judge.judge(verdict, Key::Prefix(prefix), rib);
                    take(rib, id, PrefixKey::new(prefix).as_bytes(), judged, since, &mut counts);
                });
                self.peers[index].count_import(counts);
            }
        }
    }

    /// What judges the offers of a peer, and where they go.
    fn offers(&mut self, index: usize) -> (OfferJudge<'_>, &mut Rib) {
        let judge = OfferJudge {
            peer: &self.peers[index],
            config: &self.config,
            own_prefixes: &self.own_prefixes,
            tunnels: &self.tunnels,
            by_key: &mut self.by_key,
        };
        (judge, &mut self.rib)
    }

    /// Has everything held from a peer go through import again.
    pub(super) fn reimport(&mut self, index: usize, now: Instant) {
        self.forget_import(index);
        self.join_import_class(index);
        self.rib.attrs.forget_class(self.peers[index].import_class);
        let since = self.tenths(now);
        let id = self.peers[index].id;
        let held: Vec<(NameId, AttrId)> = self.rib.paths_from(id).map(|path| (path.name, path.attr_in)).collect();
        for (name, attr_in) in held {
            self.reimport_path(index, name, attr_in, since);
        }
    }

    /// Has one path that is held from a peer go through import again.
    pub(super) fn reimport_path(&mut self, index: usize, name: NameId, attr_in: AttrId, since: u32) {
        let verdict = self.judge_set(index, attr_in, None);
        if let Err((kind, reason)) = self.keep(index, name, &verdict, since) {
            let destination = self.rib.names.destination(name);
            let peer = &mut self.peers[index];
            peer.count_withdrawn(kind, 1, &destination, reason);
            self.rib.remove(name, peer.id);
        }
    }

    /// Has a peer belong to the class that its configuration makes it one of.
    pub(super) fn join_import_class(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        let class = self.imports.join(Class::of(peer), &mut self.rib.attrs);
        let before = std::mem::replace(&mut peer.import_class, class);
        if before != 0 {
            self.imports.leave(before);
        }
    }

    /// A peer that is retired is of no class.
    pub(super) fn leave_classes(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        let (import, opening) = (&mut peer.import_class, &mut peer.opening_class);
        self.imports.leave(std::mem::take(import));
        match std::mem::take(opening) {
            0 => {}
            class => self.exports.leave(class),
        }
    }

    /// Takes one name in as if it had come with these attributes, without a word on what is refused.
    pub(super) fn hear(&mut self, index: usize, name: NameId, raw: &Bytes) {
        let verdict = self.judge_bytes(index, raw);
        drop(self.keep(index, name, &verdict, 0));
    }

    /// Keeps a path as import leaves it, or says why the peer may not offer it at all.
    fn keep(
        &mut self,
        index: usize,
        name: NameId,
        verdict: &Verdict,
        since: u32,
    ) -> Result<(), (RefusalKind, Arc<str>)> {
        if let Verdict::Withdraw(kind, reason) = verdict {
            return Err((*kind, reason.clone()));
        }
        let (mut judge, rib) = self.offers(index);
        let id = judge.peer.id;
        let destination = rib.names.destination(name);
        match judge.judge(verdict, Key::from(&destination), rib) {
            Ok(learned) => {
                rib.revise(name, id, learned, since);
                Ok(())
            }
            Err(not_offered) => Err((not_offered.kind(), not_offered.reason())),
        }
    }

    fn treat_as_withdraw(&mut self, index: usize, update: &Update, kind: RefusalKind, reason: Arc<str>) {
        let peer = &mut self.peers[index];
        let (rib, id) = (&mut self.rib, peer.id);
        let mut first = None;
        update.announced.for_each_key(|key| {
            first.get_or_insert_with(|| Destination::from_key(key));
            if let Some(name) = rib.names.lookup(key) {
                rib.remove(name, id);
            }
        });
        if let Some(first) = first {
            peer.count_withdrawn(kind, update.announced.len() as u64, &first, reason);
        }
    }

    /// What import makes of the attributes of an UPDATE, which may be of the wrong family for what it announces.
    fn verdict_on(&mut self, index: usize, update: &Update) -> Verdict {
        let verdict = self.verdict(index, &update.attrs);
        if let Some([attr_in, _]) = verdict.sets() {
            let has_service = self.rib.attrs.hot(attr_in).protocol.is_some();
            if let Err(error) = wire::check_family(update.family, has_service) {
                return Verdict::Withdraw(RefusalKind::Malformed, error.0.into());
            }
        }
        verdict
    }

    fn verdict(&mut self, index: usize, raw: &Bytes) -> Verdict {
        if let Some((last, verdict)) = &self.peers[index].last_import
            && last == raw
        {
            return verdict.clone();
        }
        let verdict = self.judge_bytes(index, raw);
        self.forget_import(index);
        for attr in verdict.sets().into_iter().flatten() {
            self.rib.attrs.retain(attr);
        }
        // The slice would keep its whole frame alive.
        self.peers[index].last_import = Some((Bytes::copy_from_slice(raw), verdict.clone()));
        verdict
    }

    /// Lets go of the attribute sets of the last UPDATE.
    pub(super) fn forget_import(&mut self, index: usize) {
        if let Some((_, verdict)) = self.peers[index].last_import.take() {
            for attr in verdict.sets().into_iter().flatten() {
                self.rib.attrs.release(attr);
            }
        }
    }

    fn judge_bytes(&mut self, index: usize, raw: &Bytes) -> Verdict {
        if let Some(known) = self.rib.attrs.find(raw) {
            return self.judge_set(index, known, None);
        }
        match wire::decode_attrs(raw) {
            Ok(attrs) => {
                let attr_in = self.rib.attrs.intern(&attrs);
                self.judge_set(index, attr_in, Some(attrs))
            }
            Err(error) => Verdict::Withdraw(RefusalKind::Malformed, error.to_string().into()),
        }
    }

    /// The verdict on an attribute set; `attrs` if it has just been decoded.
    fn judge_set(&mut self, index: usize, attr_in: AttrId, attrs: Option<Attrs>) -> Verdict {
        let class = self.peers[index].import_class;
        if let Some(cached) = self.rib.attrs.cached(attr_in, class, LOCAL) {
            return self.verdict_of(index, attr_in, cached);
        }
        let attrs = attrs.map_or_else(|| self.rib.attrs.decode(attr_in), Arc::new);
        let table = &mut self.rib.attrs;
        let mut set = |changed: Option<Box<Attrs>>| changed.map_or(attr_in, |attrs| table.intern(&attrs));
        let cached = match judge(&self.config, &self.peers[index], &attrs) {
            Judgement::Path(changed, note) => Cached {
                attr: set(changed),
                note: note as u8,
            },
            Judgement::ByName(changed) => Cached {
                attr: set(changed),
                note: BY_NAME,
            },
            Judgement::Withdraw(refusal) => Cached {
                attr: 0,
                note: match refusal {
                    Refusal::NextHop => BAD_NEXT_HOP,
                    Refusal::LeftmostAs => BAD_LEFTMOST_AS,
                    Refusal::OutsideTunnel => OUTSIDE_TUNNEL,
                    Refusal::ForeignTunnel => FOREIGN_TUNNEL,
                },
            },
        };
        self.rib.attrs.remember(attr_in, class, LOCAL, cached);
        self.verdict_of(index, attr_in, cached)
    }

    fn verdict_of(&self, index: usize, attr_in: AttrId, cached: Cached) -> Verdict {
        if cached.attr != 0 {
            let learned = Learned {
                attr_in,
                attr: cached.attr,
                note: Note::from_code(cached.note),
            };
            return if cached.note == BY_NAME {
                Verdict::ByName(learned)
            } else {
                Verdict::Learned(learned)
            };
        }
        let next_hop = self.rib.attrs.next_hop(attr_in).ip();
        let (kind, reason) = match cached.note {
            BAD_LEFTMOST_AS => {
                let asn = self.peers[index].config.asn;
                let reason = format!("the leftmost AS of AS_PATH is not {asn}");
                (RefusalKind::LeftmostAs, reason)
            }
            OUTSIDE_TUNNEL => {
                let reason = format!("next hop {next_hop} is not a tunnel address; a tunnel is required");
                (RefusalKind::OutsideTunnel, reason)
            }
            FOREIGN_TUNNEL => {
                let origin = &self.rib.attrs.decode(attr_in).origin_node.router_id;
                let reason = format!("TUNNEL of {origin} is believed from that node itself only");
                (RefusalKind::ForeignTunnel, reason)
            }
            _ => {
                let reason = format!("next hop {next_hop} is neither the peer's address nor allowed");
                (RefusalKind::NextHop, reason)
            }
        };
        Verdict::Withdraw(kind, reason.into())
    }
}

impl Peer {
    /// Counts routes that are treated as withdrawn.
    fn count_withdrawn(&mut self, kind: RefusalKind, count: u64, newest: &Destination, reason: Arc<str>) {
        self.treated_as_withdraw += count;
        self.treated_reason = reason.clone();
        let mut refusals = Refusals::default();
        refusals.count(kind, count, || (newest.to_string(), reason));
        self.refusals.add(refusals);
    }

    fn count_import(&mut self, counts: Counts) {
        self.hijacks += counts.hijacks;
        self.leaks += counts.leaks;
        self.count_blocked(counts.blocked);
        self.treated_as_withdraw += counts.not_offered;
        if let Some(not_offered) = counts.last_not_offered {
            self.treated_reason = not_offered.reason();
        }
        self.refusals.add(counts.refusals);
    }
}
