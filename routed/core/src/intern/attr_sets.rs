//! The attribute table: every attribute set once, by value, as its canonical bytes and the few fields that decisions
//! need. The whole [`Attrs`] are decoded when somebody looks.

use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::slab::Slab;
use super::spread;
use super::values::Values;
use crate::attrs::{
    Attrs, DEFAULT_LOCAL_PREF, LLGR_STALE, NO_ADVERTISE, NO_EXPORT, NO_EXPORT_SUBCONFED, Origin, Protocol, RouterId,
};
use crate::route::Table;
use crate::wire;

/// An attribute set in the table; 0 is none.
pub(crate) type AttrId = u32;

/// What the decision process and export need of an attribute set.
#[derive(Debug)]
pub(crate) struct Hot {
    /// The first system of AS_PATH, if it has any.
    pub(crate) neighbour: u32,
    /// The default where the attribute is absent.
    pub(crate) local_pref: u32,
    /// 0 where the attribute is absent (RFC 4271 section 9.1.2.2 c).
    pub(crate) med: u32,
    /// In [`AttrTable::next_hop`].
    pub(crate) next_hop: u32,
    /// In [`AttrTable::originator`]; 0 where the attribute is absent.
    pub(crate) originator: u32,
    pub(crate) weight: u16,
    pub(crate) cluster_len: u16,
    /// The length of AS_PATH, which ends at 255.
    pub(crate) hops: u8,
    pub(crate) origin: Origin,
    /// `None`: the set is of prefixes.
    pub(crate) protocol: Option<Protocol>,
    pub(crate) table: Table,
    pub(crate) signs: Signs,
}

/// What a set says that counts whatever policies say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Signs(u8);

impl Signs {
    /// NO_ADVERTISE.
    pub(crate) const ADVERTISE: u8 = 1;
    /// NO_EXPORT or NO_EXPORT_SUBCONFED.
    pub(crate) const EXPORT: u8 = 2;
    /// ONLY_TO_CUSTOMER.
    pub(crate) const CUSTOMERS: u8 = 4;
    /// LLGR_STALE.
    pub(crate) const STALE: u8 = 8;
    /// Those that keep a route from some peers.
    const BARS: u8 = Self::ADVERTISE | Self::EXPORT | Self::CUSTOMERS;

    fn of(attrs: &Attrs) -> Self {
        let of_communities = attrs.communities.iter().map(|community| match *community {
            NO_ADVERTISE => Self::ADVERTISE,
            NO_EXPORT | NO_EXPORT_SUBCONFED => Self::EXPORT,
            LLGR_STALE => Self::STALE,
            _ => 0,
        });
        let of_customers = if attrs.only_to_customer.is_some() {
            Self::CUSTOMERS
        } else {
            0
        };
        Self(of_communities.fold(of_customers, |signs, sign| signs | sign))
    }

    pub(crate) fn bar_any(self) -> bool {
        self.0 & Self::BARS != 0
    }

    pub(crate) fn has(self, sign: u8) -> bool {
        self.0 & sign != 0
    }
}

impl Default for Hot {
    fn default() -> Self {
        Self {
            neighbour: 0,
            local_pref: 0,
            med: 0,
            next_hop: 0,
            originator: 0,
            weight: 0,
            cluster_len: 0,
            hops: 0,
            origin: Origin::Igp,
            protocol: None,
            table: Table::External,
            signs: Signs::default(),
        }
    }
}

/// What a policy made of this set, for one class of peers. Not counted as a reference: the generation tells whether
/// the result still stands for the same set.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    class: u16,
    source: u16,
    attr: AttrId,
    generation: u32,
    note: u8,
}

/// The first class of imports. Classes of exports are below.
pub(crate) const IMPORTS: u16 = 0x8000;
/// No class of peers: sets that say that they are stale.
const AS_STALE: u16 = IMPORTS - 1;

/// A policy result taken from the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cached {
    /// The resulting set; 0: none.
    pub(crate) attr: AttrId,
    /// The caller's own mark.
    pub(crate) note: u8,
}

#[derive(Debug, Default)]
struct AttrSet {
    raw: Box<[u8]>,
    hash: u32,
    refs: u32,
    generation: u32,
    in_sweep: bool,
    hot: Hot,
    slot: Slot,
    #[expect(
        clippy::box_collection,
        reason = "most sets never have a second slot, and pay 8 bytes for it, not 24"
    )]
    more: Option<Box<Vec<Slot>>>,
}

/// Attribute sets by value and by id.
#[derive(Debug)]
pub(crate) struct AttrTable {
    organisation: Arc<str>,
    sets: Slab<AttrSet>,
    index: HashTable<AttrId>,
    hasher: DefaultHashBuilder,
    next_hops: Values<SocketAddr>,
    originators: Values<RouterId>,
    sweep: Vec<AttrId>,
    last_decoded: Option<(AttrId, u32, Arc<Attrs>)>,
    epoch: u64,
}

impl AttrTable {
    /// A table of the node of this organisation.
    pub(crate) fn new(organisation: Arc<str>) -> Self {
        Self {
            organisation,
            sets: Slab::new(),
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            next_hops: Values::new(),
            originators: Values::new(),
            sweep: Vec::new(),
            last_decoded: None,
            epoch: 0,
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "half of the hash is enough")]
    fn hash(&self, raw: &[u8]) -> u32 {
        self.hasher.hash_one(raw) as u32
    }

    /// The set with these canonical bytes, if it is in the table.
    pub(crate) fn find(&self, raw: &[u8]) -> Option<AttrId> {
        self.find_hashed(self.hash(raw), raw)
    }

    fn find_hashed(&self, hash: u32, raw: &[u8]) -> Option<AttrId> {
        let same = |&id: &AttrId| self.sets[id].hash == hash && *self.sets[id].raw == *raw;
        self.index.find(spread(hash), same).copied()
    }

    /// The id of an attribute set. It is gone after the next [`AttrTable::sweep`] unless somebody retains it.
    pub(crate) fn intern(&mut self, attrs: &Attrs) -> AttrId {
        let raw = wire::encode_attrs(attrs);
        let hash = self.hash(&raw);
        if let Some(id) = self.find_hashed(hash, &raw) {
            return id;
        }
        let hot = self.hot_of(attrs);
        // A place used again keeps its generation going: see `forget`.
        let id = self.sets.claim();
        let set = &mut self.sets[id];
        (set.raw, set.hash, set.hot) = (Box::from(&raw[..]), hash, hot);
        let sets = &self.sets;
        self.index.insert_unique(spread(hash), id, |&id| spread(sets[id].hash));
        self.may_be_unused(id);
        id
    }

    fn hot_of(&mut self, attrs: &Attrs) -> Hot {
        let ours = attrs.origin_node.organisation == self.organisation;
        Hot {
            neighbour: attrs.as_path.first().copied().unwrap_or(0),
            local_pref: attrs.local_pref.unwrap_or(DEFAULT_LOCAL_PREF),
            med: attrs.med.unwrap_or(0),
            next_hop: self.next_hops.retain(&attrs.next_hop),
            originator: attrs.originator.as_ref().map_or(0, |id| self.originators.retain(id)),
            // Prefixes say nothing of shares: equal ones.
            weight: attrs.service.as_ref().map_or(1, |service| service.weight),
            cluster_len: u16::try_from(attrs.cluster_list.len()).unwrap_or(u16::MAX),
            hops: u8::try_from(attrs.as_path.len()).unwrap_or(u8::MAX),
            origin: attrs.origin,
            protocol: attrs.service.as_ref().map(|service| service.protocol),
            table: if ours { Table::Internal } else { Table::External },
            signs: Signs::of(attrs),
        }
    }

    pub(crate) fn hot(&self, id: AttrId) -> &Hot {
        &self.sets[id].hot
    }

    /// The canonical bytes.
    pub(crate) fn raw(&self, id: AttrId) -> &[u8] {
        &self.sets[id].raw
    }

    /// Whether AS_PATH of a set holds a system.
    pub(crate) fn passed(&self, id: AttrId, asn: u32) -> bool {
        let set = &self.sets[id];
        match set.hot.hops {
            0 => false,
            1 => set.hot.neighbour == asn,
            _ => wire::as_path_holds(&set.raw, asn),
        }
    }

    /// The next hop of a set.
    pub(crate) fn next_hop(&self, id: AttrId) -> SocketAddr {
        let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
        self.next_hops
            .get(self.sets[id].hot.next_hop)
            .copied()
            .unwrap_or(unspecified)
    }

    /// ORIGINATOR of a set.
    pub(crate) fn originator(&self, id: AttrId) -> Option<&RouterId> {
        self.originators.get(self.sets[id].hot.originator)
    }

    /// AS and name of the node that a set says the route was born at.
    pub(crate) fn origin(&self, id: AttrId) -> Option<(u32, &[u8])> {
        wire::origin_of(&self.sets[id].raw)
    }

    /// The set with LLGR_STALE.
    pub(crate) fn as_stale(&mut self, id: AttrId) -> AttrId {
        if self.hot(id).signs.has(Signs::STALE) {
            return id;
        }
        if let Some(known) = self.cached(id, AS_STALE, 0) {
            return known.attr;
        }
        let stale = self.intern(&self.marked_stale(id));
        self.remember(id, AS_STALE, 0, Cached { attr: stale, note: 0 });
        stale
    }

    /// As [`AttrTable::as_stale`], if it is in the table.
    pub(crate) fn find_as_stale(&self, id: AttrId) -> Option<AttrId> {
        self.find(&wire::encode_attrs(&self.marked_stale(id)))
    }

    fn marked_stale(&self, id: AttrId) -> Attrs {
        let mut attrs = Attrs::clone(&self.decode(id));
        attrs.mark_stale();
        attrs
    }

    /// The whole set, decoded.
    pub(crate) fn decode(&self, id: AttrId) -> Arc<Attrs> {
        match &self.last_decoded {
            Some((last, generation, attrs)) if *last == id && *generation == self.sets[id].generation => attrs.clone(),
            Some(_) | None => Arc::new(self.decode_now(id)),
        }
    }

    fn decode_now(&self, id: AttrId) -> Attrs {
        wire::decode_kept(&Bytes::copy_from_slice(&self.sets[id].raw))
            .expect("a set in the table came from the decoder")
    }

    /// As [`AttrTable::decode`], remembered: neighbours in a batch share their set.
    pub(crate) fn decode_and_keep(&mut self, id: AttrId) -> Arc<Attrs> {
        let attrs = self.decode(id);
        self.last_decoded = Some((id, self.sets[id].generation, attrs.clone()));
        attrs
    }

    /// Holds a set.
    pub(crate) fn retain(&mut self, id: AttrId) {
        self.sets[id].refs += 1;
    }

    /// Lets go of a set; 0 is let go of freely.
    pub(crate) fn release(&mut self, id: AttrId) {
        if id != 0 {
            self.sets[id].refs -= 1;
            self.may_be_unused(id);
        }
    }

    fn may_be_unused(&mut self, id: AttrId) {
        let set = &mut self.sets[id];
        if set.refs == 0 && !set.in_sweep {
            set.in_sweep = true;
            self.sweep.push(id);
        }
    }

    /// Forgets the sets that nobody holds.
    pub(crate) fn sweep(&mut self) {
        let candidates = std::mem::take(&mut self.sweep);
        for &id in &candidates {
            self.sets[id].in_sweep = false;
            if self.sets[id].refs == 0 {
                self.forget(id);
            }
        }
        self.sweep = super::emptied(candidates);
    }

    fn forget(&mut self, id: AttrId) {
        if let Ok(found) = self.index.find_entry(spread(self.sets[id].hash), |&other| other == id) {
            found.remove();
        }
        let set = self.sets.remove(id);
        self.next_hops.release(set.hot.next_hop);
        self.originators.release(set.hot.originator);
        self.sets[id].generation = set.generation.wrapping_add(1);
    }

    /// Every set with the number of its references.
    pub(crate) fn references(&self) -> impl Iterator<Item = (AttrId, u32)> + '_ {
        let live = self.sets.ids().filter(|id| !self.sets[*id].raw.is_empty());
        live.map(|id| (id, self.sets[id].refs))
    }

    /// What was remembered of (class, source) for this set.
    pub(crate) fn cached(&self, id: AttrId, class: u16, source: u16) -> Option<Cached> {
        let set = &self.sets[id];
        let more = set.more.iter().flat_map(|more| more.iter());
        let slot = std::iter::once(&set.slot)
            .chain(more)
            .find(|slot| (slot.class, slot.source) == (class, source))?;
        let stands = slot.attr == 0 || self.sets[slot.attr].generation == slot.generation;
        stands.then_some(Cached {
            attr: slot.attr,
            note: slot.note,
        })
    }

    /// Forgets what was remembered of exports of what came from these peers.
    pub(crate) fn forget_sources(&mut self, ids: &[u16]) {
        if !ids.is_empty() {
            self.forget_results(|_, source| ids.contains(&source));
        }
    }

    /// Forgets what was remembered of a class.
    pub(crate) fn forget_class(&mut self, class: u16) {
        self.forget_results(|known, _| known == class);
    }

    /// Forgets what was remembered of exports.
    pub(crate) fn forget_exports(&mut self) {
        self.forget_results(|class, _| class < IMPORTS);
    }

    /// Moves whenever results are forgotten: what others remember of them is void too.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Tells whether an id still stands for the same set.
    pub(crate) fn generation(&self, id: AttrId) -> u32 {
        self.sets[id].generation
    }

    fn forget_results(&mut self, which: impl Fn(u16, u16) -> bool) {
        self.epoch += 1;
        for id in self.sets.ids() {
            let set = &mut self.sets[id];
            if which(set.slot.class, set.slot.source) {
                set.slot = Slot::default();
            }
            if let Some(more) = &mut set.more {
                more.retain(|slot| !which(slot.class, slot.source));
            }
        }
    }

    /// Remembers a result for (class, source). Class 0 is no class.
    pub(crate) fn remember(&mut self, id: AttrId, class: u16, source: u16, result: Cached) {
        let generation = if result.attr == 0 {
            0
        } else {
            self.sets[result.attr].generation
        };
        let slot = Slot {
            class,
            source,
            attr: result.attr,
            generation,
            note: result.note,
        };
        let set = &mut self.sets[id];
        let same = |known: &Slot| (known.class, known.source) == (class, source);
        if set.slot.class == 0 || same(&set.slot) {
            set.slot = slot;
            return;
        }
        let more = set.more.get_or_insert_default();
        match more.iter_mut().find(|known| same(known)) {
            Some(known) => *known = slot,
            None => more.push(slot),
        }
    }
}
