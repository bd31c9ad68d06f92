"""Runs the counted program under callgrind and tells the stage of each instruction.

The program has no marks of its own for this. It is built with line tables; callgrind gives the cost of every
instruction, and addr2line the calls that were inlined around it, so the file of the innermost call that belongs to a
stage tells where it goes. What was not inlined and belongs to no stage itself, such as a copy in the C library, is
divided among its callers' stages by what each of them spent on it.
"""

import collections
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import tempfile

import machine

# The first pattern that matches a file of the program decides; a file that matches none is a tool of its callers.
STAGES = [
    ("frame", r"src/frame\.rs"),
    ("header", r"src/parse/(quick/(mod|header)|mod|syslog|sd|ingest)\.rs"),
    ("fields", r"src/parse/(quick/(router|metrics|words|body)|router|platform|level|json|logfmt|postgres)\.rs"),
    ("books", r"src/(tally|shard|outcome|ledger)\b"),
    ("json", r"src/(encode\b|simd/(pen|digits)\b)"),
]
NAMES = [name for name, _ in STAGES]
# Buffers have grown after the first pass.
PASSES_SHORT, PASSES_LONG = 2, 5
# As `count each` does.
PASSES_COUNTED = 3
LINE_TABLES = 'profile.bench.package.weir.debug="line-tables-only"'


def build(*names):
    """The programs of these benches, compiled as benchmarks are, with line tables."""
    command = ["cargo", "bench", "--no-run", "--message-format", "json", "--config", LINE_TABLES]
    command += [word for name in names for word in ("--bench", name)]
    out = subprocess.run(command, cwd=machine.ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    messages = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    found = {m["target"]["name"]: m["executable"] for m in messages if m.get("executable")}
    return [found[name] for name in names]


def run(program, corpus, output, passes, out_file, *more):
    """Instructions of a whole run, and what the program says of one pass."""
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out_file}", *more]
    done = subprocess.run([*command, program, corpus, output, str(passes)], capture_output=True, text=True)
    collected = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not collected:
        sys.exit(f"callgrind failed: {done.stderr}")
    return int(collected[1]), json.loads(done.stdout.splitlines()[-1])


def totals(program, jobs, folder):
    """Instructions an event of each (corpus, output) or (corpus, output, rules), and what one pass has, by job."""
    shares = [jobs[at :: os.cpu_count()] for at in range(os.cpu_count())]
    folders = [tempfile.mkdtemp(dir=folder) for _ in shares]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(lambda share, folder: some_totals(program, share, folder), shares, folders)
    return {job: found for some in done for job, found in some.items()}


def some_totals(program, jobs, folder):
    """The same in one run of the program, which marks what counts by calls of `boundary`."""
    if not jobs:
        return {}
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", "--dump-before=*boundary*"]
    command += [program, "each", *("/".join(job) for job in jobs)]
    done = subprocess.run(command, capture_output=True, text=True)
    sizes = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode != 0 or len(sizes) != len(jobs):
        sys.exit(f"callgrind failed: {done.stderr}")
    found = {}
    for at, (job, size) in enumerate(zip(jobs, sizes)):
        # Before each boundary a part is written: what led to the passes, then the passes.
        part = open(f"{folder}/out.{2 * at + 2}").read()
        whole = int(re.search(r"^(?:totals|summary): (\d+)", part, re.M)[1])
        found[job] = (whole / PASSES_COUNTED / size["events"], size)
    return found


class Costs:
    """What callgrind wrote of a run: the cost of each instruction itself, and of the calls from it."""

    def __init__(self, path):
        # By object and address; and by function, the addresses of its instructions.
        self.own = collections.Counter()
        # By called function, what each calling instruction spent on it.
        self.calls = collections.defaultdict(collections.Counter)
        self.function_of = {}
        self.lowest = {}
        here = {"ob": "", "fn": ""}
        called = {"cob": "", "cfn": ""}
        call = False
        for line in open(path):
            if line[0] in "0123456789":
                address, _, cost = line.split()[:3]
                place = (here["ob"], int(address, 16))
                if call:
                    self.calls[called["cob"], called["cfn"]][place] += int(cost)
                    call = False
                else:
                    function = (here["ob"], here["fn"])
                    self.own[place] += int(cost)
                    self.function_of[place] = function
                    self.lowest[function] = min(place[1], self.lowest.get(function, place[1]))
            elif line.startswith("calls="):
                call = True
            elif found := re.match(r"(ob|fn|cob|cfn)=(.*)", line):
                (here if found[1] in here else called)[found[1]] = found[2]
                # A call goes to the same object where no other is named.
                if found[1] in ("ob", "fn"):
                    called["cob"] = here["ob"]

    def subtract(self, other):
        self.own.subtract(other.own)
        for function, places in other.calls.items():
            self.calls[function].subtract(places)


def costs(program, corpus, output, folder):
    """The costs of some passes, set-up left out, and what one pass has."""
    more = ["--dump-instr=yes", "--compress-strings=no", "--compress-pos=no"]
    runs = []
    for passes in (PASSES_SHORT, PASSES_LONG):
        out = f"{folder}/{corpus}-{output}-{passes}"
        _, size = run(program, corpus, output, passes, out, *more)
        runs.append(Costs(out))
    runs[1].subtract(runs[0])
    return runs[1], size


def inlined(program, addresses, base):
    """The calls around each address, the innermost first, as (function, file)."""
    text = "\n".join(hex(address - base) for address in addresses)
    command = ["addr2line", "-a", "-i", "-f", "-C", "-e", program]
    lines = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout.splitlines()
    chains, at = [], 0
    while at < len(lines):
        if lines[at].startswith("0x"):
            chains.append([])
            at += 1
        else:
            chains[-1].append((lines[at], lines[at + 1].rsplit(":", 1)[0]))
            at += 2
    return dict(zip(addresses, chains))


def load_address(program, costs):
    """How far from its place in the file the program was loaded."""
    symbols = subprocess.run(["nm", program], capture_output=True, text=True, check=True).stdout
    entry = int(re.search(r"^([0-9a-f]+) T main$", symbols, re.M)[1], 16)
    return costs.lowest[program, "main"] - entry


def stage_of(chain):
    """The stage of an instruction and the function that it is counted under, if its files tell."""
    for function, file in chain:
        for stage, pattern in STAGES:
            if "/rustc/" not in file and re.search(pattern, file):
                part = re.search(r"src/(.*)\.rs", file)[1].replace("/mod", "")
                return stage, f"{part}::{short(function)}"
    return None


def short(function):
    """The last word of a function's path, without what it is generic over."""
    before = None
    while before != function:
        before, function = function, re.sub(r"<[^<>]*>", "", function)
    words = [word for word in function.split("::") if word and not word.startswith("{")]
    return words[-1] if words else function


def by_stage(program, corpus, output, folder):
    """Instructions an event by stage and by function in a stage, and what one pass has."""
    found, size = costs(program, corpus, output, folder)
    events = size["events"] * (PASSES_LONG - PASSES_SHORT)
    places = [place for place, cost in found.own.items() if place[0] == program and cost > 0]
    calling = {place for callers in found.calls.values() for place, cost in callers.items() if cost > 0}
    asked = sorted({address for object_, address in [*places, *calling] if object_ == program})
    chains = inlined(program, asked, load_address(program, found))
    known = {(program, address): stage_of(chain) for address, chain in chains.items()}
    memory = {}

    def shares(place, path=()):
        """How the cost of an instruction is divided, by (stage, function)."""
        if known.get(place):
            return {known[place]: 1.0}
        function = found.function_of.get(place)
        if function in memory or function in path:
            return memory.get(function, {})
        sums = collections.Counter()
        for caller, cost in found.calls.get(function, {}).items():
            for stage, share in shares(caller, (*path, function)).items():
                sums[stage] += max(cost, 0) * share
        whole = sum(sums.values())
        divided = {stage: cost / whole for stage, cost in sums.items()} if whole else {}
        if not path:
            memory[function] = divided
        return divided

    stages, functions = collections.Counter(), collections.Counter()
    for place, cost in found.own.items():
        if cost == 0:
            continue
        divided = shares(place) or {("rest", "rest"): 1.0}
        for (stage, function), share in divided.items():
            stages[stage] += cost * share / events
            functions[stage, function] += cost * share / events
    return stages, functions, size
