//! Everything about one thing: a heading, then a line per property, long values on several.

use crate::text::{clean, columns, width, wrap};

/// Columns of the property names.
const NAMES: usize = 16;

/// Lines about one thing.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) lines: Vec<String>,
}

impl Answer {
    /// A line of its own.
    pub(crate) fn heading(&mut self, text: &str) {
        self.lines.extend(wrap(&clean(text), columns()));
    }

    /// A property; left out if there is nothing to say.
    pub(crate) fn property(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        for (at, line) in wrap(&clean(value), columns() - NAMES - 2).into_iter().enumerate() {
            let name = if at == 0 { name } else { "" };
            debug_assert!(width(name) < NAMES);
            self.lines.push(format!("  {name:NAMES$}{line}").trim_end().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::WIDTH;

    #[test]
    fn long_values_take_several_lines_of_the_same_column() {
        let mut answer = Answer::default();
        answer.property("as path", &"65001 ".repeat(40));
        answer.property("med", "");
        assert!(answer.lines.len() > 1 && answer.lines.iter().all(|line| width(line) <= WIDTH));
        assert!(
            answer.lines[1].starts_with("                  65001"),
            "{:?}",
            answer.lines[1]
        );
    }
}
