//! `peer disable|enable|reset|refresh` and `shutdown`.

use catalyst_proto::admin::v1::{
    DisablePeerRequest, EnablePeerRequest, RefreshPeerRequest, ResetPeerRequest, ShutdownRequest,
};
use serde_json::json;

use crate::args::PeerCommand;
use crate::client::Client;
use crate::failure::Outcome;
use crate::output::{Format, Output};

pub(crate) async fn peer(command: PeerCommand, client: &mut Client, out: &mut Output) -> Outcome {
    let (name, done) = match command {
        PeerCommand::Disable { name, message } => {
            client.disable_peer(name.clone(), message).await?;
            (name, "disabled")
        }
        PeerCommand::Enable { name } => {
            client.enable_peer(name.clone()).await?;
            (name, "enabled")
        }
        PeerCommand::Reset { name, message, hard } => {
            client.reset_peer(name.clone(), message, hard).await?;
            (name, "reset")
        }
        PeerCommand::Refresh { name } => {
            client.refresh_peer(name.clone()).await?;
            (name, "refreshing")
        }
    };
    match out.format {
        Format::Json => out.json(&json!({ "name": name, "done": done })),
        Format::Table => out.line(&format!("{done} {name}")),
    }
}

pub(crate) async fn shutdown(message: String, client: &mut Client, out: &mut Output) -> Outcome {
    client.shutdown(message).await?;
    match out.format {
        Format::Json => out.json(&json!({ "done": "shutting down" })),
        Format::Table => out.line("shutting down"),
    }
}

impl Client {
    async fn disable_peer(&mut self, name: String, message: String) -> Outcome {
        let result = self.operate.disable_peer(DisablePeerRequest { name, message }).await;
        self.answer(result).map(|_| ())
    }

    async fn enable_peer(&mut self, name: String) -> Outcome {
        let result = self.operate.enable_peer(EnablePeerRequest { name }).await;
        self.answer(result).map(|_| ())
    }

    async fn reset_peer(&mut self, name: String, message: String, hard: bool) -> Outcome {
        let request = ResetPeerRequest { name, message, hard };
        let result = self.operate.reset_peer(request).await;
        self.answer(result).map(|_| ())
    }

    async fn refresh_peer(&mut self, name: String) -> Outcome {
        let result = self.operate.refresh_peer(RefreshPeerRequest { name }).await;
        self.answer(result).map(|_| ())
    }

    async fn shutdown(&mut self, message: String) -> Outcome {
        let result = self.operate.shutdown(ShutdownRequest { message }).await;
        self.answer(result).map(|_| ())
    }
}
