//! `cargo xtask fuzz`: the fuzz targets of catalyst-core (fuzz/), with the stable toolchain.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::progress::Progress;
use crate::{run, workspace};

/// What to fuzz.
#[derive(Debug, clap::Args)]
pub(crate) struct FuzzArgs {
    /// One of frames, messages, session; all of them, one after the other, if none is named.
    target: Option<String>,
    /// How long each target runs.
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
}

const TARGETS: [&str; 3] = ["frames", "messages", "session"];

/// Installs cargo-fuzz into `target/tools` if it is missing, writes the seeds, runs.
pub(crate) fn fuzz(args: &FuzzArgs) -> anyhow::Result<ExitCode> {
    let root = workspace::root()?;
    let chosen: Vec<&str> = TARGETS
        .into_iter()
        .filter(|target| args.target.as_deref().is_none_or(|wanted| wanted == *target))
        .collect();
    if chosen.is_empty() {
        bail!("no such target; there are: {}", TARGETS.join(", "));
    }
    let progress = Progress::start();
    let tools = ensure(&root, &progress)?;
    write_seeds(&root)?;
    for target in chosen {
        progress.step(format_args!("{target}: {} s", args.seconds));
        fuzz_one(&root, &tools, target, args.seconds)?;
    }
    progress.step("nothing was found");
    Ok(ExitCode::SUCCESS)
}

/// The folder of the cargo-fuzz in use.
fn ensure(root: &Path, progress: &Progress) -> anyhow::Result<PathBuf> {
    let tools = workspace::target_dir(root)?.join("tools");
    if !tools.join("bin/cargo-fuzz").is_file() {
        progress.step("installing cargo-fuzz");
        let into = tools.display().to_string();
        run::cargo(root, &["install", "cargo-fuzz", "--locked", "--root", &into])?;
    }
    Ok(tools.join("bin"))
}

/// Without a sanitizer: there is no unsafe code to be watched, and each would cost half of the executions. The flags
/// that count coverage are cargo-fuzz's; they ask for a nightly compiler, or one that is told to pass for one.
fn fuzz_one(root: &Path, tools: &Path, target: &str, seconds: u32) -> anyhow::Result<()> {
    let folder = root.join("fuzz");
    let time = format!("-max_total_time={seconds}");
    let corpus = format!("corpus/{target}");
    let cargo_fuzz = |verb| {
        let mut command = run::program_in(&tools.join("cargo-fuzz"), &folder);
        command
            .args([verb, "--sanitizer", "none", target])
            .env("RUSTC_BOOTSTRAP", "1");
        command
    };
    run::visible(&mut cargo_fuzz("build"))?;
    let mut command = cargo_fuzz("run");
    command
        .arg(corpus)
        .arg(folder.join("regressions").join(target))
        .args(["--", &time, "-print_final_stats=1", "-timeout=20"])
        // A session takes some events to get anywhere: long inputs from the start, and none that say nothing new.
        .args(if target == "session" {
            &["-len_control=0", "-max_len=300"][..]
        } else {
            &[]
        });
    run::visible(&mut command).with_context(|| {
        format!("{target} found something: add the input, small, to fuzz/regressions/{target} with what mends it")
    })
}

/// The vectors of docs/protocol.md, in the form that each target reads.
fn write_seeds(root: &Path) -> anyhow::Result<()> {
    let page = root.join("docs/protocol.md");
    let page = fs::read_to_string(&page).with_context(|| page.display().to_string())?;
    for target in TARGETS {
        // The regressions of a target are read beside its corpus; both folders have to be there.
        fs::create_dir_all(root.join("fuzz/regressions").join(target))?;
        fs::create_dir_all(root.join("fuzz/corpus").join(target))?;
    }
    for (name, frame) in vectors(&page)? {
        let put = |target: &str, data: &[u8]| fs::write(root.join("fuzz/corpus").join(target).join(&name), data);
        // Two bytes say how the stream is cut.
        put("frames", &[&[1, 2], &frame[..]].concat())?;
        // Without the length.
        if let Some(message) = frame.get(4..) {
            put("messages", message)?;
        }
    }
    Ok(())
}

/// Name and bytes of each vector.
fn vectors(page: &str) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let blocks = page.split("\n```vector ").skip(1);
    blocks
        .map(|block| vector(block).context("a vector of docs/protocol.md"))
        .collect()
}

fn vector(block: &str) -> Option<(String, Vec<u8>)> {
    let (head, rest) = block.split_once('\n')?;
    let (_, name) = head.split_once(' ')?;
    let (hex, _) = rest.split_once("\n---\n")?;
    let digits = hex
        .lines()
        .flat_map(|line| line.split('#').next().unwrap_or_default().split_whitespace());
    let bytes: Option<Vec<u8>> = digits.map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    Some((name.to_owned(), bytes?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_the_page_are_read() {
        let page = fs::read_to_string(workspace::root().unwrap().join("docs/protocol.md")).unwrap();
        let vectors = vectors(&page).unwrap();
        assert_eq!(vectors.len(), page.matches("\n```vector ").count());
        let keepalive = vectors.iter().find(|(name, _)| name == "keepalive").unwrap();
        assert_eq!(keepalive.1, [0, 0, 0, 1, 4]);
    }
}
