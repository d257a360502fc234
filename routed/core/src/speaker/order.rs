//! The names in order, for views. Kept from one look to the next, so that a page of a large table costs no sort.

use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashSet;

use crate::intern::{NameId, NameTable};

#[derive(Debug, Default)]
struct Sorted {
    generation: u64,
    names: Arc<[NameId]>,
}

/// The names in order, as of some generation of the name table.
#[derive(Debug, Default)]
pub(super) struct Order {
    sorted: Mutex<Sorted>,
}

impl Order {
    /// The names in order now.
    pub(super) fn of(&self, table: &NameTable) -> Arc<[NameId]> {
        let mut sorted = self.sorted.lock().unwrap_or_else(PoisonError::into_inner);
        if sorted.generation != table.generation() {
            let names = match table.moved_since(sorted.generation) {
                Some(moved) => merged(&sorted.names, &moved.collect(), table),
                None => sorted_anew(table.ids(), table),
            };
            *sorted = Sorted {
                generation: table.generation(),
                names: names.into(),
            };
        }
        sorted.names.clone()
    }
}

fn sorted_anew(ids: impl Iterator<Item = NameId>, table: &NameTable) -> Vec<NameId> {
    let mut names: Vec<NameId> = ids.filter(|id| table.is_live(*id)).collect();
    names.sort_unstable_by(|one, other| table.key(*one).cmp(table.key(*other)));
    names
}

/// Takes the moved ones out (their ids may stand for other names now) and puts those that are live in again.
fn merged(before: &[NameId], moved: &HashSet<NameId>, table: &NameTable) -> Vec<NameId> {
    let mut joined = sorted_anew(moved.iter().copied(), table).into_iter().peekable();
    let mut names = Vec::with_capacity(before.len() + joined.len());
    for &name in before.iter().filter(|name| !moved.contains(*name)) {
        while let Some(next) = joined.next_if(|next| table.key(*next) < table.key(name)) {
            names.push(next);
        }
        names.push(name);
    }
    names.extend(joined);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(order: &Order, table: &NameTable) -> Vec<String> {
        order
            .of(table)
            .iter()
            .map(|id| table.destination(*id).to_string())
            .collect()
    }

    #[test]
    fn the_order_follows_names_that_come_and_go_and_ids_used_again() {
        let mut table = NameTable::new();
        let order = Order::default();
        let mut held: Vec<NameId> = Vec::new();
        for round in 0..200u32 {
            for n in 0..7 {
                let id = table.intern(format!("svc-{}.example", round.wrapping_mul(7919) % 1000 + n).as_bytes());
                if table.get(id).refs == 0 {
                    table.retain(id);
                    held.push(id);
                }
            }
            if round % 3 == 0 {
                let gone = held.swap_remove(round as usize % held.len());
                table.release(gone);
                table.sweep();
            }
            let mut expected: Vec<String> = held.iter().map(|id| table.destination(*id).to_string()).collect();
            expected.sort();
            assert_eq!(texts(&order, &table), expected, "round {round}");
        }
    }

    #[test]
    fn more_moves_than_are_remembered_sort_anew() {
        let mut table = NameTable::new();
        let order = Order::default();
        assert!(texts(&order, &table).is_empty());
        for n in 0..20_000 {
            let id = table.intern(format!("svc-{n}.example").as_bytes());
            table.retain(id);
        }
        let names = texts(&order, &table);
        assert!(names.is_sorted() && names.len() == 20_000);
    }
}
