//! What the tests share: running the program, folders that go away, the sample data.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The program with arguments, apart from the environment of whoever runs the tests. `KQLAKE_PROGRAM` names another one than that
/// which was built with the tests, such as a release.
pub fn kqlake<I: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = I>) -> Command {
    let program = std::env::var_os("KQLAKE_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_kqlake").into());
    let mut command = Command::new(program);
    command.args(args).env_clear().stdin(Stdio::null());
    // Temporary files of spilling operators need a place.
    if let Some(dir) = std::env::var_os("TMPDIR") {
        command.env("TMPDIR", dir);
    }
    command
}

/// Runs the program in a folder.
pub fn run_in(dir: &Path, args: &[&str]) -> Run {
    Run::of(kqlake(args).current_dir(dir).output().expect("the program starts"), args)
}

/// Runs the program in a folder with a text on standard input.
pub fn run_with(dir: &Path, args: &[&str], input: &[u8]) -> Run {
    let mut child = kqlake(args)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("standard input is piped");
    let input = input.to_vec();
    // The program may answer before it has read everything.
    let feeding = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("the program ends");
    feeding.join().expect("feeding ends");
    Run::of(output, args)
}

/// What a run gave.
#[derive(Debug)]
pub struct Run {
    pub args: String,
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    pub fn of(output: Output, args: &[&str]) -> Run {
        Run {
            args: args.join(" "),
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Fails unless the exit status is the expected one; a panic never is.
    #[track_caller]
    pub fn exits(self, status: i32) -> Run {
        assert!(!self.err.contains("panicked") && !self.err.contains("met a defect"), "kqlake {}\n{}", self.args, self.err);
        assert_eq!(self.status, status, "kqlake {}\nstdout: {}\nstderr: {}", self.args, head(&self.out), head(&self.err));
        self
    }

    /// Fails unless standard error holds the text.
    #[track_caller]
    pub fn says(self, text: &str) -> Run {
        assert!(self.err.contains(text), "kqlake {}: `{text}` expected in: {}", self.args, head(&self.err));
        self
    }
}

fn head(text: &str) -> String {
    text.chars().take(2000).collect()
}

/// The project's folder.
pub fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A folder whose lake holds what `fixtures/` lands.
pub fn sample_lake() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let fixtures = project().join("fixtures");
    let from = fixtures.to_str().expect("a path of characters");
    let run = run_in(dir.path(), &["--now", "2026-01-12T03:00:00Z", "--lake", "lake", "import", "--from", from]);
    // The sample data holds dirty records on purpose: those are quarantined, and the status says so.
    assert!(run.status == 0 || run.status == 5, "{}", run.err);
    dir
}

/// Copies a folder with all below it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").map(|e| e.expect("an entry")) {
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// Rows of a CSV text, header first.
pub fn csv_rows(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    reader.records().map(|r| r.expect("CSV").iter().map(str::to_owned).collect()).collect()
}

/// True for texts that are equal, or numbers that differ by less than their last digits.
pub fn same_text(a: &str, b: &str) -> bool {
    a == b || matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(x), Ok(y)) if (x - y).abs() <= 1e-9 * x.abs().max(y.abs()))
}
