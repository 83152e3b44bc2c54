//! Builds the functions that are measured, in the profile that the bench itself was built in.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};

/// Builds the binaries `binaries` of `package`, and answers the directory that they are in.
pub(crate) fn build(package: &str, binary: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("find the bench's own binary")?;
    let directory = own.parent().context("find the directory of the bench's own binary")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--locked", "--package", package, "--bin", binary, "--profile"]);
    let built = command.arg(profile(directory)).status().context("run cargo")?;
    ensure!(built.success(), "cargo could not build {binary}");
    Ok(directory.join(format!("{binary}{}", std::env::consts::EXE_SUFFIX)))
}

/// Cargo names a profile's directory as the profile, except for `dev`.
fn profile(directory: &Path) -> String {
    match directory.file_name().unwrap_or_default().to_string_lossy() {
        name if name == "debug" => "dev".into(),
        name => name.into_owned(),
    }
}
