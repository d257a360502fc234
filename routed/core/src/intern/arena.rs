//! Bytes of many small owners in pages: no owner pays for a pointer, a header of the allocator and its rounding.

/// Bytes of a page. What is longer than one has a page of its own.
const PAGE: usize = 1 << 13;
/// So many freed bytes are not worth a move of all others.
const TOLERATED: usize = 64 * PAGE;

/// Runs of bytes in whole units, so that a freed place fits every run of as many units. An owner knows where its run
/// begins and how long it is.
#[derive(Debug, Default)]
pub(super) struct Arena<const UNIT: usize> {
    pages: Vec<Box<[u8]>>,
    /// The page that has room at its end, and how much of it is used; with no pages it means nothing.
    last: usize,
    used_in_last: usize,
    /// Free places by their units.
    free: Vec<Vec<u32>>,
    used: usize,
    freed: usize,
}

impl<const UNIT: usize> Arena<UNIT> {
    /// Stores a run and says where, in units.
    pub(super) fn insert(&mut self, run: &[u8]) -> u32 {
        let units = run.len().div_ceil(UNIT);
        let at = match self.free.get_mut(units).and_then(Vec::pop) {
            Some(at) => {
                self.freed -= units * UNIT;
                at
            }
            None => self.grow(units * UNIT),
        };
        self.used += units * UNIT;
        let (page, start) = Self::place(at);
        self.pages[page][start..start + run.len()].copy_from_slice(run);
        at
    }

    fn grow(&mut self, bytes: usize) -> u32 {
        if bytes > PAGE {
            self.pages.push(vec![0; bytes].into_boxed_slice());
            return Self::unit(self.pages.len() - 1, 0);
        }
        let is_full = self.pages.is_empty() || self.used_in_last + bytes > PAGE;
        if is_full || self.pages[self.last].len() > PAGE {
            self.pages.push(vec![0; PAGE].into_boxed_slice());
            (self.last, self.used_in_last) = (self.pages.len() - 1, 0);
        }
        let at = Self::unit(self.last, self.used_in_last);
        self.used_in_last += bytes;
        at
    }

    #[inline]
    pub(super) fn get(&self, at: u32, len: usize) -> &[u8] {
        let (page, start) = Self::place(at);
        &self.pages[page][start..start + len]
    }

    /// Takes back the place of a run.
    pub(super) fn remove(&mut self, at: u32, len: usize) {
        let units = len.div_ceil(UNIT);
        if self.free.len() <= units {
            self.free.resize_with(units + 1, Vec::new);
        }
        self.free[units].push(at);
        self.used -= units * UNIT;
        self.freed += units * UNIT;
    }

    /// Whether most of it is free places, which runs of other lengths do not fit: time for the owner to move what it
    /// has to a new arena. The moves cost less than what was stored and removed since the last one.
    pub(super) fn is_sparse(&self) -> bool {
        self.freed > self.used + TOLERATED
    }

    fn unit(page: usize, start: usize) -> u32 {
        u32::try_from((page * PAGE + start) / UNIT).expect("8 GiB are more than path ids can refer to")
    }

    fn place(at: u32) -> (usize, usize) {
        let byte = at as usize * UNIT;
        (byte / PAGE, byte % PAGE)
    }

    #[cfg(test)]
    pub(super) fn pages(&self) -> usize {
        self.pages.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run that tells its number and length.
    fn run(n: usize, len: usize) -> Vec<u8> {
        (n..n + len).map(|byte| u8::try_from(byte % 251).unwrap()).collect()
    }

    #[test]
    fn runs_of_all_lengths_stay_what_they_are() {
        let mut arena = Arena::<4>::default();
        let lens = [1, 30, 100, PAGE - 1, PAGE, PAGE + 1, 5, 3 * PAGE, 7, 40_000, 2000];
        let runs: Vec<_> = (0..200).map(|n| run(n, lens[n % lens.len()])).collect();
        let mut places: Vec<_> = runs.iter().map(|run| arena.insert(run)).collect();
        for n in (0..200).step_by(3) {
            arena.remove(places[n], runs[n].len());
        }
        let pages = arena.pages();
        for n in (0..200).step_by(3) {
            places[n] = arena.insert(&runs[n]);
        }
        for (run, at) in runs.iter().zip(&places) {
            assert!(arena.get(*at, run.len()) == run, "the run at {at} is another one");
        }
        assert_eq!(arena.pages(), pages, "what was freed serves again");
    }

    #[test]
    fn it_is_sparse_once_most_of_it_is_free() {
        let mut arena = Arena::<2>::default();
        let places: Vec<_> = (0..200).map(|n| arena.insert(&run(n, PAGE))).collect();
        for at in &places[..100] {
            arena.remove(*at, PAGE);
        }
        assert!(!arena.is_sparse(), "half of it is in use");
        for at in &places[100..150] {
            arena.remove(*at, PAGE);
        }
        assert!(arena.is_sparse());
    }
}
