#!/usr/bin/env python3
"""Which share of mutants the whole suite catches, of a sample, from one build that holds all of them.

    cargo install cargo-mutants
    benches/mutants/run.py FOLDER choose src/lake=100 src/import=100 src/export src/kql/binder=50
    benches/mutants/run.py FOLDER build      # repeats until what does not compile is left out
    benches/mutants/run.py FOLDER reach      # every test once: which mutants it comes by
    benches/mutants/run.py FOLDER kill       # the mutants, each by the tests that come by it, until one fails
    benches/mutants/run.py FOLDER report

`cargo mutants` builds once a mutant, which takes minutes here. This takes its list of mutants, and puts a sample of them into a
clone of the last commit (`FOLDER/tree`), each behind a switch (`src/main.rs` beside this file): the process whose environment
has `MUTANT=7` runs with the seventh changed. `choose` takes so many mutants by chance of the files below a path, or all of them.
The same commit and seed (`--seed=N`) give the same sample. Each step goes on where it was ended. `reach` and `kill` run `--jobs=N`
tests at once and leave out those whose names contain a `--skip=NAME`; `reach` leaves out those that take longer than `--limit=SECONDS`
as well. `kill` leaves a mutant open after `--budget=SECONDS`, and goes on with it the next time. Tests of generated cases have few
(`FEW_CASES`).

What is left out: constants and `const fn`, `||` beside `let`, and what does not compile, which cargo-mutants leaves out too, with
one difference: for `-> impl Trait` a switch would need both bodies to be of one type. `kqlake-value` holds the switch, and
no mutants. A test that fails without mutants is left out and named.
"""

import collections
import concurrent.futures
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
SEED = 20261130
GOLDEN = "kqlt::golden_queries_have_one_answer_under_every_setting"
# They read the sources, and have nothing to do with what a mutant does.
NO_TESTS_OF_BEHAVIOUR = ("layering::",)
# Tests that go on for as long as they are told to, and whose cases are much alike.
FEW_CASES = {"KQLAKE_GENERATED_CASES": "40", "KQLAKE_KILLS": "2", "PROPTEST_CASES": "16"}
# Seconds. What takes longer may be a busy machine: it counts if the test passes without the mutant right after.
LEAST_TIMEOUT = 20.0
# Bytes that a test and what it starts may have each: a mutant may lose all sense of measure.
MOST_MEMORY = 6 << 30

SWITCH = '''//! Mutants in the build: one is switched on by its number in the environment.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

static ON: AtomicU32 = AtomicU32::new(u32::MAX);
static RECORDS: AtomicBool = AtomicBool::new(false);
static REACHED: [AtomicBool; 1 << 16] = [const { AtomicBool::new(false) }; 1 << 16];

/// Whether the mutant of this number is on.
pub fn on(id: u32) -> bool {
    let on = ON.load(Relaxed);
    if on == u32::MAX {
        RECORDS.store(std::env::var_os("MUTANTS_REACHED").is_some(), Relaxed);
        ON.store(std::env::var("MUTANT").ok().and_then(|n| n.parse().ok()).unwrap_or(0), Relaxed);
        return self::on(id);
    }
    if RECORDS.load(Relaxed) && !REACHED[id as usize].swap(true, Relaxed) {
        // A line at once, so that a process that is killed has told what it reached.
        let path = std::env::var_os("MUTANTS_REACHED").unwrap_or_default();
        if let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path) {
            let _ = file.write_all(format!("{id}\\n").as_bytes());
        }
    }
    on == id
}
'''


class Run:
    def __init__(self, folder, seed=SEED, jobs=1, limit=1200, budget=1 << 30, skip=()):
        self.seed, self.jobs, self.limit, self.budget, self.skip = seed, jobs, limit, budget, skip
        self.folder = Path(folder).resolve()
        self.tree = self.folder / "tree"
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "tmp").mkdir(exist_ok=True)

    def load(self, name, otherwise):
        path = self.folder / f"{name}.json"
        return json.loads(path.read_text()) if path.exists() else otherwise

    def store(self, name, value):
        path = self.folder / f"{name}.json"
        aside = path.with_suffix(".new")
        aside.write_text(json.dumps(value, indent=1))
        aside.rename(path)

    # --- choose ---

    def choose(self, wanted):
        subprocess.run(["git", "clone", "-q", PROJECT, self.tree], check=True)
        listed = subprocess.run(
            ["cargo", "mutants", "--list", "--json", "--workspace"], cwd=self.tree, check=True, capture_output=True, text=True
        )
        chosen, rng = [], random.Random(self.seed)
        for part in wanted:
            path, _, count = part.partition("=")
            below = [m for m in json.loads(listed.stdout) if m["file"] == path or m["file"].startswith(path + "/")]
            sample = rng.sample(below, min(int(count), len(below)) if count else len(below))
            print(f"{path}: {len(sample)} of {len(below)}")
            keys = ("file", "genre", "span", "replacement", "name")
            chosen += [{"id": len(chosen) + n, "part": path, **{k: m[k] for k in keys}} for n, m in enumerate(sample, 1)]
        self.store("chosen", chosen)
        self.prepare()

    def prepare(self):
        """What the clone needs beside the mutants."""
        (self.tree / "src/value/mutants.rs").write_text(SWITCH)
        self.replace("src/value/lib.rs", "\npub mod json;\n", "\npub mod json;\npub mod mutants;\n")
        lints = ["warnings", "arithmetic_overflow", "overflowing_literals", "unconditional_panic"]
        allowed = "".join(f'{lint} = "allow"\n' for lint in lints)
        self.replace("Cargo.toml", "[workspace.lints.rust]\n", "[workspace.lints.rust]\n" + allowed)
        self.replace("Cargo.toml", 'unreachable_pub = "deny"\n', "")
        # The switch is asked in every loop.
        release = "\n[profile.release]\n"
        self.replace("Cargo.toml", release, "\n[profile.dev.package.kqlake-value]\nopt-level = 1\n" + release)
        # The program that a test starts is switched as the test is.
        support = "tests/it/support.rs"
        names = 'for name in ["TMPDIR", "MUTANT", "MUTANTS_REACHED"] {'
        self.replace(support, 'if let Some(dir) = std::env::var_os("TMPDIR") {', names)
        given = "if let Some(value) = std::env::var_os(name) { command.env(name, value); }"
        self.replace(support, 'command.env("TMPDIR", dir);', given)
        only = "files.retain(|f| std::env::var_os(\"KQLT\").is_none_or(|only| f.file_name() == Some(&only)));"
        self.replace("tests/it/kqlt.rs", "    files.sort();\n", f"    {only}\n    files.sort();\n")
        git = ["git", "-C", self.tree, "-c", "user.name=mutants", "-c", "user.email=mutants@localhost"]
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-qm", "Before mutants"], check=True)

    def replace(self, file, old, new):
        path = self.tree / file
        text = path.read_text()
        assert text.count(old) == 1, f"{file} has changed: {old!r}"
        path.write_text(text.replace(old, new))

    # --- build ---

    def build(self):
        left_out = set(self.load("left_out", []))
        tool = ["cargo", "run", "-q", "--manifest-path", HERE / "Cargo.toml", "--target-dir", self.folder / "tool", "--"]
        while True:
            self.store("put", [m for m in self.load("chosen", []) if m["id"] not in left_out])
            before = self.folder / "before"
            shutil.rmtree(before, ignore_errors=True)
            before.mkdir()
            archive = subprocess.run(["git", "-C", self.tree, "archive", "HEAD", "src"], check=True, capture_output=True)
            subprocess.run(["tar", "-x", "-C", before], check=True, input=archive.stdout)
            subprocess.run([*tool, self.folder / "put.json", before, self.folder / "places.json"], check=True)
            placed = {place[0] for places in self.load("places", {}).values() for place in places}
            self.store("put", [m for m in self.load("put", []) if m["id"] in placed])
            for file in {m["file"] for m in self.load("chosen", [])}:
                # Only what differs is written, so that no crate is built for nothing.
                text = (before / file).read_text()
                if (self.tree / file).read_text() != text:
                    (self.tree / file).write_text(text)
            done, messages = self.cargo("build", "--bin", "kqlake", "--test", "it", "--keep-going")
            if done:
                done, messages = self.cargo("test", "--no-run", "--workspace", "--lib")
            if done:
                return self.remember_programs()
            bad = blamed(messages, self.load("places", {}), {m["id"]: m["genre"] for m in self.load("put", [])})
            print(f"{len(bad)} do not compile", flush=True)
            if not bad:
                sys.exit("the build fails, and not for a mutant:\n" + "\n".join(m["rendered"] for m in messages[:5]))
            left_out |= bad
            self.store("left_out", sorted(left_out))

    def cargo(self, *args):
        command = ["cargo", *args, "--message-format", "json"]
        env = {**os.environ, "CARGO_TARGET_DIR": str(self.folder / "target")}
        run = subprocess.run(command, cwd=self.tree, env=env, stdout=subprocess.PIPE, text=True)
        lines = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
        self.programs = getattr(self, "programs", []) + [l for l in lines if l.get("executable")]
        errors = [l["message"] for l in lines if l.get("reason") == "compiler-message" and l["message"]["level"] == "error"]
        return run.returncode == 0, errors

    def remember_programs(self):
        tests = {p["executable"]: p for p in self.programs if p["profile"]["test"]}
        [program] = {p["executable"] for p in self.programs if not p["profile"]["test"] and p["target"]["name"] == "kqlake"}
        found = []
        for executable, p in tests.items():
            folder = os.path.dirname(p["manifest_path"])
            command = [executable, "--list", "--format", "terse"]
            listed = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
            names = [line.removesuffix(": test") for line in listed.stdout.splitlines() if line.endswith(": test")]
            for name in names:
                title = f"{p['target']['name']} {name}"
                test = {"program": executable, "folder": folder, "name": name, "env": {}, "title": title}
                if name == GOLDEN:
                    # A file each, so that few queries run for a mutant.
                    files = sorted(f.name for f in (self.tree / "tests/kqlt").iterdir() if f.suffix in (".kqlt", ".sqlt"))
                    found += [{**test, "env": {"KQLT": f}, "title": f"{title} {f}"} for f in files]
                elif not name.startswith(NO_TESTS_OF_BEHAVIOUR):
                    found.append(test)
        self.store("tests", {"program": program, "tests": found})
        print(f"{len(self.load('put', []))} mutants, {len(found)} tests")

    # --- reach and kill ---

    def run_test(self, test, limit, **more):
        """Whether it passed (or "timeout"), and the seconds it took."""
        env = {**os.environ, "TMPDIR": str(self.folder / "tmp"), "RUST_TEST_THREADS": "1", **FEW_CASES, **test["env"], **more}
        start = time.time()
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        command = [test["program"], "--exact", test["name"]]
        process = subprocess.Popen(command, cwd=test["folder"], env=env, start_new_session=True, **quiet)
        try:
            passed = process.wait(limit) == 0
        except subprocess.TimeoutExpired:
            passed = "timeout"
        # What it started ends with it.
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        return passed, time.time() - start

    def reach(self):
        reached, writing = self.load("reached", {}), threading.Lock()

        def one(place, test):
            file = self.folder / "tmp" / f"reached-{place}.txt"
            passed, seconds = self.run_test(test, self.limit, MUTANTS_REACHED=str(file))
            ids = sorted({int(line) for line in file.read_text().split()}) if file.exists() else []
            file.unlink(missing_ok=True)
            with writing:
                reached[test["title"]] = {"passed": passed is True, "seconds": seconds, "ids": ids}
                self.store("reached", reached)
                if passed is not True:
                    print(f"{'takes too long' if passed else 'fails without mutants'}: {test['title']}", flush=True)

        wanted = [t for t in self.load("tests", {})["tests"] if self.is_wanted(t["title"]) and t["title"] not in reached]
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            list(pool.map(one, range(len(wanted)), wanted))

    def is_wanted(self, title):
        return not any(name in title for name in self.skip)

    def kill(self):
        tests = {t["title"]: t for t in self.load("tests", {})["tests"]}
        reached, results = self.load("reached", {}), self.load("results", {})
        seconds = {title: r["seconds"] for title, r in reached.items()}
        tries = collections.Counter()
        kills = collections.Counter(r["by"] for r in results.values() if r["by"])
        mutants = self.load("put", [])
        # Parts in turn, so that a run that is ended early has a sample of each.
        turn = collections.Counter()
        for mutant in mutants:
            mutant["turn"] = turn[mutant["part"]] = turn[mutant["part"]] + 1
        writing = threading.Lock()

        def one(mutant):
            result = results.get(str(mutant["id"])) or {"name": mutant["name"], "part": mutant["part"], "by": None, "tried": []}
            by = [t for t, r in reached.items() if r["passed"] and mutant["id"] in r["ids"] and self.is_wanted(t)]
            result["tests"], left = len(by), [t for t in by if t not in result["tried"]]
            end = time.time() + self.budget
            while left and not result["by"] and time.time() < end:
                # What has failed often for the time that it takes comes first.
                title = max(left, key=lambda t: (kills[t] + 1) / (tries[t] + 3) / (seconds[t] + 0.05))
                left.remove(title)
                tries[title] += 1
                limit = max(LEAST_TIMEOUT, 5 * seconds[title])
                passed, took = self.run_test(tests[title], limit, MUTANT=str(mutant["id"]))
                if passed is True or (took > LEAST_TIMEOUT and self.run_test(tests[title], limit)[0] is not True):
                    result["tried"].append(title)
                    continue
                kills[title] += 1
                result["by"] = title
            with writing:
                results[str(mutant["id"])] = result
                self.store("results", results)
                print(result["by"] or ("OPEN" if left else "MISSED"), "|", mutant["name"], flush=True)

        # A mutant that was missed is tried again by tests that were reached since, or that its time did not suffice for.
        mutants.sort(key=lambda m: (len(results.get(str(m["id"]), {}).get("tried", [])), m["turn"]))
        left = [m for m in mutants if not results.get(str(m["id"]), {}).get("by")]
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            list(pool.map(one, left))

    def report(self):
        results = self.load("results", {}).values()
        for part in sorted({r["part"] for r in results}):
            own = [r for r in results if r["part"] == part]
            caught = sum(r["by"] is not None for r in own)
            unreached = sum(r["tests"] == 0 for r in own)
            open = sum(r["by"] is None and len(r["tried"]) < r["tests"] for r in own)
            print(f"{part}: {caught} of {len(own)} caught, {caught / len(own):.0%}; {unreached} are reached by no test, {open} open")
        for result in sorted(results, key=lambda r: r["name"]):
            if not result["by"]:
                print(f"  missed by {len(result['tried'])} of {result['tests']}: {result['name']}")


def blamed(messages, places, genres):
    """The mutants in whose inserted text an error lies; else the one that stands nearest to it."""
    bad = set()
    for message in messages:
        spans = sorted(message["spans"] + [s for c in message["children"] for s in c["spans"]], key=lambda s: not s["is_primary"])
        for span in spans:
            at, end = span["byte_start"], span["byte_end"]
            near = places.get(span["file_name"], [])
            inside = {id for id, start, stop, *_ in near if at < stop and end > start}
            if inside:
                bad |= inside
                break
        else:
            # Arms that are no longer enough are told at the head of their match.
            arms = message["code"] and message["code"]["code"] == "E0004"
            for span in [s for s in spans if s["is_primary"]]:
                near = [(abs(start - span["byte_end"]), id) for id, start, *_ in places.get(span["file_name"], [])
                        if not arms or (genres[id] == "MatchArm" and start >= span["byte_end"])]
                bad |= {min(near)[1]} if near else set()
    return bad


if __name__ == "__main__":
    options = [a.partition("=") for a in sys.argv[1:] if a.startswith("--")]
    given = [a for a in sys.argv[1:] if not a.startswith("--")]
    steps = ("choose", "build", "reach", "kill", "report")
    if len(given) < 2 or given[1] not in steps or any(name not in ("--seed", "--jobs", "--limit", "--budget", "--skip") for name, *_ in options):
        sys.exit(__doc__)
    numbers = {name[2:]: int(value) for name, _, value in options if name != "--skip"}
    run = Run(given[0], skip=tuple(value for name, _, value in options if name == "--skip"), **numbers)
    if given[1] in ("reach", "kill"):
        # Tests inherit it.
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))
    run.choose(given[2:]) if given[1] == "choose" else getattr(run, given[1])()
