//! A seed is all there is to a run: one that fails prints itself, and how to run it again.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Set this to one seed to run that alone.
const SEED_VARIABLE: &str = "CATALYST_SIM_SEED";

/// Runs a test of `catalyst-core` for each seed, or for the one that the environment names.
pub fn for_seeds(test: &str, seeds: impl IntoIterator<Item = u64>, run: impl Fn(u64)) {
    let only: Option<u64> = std::env::var(SEED_VARIABLE).ok().map(|text| text.parse().unwrap());
    for seed in seeds.into_iter().filter(|_| only.is_none()).chain(only) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
            eprintln!("seed {seed} fails; again: {SEED_VARIABLE}={seed} cargo test -p catalyst-core --test sim {test}");
            resume_unwind(panic);
        }
    }
}

/// Runs a seed; what it panicked with, if it did.
///
/// # Errors
/// The message of the panic.
pub fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
            .unwrap_or_else(|| "a panic without words".to_owned())
    })
}
