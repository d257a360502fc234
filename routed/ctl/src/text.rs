//! Text that fits.

use std::sync::OnceLock;

/// Columns of the widest line on a narrow terminal.
pub(crate) const WIDTH: usize = 100;
/// For programs (`| grep`): nothing is cut, nothing goes on in another line.
const WITHOUT_END: usize = usize::MAX >> 1;

static COLUMNS: OnceLock<usize> = OnceLock::new();

/// Columns of the widest line. [`WIDTH`] unless [`fit`] was called.
pub(crate) fn columns() -> usize {
    COLUMNS.get().copied().unwrap_or(WIDTH)
}

/// Fits all further text to where it goes. Once per process.
pub(crate) fn fit(terminal_columns: Option<u16>) {
    COLUMNS.get_or_init(|| columns_for(terminal_columns));
}

/// `None`: no terminal.
fn columns_for(terminal_columns: Option<u16>) -> usize {
    terminal_columns.map_or(WITHOUT_END, |columns| WIDTH.max(columns.into()))
}

/// Columns that a text takes. Names, addresses and reasons are written in scripts of single width.
pub(crate) fn width(text: &str) -> usize {
    text.chars().count()
}

/// The text as one line: whatever would move the cursor becomes a space.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Cuts the middle out of a text that is too long: names differ at both ends.
pub(crate) fn elide_middle(text: &str, max: usize) -> String {
    let total = width(text);
    if total <= max {
        return text.to_owned();
    }
    let kept = max.saturating_sub(1);
    let head: String = text.chars().take(kept.div_ceil(2)).collect();
    let tail: String = text.chars().skip(total - kept / 2).collect();
    format!("{head}…{tail}")
}

/// Two texts in at most `max` columns each, cut where they are alike: where they begin to differ is seen.
pub(crate) fn apart(one: &str, other: &str, max: usize) -> (String, String) {
    let alike = one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let from = alike.saturating_sub(max / 4);
    (excerpt(one, from, max), excerpt(other, from, max))
}

/// `max` columns of a text from a character on, or from earlier where it has no more.
fn excerpt(text: &str, from: usize, max: usize) -> String {
    let total = width(text);
    if total <= max {
        return text.to_owned();
    }
    let room = max.saturating_sub(2);
    let from = from.min(total.saturating_sub(room));
    let shown: String = text.chars().skip(from).take(room).collect();
    let (before, after) = (from > 0, from + room < total);
    format!(
        "{}{shown}{}",
        if before { "…" } else { "" },
        if after { "…" } else { "" }
    )
}

/// [`wrap`] into at most `lines` lines: of a longer text the middle is cut out, since causes stand at the end.
pub(crate) fn wrap_within(text: &str, max: usize, lines: usize) -> Vec<String> {
    let mut wrapped = wrap(text, max);
    // Words that do not fill their lines make the text need more of them.
    let mut kept = max.saturating_mul(lines).min(width(text));
    while wrapped.len() > lines && kept > 0 {
        kept -= 1;
        wrapped = wrap(&elide_middle(text, kept), max);
    }
    wrapped
}

/// Breaks a text into lines of at most `max` columns, between words where there are any.
pub(crate) fn wrap(text: &str, max: usize) -> Vec<String> {
    if width(text) <= max {
        return vec![text.split_whitespace().collect::<Vec<_>>().join(" ")];
    }
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut rest: Vec<char> = word.chars().collect();
        let used = lines.last().map_or(0, |line| width(line));
        if used > 0 && used + 1 + rest.len() > max {
            lines.push(String::new());
        }
        while rest.len() > max {
            let tail = rest.split_off(max);
            push_word(&mut lines, &rest.iter().collect::<String>());
            lines.push(String::new());
            rest = tail;
        }
        push_word(&mut lines, &rest.iter().collect::<String>());
    }
    lines
}

fn push_word(lines: &mut [String], word: &str) {
    let Some(line) = lines.last_mut() else { return };
    if !line.is_empty() {
        line.push(' ');
    }
    line.push_str(word);
}

/// `1 path`, `2 paths`.
pub(crate) fn count(number: u64, one: &str) -> String {
    if number == 1 {
        format!("1 {one}")
    } else {
        format!("{number} {one}s")
    }
}

/// A length of time as people say it: `7s`, `3m12s`, `5h02m`, `9d04h`.
pub(crate) fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_where_they_are_alike() {
        assert_eq!(apart("abc", "abd", 3), ("abc".to_owned(), "abd".to_owned()));
        let list = |last: &str| format!("[{}{last:?}]", r#""a.acme","#.repeat(20));
        let (one, other) = apart(&list("b.acme"), &list("c.acme"), 30);
        assert!(
            one != other && one.ends_with(r#""b.acme"]"#) && other.ends_with(r#""c.acme"]"#),
            "{one} {other}"
        );
        let (one, other) = apart(&format!("xy{}", "z".repeat(50)), &format!("xx{}", "z".repeat(50)), 20);
        assert_eq!(
            (one.as_str(), other.as_str()),
            ("xyzzzzzzzzzzzzzzzz…", "xxzzzzzzzzzzzzzzzz…")
        );
        let (one, other) = apart(&"x".repeat(99), "", 20);
        assert_eq!((width(&one), other.as_str()), (19, ""));
        let long = "0123456789".repeat(9);
        let (one, other) = apart(&format!("{long}A{long}"), &format!("{long}B{long}"), 20);
        assert!(one.contains("789A012") && other.contains("789B012"), "{one} {other}");
        assert!(width(&one) <= 20 && width(&other) <= 20);
    }

    #[test]
    fn elision_keeps_to_the_width() {
        assert_eq!(elide_middle("orders.dc1.acme", 15), "orders.dc1.acme");
        assert_eq!(elide_middle("orders.dc1.acme", 10), "order…acme");
        assert_eq!(elide_middle("äöüäöüäöü", 5), "äö…öü");
        assert_eq!(clean("a\nb\x1b[31mc"), "a b [31mc");
    }

    #[test]
    fn wrapping_breaks_between_words_and_through_long_ones() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a bbbbbbbbbb c", 4), ["a", "bbbb", "bbbb", "bb c"]);
        assert_eq!(wrap("", 4), [""]);
    }

    #[test]
    fn long_texts_keep_their_beginning_and_their_end() {
        let text = "envoy rejected: Proto constraint validation failed (ClusterValidationError.ConnectTimeout: value \
                    must be greater than 0s)";
        for (columns, lines) in [(20, 3), (31, 2), (7, 1), (1, 1)] {
            let wrapped = wrap_within(text, columns, lines);
            assert!(wrapped.len() <= lines, "{wrapped:?}");
            assert!(wrapped.iter().all(|line| width(line) <= columns), "{wrapped:?}");
        }
        let wrapped = wrap_within(text, 30, 3);
        assert!(
            wrapped[0].starts_with("envoy rejected: ") && wrapped[2].ends_with("than 0s)"),
            "{wrapped:?}"
        );
        assert_eq!(wrap_within("short text", 30, 3), ["short text"]);
    }

    #[test]
    fn the_terminal_decides_how_wide_lines_are() {
        assert_eq!([Some(80), Some(100), Some(238)].map(columns_for), [100, 100, 238]);
        let long = "a word ".repeat(10_000);
        assert_eq!(wrap(&long, columns_for(None)), [long.trim()], "no terminal: as it is");
        assert_eq!(columns(), WIDTH);
    }

    #[test]
    fn counts_agree_in_number() {
        assert_eq!([0, 1, 2].map(|n| count(n, "path")), ["0 paths", "1 path", "2 paths"]);
    }

    #[test]
    fn durations_are_short() {
        assert_eq!(
            [7, 192, 18_120, 792_000].map(duration),
            ["7s", "3m12s", "5h02m", "9d04h"]
        );
    }
}
