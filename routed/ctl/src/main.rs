//! catalystctl: talks to catalyst-routed.

mod answer;
mod args;
mod client;
mod complete;
mod config;
mod failure;
mod model;
mod operate;
mod output;
mod peers;
mod plugins;
mod policies;
mod policy_test;
mod reach;
mod reload;
mod rotate;
mod routes;
mod service;
mod sessions;
mod table;
mod text;
mod tunnels;
mod watch;
mod why;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command, PolicyCommand, ServiceCommand, ShowCommand, WatchCommand};
use client::Client;
use failure::{Failure, Outcome};
use output::Output;

fn main() -> ExitCode {
    complete::answer_shell();
    let args = Args::parse();
    text::fit(terminal_size::terminal_size_of(std::io::stdout()).map(|(columns, _)| columns.0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime
        .map_err(|e| Failure::refused(e.to_string()))
        .and_then(|r| r.block_on(run(args)));
    match result {
        // The reader has seen enough (`| head`).
        Ok(()) | Err(Failure::ReaderGone) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("catalystctl: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn run(args: Args) -> Outcome {
    let mut out = Output::stdout(args.output);
    if let Command::Completions { shell, fixed } = args.command {
        complete::script(shell, fixed, &mut out)?;
        return out.flush();
    }
    let mut client = Client::connect(&args.addr).await?;
    match args.command {
        Command::Show(show) => run_show(show, &mut client, &mut out).await?,
        Command::Watch(WatchCommand::Routes) => watch::routes(&mut client, &mut out).await?,
        Command::Reach { name, from } => reach::run(name, from, &mut client, &mut out).await?,
        Command::Policy(PolicyCommand::Test(args)) => policy_test::run(args, &mut client, &mut out).await?,
        Command::Service(service) => run_service(service, &mut client, &mut out).await?,
        Command::Peer(command) => operate::peer(command, &mut client, &mut out).await?,
        Command::Tunnel(command) => rotate::run(command, &mut client, &mut out).await?,
        Command::Shutdown { message } => operate::shutdown(message, &mut client, &mut out).await?,
        Command::Reload(args) => reload::reload(args, &mut client, &mut out).await?,
        Command::Confirm => reload::confirm(&mut client, &mut out).await?,
        Command::Completions { .. } => {}
    }
    out.flush()
}

async fn run_service(command: ServiceCommand, client: &mut Client, out: &mut Output) -> Outcome {
    match command {
        ServiceCommand::Add(add) => service::add(add, client, out).await,
        ServiceCommand::Remove { name } => service::remove(name, client, out).await,
    }
}

async fn run_show(show: ShowCommand, client: &mut Client, out: &mut Output) -> Outcome {
    match show {
        ShowCommand::Routes { selected, family } => routes::show_all(selected, family, client, out).await,
        ShowCommand::Route { name, why: false } => routes::show_one(name, client, out).await,
        ShowCommand::Route { name, why: true } => why::show(name, client, out).await,
        ShowCommand::Peers => peers::show_all(client, out).await,
        ShowCommand::Peer { name } => peers::show_one(name, client, out).await,
        ShowCommand::Policies => policies::show_all(client, out).await,
        ShowCommand::Policy { name } => policies::show_one(name, client, out).await,
        ShowCommand::Plugins => plugins::show(client, out).await,
        ShowCommand::Tunnels => tunnels::show(client, out).await,
        ShowCommand::Config => config::show(client, out).await,
    }
}
