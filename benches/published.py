#!/usr/bin/env python3
"""Whether what `check` accepts is what `query` runs, over a folder of query texts and tables without rows.

    benches/published.py --binary target/release/kqlake --queries FOLDER --schema tables.json [--accepted FILE] [--show 40]

FOLDER holds one query a file (*.kql); tables.json is the schema file that `check --schema` takes. Each text is checked with the
schema file, and run with a `let` for each of the file's tables that it names: a datatable of its columns without rows. --accepted
names a JSON object {file name: "ok" or why not} with the verdicts of another judge, such as Microsoft's language service; then
only texts that it accepts count. The rest is printed: both verdicts, and the first line of what was said. Python 3 alone.
"""
import argparse, collections, concurrent.futures, json, pathlib, re, subprocess, sys, tempfile


def prelude(text, schema):
    lets = []
    for table, columns in schema.items():
        if re.search(r"(?<![\w.])" + re.escape(table) + r"\b", text) and not re.search(r"\blet\s+" + re.escape(table) + r"\s*=", text):
            declared = ", ".join(f"['{name}']: {ty}" for name, ty in columns.items())
            lets.append(f"let {table} = datatable({declared})[];")
    # Options and parameters come first in a text.
    return " ".join(lets)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--binary", required=True)
    args.add_argument("--queries", required=True, type=pathlib.Path)
    args.add_argument("--schema", required=True, type=pathlib.Path)
    args.add_argument("--accepted", type=pathlib.Path)
    args.add_argument("--show", type=int, default=40)
    args = args.parse_args()
    schema = json.loads(args.schema.read_text())
    accepted = json.loads(args.accepted.read_text()) if args.accepted else {}
    files = [f for f in sorted(args.queries.glob("*.kql")) if accepted.get(f.name, "ok") == "ok"]
    binary = str(pathlib.Path(args.binary).resolve())

    with tempfile.TemporaryDirectory() as work:
        lake = str(pathlib.Path(work) / "lake")

        def run(*command, text=None):
            done = subprocess.run([binary, *command, "--lake", lake], cwd=work, input=text, capture_output=True, text=True)
            return done.returncode, done.stdout, done.stderr

        def both(file):
            text = file.read_text()
            _, out, err = run("check", "--schema", str(args.schema.resolve()), "-f", "json", "-", text=text)
            try:
                report = json.loads(out)[0]
                errors = [f"{d['line']}:{d['column']} {d['code']} {d['message']}" for d in report["diagnostics"] if d["severity"] == "error"]
            except (ValueError, LookupError):
                errors = [f"check failed: {err.strip()[:200]}"]
            code, _, err = run("query", "-f", "csv", "-", text=prelude(text, schema) + text)
            said = " ".join(line.strip() for line in err.splitlines() if line.startswith("error"))
            return file.name, errors, code, said

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = list(pool.map(both, files))

    counts, shown = collections.Counter(), 0
    for name, errors, code, said in results:
        verdict = ("check ok" if not errors else "check refuses", "query runs" if code == 0 else f"query ends with {code}")
        counts[verdict] += 1
        if (errors or code) and shown < args.show:
            shown += 1
            print(f"{name}: {verdict[0]}, {verdict[1]}")
            print(f"    check: {errors[0] if errors else ''}\n    query: {said[:300]}")
    for verdict, count in counts.most_common():
        print(f"{count:6} {verdict[0]}, {verdict[1]}")
    agree = sum(n for (check, query), n in counts.items() if (check == "check ok") == (query == "query runs"))
    runs = sum(n for (_, query), n in counts.items() if query == "query runs")
    print(f"{len(results)} texts: {runs} run ({100 * runs / max(1, len(results)):.1f} %), {agree} verdicts agree")
    sys.exit(0 if agree == len(results) else 1)


main()
