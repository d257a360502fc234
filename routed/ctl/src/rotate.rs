//! `tunnel rotate`.

use std::time::Duration;

use catalyst_proto::admin::v1::{ListTunnelsResponse, RotateKeyRequest};
use serde_json::json;

use crate::args::TunnelCommand;
use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::output::{Format, Output};

/// How often is asked how far it is.
const PAUSE: Duration = Duration::from_millis(200);

pub(crate) async fn run(command: TunnelCommand, client: &mut Client, out: &mut Output) -> Outcome {
    let TunnelCommand::Rotate { prepare, no_wait } = command;
    let result = client.tunnels.rotate_key(RotateKeyRequest { prepare }).await;
    let key = client.answer(result)?.public_key;
    if prepare {
        return say(out, &key, "prepared", &format!("the next key is {key}"));
    }
    if no_wait {
        let line = format!("changing the key to {key}; `catalystctl show tunnels` tells how far it is");
        return say(out, &key, "changing", &line);
    }
    // Whoever wants to wait no longer ends this program; the change goes on.
    loop {
        let answer = client.tunnels().await?;
        if answer.key_rotation.is_none() {
            failure_of(&answer)?;
            return say(out, &key, "changed", &format!("the key is now {key}"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn failure_of(answer: &ListTunnelsResponse) -> Outcome {
    if answer.key_rotation_failure.is_empty() {
        return Ok(());
    }
    Err(Failure::refused(format!(
        "the key was not changed: {}",
        answer.key_rotation_failure
    )))
}

fn say(out: &mut Output, key: &str, done: &str, line: &str) -> Outcome {
    match out.format {
        Format::Json => out.json(&json!({ "public_key": key, "done": done })),
        Format::Table => out.line(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_was_given_up_is_a_failure() {
        let mut answer = ListTunnelsResponse::default();
        assert!(failure_of(&answer).is_ok());
        answer.key_rotation_failure = "by the new key there is no tunnel to b: the old one stays".to_owned();
        let said = failure_of(&answer).unwrap_err().to_string();
        assert!(
            said.contains("the key was not changed: by the new key there is no tunnel to b"),
            "{said}"
        );
    }
}
