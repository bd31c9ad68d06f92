"""What a measurement was taken on, and where it is kept: benches/record/<date>-<machine>/."""

import datetime
import json
import os
import pathlib
import platform
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


def said(*command):
    """What a command prints, or nothing where it is missing."""
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        return ""


def toolchain():
    """What instruction counts depend on beyond the source."""
    return f"{said('rustc', '-V')}, {said('valgrind', '--version')}"


def model():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def describe():
    """The machine, the tools and the state of the source; no name of a host, no path."""
    memory_kib = re.search(r"MemTotal:\s+(\d+)", open("/proc/meminfo").read())
    return {
        "cpu": model(),
        "cores": os.cpu_count(),
        "memory_gib": round(int(memory_kib[1]) / 2**20, 1),
        "kernel": platform.release(),
        "rustc": said("rustc", "--version"),
        "valgrind": said("valgrind", "--version"),
        "commit": said("git", "rev-parse", "--short", "HEAD") + ("-dirty" if said("git", "status", "--porcelain") else ""),
        "load_average": os.getloadavg()[0],
    }


def name():
    """Such as `epyc-2core`."""
    words = re.findall(r"[a-z][a-z0-9]*", re.sub(r"\((r|tm)\)", "", model().lower()))
    telling = [word for word in words if word not in ("amd", "intel", "cpu", "genuine", "processor")]
    return f"{(telling or ['cpu'])[0]}-{os.cpu_count()}core"


def keep(what, figures, table, machine=None):
    """Writes `figures` as JSON with the machine beside them, and the table that was printed."""
    folder = ROOT / "benches/record" / f"{datetime.date.today()}-{machine or name()}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{what}.json").write_text(json.dumps({"machine": describe(), **figures}, indent=1) + "\n")
    (folder / f"{what}.txt").write_text(table)
    print(f"written to {folder.relative_to(ROOT)}/{what}.json and .txt")


def table(head, rows):
    """Columns under their heads, the first to the left and the rest to the right."""
    rows = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[at]) for row in rows) for at in range(len(head))]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"
