use super::*;
use crate::name::check;

fn block(names: &[&str]) -> BytesMut {
    let mut out = BytesMut::new();
    let mut previous = "";
    for name in names {
        append(previous, name, &mut out);
        previous = name;
    }
    out
}

fn names(block: &NameBlock) -> Vec<String> {
    let mut names = Vec::new();
    block.for_each(|name| names.push(name.to_owned()));
    names
}

#[test]
fn sorted_names_cost_what_differs() {
    let all: Vec<String> = (0..1000)
        .map(|i| format!("svc-{i:04}.team-7.dc1.acme.example"))
        .collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let bytes = block(&all);
    assert!(
        bytes.len() < all.len() * 4,
        "{} bytes for {} names",
        bytes.len(),
        all.len()
    );
    assert_eq!(names(&NameBlock::decode(bytes.freeze()).unwrap()), all);
}

/// Every way to cut two names of a small alphabet together: the incremental check says what the whole one says.
#[test]
fn the_check_of_what_changed_equals_the_check_of_the_whole() {
    let before = ["*", "*.a", "a", "a-b", "ab.c-d", "a.b.c", "a_.bb"];
    let middles = [
        "", "a", "-", ".", "*", "*.", ".*", "a.", ".a", "a.a", "..", "-.", ".-", "A", "\u{e4}", "a-a",
    ];
    for previous in before {
        for prefix in 0..=previous.len() {
            for suffix in 0..=previous.len() - prefix {
                for middle in middles {
                    let text = [&previous[..prefix], middle, &previous[previous.len() - suffix..]].concat();
                    let mut bytes = block(&[previous]);
                    bytes.put_slice(&[SUFFIX + byte(middle.len()), byte(prefix), byte(suffix)]);
                    bytes.put_slice(middle.as_bytes());
                    let decoded = NameBlock::decode(bytes.freeze());
                    assert_eq!(
                        decoded.is_ok(),
                        check(&text).is_ok(),
                        "{previous:?} -> {text:?}: {decoded:?}"
                    );
                    if let Ok(block) = decoded {
                        assert_eq!(names(&block), [previous, &text]);
                    }
                }
            }
        }
    }
}

#[test]
fn a_label_or_name_that_grows_at_the_seams_is_measured() {
    let label = "a".repeat(MAX_LABEL_BYTES);
    let mut bytes = block(&[&label]);
    bytes.put_slice(&[0x81, 40, 23, b'a']);
    let error = NameBlock::decode(bytes.freeze()).unwrap_err();
    assert_eq!(error, (1, NameProblem::Name(NameError::LabelTooLong(64))));

    let long = [label.as_str(); 3].join(".") + "." + &"b".repeat(61);
    let mut bytes = block(&[&long]);
    bytes.put_slice(&[0x81, 100, 153, b'a']);
    let error = NameBlock::decode(bytes.freeze()).unwrap_err();
    assert_eq!(error, (1, NameProblem::Name(NameError::TooLong(254))));
}

#[test]
fn broken_structure_names_the_place() {
    for (bytes, problem) in [
        (&[0x81, 0, 0, b'a', 0x80, 1, 1][..], NameProblem::SharesTooMuch),
        (&[0x81, 0, 0, b'a', 0, 2], NameProblem::SharesTooMuch),
        (&[0x81, 0, 0, b'a', 2, 0, b'b', b'c'], NameProblem::SharesTooMuch),
        (&[0x81, 0, 0, b'a', 0x80, 0], NameProblem::Truncated),
        (&[0x81, 0, 0, b'a', 0xff, 1, 0], NameProblem::Truncated),
        (&[0x81, 0, 0, b'a', 0x82, 0, 0, b'b'], NameProblem::Truncated),
        (&[0x81, 0, 0, b'a', 0x80, 0, 0], NameProblem::Name(NameError::Empty)),
    ] {
        assert_eq!(NameBlock::decode(Bytes::copy_from_slice(bytes)), Err((1, problem)));
    }
}

/// The three forms say the same where more than one can.
#[test]
fn every_form_is_read() {
    let long = "x".repeat(60);
    let long = [long.as_str(); 3].join(".");
    let all = ["a.acme", "b.acme", "bb.acme", &long];
    let coded = block(&all);
    assert_eq!((coded[0], coded[9], coded[12]), (0x86, 1, 0x81));
    assert_eq!(coded[16..20], [LONG, 182, 0, 0]);
    assert_eq!(names(&NameBlock::decode(coded.freeze()).unwrap()), all);
    let mut spelled = BytesMut::new();
    for name in all {
        spelled.put_slice(&[LONG, byte(name.len()), 0, 0]);
        spelled.put_slice(name.as_bytes());
    }
    let spelled = NameBlock::decode(spelled.freeze()).unwrap();
    assert_eq!((names(&spelled), spelled.len()), (all.map(str::to_owned).to_vec(), 4));
}
