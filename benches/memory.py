"""Memory of the whole process for what holds rows, under --memory-limit.

    python3 benches/memory.py --kqlake target/release/kqlake [--limit 300MB] [--only pivot,reduce]

Each query runs over a million rows that `range` makes. Printed are the process's memory at most, its exit status (3 is a refusal: the
query needs more than it may have), what the processor took, and the answer's beginning or the refusal. What passes the limit and a
quarter is marked. Linux and macOS, Python 3 standard library only.
"""
import argparse
import re
import subprocess
import sys
import tempfile

ROWS = (
    "range i from 1 to 1000000 step 1 | extend k = i % 1000, g = tostring(i % 5000), t = datetime(2020-01-01) + i * 1s, "
    "m = strcat('message number ', i, ' with some words behind it, abc ', i % 77)"
)
TIME = "datetime(2020-01-01), datetime(2020-01-12), 1d"
QUERIES = {
    "print 1": "print 1",
    "join inner": f"let T = {ROWS}; T | join kind=inner (T) on i | summarize max(m1)",
    "join fullouter": f"let T = {ROWS}; T | join kind=fullouter (T) on i | summarize max(m1)",
    "sort": f"{ROWS} | sort by m asc | consume",
    "prev, next": f"{ROWS} | order by t asc | extend p = prev(m), n = next(m) | summarize max(p), max(n)",
    "top": f"{ROWS} | top 500000 by m | count",
    "arg_max": f"{ROWS} | summarize arg_max(t, *) by i | summarize max(m)",
    "distinct": f"{ROWS} | distinct m | count",
    "mv-expand": f"{ROWS} | extend a = range(1, 5) | mv-expand a | count",
    "mv-apply": f"{ROWS} | extend a = range(1, 5) | mv-apply a on (summarize s = sum(tolong(a))) | summarize sum(s)",
    "partition": f"{ROWS} | partition hint.strategy=native by k (top 2 by t) | count",
    "top-nested": f"{ROWS} | top-nested of g by count(), top-nested 3 of k by max(i) | count",
    "make_list by": f"{ROWS} | summarize l = make_list(m) by k | summarize sum(array_length(l))",
    "make_list by, 3 million": f"{ROWS.replace('1000000', '3000000')} | summarize l = make_list(m) by k | summarize sum(array_length(l))",
    "make_list by many, 3 mill.": f"{ROWS.replace('1000000', '3000000')} | summarize l = make_list(m) by i / 10 "
    "| summarize sum(array_length(l))",
    "make_set by": f"{ROWS} | summarize l = make_set(m) by g | summarize sum(array_length(l))",
    "make_bag by": f"{ROWS} | summarize b = make_bag(bag_pack(g, m)) by k | summarize sum(array_length(bag_keys(b)))",
    "make_list": f"{ROWS} | summarize l = make_list(m) | project array_length(l)",
    "make_list of numbers": f"{ROWS} | summarize l = make_list(i) | project array_length(l)",
    "make_set": f"{ROWS} | summarize l = make_set(m) | project array_length(l)",
    "make_bag": f"{ROWS} | summarize b = make_bag(bag_pack(m, i)) | project array_length(bag_keys(b))",
    "buildschema": f"{ROWS} | summarize buildschema(bag_pack(tostring(i), i))",
    "percentiles by": f"{ROWS} | summarize percentiles(i, 5, 50) by g | count",
    "count_distinct": f"{ROWS} | summarize count_distinct(m)",
    "pivot": f"{ROWS} | evaluate pivot(k, count(), g) | count",
    "pivot of all": f"{ROWS} | evaluate pivot(k) | count",
    "bag_unpack": f"{ROWS} | project b = bag_pack('a', i, 'b', m, 'c', g), i | evaluate bag_unpack(b) | count",
    "narrow": f"{ROWS} | project i, m | evaluate narrow() | count",
    "autocluster": f"{ROWS} | project k, g, m | evaluate autocluster() | count",
    "basket": f"{ROWS} | project k, g, m | evaluate basket() | count",
    "diffpatterns": f"{ROWS} | project k = k % 10, g, m, s = iff(i % 2 == 0, 'A', 'B') | evaluate diffpatterns(s, 'A', 'B') | count",
    "session_count": f"{ROWS} | evaluate session_count(i, t, {TIME}, 2d) | count",
    "activity_counts_metrics": f"{ROWS} | evaluate activity_counts_metrics(i, t, {TIME}) | count",
    "new_activity_metrics": f"{ROWS} | evaluate new_activity_metrics(i, t, {TIME}) | count",
    "rows_near": f"{ROWS} | order by t asc | evaluate rows_near(k == 5, 2) | count",
    "rolling_percentile": f"{ROWS} | evaluate rolling_percentile(i, 50, t, 1d, 3) | count",
    "sequence_detect": f"{ROWS} | evaluate sequence_detect(t, 1h, 1h, a = k == 1, b = k == 2, g) | count",
    "ipv4_lookup": f"{ROWS} | extend ip = format_ipv4(i) | evaluate ipv4_lookup((datatable(n: string)['0.0.0.0/8']), ip, n) | count",
    "reduce": f"{ROWS} | reduce by m | count",
    "graph-match": f"let T = {ROWS}; T | make-graph i --> k with_node_id=n | graph-match (a)-[e]->(b) project a.n, b.n, e.m | count",
    "graph-match of nodes": f"let T = {ROWS}; T | extend j = i + 1 | make-graph i --> j with T on i "
    "| graph-match (a)-[e]->(b) project a.m, b.m | count",
    "graph-mark-components": f"let T = {ROWS}; T | extend j = i + 1 | make-graph i --> j with_node_id=n "
    "| graph-mark-components | graph-to-table nodes | count",
    "graph-shortest-paths": f"let T = {ROWS}; T | extend j = i + 1 | make-graph i --> j with_node_id=n "
    "| graph-shortest-paths (a)-[e*1..3]->(b) where a.n < 1000 project a.n, b.n | count",
    "make-series": f"{ROWS} | make-series s = sum(i) on t from datetime(2020-01-01) to datetime(2020-01-12) step 2m by k "
    "| summarize sum(array_sum(s))",
    "scan": f"{ROWS} | order by t asc | scan declare (c: long = 0) with (step s: true => c = s.c + 1;) | summarize max(c)",
    "row_window_session": f"{ROWS} | order by g asc, t asc | extend w = row_window_session(t, 1h, 1h, g != prev(g)) | summarize dcount(w)",
    "in a list of rows": f"let T = {ROWS}; T | where m in ((T | project m)) | count",
    "sample": f"{ROWS} | sample 1000000 | count",
    "top-hitters": f"{ROWS} | top-hitters 10 of m | count",
    "strcat_array": f"{ROWS} | summarize l = make_list(m) by k | summarize sum(strlen(strcat_array(l, ',')))",
    "zip": f"{ROWS} | summarize l = make_list(i), r = make_list(m) by k | extend z = zip(l, r) | mv-expand z | count",
}


def bytes_of(text):
    number, unit = re.fullmatch(r"([\d.]+)\s*([KMG]?)B?", text.strip(), re.I).groups()
    return float(number) * {"": 1, "K": 1e3, "M": 1e6, "G": 1e9}[unit.upper()]


def run(command):
    """The status, output, memory at most (bytes), and seconds of the processor of a command."""
    # Of its children a process knows the most of any: each command gets a process that has no other.
    script = (
        "import resource,subprocess,sys\n"
        "p=subprocess.run(sys.argv[1:],capture_output=True,text=True)\n"
        "u=resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(p.returncode,u.ru_maxrss,u.ru_utime+u.ru_stime)\n"
        "print((p.stdout if p.returncode==0 else p.stderr)[:2000])\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, text=True, check=True)
    first, _, said = done.stdout.partition("\n")
    status, most, seconds = first.split()
    unit = 1 if sys.platform == "darwin" else 1024
    return int(status), said.strip(), int(most) * unit, float(seconds)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--kqlake", required=True)
    args.add_argument("--limit", default="300MB")
    args.add_argument("--only", help="names or their beginnings, with commas between")
    args = args.parse_args()
    limit = bytes_of(args.limit)
    wanted = args.only.split(",") if args.only else [""]
    over = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, query in QUERIES.items():
            if not any(name.startswith(start) for start in wanted):
                continue
            command = [args.kqlake, "--lake", f"{folder}/lake", "query", "--memory-limit", args.limit, "-f", "csv", query]
            status, said, most, seconds = run(command)
            over += most > 1.25 * limit
            mark = "OVER" if most > 1.25 * limit else ""
            print(f"{name:26} {most / 1e6:6.0f} MB  status {status}  {seconds:5.1f} s  {mark:4}  {' '.join(said.split())[:70]}", flush=True)
    print(f"{over} over {args.limit} and a quarter")
    sys.exit(over > 0)


main()
