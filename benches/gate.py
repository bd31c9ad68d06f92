"""Holds the instructions an event against a committed record, so that none comes back unseen.

The record is changed by hand, `benches/run --gate --accept`, in a commit that says why. It names the toolchain it was
counted with. Another compiler gives other code, so against it 3 % means nothing: then a figure fails only where it is
a fifth over its record, and the gate says so. To fail at once would make each new compiler break changes that have
nothing to do with it; to pass whatever comes would be no gate.

What packs cost is shown beside its bars. A bar that the record keeps is kept; one that it misses is told and no more.
"""

import json

import callgrind
import machine
import packs

RECORD = machine.ROOT / "benches/record/gate.json"
COUNTED = [
    (corpus, output)
    for corpus in ("router-heavy-no-json-syslog", "router-heavy-no-json-https")
    for output in ("framing", "none", "ndjson", "eventtracker")
] + [("router-heavy-syslog", "none"), ("router-heavy-syslog", "ndjson")] + packs.COUNTED
ALLOWED, ALLOWED_OTHER_TOOLCHAIN = 1.03, 1.20


def count(program, folder):
    """Instructions an event of each, and its bytes, by its name."""
    found = callgrind.totals(program, COUNTED, folder)
    counts = {" ".join(job): round(found[job][0], 1) for job in COUNTED}
    return counts, {" ".join(job): found[job][1]["bytes"] / found[job][1]["events"] for job in COUNTED}


def check(program, folder, accept):
    """Prints the figures beside their record, or makes them the record; the exit code."""
    toolchain, (counts, sizes) = machine.toolchain(), count(program, folder)
    if accept:
        RECORD.write_text(json.dumps({"toolchain": toolchain, "instructions_per_event": counts}, indent=1) + "\n")
        print(f"written to {RECORD.relative_to(machine.ROOT)}: say in the commit why it has changed")
        return 0
    record = json.loads(RECORD.read_text())
    recorded, same = record["instructions_per_event"], record["toolchain"] == toolchain
    allowed = ALLOWED if same else ALLOWED_OTHER_TOOLCHAIN
    lines, over = [], []
    for name in dict.fromkeys([*recorded, *counts]):
        if name not in recorded or name not in counts:
            over.append(f"{name} is counted or recorded alone")
            continue
        change = counts[name] / recorded[name]
        lines.append([name, f"{recorded[name]:,.1f}", f"{counts[name]:,.1f}", f"{100 * (change - 1):+.1f} %"])
        if change > allowed:
            over.append(f"{name} costs {100 * (change - 1):.1f} % more")
    print(machine.table(["instructions an event", "record", "now", "change"], lines))
    if not same:
        print(f"!!! the record was counted with {record['toolchain']}, this with {toolchain}:")
        print(f"!!! compared roughly, up to {100 * (allowed - 1):.0f} %; renew it with benches/run --gate --accept")
    lines, missed = packs.against_bars(counts, recorded if set(counts) <= set(recorded) else None, sizes)
    print()
    print(machine.table(packs.HEAD, lines))
    over += missed
    for one in over:
        print(f"!!! {one}")
    if over:
        print("!!! mend it, or accept it with its reason: benches/run --gate --accept")
    return 1 if over else 0
