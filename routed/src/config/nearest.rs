//! What somebody may have meant who wrote a name that does not exist.

/// The most names that are listed where none is near.
const LISTED: usize = 5;

/// The error about a key that does not exist: the one that may be meant first, then all that could stand there.
pub(super) fn unknown_key(word: &str, known: &[&str]) -> String {
    let all = known.join(", ");
    match nearest(word, known) {
        Some(name) => format!("unknown key; did you mean {name:?}? Expected {all}"),
        None => format!("unknown key; expected {all}"),
    }
}

fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let near = known.iter().filter_map(|name| Some((near(word, name)?, *name))).min();
    near.map(|(_, name)| name)
}

/// The end of an error about an unknown name: `; did you mean "partners"?`, else what there is.
pub(super) fn instead<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match (nearest(word, &known), known.len()) {
        (Some(name), _) => format!("; did you mean {name:?}?"),
        (None, 0) => "; there is none".to_owned(),
        (None, 1..=LISTED) => format!("; there is {}", known.join(", ")),
        (None, more) => format!("; there is {} and {} more", known[..LISTED].join(", "), more - LISTED),
    }
}

/// How far a name is from a word, if it may be meant. The word may come from outside and be of any length.
fn near(word: &str, name: &str) -> Option<usize> {
    let (long, short) = (word.len().max(name.len()), word.len().min(name.len()));
    let most = long / 3;
    (long - short <= most)
        .then(|| distance(word, name))
        .filter(|distance| *distance <= most)
}

/// Insertions, deletions and substitutions from one to the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, c) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, d) in other.iter().enumerate() {
            let substituted = diagonal + usize::from(c != *d);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_offered_and_others_listed() {
        for (word, known, says) in [
            (
                "partnrs",
                &["customers", "partners"][..],
                "; did you mean \"partners\"?",
            ),
            ("x", &["ax"], "; there is ax"),
            ("zzz", &["a", "b"], "; there is a, b"),
            ("zzz", &[], "; there is none"),
            (
                "zzz",
                &["a", "b", "c", "d", "e", "f", "g"],
                "; there is a, b, c, d, e and 2 more",
            ),
        ] {
            assert_eq!(instead(word, known.iter().copied()), says);
        }
        assert_eq!(
            unknown_key("adress", &["as", "address"]),
            "unknown key; did you mean \"address\"? Expected as, address"
        );
        assert_eq!(
            unknown_key("colour", &["as", "address"]),
            "unknown key; expected as, address"
        );
        let endless = "x".repeat(10 << 20);
        assert_eq!(instead(&endless, ["partners"]), "; there is partners");
        assert_eq!(
            [distance("", "abc"), distance("kitten", "sitting"), distance("a", "a")],
            [3, 3, 0]
        );
    }
}
