//! Tables of at most [`WIDTH`] columns.

use crate::text::{WIDTH, clean, elide_end, elide_middle, width};

/// Space between columns.
const GAP: usize = 2;

/// How a column gives way when the table is too wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It does not.
    Whole,
    /// The middle of long values is cut out, down to this many columns.
    Middle(usize),
    /// The end of long values is cut off, down to this many columns.
    End(usize),
}

/// A table being filled.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Fit)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[(&'static str, Fit)]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; one cell per column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| clean(&cell)).collect());
    }

    /// The lines of the table, headings first.
    pub(crate) fn lines(&self) -> Vec<String> {
        let widths = self.widths();
        let headings = self.columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
        std::iter::once(&headings)
            .chain(&self.rows)
            .map(|row| self.line(row, &widths))
            .collect()
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, (_, fit)), max) in row.iter().zip(&self.columns).zip(widths) {
            let cell = match fit {
                Fit::Whole | Fit::End(_) => elide_end(cell, *max),
                Fit::Middle(_) => elide_middle(cell, *max),
            };
            line.push_str(&format!("{cell:max$}"));
            line.push_str(&" ".repeat(GAP));
        }
        line.truncate(line.trim_end().len());
        line
    }

    /// As wide as the widest cell; the widest column that can gives way until all fit.
    fn widths(&self) -> Vec<usize> {
        let widest = |at: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(at))
                .map(|cell| width(cell))
                .max()
        };
        let columns = self.columns.iter().enumerate();
        let mut widths: Vec<usize> = columns
            .map(|(at, (h, _))| width(h).max(widest(at).unwrap_or(0)))
            .collect();
        while widths.iter().sum::<usize>() + GAP * (widths.len() - 1) > WIDTH {
            let can_give = |at: &usize| match self.columns[*at].1 {
                Fit::Whole => false,
                Fit::Middle(min) | Fit::End(min) => widths[*at] > min,
            };
            let Some(at) = (0..widths.len()).filter(can_give).max_by_key(|at| widths[*at]) else {
                break;
            };
            widths[at] -= 1;
        }
        widths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_values_stand_as_they_are() {
        let mut table = Table::new(&[("NAME", Fit::Middle(10)), ("AS", Fit::Whole), ("NOTE", Fit::End(5))]);
        table.row(["a", "65001", "x\ny"].map(str::to_owned));
        table.row(["long.name", "1", ""].map(str::to_owned));
        assert_eq!(
            table.lines(),
            ["NAME       AS     NOTE", "a          65001  x y", "long.name  1"]
        );
    }

    #[test]
    fn long_values_give_way_widest_first() {
        let mut table = Table::new(&[("NAME", Fit::Middle(10)), ("AS", Fit::Whole), ("NOTE", Fit::End(5))]);
        table.row([&"n".repeat(253), "4294967295", &"r".repeat(400)].map(|s| s.to_string()));
        table.row(["short", "1", "note"].map(str::to_owned));
        for line in table.lines() {
            assert!(width(&line) <= WIDTH, "{line}");
        }
        assert!(table.lines()[1].contains("  4294967295  "), "{}", table.lines()[1]);
        assert_eq!(table.lines()[1].matches('…').count(), 2);
    }
}
