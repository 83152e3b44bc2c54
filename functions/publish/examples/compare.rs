//! Compares releases with `rsync -a --link-dest` and with a full copy, on the same disk and in the same run, and fails
//! where a goal is missed: `cargo run --release -p wharfinger-publish --example compare -- [directory]`.
//!
//! It needs rsync, and some 2 GB in the directory, which is the system's for temporary files if none is named.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use wharfinger_publish::{Limits, Name, Options, Outcome, Summary, TreePath, Volume};

const FILES: usize = 10_000;
const MANY_FILES: usize = 100_000;
const CHANGED: usize = FILES / 100;
/// Files of 1 to 16 kB.
const LINES: usize = 64;
const ROUNDS: usize = 7;
/// How long a file must have been left alone.
const SETTLE: Duration = Duration::from_millis(500);

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [child, root, rest @ ..] = &*arguments
        && child == "--release"
    {
        return child_release(Path::new(root), &rest[0], rest.get(1).map(String::as_str));
    }
    let directory = arguments.first().map_or_else(env::temp_dir, PathBuf::from);
    let root = tempfile::tempdir_in(directory)?;
    let fast = compare(root.path())?;
    let small = memory(root.path())?;
    Ok(if fast && small { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The times of releases of [`FILES`] files with 1 % changed.
fn compare(root: &Path) -> Result<bool> {
    let uploads = root.join("sites/blog");
    upload(&uploads, FILES, LINES)?;
    fs::create_dir(root.join("rsync"))?;
    rest();
    let (ours, summary) = timed(|| release(root, "0", None))?;
    let (rsync, ()) = timed(|| run_rsync(&uploads, root, 0))?;
    println!("first release of {FILES} files, {} MB: {ours:.2?}, rsync {rsync:.2?}", summary.bytes >> 20);
    let (mut our_times, mut rsync_times, mut copy_times) = (Vec::new(), Vec::new(), Vec::new());
    let mut exact = true;
    for round in 1..=ROUNDS {
        let changed = change(&uploads, round)?;
        rest();
        // In turn, so that neither always finds the other's caches.
        let previous = (round - 1).to_string();
        let us = || release(root, &round.to_string(), Some(&previous));
        let them = || run_rsync(&uploads, root, round);
        let (summary, ours, rsync);
        if round % 2 == 0 {
            (ours, summary) = timed(us)?;
            (rsync, ()) = timed(them)?;
        } else {
            (rsync, ()) = timed(them)?;
            (ours, summary) = timed(us)?;
        }
        exact &= summary.own_bytes == changed && summary.files_copied == CHANGED as u64;
        let (copy, ()) = timed(|| run("cp", &["-a", &text(&uploads), &text(&root.join("copy"))]))?;
        fs::remove_dir_all(root.join("copy"))?;
        our_times.push(ours);
        rsync_times.push(rsync);
        copy_times.push(copy);
    }
    let (ours, rsync, copy) = (median(our_times), median(rsync_times), median(copy_times));
    let ratio = ours.as_secs_f64() / rsync.as_secs_f64();
    println!("with 1 % changed, median of {ROUNDS}: {ours:.2?}, rsync --link-dest {rsync:.2?}, full copy {copy:.2?}");
    println!("{ratio:.2} times rsync's time (goal: 1.2 at most); bytes written are bytes changed: {exact}");
    Ok(ratio <= 1.2 && exact)
}

/// The memory that a release of [`MANY_FILES`] files takes, the first and one with all files linked.
fn memory(root: &Path) -> Result<bool> {
    let root = root.join("many");
    upload(&root.join("sites/blog"), MANY_FILES, 1)?;
    rest();
    let mut peaks = Vec::new();
    for arguments in [&["a"][..], &["b", "a"]] {
        let mut child = Command::new(env::current_exe()?);
        let output = child.arg("--release").arg(&root).args(arguments).output()?;
        std::io::stderr().write_all(&output.stderr)?;
        let text = String::from_utf8(output.stdout)?;
        print!("{MANY_FILES} files: {text}");
        let kilobytes = text.split_whitespace().next().ok_or("no answer")?;
        peaks.push(kilobytes.parse::<u64>()?);
    }
    println!("memory, at most {} MB (goal: under 128)", peaks.iter().max().unwrap_or(&0) >> 10);
    Ok(peaks.iter().all(|peak| peak >> 10 < 128))
}

/// Makes one release in a process of its own, and says what it took.
fn child_release(root: &Path, id: &str, previous: Option<&str>) -> Result<ExitCode> {
    let (time, summary) = timed(|| release(root, id, previous))?;
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    let (linked, copied) = (summary.files_linked, summary.files_copied);
    println!("{} at most, {linked} linked, {copied} copied in {time:.2?}", peak.trim());
    Ok(ExitCode::SUCCESS)
}

fn release(root: &Path, id: &str, previous: Option<&str>) -> Result<Summary> {
    let site = Volume::open(root)?.site(&Name::parse("blog")?, &TreePath::parse("sites/blog")?)?;
    let deadline = Instant::now() + Duration::from_secs(900);
    let options = Options {
        marker: None,
        ignore: Vec::new(),
        shared: Vec::new(),
        open: [].into(),
        settle: SETTLE,
        settle_by: deadline,
        limits: Limits { deadline, workers: 2 },
    };
    let previous = previous.map(Name::parse).transpose()?;
    match site.release(&Name::parse(id)?, previous.as_ref(), &options)? {
        Outcome::Published(summary) => Ok(summary),
        Outcome::Unfinished(progress) => Err(format!("unfinished: {progress:?}").into()),
    }
}

fn run_rsync(uploads: &Path, root: &Path, round: usize) -> Result<()> {
    let to = |round: usize| text(&root.join("rsync").join(round.to_string()));
    let previous = round.checked_sub(1).map(|previous| format!("--link-dest={}", to(previous)));
    let mut arguments = vec!["-a".to_owned()];
    arguments.extend(previous);
    arguments.extend([format!("{}/", uploads.display()), format!("{}/", to(round))]);
    run("rsync", &arguments)
}

fn run(program: &str, arguments: &[impl AsRef<std::ffi::OsStr>]) -> Result<()> {
    let status = Command::new(program).args(arguments).status()?;
    if status.success() { Ok(()) } else { Err(format!("{program} failed: {status}").into()) }
}

/// Uploads files of up to 16 times `lines` lines, a hundred to a directory.
fn upload(uploads: &Path, files: usize, lines: usize) -> Result<()> {
    for number in 0..files {
        let directory = uploads.join(format!("d{}", number / 100));
        if number % 100 == 0 {
            fs::create_dir_all(&directory)?;
        }
        fs::write(directory.join(format!("file-{number}.html")), content(number, 0, lines))?;
    }
    Ok(())
}

/// Changes 1 % of the files, and tells how many bytes that are.
fn change(uploads: &Path, round: usize) -> Result<u64> {
    let mut bytes = 0;
    for changed in 0..CHANGED {
        let number = changed * 100 + round;
        let content = content(number, round, LINES);
        bytes += content.len() as u64;
        fs::write(uploads.join(format!("d{}/file-{number}.html", number / 100)), content)?;
    }
    Ok(bytes)
}

fn content(number: usize, round: usize, lines: usize) -> String {
    format!("{number:7} {round:7}\n").repeat(lines * (1 + number % 16))
}

/// Has the disk write what is waiting, and lets the files settle.
fn rest() {
    let _ = Command::new("sync").status();
    std::thread::sleep(SETTLE * 2);
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
    let began = Instant::now();
    let result = work()?;
    Ok((began.elapsed(), result))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
