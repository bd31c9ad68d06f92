"""What lines that are made to cost a lot cost, beside the usual ones: at most ten times as much.

A line counts by the byte. One that is much shorter than a usual line costs most for being an event at all, so it counts
by the event: a sender pays for its count and its header too.
"""

import json
import subprocess

import callgrind
import machine

USUAL = "router-heavy-syslog"
OUTPUTS = ["none", "ndjson"]
BAR = 10
# Of a usual line, below which a line counts by the event.
SHORT = 0.5


def measure(program, folder):
    """The figures and their table."""
    kinds = json.loads(subprocess.run([program, "kinds"], capture_output=True, text=True, check=True).stdout)
    jobs = [(corpus, output) for corpus in [USUAL, *kinds] for output in OUTPUTS]
    found = callgrind.totals(program, jobs, folder)
    rows = []
    for kind in kinds:
        row = {"kind": kind}
        for output in OUTPUTS:
            (usual, usual_size), (total, size) = found[USUAL, output], found[kind, output]
            usual_bytes, own_bytes = usual_size["bytes"] / usual_size["events"], size["bytes"] / size["events"]
            short = own_bytes < SHORT * usual_bytes
            times = total / usual if short else (total / own_bytes) / (usual / usual_bytes)
            row["bytes"], row["by"] = round(own_bytes), "event" if short else "byte"
            row[output] = {
                "instructions_per_event": round(total, 1),
                "instructions_per_byte": round(total / own_bytes, 2),
                "times_usual": round(times, 2),
            }
        rows.append(row)
    usual = {output: round(found[USUAL, output][0], 1) for output in OUTPUTS}
    figures = {"usual": {"corpus": USUAL, "instructions_per_event": usual}, "bar": BAR, "hostile": rows}
    return figures, table(rows, usual)


def table(rows, usual):
    lines = [
        [
            row["kind"],
            row["bytes"],
            *(f"{row[output]['instructions_per_byte']:,.1f}" for output in OUTPUTS),
            row["by"],
            *(f"{row[output]['times_usual']:.1f}" + (" !" if row[output]["times_usual"] > BAR else "") for output in OUTPUTS),
        ]
        for row in rows
    ]
    head = ["kind", "bytes", *(f"a byte, {output}" for output in OUTPUTS), "by", *(f"times, {output}" for output in OUTPUTS)]
    text = f"Hostile lines: instructions beside those of {USUAL}, a byte or, for short lines, an event; at most {BAR} times\n"
    text += f"A usual event: {', '.join(f'{cost:,.0f} ({output})' for output, cost in usual.items())}; {machine.toolchain()}\n\n"
    return text + machine.table(head, lines)
