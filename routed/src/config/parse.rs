//! JSON text to [`Node`]s with positions. Strict JSON (RFC 8259); duplicate keys are refused, depth is bounded.

use std::collections::BTreeMap;

use super::path::{KeyPath, Step, quoted_end};
use super::tree::{Member, Node, Origin, Value};

/// How deep lists and objects may nest. The schema needs 6.
const MAX_DEPTH: usize = 32;
/// How many duplicate keys are remembered.
const MAX_DUPLICATES: usize = 100;

/// A syntax error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) origin: Origin,
    pub(super) path: KeyPath,
    pub(super) message: String,
}

/// Parses a whole JSON text.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let (node, duplicates) = parse_on(text).map_err(|mut errors| errors.remove(0))?;
    duplicates.into_iter().next().map_or(Ok(node), Err)
}

/// As [`parse`], but reads on after a duplicate key, of which the first one counts.
///
/// # Errors
/// Where reading ends, after the duplicates up to there: never empty.
pub(super) fn parse_on(text: &str) -> Result<(Node, Vec<SyntaxError>), Vec<SyntaxError>> {
    let mut parser = Parser {
        text,
        at: 0,
        line: 1,
        column: 1,
        path: KeyPath::default(),
        duplicates: Vec::new(),
    };
    match parser.document() {
        Ok(node) => Ok((node, parser.duplicates)),
        Err(error) => Err(parser.duplicates.into_iter().chain([error]).collect()),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    column: u32,
    path: KeyPath,
    duplicates: Vec<SyntaxError>,
}

type Parsed<T> = Result<T, SyntaxError>;

impl<'a> Parser<'a> {
    fn document(&mut self) -> Parsed<Node> {
        let node = self.value()?;
        self.skip_space();
        match self.peek() {
            None => Ok(node),
            Some(c) => self.fail(format!("expected the end of the text, found {c:?}")),
        }
    }

    fn value(&mut self) -> Parsed<Node> {
        self.skip_space();
        let origin = self.origin();
        let value = match self.peek() {
            Some('{') => self.object()?,
            Some('[') => self.array()?,
            Some('"') => Value::String(self.string()?),
            Some('-' | '0'..='9') => self.number()?,
            Some('a'..='z') => self.word()?,
            other => return self.unexpected("a value", other),
        };
        Ok(Node { origin, value })
    }

    fn object(&mut self) -> Parsed<Value> {
        self.enter()?;
        let mut members: Vec<Member> = Vec::new();
        let mut seen = BTreeMap::new();
        if self.next_is('}') {
            return Ok(Value::Object(members));
        }
        loop {
            members.extend(self.member(&mut seen)?);
            if self.separator('}')? {
                return Ok(Value::Object(members));
            }
        }
    }

    /// `None`: a duplicate.
    fn member(&mut self, seen: &mut BTreeMap<String, (u32, u32)>) -> Parsed<Option<Member>> {
        self.skip_space();
        if self.peek() != Some('"') {
            let found = self.peek();
            return self.unexpected("a key in double quotes", found);
        }
        let (line, column) = (self.line, self.column);
        let origin = self.origin();
        let key = self.string()?;
        self.path.0.push(Step::Field(key.clone()));
        let first = seen.get(&key).copied();
        match first {
            Some(first) => self.note_duplicate(origin, first),
            None => drop(seen.insert(key.clone(), (line, column))),
        }
        if !self.next_is(':') {
            let found = self.peek();
            return self.unexpected("':' after a key", found);
        }
        let node = self.value()?;
        self.path.0.pop();
        Ok(first.is_none().then_some(Member { key, origin, node }))
    }

    fn note_duplicate(&mut self, origin: Origin, (line, column): (u32, u32)) {
        if self.duplicates.len() < MAX_DUPLICATES {
            self.duplicates.push(SyntaxError {
                origin,
                path: self.path.clone(),
                message: format!("duplicate key; the first is at line {line}, column {column}"),
            });
        }
    }

    fn array(&mut self) -> Parsed<Value> {
        self.enter()?;
        let mut nodes = Vec::new();
        if self.next_is(']') {
            return Ok(Value::Array(nodes));
        }
        loop {
            self.path.0.push(Step::Index(nodes.len()));
            nodes.push(self.value()?);
            self.path.0.pop();
            if self.separator(']')? {
                return Ok(Value::Array(nodes));
            }
        }
    }

    /// Takes the bracket that opens a list or an object. The path is as long as the nesting is deep.
    fn enter(&mut self) -> Parsed<()> {
        if self.path.0.len() >= MAX_DEPTH {
            return self.fail(format!("nested deeper than {MAX_DEPTH} levels"));
        }
        self.bump();
        Ok(())
    }

    /// After an element: true at the closing bracket, false after a comma.
    fn separator(&mut self, close: char) -> Parsed<bool> {
        if self.next_is(close) {
            return Ok(true);
        }
        if self.next_is(',') {
            return Ok(false);
        }
        let found = self.peek();
        self.unexpected(&format!("',' or '{close}'"), found)
    }

    fn string(&mut self) -> Parsed<String> {
        let Some(end) = quoted_end(self.rest()) else {
            return self.fail("a string is not closed".to_owned());
        };
        let literal = &self.rest()[..end];
        let Ok(string) = serde_json::from_str(literal) else {
            return self.fail("a string holds a bad escape or a control character".to_owned());
        };
        self.advance(end);
        Ok(string)
    }

    fn number(&mut self) -> Parsed<Value> {
        let is_number = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
        let literal = self.take_while(is_number);
        match serde_json::from_str(literal) {
            Ok(number) => {
                self.advance(literal.len());
                Ok(Value::Number(number))
            }
            Err(_) => self.fail(format!("{literal:.40} is not a number")),
        }
    }

    fn word(&mut self) -> Parsed<Value> {
        let word = self.take_while(|c| c.is_ascii_alphanumeric());
        let value = match word {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            _ => {
                return self.fail(format!(
                    "expected a value, found {word:.40} (a string needs double quotes)"
                ));
            }
        };
        self.advance(word.len());
        Ok(value)
    }

    fn take_while(&self, accept: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !accept(c)).unwrap_or(rest.len());
        &rest[..end]
    }

    /// Takes `expected` if it comes next, after white space.
    fn next_is(&mut self, expected: char) -> bool {
        self.skip_space();
        let yes = self.peek() == Some(expected);
        if yes {
            self.bump();
        }
        yes
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\r' | '\n')) {
            self.bump();
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn advance(&mut self, bytes: usize) {
        let end = self.at + bytes;
        while self.at < end {
            self.bump();
        }
    }

    fn bump(&mut self) {
        let Some(c) = self.peek() else { return };
        self.at += c.len_utf8();
        if c == '\n' {
            self.line = self.line.saturating_add(1);
            self.column = 1;
        } else {
            self.column = self.column.saturating_add(1);
        }
    }

    fn origin(&self) -> Origin {
        Origin::Text {
            line: self.line,
            column: self.column,
        }
    }

    fn unexpected<T>(&self, expected: &str, found: Option<char>) -> Parsed<T> {
        match found {
            Some(c) => self.fail(format!("expected {expected}, found {c:?}")),
            None => self.fail(format!("expected {expected}, found the end of the text")),
        }
    }

    fn fail<T>(&self, message: String) -> Parsed<T> {
        Err(SyntaxError {
            origin: self.origin(),
            path: self.path.clone(),
            message,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let e = parse(text).unwrap_err();
        format!("{:?} {}: {}", e.origin, e.path, e.message)
    }

    #[test]
    fn positions_are_those_of_keys_and_values() {
        let node = parse("{\n  \"ä\": 1, \"b\": [true,\n null]}").unwrap();
        let b = node.member("b").unwrap();
        assert_eq!(b.origin, Origin::Text { line: 2, column: 11 });
        let path = KeyPath::default().field("b").index(1);
        assert_eq!(node.locate(&path), Origin::Text { line: 3, column: 2 });
        assert_eq!(node.locate(&path.field("deeper")), Origin::Text { line: 3, column: 2 });
    }

    #[test]
    fn errors_name_the_place() {
        for (text, says) in [
            ("", "line: 1, column: 1 } : expected a value, found the end"),
            (
                "{\"a\": 1, \"a\": 2}",
                "column: 10 } a: duplicate key; the first is at line 1, column 2",
            ),
            ("{\"a\": [1 2]}", "column: 10 } a: expected ',' or ']', found '2'"),
            (
                "{\"a\": 1,}",
                "column: 9 } : expected a key in double quotes, found '}'",
            ),
            ("{a: 1}", "expected a key in double quotes, found 'a'"),
            ("{\"a\" 1}", "expected ':' after a key"),
            ("{\"a\": \"x", "a string is not closed"),
            ("{\"a\": \"\\q\"}", "bad escape"),
            ("{\"a\": 01}", "01 is not a number"),
            ("{\"a\": 1e999}", "is not a number"),
            ("{\"a\": yes}", "found yes (a string needs double quotes)"),
            ("{} {}", "expected the end of the text, found '{'"),
            ("\u{feff}{}", "expected a value"),
        ] {
            assert!(error(text).contains(says), "{text:?}: {}", error(text));
        }
    }

    #[test]
    fn depth_is_bounded() {
        assert!(error(&"[".repeat(100_000)).contains("nested deeper than 32"));
        assert!(error(&"{\"a\":".repeat(100_000)).contains("nested deeper than 32"));
        assert!(parse(&format!("{}{}", "[".repeat(32), "]".repeat(32))).is_ok());
    }
}
