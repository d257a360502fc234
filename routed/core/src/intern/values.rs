//! Small values shared by many attribute sets: next hops and router ids.

use std::hash::Hash;

use hashbrown::HashMap;

use super::slab::Slab;

#[derive(Debug)]
struct Counted<T> {
    value: Option<T>,
    refs: u32,
}

impl<T> Default for Counted<T> {
    fn default() -> Self {
        Self { value: None, refs: 0 }
    }
}

/// Values with reference counts; 0 is none.
#[derive(Debug)]
pub(crate) struct Values<T> {
    items: Slab<Counted<T>>,
    index: HashMap<T, u32>,
}

impl<T: Clone + Eq + Hash> Values<T> {
    pub(crate) fn new() -> Self {
        Self {
            items: Slab::new(),
            index: HashMap::new(),
        }
    }

    /// The id of a value, held once more.
    pub(crate) fn retain(&mut self, value: &T) -> u32 {
        let id = match self.index.get(value) {
            Some(&id) => id,
            None => {
                let id = self.items.insert(Counted {
                    value: Some(value.clone()),
                    refs: 0,
                });
                self.index.insert(value.clone(), id);
                id
            }
        };
        self.items[id].refs += 1;
        id
    }

    /// Lets go of a value; 0 is let go of freely.
    pub(crate) fn release(&mut self, id: u32) {
        if id == 0 {
            return;
        }
        self.items[id].refs -= 1;
        if self.items[id].refs == 0
            && let Some(value) = self.items.remove(id).value
        {
            self.index.remove(&value);
        }
    }

    /// The value; `None` for 0.
    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        if id == 0 { None } else { self.items[id].value.as_ref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_as_long_as_it_is_held() {
        let mut values = Values::new();
        let a = values.retain(&"x".to_owned());
        assert_eq!(values.retain(&"x".to_owned()), a);
        values.release(a);
        assert_eq!(values.get(a).map(String::as_str), Some("x"));
        values.release(a);
        assert!(values.index.is_empty());
        assert_eq!(values.get(0), None);
    }
}
