//! Types that several services define and that are no entities: they must have the same content in all.

use super::fields::first_difference;
use super::{Part, is_entity, is_plain};
use crate::error::{CompositionError, ErrorCode, Errors};
use crate::model::{self, Kind};

/// Whether the services' definitions of a type may be merged; pushes why not.
pub(super) fn check(name: &str, parts: &[Part<'_>], errors: &mut Errors) -> bool {
    let Some((first, rest)) = parts.split_first() else {
        return false;
    };
    if model::is_root(name) {
        return true;
    }
    let mut ok = true;
    for part in rest {
        let error = meaning_conflict(name, first, part, parts).or_else(|| content_conflict(name, first, part, parts));
        ok &= error.is_none();
        error.into_iter().for_each(|error| errors.push(error));
    }
    ok
}

/// A service outside federation never meant another service's entity.
fn meaning_conflict(name: &str, a: &Part<'_>, b: &Part<'_>, parts: &[Part<'_>]) -> Option<CompositionError> {
    if !is_entity(parts) {
        return None;
    }
    let plain = [a, b].into_iter().find(|part| is_plain(part))?;
    let entity = parts.iter().find(|part| !part.def.keys.is_empty())?;
    let (p, e) = (plain.service(), entity.service());
    let text =
        format!("{name} is an entity in \"{e}\" and an unrelated type in \"{p}\", which is no federated service");
    Some(
        CompositionError::new(ErrorCode::TypeConflict, p, text)
            .and_service(e)
            .on_type(name),
    )
}

fn content_conflict(name: &str, a: &Part<'_>, b: &Part<'_>, parts: &[Part<'_>]) -> Option<CompositionError> {
    let (item, difference) = match a.def.kind {
        Kind::Object if is_entity(parts) => return None,
        Kind::Object | Kind::Interface => ("field", only_in_one(a, b, |part| part.def.fields.keys().collect())?),
        Kind::Union => ("member", only_in_one(a, b, |part| part.def.members.iter().collect())?),
        Kind::Enum => ("value", only_in_one(a, b, |part| part.def.values.keys().collect())?),
        Kind::Input => ("input field", input_difference(a, b)?),
        Kind::Scalar => return None,
    };
    let (x, y) = (a.service(), b.service());
    let unrelated = is_plain(a) || is_plain(b);
    let code = if unrelated {
        ErrorCode::TypeConflict
    } else {
        ErrorCode::ValueTypeMismatch
    };
    let text = format!("{name} differs between \"{x}\" and \"{y}\": {item} {difference}");
    let error = CompositionError::new(code, y, text).and_service(x);
    let field = difference.split(' ').next().unwrap_or_default();
    Some(error.on_field(name, field))
}

/// `x is only in "a"`.
fn only_in_one<'a>(a: &Part<'a>, b: &Part<'a>, names: impl Fn(&Part<'a>) -> Vec<&'a String>) -> Option<String> {
    let missing = |from: &Part<'a>, other: &Part<'a>| {
        let known = names(other);
        let name = names(from).into_iter().find(|name| !known.contains(name))?;
        Some(format!("{name} is only in \"{}\"", from.schema.service))
    };
    missing(a, b).or_else(|| missing(b, a))
}

fn input_difference(a: &Part<'_>, b: &Part<'_>) -> Option<String> {
    let name = first_difference(&a.def.inputs, &b.def.inputs)?;
    let show = |part: &Part<'_>| {
        let found = part.def.inputs.get(&name).map(|input| input.ty.to_string());
        format!(
            "{} in \"{}\"",
            found.unwrap_or_else(|| "missing".to_owned()),
            part.schema.service
        )
    };
    Some(format!("{name} is {} and {}", show(a), show(b)))
}
