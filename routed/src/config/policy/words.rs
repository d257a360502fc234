//! The words of the policy language: sets in place of values, names of peers and policies, choices.

use catalyst_core::policy::Verdict;
use catalyst_core::route::Table;
use catalyst_core::view::Direction;
use catalyst_core::wire::Family;

use super::super::text::{Label, Text};

/// The mark of a named set.
pub(super) const SET_MARK: char = '@';

/// A value, or a named set of values in its place: `@partners`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item<T> {
    /// The set of this name, of the kind that belongs to the key.
    Set(Label),
    /// The value itself.
    Value(T),
}

/// A value that sets hold.
pub trait InSets: Text {
    /// The section of its sets: `sets.names`.
    const SECTION: &'static str;
    /// What to write where a set may stand in its place.
    const OR_SET: &'static str;
}

impl<T: InSets> Text for Item<T> {
    const EXPECTED: &'static str = T::OR_SET;
    const EXAMPLE: &'static str = T::EXAMPLE;

    fn parse(text: &str) -> Result<Self, Option<String>> {
        match text.strip_prefix(SET_MARK) {
            Some(name) => Label::parse(name).map(Self::Set),
            None => T::parse(text).map(Self::Value),
        }
    }

    fn print(&self) -> String {
        match self {
            Self::Set(name) => format!("{SET_MARK}{}", name.0),
            Self::Value(value) => value.print(),
        }
    }
}

impl InSets for Label {
    const SECTION: &'static str = "organisations";
    const OR_SET: &'static str = "an organisation, or a set of sets.organisations such as \"@partners\"";
}

/// A peer by its key in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerWord(pub Label);

impl Text for PeerWord {
    const EXPECTED: &'static str = "the name of a peer";
    const EXAMPLE: &'static str = "b";

    fn parse(text: &str) -> Result<Self, Option<String>> {
        Label::parse(text).map(Self)
    }

    fn print(&self) -> String {
        self.0.0.clone()
    }
}

impl InSets for PeerWord {
    const SECTION: &'static str = "peers";
    const OR_SET: &'static str = "the name of a peer, or a set of sets.peers such as \"@customers\"";
}

/// A policy by its key under `policies`, or a built-in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyWord(pub Label);

impl Text for PolicyWord {
    const EXPECTED: &'static str = "the name of a policy, or accept, or reject";
    const EXAMPLE: &'static str = "accept";

    fn parse(text: &str) -> Result<Self, Option<String>> {
        Label::parse(text).map(Self)
    }

    fn print(&self) -> String {
        self.0.0.clone()
    }
}

/// Types that are one of a few words.
macro_rules! choice {
    ($type:ty, $expected:literal, $($word:literal => $value:expr),+) => {
        impl Text for $type {
            const EXPECTED: &'static str = $expected;
            const EXAMPLE: &'static str = [$($word),+][1];
            const CHOICES: &'static [&'static str] = &[$($word),+];

            fn parse(text: &str) -> Result<Self, Option<String>> {
                match text {
                    $($word => Ok($value),)+
                    _ => Err(None),
                }
            }

            fn print(&self) -> String {
                [$(($word, $value)),+]
                    .into_iter()
                    .find(|(_, value)| value == self)
                    .map(|(word, _)| word.to_owned())
                    .unwrap_or_default()
            }
        }
    };
}

choice!(Verdict, "accept, reject or next", "accept" => Self::Accept, "reject" => Self::Reject, "next" => Self::Next);
choice!(Family, "name, ipv4 or ipv6", "name" => Self::Name, "ipv4" => Self::Ipv4, "ipv6" => Self::Ipv6);
choice!(Table, "internal or external", "internal" => Self::Internal, "external" => Self::External);

choice!(Direction, "import or export", "import" => Self::Import, "export" => Self::Export);

/// How a test is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The route passes.
    Accept,
    /// It does not.
    Reject,
}

choice!(Decision, "accept or reject", "accept" => Self::Accept, "reject" => Self::Reject);

#[cfg(test)]
mod tests {
    use super::super::super::text::Spelled;
    use super::*;

    #[test]
    fn choices_print_as_they_are_read() {
        fn same<T: Text>() {
            for word in T::CHOICES {
                assert_eq!(Spelled::<T>::parse(word).unwrap().0.print(), *word);
            }
            assert!(Spelled::<T>::parse("x").is_err() && T::CHOICES.contains(&T::EXAMPLE));
        }
        same::<Verdict>();
        same::<Family>();
        same::<Table>();
        same::<Direction>();
        same::<Decision>();
    }
}
