//! How the functions are linked: the build script of each of them.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=../build.rs");
    let target = |part: &str| env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default();
    // At a fixed address, so that the loader has no relocation to do: there are over twenty thousand, and the pages that
    // they are in would be copied and written to before the first line of ours runs.
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
