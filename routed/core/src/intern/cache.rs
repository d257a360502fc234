//! What policies made of attribute sets, remembered with each set: one result in the set itself, others in a list.

use super::attr_sets::AttrId;
use super::slab::Slab;

/// The first class of imports. Classes of exports are below.
pub(crate) const IMPORTS: u16 = 0x8000;

/// A policy result taken from the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cached {
    /// The resulting set; 0: none.
    pub(crate) attr: AttrId,
    /// The caller's own mark.
    pub(crate) note: u8,
}

/// What a policy made of a set, for one class of peers. Not counted as a reference: the generation tells whether the
/// result still stands for the same set. Packed: every set has one.
#[derive(Debug, Clone, Copy, Default)]
#[repr(Rust, packed)]
pub(super) struct Slot {
    /// 0: no result.
    pub(super) class: u16,
    pub(super) source: u16,
    pub(super) attr: AttrId,
    pub(super) generation: u32,
    pub(super) note: u8,
}

impl Slot {
    fn is_of(&self, class: u16, source: u16) -> bool {
        (self.class, self.source) == (class, source)
    }
}

/// The results of one set.
#[derive(Debug, Clone, Copy, Default)]
#[repr(Rust, packed)]
pub(super) struct Remembered {
    first: Slot,
    /// In [`Slots`]; 0: none.
    more: u32,
}

#[derive(Debug, Default, Clone, Copy)]
struct Link {
    slot: Slot,
    next: u32,
}

/// The results of all sets that are not the first of theirs.
#[derive(Debug)]
pub(super) struct Slots(Slab<Link>);

impl Slots {
    pub(super) fn new() -> Self {
        Self(Slab::new())
    }

    pub(super) fn find(&self, of: Remembered, class: u16, source: u16) -> Option<Slot> {
        if of.first.is_of(class, source) {
            return Some(of.first);
        }
        let mut at = of.more;
        while at != 0 {
            let Link { slot, next } = self.0[at];
            if slot.is_of(class, source) {
                return Some(slot);
            }
            at = next;
        }
        None
    }

    /// Remembers a result, in place of the one for the same class and source.
    pub(super) fn put(&mut self, of: &mut Remembered, slot: Slot) {
        let (class, source) = (slot.class, slot.source);
        if of.first.class == 0 || of.first.is_of(class, source) {
            of.first = slot;
            return;
        }
        let mut at = of.more;
        while at != 0 {
            let link = &mut self.0[at];
            if link.slot.is_of(class, source) {
                link.slot = slot;
                return;
            }
            at = link.next;
        }
        let next = of.more;
        of.more = self.0.insert(Link { slot, next });
    }

    /// Forgets the results of these classes and sources.
    pub(super) fn forget(&mut self, of: &mut Remembered, which: impl Fn(u16, u16) -> bool) {
        if which(of.first.class, of.first.source) {
            of.first = Slot::default();
        }
        let mut at = of.more;
        of.more = 0;
        while at != 0 {
            let Link { slot, next } = self.0[at];
            if which(slot.class, slot.source) {
                self.0.remove(at);
            } else {
                self.0[at].next = of.more;
                of.more = at;
            }
            at = next;
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(class: u16, source: u16, attr: AttrId) -> Slot {
        Slot {
            class,
            source,
            attr,
            ..Slot::default()
        }
    }

    #[test]
    fn results_are_found_replaced_and_forgotten_by_class_and_source() {
        let (mut slots, mut of) = (Slots::new(), Remembered::default());
        for attr in [100, 200] {
            for class in 1..=3 {
                for source in 0..3 {
                    slots.put(&mut of, slot(class, source, attr + u32::from(class * 3 + source)));
                }
            }
        }
        assert_eq!(slots.len(), 8, "one of nine is in the set");
        slots.forget(&mut of, |class, source| class == 1 || source == 2);
        assert_eq!(slots.len(), 4);
        for class in 1..=3_u16 {
            for source in 0..3_u16 {
                let found = slots.find(of, class, source).map(|slot| slot.attr);
                let kept = class != 1 && source != 2;
                assert_eq!(found, kept.then_some(200 + u32::from(class * 3 + source)));
            }
        }
        slots.forget(&mut of, |_, _| true);
        assert_eq!(slots.len(), 0);
    }
}
