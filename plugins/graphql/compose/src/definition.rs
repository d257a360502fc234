//! One shape over the twelve type definitions and extensions of the syntax tree.

use crate::model::Kind;
use apollo_compiler::ast::{
    Definition, DirectiveList, EnumValueDefinition, FieldDefinition, InputValueDefinition, OperationType,
};
use apollo_compiler::{Name, Node};

/// A definition or extension of a type; what its kind has not is empty.
pub(crate) struct TypeParts<'a> {
    pub(crate) kind: Kind,
    pub(crate) name: &'a Name,
    pub(crate) directives: &'a DirectiveList,
    pub(crate) description: Option<&'a str>,
    pub(crate) implements: &'a [Name],
    pub(crate) fields: &'a [Node<FieldDefinition>],
    pub(crate) inputs: &'a [Node<InputValueDefinition>],
    pub(crate) values: &'a [Node<EnumValueDefinition>],
    pub(crate) members: &'a [Name],
}

impl<'a> TypeParts<'a> {
    fn new(kind: Kind, name: &'a Name, directives: &'a DirectiveList) -> Self {
        Self {
            kind,
            name,
            directives,
            description: None,
            implements: &[],
            fields: &[],
            inputs: &[],
            values: &[],
            members: &[],
        }
    }
}

/// Reads one shape; a macro because definitions and extensions differ in nothing but their type and the description.
macro_rules! parts {
    ($def:ident, $kind:ident $(, $part:ident: $field:ident)*) => {
        TypeParts { $($part: &$def.$field,)* ..TypeParts::new(Kind::$kind, &$def.name, &$def.directives) }
    };
}

/// The parts of a type definition or extension; `None` for anything else.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "another crate's enum, of which only types matter here"
)]
pub(crate) fn type_parts(definition: &Definition) -> Option<TypeParts<'_>> {
    use Definition as D;
    let mut parts = match definition {
        D::ScalarTypeDefinition(def) => parts!(def, Scalar),
        D::ScalarTypeExtension(def) => parts!(def, Scalar),
        D::ObjectTypeDefinition(def) => parts!(def, Object, fields: fields, implements: implements_interfaces),
        D::ObjectTypeExtension(def) => parts!(def, Object, fields: fields, implements: implements_interfaces),
        D::InterfaceTypeDefinition(def) => parts!(def, Interface, fields: fields, implements: implements_interfaces),
        D::InterfaceTypeExtension(def) => parts!(def, Interface, fields: fields, implements: implements_interfaces),
        D::UnionTypeDefinition(def) => parts!(def, Union, members: members),
        D::UnionTypeExtension(def) => parts!(def, Union, members: members),
        D::EnumTypeDefinition(def) => parts!(def, Enum, values: values),
        D::EnumTypeExtension(def) => parts!(def, Enum, values: values),
        D::InputObjectTypeDefinition(def) => parts!(def, Input, inputs: fields),
        D::InputObjectTypeExtension(def) => parts!(def, Input, inputs: fields),
        _ => return None,
    };
    parts.description = description(definition);
    Some(parts)
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "another crate's enum; extensions have no description"
)]
fn description(definition: &Definition) -> Option<&str> {
    use Definition as D;
    let text = match definition {
        D::ScalarTypeDefinition(def) => &def.description,
        D::ObjectTypeDefinition(def) => &def.description,
        D::InterfaceTypeDefinition(def) => &def.description,
        D::UnionTypeDefinition(def) => &def.description,
        D::EnumTypeDefinition(def) => &def.description,
        D::InputObjectTypeDefinition(def) => &def.description,
        _ => return None,
    };
    text.as_deref()
}

/// The root operations that a schema definition or extension names.
pub(crate) fn root_operations(definition: &Definition) -> &[Node<(OperationType, Name)>] {
    let defined = definition.as_schema_definition().map(|def| &*def.root_operations);
    let extended = definition.as_schema_extension().map(|def| &*def.root_operations);
    defined.or(extended).unwrap_or_default()
}
