//! Every service as a real process: ready line, answers, SIGTERM.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use catalyst_examples::hello_grpc::proto::greeter_client::GreeterClient;
use catalyst_examples::hello_grpc::proto::{HelloReply, HelloRequest, HellosRequest};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio_stream::StreamExt;

struct Service {
    child: Child,
    address: SocketAddr,
}

impl Service {
    /// Starts a service on a free port and waits for its ready line.
    fn start(binary: &str, args: &[&str]) -> Self {
        let mut child = Command::new(binary)
            .args(["--listen", "127.0.0.1:0"])
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("service starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("ready line");
        let (_, address) = line
            .trim()
            .split_once(" listening on ")
            .expect("\"NAME listening on ADDRESS\"");
        Self {
            address: address.parse().expect("address"),
            child,
        }
    }

    /// Asks it to stop and says whether it ended well.
    fn stop(mut self) -> bool {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("pid"));
        kill(pid, Signal::SIGTERM).expect("signal");
        self.child.wait().expect("waits").success()
    }

    /// One HTTP/1.1 exchange: (status, body).
    fn http(&self, request_head: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).expect("connects");
        let length = body.len();
        write!(
            stream,
            "{request_head}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .expect("sends");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answer");
        let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("status");
        let (_, body) = answer.split_once("\r\n\r\n").expect("body");
        (status, body.to_owned())
    }

    fn graphql(&self, query: &str) -> Value {
        let head = "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json";
        let (status, body) = self.http(head, &json!({ "query": query }).to_string());
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("JSON")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn products_answers_root_fields_and_entities() {
    let service = Service::start(env!("CARGO_BIN_EXE_products"), &[]);
    let answer = service.graphql("{ topProducts(first: 2) { upc name price } product(upc: \"3\") { name } }");
    assert_eq!(
        answer,
        json!({ "data": {
            "topProducts": [{ "upc": "1", "name": "Table", "price": 89_900 }, { "upc": "2", "name": "Couch", "price": 129_900 }],
            "product": { "name": "Chair" },
        }})
    );
    let entity = service.graphql(
        "{ _entities(representations: [{ __typename: \"Product\", upc: \"4\" }]) { ... on Product { name } } }",
    );
    assert_eq!(entity, json!({ "data": { "_entities": [{ "name": "Lamp" }] } }));
    assert!(service.stop());
}

#[test]
fn reviews_extends_products() {
    let service = Service::start(env!("CARGO_BIN_EXE_reviews"), &[]);
    let answer = service.graphql("{ latestReviews(first: 1) { id body author rating product { upc } } }");
    let newest =
        json!({ "id": "5", "body": "It is a chair.", "author": "Barbara", "rating": 3, "product": { "upc": "3" } });
    assert_eq!(answer, json!({ "data": { "latestReviews": [newest] } }));
    let entity = service.graphql(
        "{ _entities(representations: [{ __typename: \"Product\", upc: \"1\" }]) { ... on Product { reviews { author } } } }",
    );
    assert_eq!(
        entity,
        json!({ "data": { "_entities": [{ "reviews": [{ "author": "Alan" }, { "author": "Ada" }] }] } })
    );
    assert!(service.stop());
}

#[test]
fn both_subgraphs_are_federation_2_and_share_the_key() {
    for binary in [env!("CARGO_BIN_EXE_products"), env!("CARGO_BIN_EXE_reviews")] {
        let service = Service::start(binary, &[]);
        let answer = service.graphql("{ _service { sdl } }");
        let sdl = answer["data"]["_service"]["sdl"].as_str().expect("sdl");
        assert!(sdl.contains("https://specs.apollo.dev/federation/v2."), "{sdl}");
        assert!(sdl.contains("type Product @key(fields: \"upc\")"), "{sdl}");
    }
}

#[test]
fn hello_http_says_what_it_saw() {
    let service = Service::start(env!("CARGO_BIN_EXE_hello-http"), &["--name", "one", "--delay", "1ms"]);
    let (status, body) = service.http(
        "GET /some/path HTTP/1.1\r\nhost: orders.acme\r\nx-catalyst-via: a\r\nx-catalyst-via: b",
        "",
    );
    assert_eq!(status, 200);
    let seen: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        seen,
        json!({ "name": "one", "path": "/some/path", "host": "orders.acme", "via": ["a", "b"] })
    );
    assert_eq!(service.http("GET /status/503 HTTP/1.1\r\nhost: x", "").0, 503);
    assert_eq!(service.http("GET /status/101 HTTP/1.1\r\nhost: x", "").0, 400);
    assert!(service.stop());
}

#[tokio::test]
async fn hello_grpc_greets_once_and_often() {
    let service = Service::start(env!("CARGO_BIN_EXE_hello-grpc"), &["--name", "one"]);
    let mut client = GreeterClient::connect(format!("http://{}", service.address))
        .await
        .expect("connects");
    let reply = client
        .say_hello(HelloRequest { name: "Ada".into() })
        .await
        .expect("reply")
        .into_inner();
    assert_eq!(
        reply,
        HelloReply {
            message: "Hello Ada".into(),
            served_by: "one".into()
        }
    );
    let many = client
        .say_hellos(HellosRequest {
            name: "Ada".into(),
            count: 3,
        })
        .await
        .expect("stream")
        .into_inner();
    let messages: Vec<_> = many.map(|reply| reply.expect("reply").message).collect().await;
    assert_eq!(
        messages,
        ["Hello Ada, 1 of 3", "Hello Ada, 2 of 3", "Hello Ada, 3 of 3"]
    );
    let refused = client
        .say_hellos(HellosRequest {
            name: "Ada".into(),
            count: 1001,
        })
        .await
        .expect_err("too many");
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    drop(client);
    assert!(service.stop());
}

#[test]
fn echo_tcp_echoes_lines() {
    let service = Service::start(env!("CARGO_BIN_EXE_echo-tcp"), &["--name", "one"]);
    let stream = TcpStream::connect(service.address).expect("connects");
    let mut lines = BufReader::new(&stream).lines();
    for word in ["hello", ""] {
        writeln!(&stream, "{word}").expect("sends");
        assert_eq!(lines.next().expect("a line").expect("reads"), format!("one: {word}"));
    }
    assert!(service.stop());
}

#[test]
fn a_busy_port_is_a_clear_error() {
    let service = Service::start(env!("CARGO_BIN_EXE_echo-tcp"), &[]);
    let address = service.address.to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_echo-tcp"))
        .args(["--listen", &address])
        .output()
        .expect("runs and ends");
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains(&format!("echo-tcp cannot listen on {address}")),
        "{error}"
    );
}

/// Lines of examples are to be pasted: none is so long that it is wrapped.
#[test]
fn help_keeps_its_examples_whole() {
    for binary in [
        env!("CARGO_BIN_EXE_products"),
        env!("CARGO_BIN_EXE_reviews"),
        env!("CARGO_BIN_EXE_hello-http"),
        env!("CARGO_BIN_EXE_hello-grpc"),
        env!("CARGO_BIN_EXE_echo-tcp"),
        env!("CARGO_BIN_EXE_routes-file"),
    ] {
        let help = Command::new(binary).arg("--help").output().expect("runs");
        let help = String::from_utf8(help.stdout).expect("text");
        let (_, example) = help.split_once("Example:\n").expect("an example");
        for (at, line) in example.lines().enumerate() {
            let goes_on = at > 0 && example.lines().nth(at - 1).is_some_and(|before| before.ends_with('\\'));
            let indented = line.starts_with(if goes_on { "    " } else { "  " });
            assert!(indented && line.len() <= 80, "{binary}: {line:?}");
        }
    }
}

#[test]
fn a_mistake_of_the_user_is_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let listen = taken.local_addr().expect("address").to_string();
    let busy: &[&str] = &["--listen", &listen];
    for (binary, args, says) in [
        (env!("CARGO_BIN_EXE_products"), busy, "products cannot listen on"),
        (env!("CARGO_BIN_EXE_echo-tcp"), busy, "echo-tcp cannot listen on"),
        (
            env!("CARGO_BIN_EXE_routes-file"),
            &["no address", "hosts", "routes"],
            "no address",
        ),
    ] {
        let output = Command::new(binary)
            .args(args)
            .env("RUST_BACKTRACE", "1")
            .output()
            .expect("runs");
        let error = String::from_utf8(output.stderr).expect("text");
        assert_eq!((output.status.code(), error.lines().count()), (Some(1), 1), "{error}");
        assert!(error.starts_with("Error: ") && error.contains(says), "{error}");
    }
}
