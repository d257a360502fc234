//! Key paths: how error messages name a key and how `--set` is told one.

use std::fmt::{self, Write as _};

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A key of a section (`.name`).
    Field(String),
    /// A key of a map by name (`["b"]`).
    Key(String),
    /// An element of a list (`[0]`).
    Index(usize),
}

impl Step {
    /// The text of a key, of either kind.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Field(key) | Self::Key(key) => Some(key),
            Self::Index(_) => None,
        }
    }
}

/// Where a key stands in the configuration; empty: the whole of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct KeyPath(pub Vec<Step>);

impl KeyPath {
    /// This path and a key of a section.
    #[must_use]
    pub fn field(&self, key: &str) -> Self {
        self.with_step(Step::Field(key.to_owned()))
    }

    /// This path and a key of a map.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.with_step(Step::Key(key.to_owned()))
    }

    /// This path and an element of a list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with_step(Step::Index(index))
    }

    pub(super) fn with_step(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// Reads a path as people write it: `peers["b"].address`, `peers.b.address`, `endpoints[0]`.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (step, after) = parse_step(rest, steps.is_empty())?;
            steps.push(step);
            rest = after;
        }
        if steps.is_empty() {
            Err("the path is empty".to_owned())
        } else {
            Ok(Self(steps))
        }
    }
}

fn parse_step(text: &str, first: bool) -> Result<(Step, &str), String> {
    if let Some(inner) = text.strip_prefix('[') {
        return parse_bracket(inner);
    }
    let name = match text.strip_prefix('.') {
        Some(name) => name,
        None if first => text,
        None => return Err(format!("expected '.', '[' or '=' before {text:?}")),
    };
    let end = name.find(|c| !is_identifier_char(c)).unwrap_or(name.len());
    if end == 0 {
        return Err(format!("expected a key before {name:?}"));
    }
    Ok((Step::Field(name[..end].to_owned()), &name[end..]))
}

fn parse_bracket(inner: &str) -> Result<(Step, &str), String> {
    if inner.starts_with('"') {
        let end = quoted_end(inner).ok_or("a quoted key is not closed")?;
        let key = serde_json::from_str(&inner[..end]).map_err(|_| format!("{} is not a key", &inner[..end]))?;
        let rest = inner[end..]
            .strip_prefix(']')
            .ok_or("expected ']' after a quoted key")?;
        return Ok((Step::Key(key), rest));
    }
    let (digits, rest) = inner.split_once(']').ok_or("a '[' is not closed")?;
    let index = digits
        .parse()
        .map_err(|_| format!("expected [NUMBER] or [\"KEY\"], found [{digits}]"))?;
    Ok((Step::Index(index), rest))
}

/// The end of the JSON string that `text` begins with.
pub(super) fn quoted_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !escaped => return Some(at + 1),
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
}

fn is_identifier_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(key) if !key.is_empty() && key.chars().all(is_identifier_char) => {
                    if at > 0 {
                        f.write_char('.')?;
                    }
                    f.write_str(key)?;
                }
                Step::Field(key) | Step::Key(key) => write!(f, "[{}]", serde_json::Value::from(key.as_str()))?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_print_as_they_are_written() {
        for text in [
            r#"services["orders.dc1.acme"].endpoints[0].url"#,
            "node.name",
            r#"peers["a\"]b"].as"#,
            "node",
        ] {
            assert_eq!(KeyPath::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn broken_paths_say_what_is_wrong() {
        for (text, says) in [
            ("", "empty"),
            ("node..name", "expected a key"),
            ("peers[\"b", "not closed"),
            ("peers[\"b\"x", "expected ']'"),
            ("peers[b]", "expected [NUMBER]"),
            ("peers[0", "not closed"),
            ("peers[0]x", "expected '.'"),
            (".", "expected a key"),
        ] {
            let error = KeyPath::parse(text).unwrap_err();
            assert!(error.contains(says), "{text:?}: {error}");
        }
    }
}
