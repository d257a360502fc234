//! Lines of text from somebody who may send anything, keys among it.

use std::io::{self, Read};

use zeroize::Zeroizing;

/// No line of the protocol is longer than 100 bytes.
const LINE_BYTES: usize = 512;

/// Reads lines. What was read is wiped from memory.
pub(super) struct Lines<R> {
    from: R,
    buffer: Zeroizing<[u8; LINE_BYTES]>,
    /// What of the buffer is read and not given yet.
    start: usize,
    end: usize,
    /// Bytes that may still come.
    left: usize,
}

impl<R: Read> Lines<R> {
    /// Lines of `from`, which together have no more than `limit` bytes.
    pub(super) fn new(from: R, limit: usize) -> Self {
        Self {
            from,
            buffer: Zeroizing::new([0; LINE_BYTES]),
            start: 0,
            end: 0,
            left: limit,
        }
    }

    /// The next line, without its end.
    ///
    /// # Errors
    /// There is no whole one, it is too long, or all of them are. Never repeats what was read.
    pub(super) fn next(&mut self) -> io::Result<&str> {
        let length = loop {
            let unread = self.buffer.get(self.start..self.end).unwrap_or_default();
            match unread.iter().position(|byte| *byte == b'\n') {
                Some(length) => break length,
                None => self.fill()?,
            }
        };
        let line = self.buffer.get(self.start..self.start + length).unwrap_or_default();
        self.start += length + 1;
        std::str::from_utf8(line).map_err(|_| bad("it is no text"))
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        if room.is_empty() {
            return Err(bad("a line is too long"));
        }
        let read = self.from.read(room)?;
        if read == 0 {
            return Err(bad("it is cut short"));
        }
        self.left = self.left.checked_sub(read).ok_or_else(|| bad("it is too long"))?;
        self.end += read;
        Ok(())
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("bad answer: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(into.len()).min(self.0.len());
            let (now, later) = self.0.split_at(count);
            into[..count].copy_from_slice(now);
            self.0 = later;
            Ok(count)
        }
    }

    fn read(bytes: &[u8], at_once: usize, limit: usize) -> (Vec<String>, String) {
        let mut lines = Lines::new(Trickle(bytes, at_once), limit);
        let mut found = Vec::new();
        loop {
            match lines.next() {
                Ok(line) => found.push(line.to_owned()),
                Err(error) => return (found, error.to_string()),
            }
        }
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        let long = "x".repeat(LINE_BYTES - 1);
        let text = format!("a=1\n\n{long}\nb=2\n{long}\n");
        for at_once in [1, 2, 3, 511, 512, 4096] {
            let (lines, end) = read(text.as_bytes(), at_once, usize::MAX);
            assert_eq!(lines, ["a=1", "", &long, "b=2", &long], "{at_once} at once");
            assert!(end.contains("cut short"), "{end}");
        }
    }

    #[test]
    fn what_has_no_end_is_not_read_to_its_end() {
        let endless = vec![b'x'; 4096];
        assert!(read(&endless, 4096, usize::MAX).1.contains("a line is too long"));
        let many = "a=1\n".repeat(1000);
        let (lines, end) = read(many.as_bytes(), 100, 1000);
        assert!(end.contains("it is too long") && lines.len() <= 250, "{end}");
        assert!(read(&[0xff, b'\n'], 2, 100).1.contains("no text"));
        assert!(read(b"a=1\nprivate_key=0", 100, 100).1.contains("cut short"));
    }
}
