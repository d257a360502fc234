//! Finding the bad resources of a refused response.

use crate::ads::state::Item;
use crate::resource::ResourceKind;

/// More names than this in one error text do not say much; halving finds the bad one faster.
const MAX_SUSPECTS: usize = 8;
/// An error text may repeat a whole configuration; the names come first.
const MAX_SEARCH_BYTES: usize = 16 * 1024;

/// What to do about a refused response.
#[derive(Debug, Default)]
pub(super) struct Isolation {
    /// Certainly bad.
    pub(super) guilty: Vec<Item>,
    /// To be sent again, batch by batch. Each is smaller than the one refused, so this comes to an end.
    pub(super) retry: Vec<Vec<Item>>,
}

/// Splits the resources of a refused response by Envoy's error text.
///
/// CDS and LDS take the good part of a response and name each bad resource; it is then certain. It must be, for
/// clusters: one that fails late stays in Envoy, warming, and sending it again alone would be taken for no change and
/// acknowledged. Everything else is refused as a whole: suspects go alone, and without any suspect the batch is halved.
/// The innocent ones are sent again in any case, as Envoy notes versions of accepted responses only.
pub(super) fn isolate(kind: ResourceKind, items: Vec<Item>, error: &str) -> Isolation {
    if items.len() <= 1 {
        return Isolation {
            guilty: items,
            retry: Vec::new(),
        };
    }
    let error = clip(error, MAX_SEARCH_BYTES);
    if names_each_bad_one(kind) {
        let (guilty, rest): (Vec<_>, Vec<_>) = items.iter().cloned().partition(|item| blames(error, &item.name));
        if !guilty.is_empty() {
            return Isolation {
                guilty,
                retry: non_empty([rest]),
            };
        }
    }
    let (suspects, rest): (Vec<_>, Vec<_>) = items.iter().cloned().partition(|item| mentions(error, &item.name));
    if suspects.is_empty() || rest.is_empty() || suspects.len() > MAX_SUSPECTS {
        return Isolation {
            guilty: Vec::new(),
            retry: halves(items),
        };
    }
    let alone = suspects.into_iter().map(|item| vec![item]);
    Isolation {
        guilty: Vec::new(),
        retry: std::iter::once(rest).chain(alone).collect(),
    }
}

fn names_each_bad_one(kind: ResourceKind) -> bool {
    matches!(kind, ResourceKind::Cluster | ResourceKind::Listener)
}

fn halves(mut items: Vec<Item>) -> Vec<Vec<Item>> {
    let right = items.split_off(items.len() / 2);
    non_empty([items, right])
}

fn non_empty<const N: usize>(batches: [Vec<Item>; N]) -> Vec<Vec<Item>> {
    batches.into_iter().filter(|batch| !batch.is_empty()).collect()
}

/// Whether the text blames the name the way CDS and LDS do: `... NAME: what is wrong`.
fn blames(error: &str, name: &str) -> bool {
    error.match_indices(name).any(|(at, _)| {
        let before = error[..at].chars().next_back();
        before.is_none_or(char::is_whitespace) && error[at + name.len()..].starts_with(": ")
    })
}

/// Whether the text holds the name as a word of its own.
fn mentions(error: &str, name: &str) -> bool {
    !name.is_empty()
        && error.match_indices(name).any(|(at, _)| {
            let before = error[..at].chars().next_back();
            let after = error[at + name.len()..].chars().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        })
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '-' | '_' | '.' | '/' | '*')
}

/// The beginning of `text`, at most `max` bytes, cut between characters.
pub(super) fn clip(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(names: &[&str]) -> Vec<Item> {
        names
            .iter()
            .map(|name| Item {
                name: (*name).into(),
                content: None,
            })
            .collect()
    }

    fn names(items: &[Item]) -> Vec<&str> {
        items.iter().map(|item| &*item.name).collect()
    }

    #[test]
    fn a_lone_resource_is_guilty_whatever_the_text_says() {
        let found = isolate(ResourceKind::ScopedRoute, items(&["a"]), "no idea");
        assert_eq!(names(&found.guilty), ["a"]);
        assert!(found.retry.is_empty());
    }

    #[test]
    fn clusters_are_blamed_by_name_and_the_rest_goes_again() {
        let text = "Error adding/updating cluster(s) hop: minimum ring size, hop/2: bad";
        let found = isolate(ResourceKind::Cluster, items(&["hop", "hop/1", "hop/2"]), text);
        assert_eq!(names(&found.guilty), ["hop", "hop/2"]);
        assert_eq!(found.retry.len(), 1);
        assert_eq!(names(&found.retry[0]), ["hop/1"]);
    }

    #[test]
    fn scopes_that_are_named_go_alone() {
        let text = "scope key conflict found, first scope is 'a', second scope is 'b'";
        let found = isolate(ResourceKind::ScopedRoute, items(&["a", "a.b", "b", "c"]), text);
        assert!(found.guilty.is_empty());
        let batches: Vec<_> = found.retry.iter().map(|batch| names(batch)).collect();
        assert_eq!(batches, [vec!["a.b", "c"], vec!["a"], vec!["b"]]);
    }

    #[test]
    fn without_a_suspect_the_batch_is_halved() {
        let found = isolate(ResourceKind::ScopedRoute, items(&["a", "b", "c"]), "something is wrong");
        let batches: Vec<_> = found.retry.iter().map(|batch| names(batch)).collect();
        assert_eq!(batches, [vec!["a"], vec!["b", "c"]]);
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(clip("aäb", 2), "a");
        assert_eq!(clip("aäb", 9), "aäb");
    }
}
