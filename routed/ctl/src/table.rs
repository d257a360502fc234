//! Tables that fit.

use crate::text::{clean, columns, elide_middle, width, wrap_within};

/// Space between columns.
const GAP: usize = 2;
/// Lines of one row.
const ROW_LINES: usize = 3;

/// How a column gives way when the table is too wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It does not.
    Whole,
    /// The middle of long values is cut out, down to this many columns.
    Middle(usize),
    /// Long values go on below, in a column of at least this many columns; what fills more than [`ROW_LINES`] lines
    /// loses its middle.
    Wrap(usize),
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
        self.lines_within(columns())
    }

    fn lines_within(&self, max: usize) -> Vec<String> {
        let widths = self.widths(max);
        let headings = self.columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
        std::iter::once(&headings)
            .chain(&self.rows)
            .flat_map(|row| self.row_lines(row, &widths))
            .collect()
    }

    fn row_lines(&self, row: &[String], widths: &[usize]) -> Vec<String> {
        let fitted = |((cell, (_, fit)), max): ((&String, &(&str, Fit)), &usize)| match fit {
            Fit::Whole => vec![cell.clone()],
            Fit::Middle(_) => vec![elide_middle(cell, *max)],
            Fit::Wrap(_) => wrap_within(cell, *max, ROW_LINES),
        };
        let cells: Vec<Vec<String>> = row.iter().zip(&self.columns).zip(widths).map(fitted).collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(1);
        (0..height).map(|at| line(&cells, widths, at)).collect()
    }

    /// As wide as the widest cell; the widest column that can gives way until all fit.
    fn widths(&self, max: usize) -> Vec<usize> {
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
        while widths.iter().sum::<usize>() + GAP * (widths.len() - 1) > max {
            let can_give = |at: &usize| match self.columns[*at].1 {
                Fit::Whole => false,
                Fit::Middle(min) | Fit::Wrap(min) => widths[*at] > min,
            };
            let Some(at) = (0..widths.len()).filter(can_give).max_by_key(|at| widths[*at]) else {
                break;
            };
            widths[at] -= 1;
        }
        widths
    }
}

/// Line `at` of a row.
fn line(cells: &[Vec<String>], widths: &[usize], at: usize) -> String {
    let mut line = String::new();
    for (cell, column) in cells.iter().zip(widths) {
        let text = cell.get(at).map_or("", String::as_str);
        line.push_str(text);
        // By hand: `{:width$}` panics beyond 65535 columns, which a list of peers fills where nothing is cut.
        line.push_str(&" ".repeat(column.saturating_sub(width(text)) + GAP));
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::WIDTH;

    #[test]
    fn short_values_stand_as_they_are() {
        let mut table = Table::new(&[("NAME", Fit::Middle(10)), ("AS", Fit::Whole), ("NOTE", Fit::Wrap(5))]);
        table.row(["a", "65001", "x\ny"].map(str::to_owned));
        table.row(["long.name", "1", ""].map(str::to_owned));
        assert_eq!(
            table.lines(),
            ["NAME       AS     NOTE", "a          65001  x y", "long.name  1"]
        );
    }

    #[test]
    fn long_values_give_way_widest_first() {
        let mut table = Table::new(&[("NAME", Fit::Middle(10)), ("AS", Fit::Whole), ("NOTE", Fit::Wrap(5))]);
        table.row([&"n".repeat(253), "4294967295", &"r".repeat(400)].map(|s| s.to_string()));
        table.row(["short", "1", "note"].map(str::to_owned));
        for line in table.lines() {
            assert!(width(&line) <= WIDTH, "{line}");
        }
        assert!(table.lines()[1].contains("  4294967295  "), "{}", table.lines()[1]);
        assert_eq!(table.lines()[1].matches('…').count(), 1, "the name");
        assert_eq!(table.lines().len(), 2 + 3, "the note goes on below, for three lines");
    }

    #[test]
    fn the_end_of_a_note_is_seen_at_any_width_and_all_of_it_where_nothing_is_cut() {
        let note = format!("envoy rejected: {}the cause", "blah ".repeat(60));
        let mut table = Table::new(&[("NAME", Fit::Middle(10)), ("NOTE", Fit::Wrap(5))]);
        table.row(["a".to_owned(), note.clone()]);
        table.row(["b".to_owned(), "fine".to_owned()]);
        for max in [100, 160] {
            let lines = table.lines_within(max);
            assert_eq!(lines.len(), 5, "{lines:#?}");
            assert!(
                lines[3].starts_with("      ") && lines[3].ends_with("the cause"),
                "{lines:#?}"
            );
            assert_eq!(lines[4], "b     fine");
        }
        assert_eq!(table.lines_within(10_000)[1], format!("a     {note}"));
    }

    #[test]
    fn where_nothing_is_cut_a_cell_has_any_length() {
        let mut table = Table::new(&[("PEERS", Fit::Wrap(5)), ("NOTE", Fit::Wrap(5))]);
        let peers = "peer, ".repeat(20_000);
        table.row([peers.clone(), "fine".to_owned()]);
        assert_eq!(table.lines_within(usize::MAX >> 1)[1], format!("{peers}  fine"));
    }
}
