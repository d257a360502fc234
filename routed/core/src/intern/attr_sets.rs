//! The attribute table: every attribute set once, by value, as its canonical bytes and the few fields that decisions
//! need. The whole [`Attrs`] are decoded when somebody looks.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::arena::Arena;
use super::cache::{Cached, IMPORTS, Remembered, Slot, Slots};
use super::slab::Slab;
use super::values::Values;
use super::{are_most, hash_of, indexed, is_full};
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
    /// As long as CLUSTER_LIST may be, MAX_CLUSTERS.
    pub(crate) cluster_len: u8,
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
    /// TUNNEL.
    pub(crate) const TUNNEL: u8 = 16;
    /// Those that keep a route from some peers.
    const BARS: u8 = Self::ADVERTISE | Self::EXPORT | Self::CUSTOMERS | Self::TUNNEL;

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
        let of_tunnels = if attrs.tunnel.is_some() { Self::TUNNEL } else { 0 };
        Self(of_communities.fold(of_customers | of_tunnels, |signs, sign| signs | sign))
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

/// Sets are some 100 bytes: units of four reach twice as far as those of names, and waste little.
type Raws = Arena<4>;

/// No class of peers: sets that say that they are stale.
const AS_STALE: u16 = IMPORTS - 1;
/// In [`AttrSet::refs`]: in the list of sets that may be unused.
const IN_SWEEP: u32 = 1 << 31;

/// 60 bytes and the raw ones, on purpose: a route pays for a tenth to a half of its set, and for two where an import
/// policy changes something.
#[derive(Debug, Default)]
struct AttrSet {
    /// Where the canonical bytes are.
    raw: u32,
    /// How many there are, in three bytes: some 40 attributes of at most 64 KiB fit. 0: a free place.
    len: [u8; 3],
    /// How many hold it, and [`IN_SWEEP`].
    refs: u32,
    generation: u32,
    hot: Hot,
    remembered: Remembered,
}

const _: () = assert!(size_of::<AttrSet>() == 60);

impl AttrSet {
    #[inline]
    fn len(&self) -> usize {
        let [low, middle, high] = self.len;
        u32::from_le_bytes([low, middle, high, 0]) as usize
    }

    #[inline]
    fn raw<'r>(&self, raws: &'r Raws) -> &'r [u8] {
        raws.get(self.raw, self.len())
    }
}

/// Attribute sets by value and by id.
#[derive(Debug)]
pub(crate) struct AttrTable {
    organisation: Arc<str>,
    sets: Slab<AttrSet>,
    raws: Raws,
    slots: Slots,
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
            raws: Raws::default(),
            slots: Slots::new(),
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            next_hops: Values::new(),
            originators: Values::new(),
            sweep: Vec::new(),
            last_decoded: None,
            epoch: 0,
        }
    }

    /// The set with these canonical bytes, if it is in the table.
    pub(crate) fn find(&self, raw: &[u8]) -> Option<AttrId> {
        self.find_hashed(hash_of(&self.hasher, raw), raw)
    }

    fn find_hashed(&self, hash: u64, raw: &[u8]) -> Option<AttrId> {
        self.index.find(hash, |&id| self.raw(id) == raw).copied()
    }

    /// The id of an attribute set. It is gone after the next [`AttrTable::sweep`] unless somebody retains it.
    pub(crate) fn intern(&mut self, attrs: &Attrs) -> AttrId {
        let raw = wire::encode_attrs(attrs);
        let hash = hash_of(&self.hasher, &raw);
        if let Some(id) = self.find_hashed(hash, &raw) {
            return id;
        }
        if is_full(&self.index) {
            self.grow_index();
        }
        let hot = self.hot_of(attrs);
        // A place used again keeps its generation going: see `forget`.
        let id = self.sets.claim();
        let set = &mut self.sets[id];
        let [low, middle, high, ..] = raw.len().to_le_bytes();
        (set.raw, set.len, set.hot) = (self.raws.insert(&raw), [low, middle, high], hot);
        let Self { sets, raws, hasher, .. } = self;
        self.index
            .insert_unique(hash, id, |&id| hash_of(hasher, sets[id].raw(raws)));
        self.may_be_unused(id);
        id
    }

    #[cold]
    fn grow_index(&mut self) {
        self.index_anew(self.index.len());
    }

    fn index_anew(&mut self, count: usize) {
        let ids = self.sets.ids().filter(|id| self.sets[*id].len() != 0);
        self.index = indexed(count, ids.map(|id| (hash_of(&self.hasher, self.raw(id)), id)));
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
            cluster_len: u8::try_from(attrs.cluster_list.len()).unwrap_or(u8::MAX),
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
        self.sets[id].raw(&self.raws)
    }

    /// Whether AS_PATH of a set holds a system.
    #[inline]
    pub(crate) fn passed(&self, id: AttrId, asn: u32) -> bool {
        let set = &self.sets[id];
        match set.hot.hops {
            0 => false,
            1 => set.hot.neighbour == asn,
            _ => wire::as_path_holds(set.raw(&self.raws), asn),
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
        wire::origin_of(self.raw(id))
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
        wire::decode_kept(&Bytes::copy_from_slice(self.raw(id))).expect("a set in the table came from the decoder")
    }

    /// As [`AttrTable::decode`], remembered: neighbours in a batch share their set.
    pub(crate) fn decode_and_keep(&mut self, id: AttrId) -> Arc<Attrs> {
        let attrs = self.decode(id);
        self.last_decoded = Some((id, self.sets[id].generation, attrs.clone()));
        attrs
    }

    /// Holds a set.
    pub(crate) fn retain(&mut self, id: AttrId) {
        self.retain_times(id, 1);
    }

    /// Holds a set so many times more.
    pub(crate) fn retain_times(&mut self, id: AttrId, times: u32) {
        self.sets[id].refs += times;
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
        // No references, and not in the list.
        if set.refs == 0 {
            set.refs = IN_SWEEP;
            self.sweep.push(id);
        }
    }

    /// Forgets the sets that nobody holds.
    pub(crate) fn sweep(&mut self) {
        let mut unused = std::mem::take(&mut self.sweep);
        unused.retain(|id| {
            let refs = &mut self.sets[*id].refs;
            *refs &= !IN_SWEEP;
            *refs == 0
        });
        if are_most(unused.len(), self.sets.ids()) {
            for id in &unused {
                self.take_out(*id);
            }
            self.gather_raws();
            self.index_anew(self.index.len() - unused.len());
        } else {
            unused.iter().for_each(|id| self.forget(*id));
        }
        self.sweep = super::emptied(unused);
        if self.raws.is_sparse() {
            self.gather_raws();
        }
    }

    /// Moves the canonical bytes together.
    fn gather_raws(&mut self) {
        let before = std::mem::take(&mut self.raws);
        for id in self.sets.ids() {
            let set = &mut self.sets[id];
            if set.len() != 0 {
                set.raw = self.raws.insert(set.raw(&before));
            }
        }
    }

    fn forget(&mut self, id: AttrId) {
        let hash = hash_of(&self.hasher, self.raw(id));
        if let Ok(found) = self.index.find_entry(hash, |&other| other == id) {
            found.remove();
        }
        let set = self.take_out(id);
        self.raws.remove(set.raw, set.len());
    }

    /// Takes a set out; its bytes and its place in the index stay.
    fn take_out(&mut self, id: AttrId) -> AttrSet {
        let mut set = self.sets.remove(id);
        self.slots.forget(&mut set.remembered, |_, _| true);
        self.next_hops.release(set.hot.next_hop);
        self.originators.release(set.hot.originator);
        self.sets[id].generation = set.generation.wrapping_add(1);
        set
    }

    /// Every set with the number of its references.
    pub(crate) fn references(&self) -> impl Iterator<Item = (AttrId, u32)> + '_ {
        let live = self.sets.ids().filter(|id| self.sets[*id].len() != 0);
        live.map(|id| (id, self.sets[id].refs & !IN_SWEEP))
    }

    /// What was remembered of (class, source) for this set.
    pub(crate) fn cached(&self, id: AttrId, class: u16, source: u16) -> Option<Cached> {
        let slot = self.slots.find(self.sets[id].remembered, class, source)?;
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
            self.slots.forget(&mut self.sets[id].remembered, &which);
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
        self.slots.put(&mut self.sets[id].remembered, slot);
    }
}
