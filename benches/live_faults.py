#!/usr/bin/env python3
"""Live imports against a simulated tenant that does everything wrong, or of a program that is killed: what the tenant's manifest
calls true must be in the lake or quarantined, each once.

    live_faults.py KQLAKE faults FIRST LAST     all sections with every fault, a run a seed
    live_faults.py KQLAKE kills RUNS            each section killed so often: at random instants, and at every step on the disk
    live_faults.py KQLAKE watch RUNS            the program that stays, with all sections, killed so often
    live_faults.py KQLAKE webhook RUNS          the receiver of notifications, killed so often while they come
    live_faults.py KQLAKE again                 the same window listed again: what is fetched and written
    live_faults.py KQLAKE backlog BLOBS         a week of audit blobs under the service's quota, whose clock runs --rate times as fast
    live_faults.py KQLAKE speed BLOBS           the same without a quota: records a second, and memory
    live_faults.py KQLAKE large MEGABYTES       one blob of so much JSON: memory

Steps on the disk are counted by strace, which kills at the one that is wanted; without it, all instants are random.
"""
import argparse
import concurrent.futures
import datetime
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

NOW = '2026-01-12T12:00:00Z'
# What decides between states of a row, where the manifest says which one wins.
STATES = {'CallRecords': 'version', 'CallSessions': 'version', 'CallSegments': 'version', 'MessageTrace': 'status'}
SECTIONS = ['ActivityLog', 'Calls', 'MessageTrace', 'GraphUsersMetadata', 'GraphUserApps', 'GraphTeams', 'GraphUsageReports',
            'WebTraffic']
# Sections that have news once a day.
DAILY = {'GraphUsersMetadata', 'GraphUserApps', 'GraphTeams', 'GraphUsageReports'}
# Tables that a section's requests make true, and another section brings.
OTHERS = {'GraphUserApps': {'Users'}}
# How often a lake is killed before it is looked at.
LAKE_KILLS = 10
# Calls of the system that change what is on the disk.
STEPS = 'rename,renameat,renameat2,link,linkat,unlink,fsync,fdatasync'


class Tenant:
    """A simulated tenant, with a folder that the program runs in."""

    def __init__(self, args, seed, scale, rate, plan='', quotas='false'):
        self.args, self.rate = args, rate
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f'live-{seed}-', dir=args.work))
        (self.dir / 'plan.toml').write_text(f'seed = {seed}\n[settings]\nquotas = {quotas}\n{plan}')
        with open(self.dir / 'kqlake.toml.new', 'w') as out:
            command = [args.kqlake, 'simulate', '--clock', f'{NOW}x{rate}', '--seed', str(seed), '--scale', str(scale),
                       '--faults', 'plan.toml']
            self.process = subprocess.Popen(command, cwd=self.dir, stdout=out, stderr=subprocess.DEVNULL)
        text = ''
        while 'workspace_id' not in text:
            assert self.process.poll() is None, 'the tenant ended'
            time.sleep(0.05)
            text = (self.dir / 'kqlake.toml.new').read_text()
        os.rename(self.dir / 'kqlake.toml.new', self.dir / 'kqlake.toml')
        self.base = re.search(r'http://127\.0\.0\.1:\d+', text).group(0)
        name, secret = re.search(r"(\w+)='([^']*)'", text).groups()
        self.environment = {'PATH': os.environ['PATH'], 'HOME': str(self.dir), name: secret}

    def control(self, what, body=None):
        request = urllib.request.Request(f'{self.base}/_control/{what}', data=None if body is None else body.encode())
        return urllib.request.urlopen(request).read()

    def manifest(self):
        return json.loads(self.control('manifest'))

    def command(self, *words, prefix=()):
        environment = {**self.environment, 'KQLAKE_NOW': f'{self.manifest()["now"]}x{self.rate}'}
        return [*prefix, self.args.kqlake, *words], {'cwd': self.dir, 'env': environment}

    def run(self, *words, prefix=()):
        command, where = self.command(*words, prefix=prefix)
        return subprocess.run(command, **where, capture_output=True, text=True)

    def logged(self, number, *words):
        ran = self.run(*words)
        (self.dir / f'{number}.log').write_text(ran.stdout + ran.stderr)
        return ran.returncode

    def asked(self, *words):
        ran = self.run(*words, '-f', 'json')
        return json.loads(ran.stdout or '[]') if ran.returncode == 0 else []

    def goes_on(self, hours):
        now = datetime.datetime.fromisoformat(self.manifest()['now']) + datetime.timedelta(hours=hours)
        self.control('clock', f'{now:%Y-%m-%dT%H:%M:%SZ}x{self.rate}')

    def processor(self):
        """Seconds of the processor that the tenant itself took so far."""
        user, system = pathlib.Path(f'/proc/{self.process.pid}/stat').read_text().rsplit(')', 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf('SC_CLK_TCK')

    def end(self, keep):
        self.process.terminate()
        self.process.wait()
        if not keep:
            shutil.rmtree(self.dir)


def differences(tenant, manifest, others=()):
    """What is wrong with the lake, and how many rows it has."""
    lines, total = [], 0
    manifest['tables'] = [table for table in manifest['tables'] if table['table'] not in others]
    schema = columns(tenant, [table['table'] for table in manifest['tables']])
    found = rows(tenant, manifest, schema)
    names = [table['table'] for table in manifest['tables']]
    for at, table in enumerate(manifest['tables']):
        name, wanted, optional = table['table'], table['rows'], set(table['optional'])
        if name not in schema:
            if wanted:
                lines.append(f'{name}: no table for {len(wanted)} rows')
            continue
        got = {}
        for key, state in found.get(at, []):
            got.setdefault(key, []).append(state)
        total += len(got)
        # Where two tables of the manifest are one of the lake, each has the rows of both.
        alone = names.count(name) == 1
        problems = {
            'lost': [key for key in wanted if key not in got],
            'extra': [key for key in got if alone and key not in wanted and not optional & {key, key.split('|')[0]}],
            'doubled': [key for key in got if alone and len(got[key]) > 1],
            'old': [key for key, state in wanted.items()
                    if name in STATES and key in got and str(got[key][0]).lower() != str(state).lower()],
        }
        lines += [f'{name}: {len(keys)} {kind} of {len(wanted)}, such as {keys[:2]}' for kind, keys in problems.items() if keys]
    if any(table['table'] == 'AuditRecords' for table in manifest['tables']):
        aside = sorted(record['record'] for record in tenant.asked('quarantine', 'show'))
        refused = sorted(text for table in manifest['tables'] for text in table['refused'])
        if aside != refused:
            lines.append(f'{len(aside)} records are quarantined, and {len(refused)} are wrong')
    logs = [log.name for log in tenant.dir.glob('*.log') if re.search('defect|panicked', log.read_text())]
    return lines + ([f'defects: {logs}'] if logs else []), total


def columns(tenant, names):
    there = {table['table'] for table in tenant.asked('tables')}
    wanted = sorted(there.intersection(names))
    parts = [f"({name} | getschema | project table='{name}', column=ColumnName)" for name in wanted]
    schema = {name: {} for name in wanted}
    for row in tenant.asked('query', f'union {", ".join(parts)}', '--max-rows', '0', '--timeout', '0') if parts else []:
        schema[row['table']][row['column'].lower()] = row['column']
    return schema


def rows(tenant, manifest, schema):
    parts, found = [], {}
    for at, table in enumerate(manifest['tables']):
        if table['table'] not in schema:
            continue
        own = schema[table['table']]
        names = [own.get(key.lower(), key) for key in table['key']]
        texts = [f"format_datetime({name}, 'yyyy-MM-dd')" if name.lower().endswith('date') else f'tostring({name})'
                 for name in names]
        state = STATES.get(table['table'], "''")
        parts.append(f"({table['table']} | project at={at}, key=strcat_delim('|', {', '.join(texts)}, ''), "
                     f"state=tostring({state}))")
    for row in tenant.asked('query', f'union {", ".join(parts)}', '--max-rows', '0', '--timeout', '0') if parts else []:
        found.setdefault(row['at'], []).append((row['key'].removesuffix('|'), row['state']))
    return found


def faulty(args, seed):
    """All sections with every fault until they are done, and once more without faults on the next day."""
    began = time.time()
    tenant = Tenant(args, seed, args.scale, 200, 'audit_blob_records = 30\n')
    tenant.control('faults', 'all')
    codes = []
    for run in range(6):
        codes.append(tenant.logged(run, 'import', *args.sections))
        if codes[-1] == 0:
            break
    tenant.control('faults', '')
    # Days whose reports were provisional are read once a day.
    tenant.rate = 1
    tenant.goes_on(30)
    codes.append(tenant.logged('last', 'import', *args.sections))
    if codes[-1] == 5:
        # What came in these hours may hold records that no table takes: they are quarantined, and told once.
        codes.append(tenant.logged('once more', 'import', *args.sections))
    manifest = tenant.manifest()
    problems, total = differences(tenant, manifest)
    if codes[-1] != 0:
        problems.append(f'the last run ends with {codes[-1]}')
    report(tenant, f'seed {seed}: {codes}, {total} rows, {sum(manifest["faults"].values())} faults', began, problems)
    return bool(problems)


def report(tenant, text, began, problems):
    kept = f'  WRONG, see {tenant.dir}' if problems else ''
    print(f'{text}, {time.time() - began:.0f} s{kept}', *problems, sep='\n    ', flush=True)
    tenant.end(keep=bool(problems))


def steps_of(tenant, words):
    """The steps on the disk that a command takes, each with how often one of its threads takes it: strace counts so."""
    counted = {}
    with tempfile.NamedTemporaryFile(dir=tenant.dir) as out:
        tenant.run(*words, prefix=['strace', '-f', '--seccomp-bpf', '-qq', '-o', out.name, '-e', f'trace={STEPS}'])
        for line in open(out.name):
            step = re.match(r'(\d+) +(\w+)\(', line)
            if step:
                counted[step.groups()] = counted.get(step.groups(), 0) + 1
    steps = {}
    for (_, call), count in counted.items():
        steps[call] = max(count, steps.get(call, 0))
    return [(call, number) for call, most in steps.items() for number in range(1, most + 1)]


def killed_at_step(tenant, words, step):
    call, number = step
    inject = f'inject={call}:signal=SIGKILL:when={number}'
    prefix = ['strace', '-f', '--seccomp-bpf', '-qq', '-o', '/dev/null', '-e', f'trace={call}', '-e', inject]
    return tenant.run(*words, prefix=prefix).returncode == -signal.SIGKILL


def killed_after(tenant, words, seconds):
    """True when it had not ended before."""
    command, where = tenant.command(*words)
    process = subprocess.Popen(command, **where, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True


def settled(tenant, words, log):
    """Runs a command until nothing is left to do; what it ended with in the end."""
    for _ in range(4):
        code = tenant.logged(log, *words)
        if code == 0:
            break
    return code


def killed(args, section, lake, steps):
    """One lake: a few rounds, each killed some times and then run to its end; between them time goes on. Gives how often it was
    killed, and whether something is wrong."""
    began = time.time()
    chance = random.Random(f'{section} {lake}')
    tenant = Tenant(args, 1_000 + lake, args.scale, 20, 'audit_blob_records = 30\n')
    words, kills, problems, latest = ('import', section), 0, [], args.seconds
    for attempt in range(3 * LAKE_KILLS):
        began_try = time.time()
        if steps.get(section) and attempt % 2 == 0:
            is_killed = killed_at_step(tenant, words, chance.choice(steps[section]))
        else:
            is_killed = killed_after(tenant, words, chance.uniform(0.03, latest))
            latest = latest if is_killed else max(0.1, time.time() - began_try)
        kills += is_killed
        if kills >= LAKE_KILLS:
            break
        if not is_killed or chance.random() < 0.2:
            # What was served must have come before time goes on: it may be gone then.
            code = settled(tenant, words, attempt)
            if code not in (0, 5):
                problems.append(f'a run after kills ends with {code}')
            tenant.goes_on(26 if section in DAILY else 3)
    settled(tenant, words, 'last')
    found, total = differences(tenant, tenant.manifest(), OTHERS.get(section, ()))
    problems += found
    report(tenant, f'{section} lake {lake}: {kills} kills, {total} rows', began, problems)
    return kills, bool(problems)


def watched(args, lake):
    """The program that stays, killed again and again."""
    began = time.time()
    chance = random.Random(lake)
    tenant = Tenant(args, 2_000 + lake, args.scale, 600, 'audit_blob_records = 30\n')
    kills = 0
    for _ in range(LAKE_KILLS):
        kills += killed_after(tenant, ('watch',), chance.uniform(0.2, 4 * args.seconds))
    tenant.rate = 1
    # What was served must have come before time goes on: it may be gone then.
    tenant.goes_on(0)
    settled(tenant, ('import',), 'first')
    tenant.goes_on(30)
    code = settled(tenant, ('import',), 'last')
    problems, total = differences(tenant, tenant.manifest())
    if code not in (0, 5):
        problems.append(f'the last run ends with {code}')
    report(tenant, f'watch lake {lake}: {kills} kills, {total} rows', began, problems)
    return kills, bool(problems)


def notified(args, runs):
    """The receiver of notifications, killed while they come: what it took must be in the spool, each once."""
    began = time.time()
    chance = random.Random(1)
    tenant = Tenant(args, 3_000, args.scale, 1)
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    with open(tenant.dir / 'kqlake.toml', 'a') as file:
        file.write(f"""
[tenants.contoso.calls]
notification_url = "https://hooks.example.com/calls"
client_state = {{ env = "STATE" }}
listen = "127.0.0.1:{port}"
""")
    tenant.environment['STATE'] = 'a state that nobody guesses'
    identity = re.search(r'(?m)^id = "([^"]*)"', (tenant.dir / 'kqlake.toml').read_text()).group(1)
    taken, posted, kills = set(), 0, 0
    for _ in range(runs):
        command, where = tenant.command('webhook')
        process = subprocess.Popen(command, **where, stdout=subprocess.DEVNULL, stderr=open(tenant.dir / '0.log', 'w'))
        until = time.time() + chance.uniform(0.3, 1.2)
        posting = concurrent.futures.ThreadPoolExecutor(4)

        def post(number):
            call = f'00000000-0000-4000-8000-{number:012x}'
            resource = f'communications/callRecords/{call}'
            body = {'value': [{'subscriptionId': 's', 'clientState': 'a state that nobody guesses', 'changeType': 'created',
                               'resource': resource, 'tenantId': identity,
                               'resourceData': {'@odata.type': '#microsoft.graph.callRecord', 'id': call}}]}
            request = urllib.request.Request(f'http://127.0.0.1:{port}/', data=json.dumps(body).encode(),
                                             headers={'Content-Type': 'application/json'})
            try:
                if urllib.request.urlopen(request, timeout=5).status == 202:
                    taken.add(call)
            except OSError:
                time.sleep(0.02)

        pending = []
        while time.time() < until:
            pending += [posting.submit(post, posted + number) for number in range(4)]
            posted += 4
            concurrent.futures.wait(pending[-4:])
        # Some are under way.
        pending += [posting.submit(post, posted + number) for number in range(4)]
        posted += 4
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        concurrent.futures.wait(pending)
    spooled = [call for file in tenant.dir.glob('data/lake/_spool/calls/new/*.json')
               for call in json.loads(file.read_text())['calls']]
    lost = taken.difference(spooled)
    problems = [f'{len(lost)} lost, such as {sorted(lost)[:2]}'] if lost or not taken else []
    doubled = len(spooled) - len(set(spooled))
    problems += [f'{doubled} are there twice'] if doubled else []
    report(tenant, f'webhook: {kills} kills, {posted} notifications posted, {len(taken)} taken', began, problems)
    return bool(problems)


def again(args):
    """All sections, and all again at the same time: what is fetched, and which tables get a commit."""
    tenant = Tenant(args, 7, args.scale, 1)
    tenant.control('clock', NOW)
    tenant.rate = 0
    tenant.command = lambda *words, prefix=(): ([*prefix, args.kqlake, *words],
                                                {'cwd': tenant.dir, 'env': {**tenant.environment, 'KQLAKE_NOW': NOW}})
    seen = []
    for run in range(3):
        tenant.logged(run, 'import', *args.sections)
        commits = {table.parent.name: len(list(table.glob('*.json')))
                   for table in (tenant.dir / 'data' / 'lake').glob('*/_delta_log')}
        seen.append((tenant.manifest(), commits))
    (before, commits), (after, commits_after) = seen[-2:]
    fetched = after['notes'].get('management: blobs sent', 0) - before['notes'].get('management: blobs sent', 0)
    fetched += after['notes'].get('management: blobs sent again', 0) - before['notes'].get('management: blobs sent again', 0)
    written = {name: count - commits.get(name, 0) for name, count in commits_after.items() if count != commits.get(name, 0)}
    asked = {name: sum(counts.values()) - sum(before['requests'].get(name, {}).values())
             for name, counts in after['requests'].items()}
    print(f'blobs fetched again: {fetched}; commits by table: {written}; requests: {asked}')
    problems, _ = differences(tenant, after)
    report(tenant, 'listed again', time.time(), problems)
    return bool(problems or fetched)


# Blobs that a tenant of scale 1 has in a week.
BLOBS_OF_SCALE = 112
# Content types that have been subscribed to for long, so that the whole week is there.
SUBSCRIBED = 'audit_subscribed = ["Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.SharePoint", "Audit.General"]\n'
# Bytes of a record, about.
RECORD_BYTES = 950
# Requests a minute that the Management Activity API takes of a tenant.
QUOTA = 2_000


def measured(tenant, *words):
    """Runs a command; gives its status, seconds by the clock and of the processor, and the most megabytes that it took."""
    command, where = tenant.command(*words)
    began = time.time()
    with open(tenant.dir / 'measured.log', 'w') as log:
        process = subprocess.Popen(command, **where, stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, time.time() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def audit_counts(tenant):
    """What the ledger says of audit blobs in the lake: how many, their records and their bytes."""
    text = "ImportLedger | where section == 'Audit events' and state in ('done', 'incomplete') | summarize blobs=count(), rows=sum(rows), bytes=sum(bytes)"
    return tenant.asked('query', text)[0]


def backlog(args, blobs):
    """A week of blobs under the quota: how much of it is used, how often the service throttles, and in which order blobs come."""
    began = time.time()
    tenant = Tenant(args, 5, blobs / BLOBS_OF_SCALE, args.rate, f'{SUBSCRIBED}audit_blob_records = 4\n', quotas='true')
    # The first run may take what the quota has left of the minute before; so the clock stands where it begins.
    tenant.goes_on(0)
    before = tenant.manifest()
    code, wall, processor, memory = measured(tenant, 'import', 'ActivityLog')
    after = tenant.manifest()
    minutes = (datetime.datetime.fromisoformat(after['now']) - datetime.datetime.fromisoformat(before['now'])).total_seconds() / 60
    answers = after['requests'].get('management', {})
    asked, throttled = sum(answers.values()), answers.get('403', 0) + answers.get('429', 0)
    counts = audit_counts(tenant)
    text = "ImportLedger | where section == 'Audit events' and state in ('done', 'incomplete', 'empty') and isnotnull(expiresAt) " \
           '| sort by startedAt asc, expiresAt asc | project expiresAt'
    order = [row['expiresAt'] for row in tenant.asked('query', text, '--max-rows', '0')]
    wanted = {at: place for place, at in enumerate(sorted(range(len(order)), key=lambda at: order[at]))}
    late = max((abs(place - at) for at, place in wanted.items()), default=0)
    problems = [] if code in (0, 5) else [f'it ends with {code}']
    used = (asked - throttled) / (QUOTA * minutes)
    print(f'{counts["blobs"]} blobs, {counts["rows"]} records in {minutes:.1f} minutes of the tenant; {asked} requests, {used:.1%} of the quota, '
          f'{throttled} throttled ({throttled / asked:.2%}); no blob is begun more than {late} places from where it expires; '
          f'{processor:.1f} s of the processor, {memory:.0f} MB')
    problems += [f'the quota is used to {used:.1%}'] * (used < 0.95) + [f'{throttled} of {asked} throttled'] * (throttled > asked / 100)
    report(tenant, 'backlog', began, problems)
    return bool(problems)


def speed(args, blobs, plan, what):
    """Blobs without a quota: records a second, and memory; the tenant's own processor time is not in it."""
    began = time.time()
    tenant = Tenant(args, 5, blobs / BLOBS_OF_SCALE, 1, SUBSCRIBED + plan)
    toml = tenant.dir / 'kqlake.toml'
    toml.write_text(toml.read_text().replace('.audit]\n', '.audit]\nrequests_per_minute = 1000000\n'))
    before = tenant.processor()
    code, wall, processor, memory = measured(tenant, 'import', 'ActivityLog')
    counts = audit_counts(tenant)
    load = os.getloadavg()[0]
    print(f'{counts["blobs"]} blobs, {counts["rows"]} records, {counts["bytes"] / 1e6:.0f} MB: {wall:.1f} s by the clock '
          f'({counts["rows"] / wall:.0f} records/s) at a load of {load:.0f}; {processor:.1f} s of the processor '
          f'({counts["rows"] / processor:.0f} records/s), {tenant.processor() - before:.1f} s of the tenant; {memory:.0f} MB at most')
    problems = [] if code in (0, 5) else [f'it ends with {code}']
    report(tenant, what, began, problems)
    return bool(problems)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('kqlake', type=os.path.abspath)
    parser.add_argument('what', choices=['faults', 'kills', 'watch', 'webhook', 'again', 'backlog', 'speed', 'large'])
    parser.add_argument('numbers', type=int, nargs='*')
    parser.add_argument('--sections', nargs='*', default=[])
    parser.add_argument('--scale', type=float, default=0.1)
    parser.add_argument('--seconds', type=float, default=1.0, help='the latest random instant of a first kill')
    parser.add_argument('--rate', type=float, default=6, help='how many times as fast the clock of a backlog runs')
    parser.add_argument('--jobs', type=int, default=1, help='runs side by side')
    parser.add_argument('--work', default=tempfile.gettempdir(), help='where folders of runs are made')
    args = parser.parse_args()
    began = time.time()
    pool = concurrent.futures.ThreadPoolExecutor(args.jobs)
    if args.what == 'faults':
        first, last = args.numbers
        wrong = list(pool.map(lambda seed: faulty(args, seed), range(first, last + 1)))
        print(f'{len(wrong)} runs, {sum(wrong)} wrong, {time.time() - began:.0f} s')
        raise SystemExit(any(wrong))
    if args.what == 'again':
        raise SystemExit(again(args))
    if args.what == 'backlog':
        raise SystemExit(backlog(args, args.numbers[0]))
    if args.what == 'speed':
        raise SystemExit(speed(args, args.numbers[0], 'audit_blob_records = 400\naudit_blob_records_least = 200\n', 'speed'))
    if args.what == 'large':
        records = args.numbers[0] * 1_000_000 // RECORD_BYTES
        raise SystemExit(speed(args, 3, f'audit_blob_records = {records}\naudit_blob_records_least = {records}\n', 'large'))
    if args.what == 'webhook':
        raise SystemExit(notified(args, args.numbers[0]))
    wanted, results = args.numbers[0], []
    if args.what == 'watch':
        results = [('watch', pool.map(lambda lake: watched(args, lake), range(-(-wanted // LAKE_KILLS))))]
    else:
        steps = {}
        for section in args.sections or SECTIONS:
            if shutil.which('strace'):
                counted = Tenant(args, 999, args.scale, 20, 'audit_blob_records = 30\n')
                steps[section] = steps_of(counted, ('import', section))
                counted.end(keep=False)
            lakes = range(-(-wanted // LAKE_KILLS))
            results.append((section, pool.map(lambda lake, name=section: killed(args, name, lake, steps), lakes)))
    failed = False
    for name, lakes in results:
        lakes = list(lakes)
        wrong = sum(is_wrong for _, is_wrong in lakes)
        failed |= bool(wrong)
        count = f', at any of {len(steps[name])} steps on the disk' if args.what == 'kills' and name in steps else ''
        print(f'{name}: {sum(kills for kills, _ in lakes)} kills{count}, {len(lakes)} lakes, {wrong} wrong')
    print(f'{time.time() - began:.0f} s')
    raise SystemExit(failed)


if __name__ == '__main__':
    main()
