//! `cargo run`: Wharfinger's region on a laptop.

fn main() -> std::process::ExitCode {
    wharfinger_cli::cli::main()
}
