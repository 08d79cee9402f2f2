#!/usr/bin/env python3
"""Five-minute drops: what each import takes, by the clock and of the processor, and how many files the tables have.
What an import wrote beside its rows (merges, checkpoints) is read from the logs, and each kind has its times.

Nothing is compacted unless `--compact` says so. Traces overlap: each drop repeats a few records of the one before. Message traces
change: each comes as pending, and is delivered in one of the drops of the next hour. In the end the lake must hold each record
once, and every message that was delivered as such.
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import time

DROPS_A_DAY = 288


def generated(args, kind):
    rows = args.rows * DROPS_A_DAY * args.days
    made = subprocess.run([args.kqlake, 'generate', kind, '--rows', str(rows), '--start', args.start, '--days', str(args.days)],
                          capture_output=True, text=True, check=True).stdout
    records = (line.rstrip(',') for line in made.splitlines())
    return [json.loads(line) for line in records if line.startswith(('{"timestamp"', '{"id"'))]


def traces(args):
    records = sorted(generated(args, 'traces'), key=lambda record: record['timestamp'])
    for at in range(0, len(records), args.rows):
        yield records[max(0, at - args.rows // 10):at + args.rows]


def messages(args):
    records = sorted(generated(args, 'message-trace'), key=lambda record: record['receivedDateTime'])
    later, chance = {}, random.Random(1)
    for drop in range(len(records) // args.rows):
        now = later.pop(drop, [])
        for record in records[drop * args.rows:(drop + 1) * args.rows]:
            now.append({**record, 'status': 'pending'})
            later.setdefault(drop + chance.randint(1, 12), []).append({**record, 'status': 'delivered'})
        yield now


def asked(args, lake, *words):
    command = [args.kqlake, '--lake', lake, *words, '-f', 'json']
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def timed(command):
    """Seconds by the clock and of the processor."""
    began = time.perf_counter()
    _, status, used = os.wait4(subprocess.Popen(command).pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, command
    return time.perf_counter() - began, used.ru_utime + used.ru_stime


def written(work, seen):
    """What an import wrote into the logs of its tables, from their commits since: merges, and versions with a checkpoint."""
    what = []
    for log in sorted(work.glob('lake/*/_delta_log')):
        table, version = log.parent.name, seen.get(log.parent.name, 0)
        while (commit := log / f'{version:020}.json').exists():
            text = commit.read_text()
            if '"operation":"OPTIMIZE"' in text:
                what.append(f'merge of {table}')
            elif '"remove":{' in text:
                what.append(f'replaced rows of {table}')
            if (log / f'{version:020}.checkpoint.parquet').exists():
                what.append(f'checkpoint of {table}')
            version += 1
        seen[table] = version
    return ' and '.join(what) or 'rows alone'


def by_kind(took, kinds):
    """A line a kind of import: how many there were, and their times."""
    groups = {}
    for one, kind in zip(took[1:], kinds[1:]):
        groups.setdefault(kind, []).append(one)
    limit = [1.5 * of_first for of_first in took[0]]
    for kind, some in sorted(groups.items(), key=lambda group: -len(group[1])):
        over = [sum(one[n] > limit[n] for one in some) for n in (0, 1)]
        print(f'  {len(some):5} {kind}: {told(some)}; over {over[0]} and {over[1]}')


def told(took):
    clock, processor = zip(*took)
    return (f'{statistics.median(clock):.3f} s (at most {max(clock):.3f}), '
            f'{statistics.median(processor):.3f} s of the processor (at most {max(processor):.3f})')


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--kqlake', default='target/release/kqlake')
    parser.add_argument('--work', default='/tmp/drops')
    parser.add_argument('--kind', choices=['traces', 'message-trace'], default='traces')
    parser.add_argument('--days', type=int, default=3)
    parser.add_argument('--drops', type=int, help='end after so many')
    parser.add_argument('--rows', type=int, default=50, help='new records a drop')
    parser.add_argument('--start', default='2026-01-01')
    parser.add_argument('--compact', type=int, default=0, metavar='N', help='compact after each N drops')
    args = parser.parse_args()
    work = pathlib.Path(args.work)
    lake = str(work / 'lake')
    shutil.rmtree(lake, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    took, kinds, seen, newest, most = [], [], {}, {}, 0
    for drop in {'traces': traces, 'message-trace': messages}[args.kind](args):
        file = work / 'drop.ndjson'
        file.write_text(''.join(json.dumps(record) + '\n' for record in drop))
        for record in drop:
            newest[record.get('itemId') or (record['id'], record['recipientAddress'])] = record.get('status')
        took.append(timed([args.kqlake, '--lake', lake, '-q', 'import', '--from', str(file)]))
        kinds.append(written(work, seen))
        if args.compact and len(took) % args.compact == 0:
            subprocess.run([args.kqlake, '--lake', lake, '-q', 'compact'], check=True)
        if len(took) % 48 == 0 or len(took) == args.drops:
            files = {table['table']: table['files'] for table in asked(args, lake, 'tables')}
            most = max(most, *files.values())
            print(f'{len(took)} drops: the first {took[0][0]:.3f} s ({took[0][1]:.3f}), the last 48 {told(took[-48:])};', files,
                  flush=True)
        if len(took) == args.drops:
            break
    clock, processor = (sum(t[n] > 1.5 * took[0][n] for t in took) for n in (0, 1))
    print(f'all after the first: {told(took[1:])}; at most {most} files in a table; over 1.5 times the first: '
          f'{clock} by the clock, {processor} of the processor')
    by_kind(took, kinds)
    query = {'traces': 'traces | where cloud_RoleName != "kqlake" | summarize rows = count()',
             'message-trace': 'MessageTrace | summarize rows = count(), delivered = countif(status == "delivered")'}[args.kind]
    answer = asked(args, lake, 'query', query)[0]
    assert answer['rows'] == len(newest), (answer, len(newest))
    if 'delivered' in answer:
        assert answer['delivered'] == sum(status == 'delivered' for status in newest.values()), answer
    print(f'{len(newest)} records, each there once')


main()
