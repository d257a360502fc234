use crate::*;

const LINK: &str = r#"extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key", "@shareable", "@external", "@requires", "@provides", "@inaccessible", "@override", "@interfaceObject", "@tag"])"#;

fn subgraph(name: &str, sdl: &str) -> Subgraph {
    Subgraph::new(name, format!("http://127.0.0.1:8081/{name}"), sdl)
}

fn federated(name: &str, sdl: &str) -> Subgraph {
    subgraph(name, &format!("{LINK}\n{sdl}"))
}

fn composed(subgraphs: &[Subgraph]) -> String {
    compose(subgraphs)
        .unwrap_or_else(|errors| panic!("does not compose: {errors:#?}"))
        .sdl
}

/// The errors, which must all have `code`.
fn refused(code: ErrorCode, subgraphs: &[Subgraph]) -> Vec<CompositionError> {
    let errors = compose(subgraphs).expect_err("composes");
    assert!(
        errors.iter().all(|error| error.code == code),
        "expected {code}: {errors:#?}"
    );
    errors
}

/// The single error: its services, its `Type.field` and its text are checked.
fn refused_at(code: ErrorCode, place: &str, services: &[&str], subgraphs: &[Subgraph]) -> String {
    let errors = refused(code, subgraphs);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    let error = &errors[0];
    let found = [error.type_name.as_deref(), error.field.as_deref()]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(".");
    assert_eq!(found, place, "{error:#?}");
    assert_eq!(error.services, services, "{error:#?}");
    for service in services {
        assert!(
            error.message.contains(&format!("\"{service}\"")),
            "{service} is not in: {}",
            error.message
        );
    }
    error.to_string()
}

/// Compares with `tests/golden/NAME.graphql`; `BLESS=1` writes it.
fn golden(name: &str, sdl: &str) {
    let path = format!("{}/tests/golden/{name}.graphql", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, sdl).expect("golden file is writable");
    }
    let expected = std::fs::read_to_string(&path).expect("golden file");
    assert_eq!(sdl, expected, "{path} differs; BLESS=1 rewrites it");
}

fn shop() -> Vec<Subgraph> {
    let products = federated(
        "products.dc1.acme",
        r#"
        type Query { products(first: Int = 5, order: Order = { by: NAME }): [Product!]! product(id: ID!): Product }
        type Mutation { addProduct(name: String!): Product }
        "Something to buy"
        type Product @key(fields: "id") @key(fields: "sku maker { id }") {
          id: ID! sku: String! maker: Maker! name: String! weight: Int
          price: Money
          secret: String @inaccessible
          old: Int @deprecated(reason: "use \"price\"")
        }
        type Maker @key(fields: "id") { id: ID! }
        type Money @shareable { cents: Int! currency: Currency! }
        enum Currency { EUR USD }
        enum By { NAME PRICE }
        input Order { by: By! = NAME }
        "#,
    );
    let reviews = federated(
        "reviews.dc2.acme",
        r#"
        type Query { latest: [Review!]! }
        interface Node { id: ID! }
        type Review implements Node @key(fields: "id") { id: ID! body: String! product: Product! @provides(fields: "name") refund: Money }
        type Product @key(fields: "id") {
          id: ID!
          name: String! @external
          weight: Int @external
          shipping: Int @requires(fields: "weight")
          reviews: [Review!]!
        }
        type Money @shareable { cents: Int! currency: Currency! }
        enum Currency { EUR USD }
        union Found = Review | Product
        scalar Date
        "#,
    );
    let hello = subgraph(
        "hello.dc1.acme",
        "type Query { hello(name: String = \"you\\n\"): String, at: Time } scalar Time",
    );
    vec![products, reviews, hello]
}

#[test]
fn shop_with_entities_values_and_a_plain_service() {
    golden("shop", &composed(&shop()));
}

#[test]
fn order_of_services_does_not_matter() {
    let mut reversed = shop();
    reversed.reverse();
    assert_eq!(composed(&reversed), composed(&shop()));
}

#[test]
fn composed_graph_is_valid_input_for_itself_after_reparse() {
    let sdl = composed(&shop());
    apollo_compiler::Schema::parse_and_validate(sdl, "supergraph").expect("valid schema");
}

#[test]
fn federation_1_extends_an_entity() {
    let users = subgraph(
        "users",
        "type Query { me: User } type User @key(fields: \"id\") { id: ID! name: String }",
    );
    let posts = subgraph(
        "posts",
        "extend type Query { posts: [Post] } type Post { author: User } extend type User @key(fields: \"id\") { id: ID! @external posts: [Post] }",
    );
    golden("federation1", &composed(&[users, posts]));
}

#[test]
fn renamed_roots_and_directives() {
    let sdl = r#"
        schema @link(url: "https://specs.apollo.dev/federation/v2.0", as: "fed", import: [{ name: "@key", as: "@id" }]) { query: Root mutation: Changes }
        type Root { thing: Thing again: Root }
        type Changes { touch: Root }
        type Thing @id(fields: "id") { id: ID! name: String @fed__shareable }
    "#;
    let other = federated(
        "other",
        "type Query { x: Int } type Thing @key(fields: \"id\") { id: ID! name: String @shareable }",
    );
    golden("renamed", &composed(&[subgraph("main", sdl), other]));
}

#[test]
fn graph_names_are_unique_names() {
    let sdl = |field: &str| format!("type Query {{ {field}: Int }}");
    let text = composed(&[
        subgraph("a-b", &sdl("a")),
        subgraph("a.b", &sdl("b")),
        subgraph("9lives", &sdl("c")),
        subgraph("größe", &sdl("d")),
    ]);
    for value in ["A_B @", "A_B__2 @", "G_9LIVES @", "GR__E @"] {
        assert!(text.contains(&format!("  {value}")), "{value} is not in {text}");
    }
}

#[test]
fn nullability_widens() {
    let a = federated(
        "a",
        "type Query { m: Money } type Money @shareable { cents: Int! tags: [String!]! }",
    );
    let b = federated(
        "b",
        "type Query { n: Money } type Money @shareable { cents: Int tags: [String]! }",
    );
    let text = composed(&[a, b]);
    assert!(
        text.contains(r#"cents: Int @join__field(graph: A, type: "Int!") @join__field(graph: B)"#),
        "{text}"
    );
    assert!(
        text.contains(r#"tags: [String]! @join__field(graph: A, type: "[String!]!") @join__field(graph: B)"#),
        "{text}"
    );
}

#[test]
fn strings_survive_in_any_shape() {
    let sdl = "\"\"\"\n  two\n  \"lines\" \\\\ \u{e4}\u{7}\n\"\"\"\ntype Query { x: Int @deprecated }";
    let text = composed(&[subgraph("a", sdl)]);
    assert!(text.contains(r#""two\n\"lines\" \\\\ ä\u0007""#), "{text}");
    assert!(text.contains(r#"@deprecated(reason: "No longer supported")"#), "{text}");
}

#[test]
fn one_of_inputs_stay() {
    let text = composed(&[subgraph(
        "a",
        "type Query { x(by: By): Int } input By @oneOf { id: ID name: String }",
    )]);
    assert!(text.contains("input By @oneOf\n"), "{text}");
}

// One test per kind of conflict.

#[test]
fn syntax_error_has_a_place() {
    let text = refused_at(
        ErrorCode::InvalidSyntax,
        "",
        &["a"],
        &[subgraph("a", "type Query {\n  x: }")],
    );
    assert!(text.contains("at 2:6"), "{text}");
}

#[test]
fn too_large_too_deep_too_many() {
    let large = subgraph("a", &" ".repeat(MAX_SDL_BYTES + 1));
    refused_at(ErrorCode::LimitExceeded, "", &["a"], &[large]);
    let deep = format!("type Query {{ x: {}Int{} }}", "[".repeat(5000), "]".repeat(5000));
    assert!(compose(&[subgraph("a", &deep)]).is_err());
    let many: Vec<_> = (0..=MAX_SUBGRAPHS)
        .map(|i| subgraph(&format!("s{i}"), "type Query { x: Int }"))
        .collect();
    refused(ErrorCode::LimitExceeded, &many);
}

#[test]
fn one_name_twice() {
    let twice = subgraph("a", "type Query { x: Int }");
    refused_at(ErrorCode::DuplicateService, "", &["a"], &[twice.clone(), twice]);
    refused_at(
        ErrorCode::DuplicateDefinition,
        "Query.x",
        &["a"],
        &[subgraph("a", "type Query { x: Int x: Int }")],
    );
}

#[test]
fn unsupported_is_refused_by_name() {
    let base = "type Query { p: P } type P @key(fields: \"id\") { id: ID! }";
    let check = |place: &str, what: &str, sdl: &str| {
        let text = refused_at(
            ErrorCode::Unsupported,
            place,
            &["b"],
            &[federated("a", base), federated("b", sdl)],
        );
        assert!(text.contains(what), "{text}");
    };
    check(
        "P",
        "directive @interfaceObject is not supported yet",
        "type P @key(fields: \"id\") @interfaceObject { id: ID! }",
    );
    check(
        "P.x",
        "directive @override is not supported yet",
        "type P @key(fields: \"id\") { id: ID! x: Int @override(from: \"a\") }",
    );
    check(
        "P.x",
        "does not import \"@authenticated\"",
        "type P @key(fields: \"id\") { id: ID! x: Int @authenticated }",
    );
    check(
        "P.x",
        "directive @federation__policy is not supported yet",
        "type P @key(fields: \"id\") { id: ID! x: Int @federation__policy(policies: [[\"a\"]]) }",
    );
    check(
        "I",
        "@key on interface I is not supported yet",
        "interface I @key(fields: \"id\") { id: ID! }",
    );
    check(
        "Subscription",
        "root type Subscription is not supported yet",
        "type Subscription { x: Int }",
    );
}

#[test]
fn federation_3_is_refused() {
    let sdl = "extend schema @link(url: \"https://specs.apollo.dev/federation/v3.0\") type Query { x: Int }";
    refused_at(ErrorCode::Unsupported, "", &["a"], &[subgraph("a", sdl)]);
}

#[test]
fn unknown_types() {
    refused_at(
        ErrorCode::UnknownType,
        "Query.x",
        &["a"],
        &[subgraph("a", "type Query { x: Nope }")],
    );
    refused_at(
        ErrorCode::UnknownType,
        "Query.x",
        &["a"],
        &[subgraph("a", "type Query { x(y: Nope): Int }")],
    );
    refused_at(
        ErrorCode::UnknownType,
        "U",
        &["a"],
        &[subgraph("a", "type Query { x: U } union U = Query | Nope")],
    );
}

#[test]
fn field_sets_name_fields() {
    let refused = |place: &str, sdl: &str| {
        refused_at(
            ErrorCode::InvalidFieldSet,
            place,
            &["a"],
            &[federated("a", &format!("type Query {{ t: T }} {sdl}"))],
        )
    };
    refused("T", "type T @key(fields: \"nope\") { id: ID }");
    refused("T", "type T @key(fields: \"id {\") { id: ID }");
    refused("T", "type T @key(fields: \"... on T { id }\") { id: ID }");
    refused("T", "type T @key { id: ID }");
    refused(
        "T.x",
        "type T @key(fields: \"id\") { id: ID x: Int @requires(fields: \"nope\") }",
    );
    refused(
        "T.x",
        "type T @key(fields: \"id\") { id: ID x: T @provides(fields: \"nope\") }",
    );
}

#[test]
fn external_without_base() {
    let a = federated(
        "a",
        "type Query { t: T } type T @key(fields: \"id\") { id: ID! x: Int @external }",
    );
    refused_at(ErrorCode::ExternalMissingOnBase, "T.x", &["a"], &[a]);
}

#[test]
fn kinds_differ() {
    let a = subgraph("a", "type Query { x: T } scalar T");
    let b = subgraph("b", "type Query { y: T } enum T { A }");
    let text = refused_at(ErrorCode::TypeKindMismatch, "T", &["b", "a"], &[a, b]);
    assert!(text.contains("T is a scalar in \"a\" and an enum in \"b\""), "{text}");
}

#[test]
fn field_types_differ() {
    let a = federated("a", "type Query { m: Money } type Money @shareable { cents: Int }");
    let b = federated("b", "type Query { n: Money } type Money @shareable { cents: String }");
    let text = refused_at(
        ErrorCode::FieldTypeMismatch,
        "Money.cents",
        &["b", "a"],
        &[a.clone(), b],
    );
    assert!(
        text.contains("Money.cents is String in \"b\" and Int in \"a\""),
        "{text}"
    );
    let list = federated("b", "type Query { n: Money } type Money @shareable { cents: [Int] }");
    refused_at(ErrorCode::FieldTypeMismatch, "Money.cents", &["b", "a"], &[a, list]);
}

#[test]
fn external_field_of_another_type() {
    let a = federated(
        "a",
        "type Query { t: T } type T @key(fields: \"id\") { id: ID! x: Int }",
    );
    let b = federated(
        "b",
        "type T @key(fields: \"id\") { id: ID! x: String @external y: Int @requires(fields: \"x\") }",
    );
    refused_at(ErrorCode::FieldTypeMismatch, "T.x", &["b", "a"], &[a, b]);
}

#[test]
fn arguments_differ() {
    let sdl = |name: &str, args: &str| federated(name, &format!("type Query {{ x{args}: Int @shareable }}"));
    for args in ["(a: Int!)", "(a: Int = 1)", "(b: Int)", ""] {
        refused_at(
            ErrorCode::FieldArgumentMismatch,
            "Query.x",
            &["b", "a"],
            &[sdl("a", "(a: Int)"), sdl("b", args)],
        );
    }
}

#[test]
fn shared_without_shareable() {
    let a = federated("a", "type Query { x: Int @shareable }");
    let b = federated("b", "type Query { x: Int }");
    refused_at(ErrorCode::InvalidFieldSharing, "Query.x", &["b", "a"], &[a.clone(), b]);
    refused_at(
        ErrorCode::InvalidFieldSharing,
        "Query.x",
        &["b", "a"],
        &[a, subgraph("b", "type Query { x: Int }")],
    );
}

#[test]
fn value_types_differ() {
    let roots = |name: &str| format!("type Query {{ {name}: Int }}");
    let refused = |place: &str, a: &str, b: &str| {
        let (a, b) = (federated("a", &(roots("x") + a)), federated("b", &(roots("y") + b)));
        refused_at(ErrorCode::ValueTypeMismatch, place, &["b", "a"], &[a, b])
    };
    let text = refused(
        "M.c",
        "type M @shareable { a: Int }",
        "type M @shareable { a: Int c: Int }",
    );
    assert!(text.contains("field c is only in \"b\""), "{text}");
    refused("E.B", "enum E { A B }", "enum E { A }");
    refused("I.b", "input I { a: Int b: Int }", "input I { a: Int }");
    refused("I.a", "input I { a: Int! }", "input I { a: Int }");
    refused("F.b", "interface F { a: Int }", "interface F { a: Int b: Int }");
    refused(
        "U.P",
        "union U = P type P { a: Int } type Q @shareable { a: Int }",
        "union U = Q type Q @shareable { a: Int }",
    );
}

#[test]
fn plain_services_share_only_equal_types() {
    let same = "type Item { id: ID }";
    let a = subgraph("a", &format!("type Query {{ x: Item }} {same}"));
    composed(&[a.clone(), federated("b", "type Query { y: Int }")]);
    let differs = subgraph("b", "type Query { y: Item } type Item { id: ID name: String }");
    let text = refused_at(ErrorCode::TypeConflict, "Item.name", &["b", "a"], &[a.clone(), differs]);
    assert!(text.contains("field name is only in \"b\""), "{text}");
    let entity = federated("b", "type Query { y: Item } type Item @key(fields: \"id\") { id: ID }");
    refused_at(ErrorCode::TypeConflict, "Item", &["a", "b"], &[a, entity]);
}

#[test]
fn equal_types_of_plain_services_need_no_directive() {
    let a = subgraph("a", "type Query { x: Item } type Item { id: ID }");
    let b = subgraph("b", "type Query { y: Item } type Item { id: ID }");
    let text = composed(&[a, b]);
    assert!(
        text.contains("id: ID @join__field(graph: A) @join__field(graph: B)"),
        "{text}"
    );
}

#[test]
fn entity_out_of_reach() {
    let a = federated("a", "type Query { t: T } type T @key(fields: \"sku\") { sku: ID! }");
    let b = federated(
        "b",
        "type Query { u: T } type T @key(fields: \"id\") { id: ID! x: Int }",
    );
    let errors = refused(ErrorCode::Unsatisfiable, &[a.clone(), b.clone()]);
    assert!(
        errors[0].message.contains("of \"b\" cannot be reached from \"a\""),
        "{errors:#?}"
    );
    // A third service that knows both keys makes the way.
    let bridge = federated(
        "c",
        "type T @key(fields: \"sku\") @key(fields: \"id\") { sku: ID! id: ID! }",
    );
    composed(&[a, b, bridge]);
}

#[test]
fn entity_that_resolves_nothing_by_key() {
    let a = federated("a", "type Query { t: T } type T @key(fields: \"id\") { id: ID! }");
    let b = federated(
        "b",
        "type Query { u: T } type T @key(fields: \"id\", resolvable: false) { id: ID! x: Int }",
    );
    refused_at(ErrorCode::Unsatisfiable, "T.x", &["a", "b"], &[a, b]);
}

#[test]
fn no_query() {
    let a = federated("a", "type T @key(fields: \"id\") { id: ID! }");
    refused(ErrorCode::NoQueries, &[a]);
    refused(ErrorCode::NoQueries, &[]);
}

#[test]
fn interface_not_implemented() {
    let a = subgraph(
        "a",
        "type Query { i: I } interface I { x: Int } type T implements I { y: Int }",
    );
    refused(ErrorCode::InvalidGraphql, &[a]);
}

#[test]
fn no_input_panics() {
    let sources = shop();
    for source in &sources {
        for end in (0..source.sdl.len()).filter(|end| source.sdl.is_char_boundary(*end)) {
            // Either result is fine; what counts is that there is one.
            drop(compose(&[subgraph("cut", &source.sdl[..end])]));
        }
    }
}
