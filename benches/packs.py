"""What packs cost a shard, and windows the ledger, beside their bars.

A `+` behind a pack says that its dashlets and metrics count too; reports, whose rows are apart, never do. `windows` is the ledger
alone: updates of 10,000 live keys, every event a signal of its own, or eight events one.
"""

import machine

PLAIN = "router-heavy-no-json-syslog"
HEROKU = "heroku+"
NEAR = ["near-misses", "near-misses-long"]
COUNTED = [
    (PLAIN, "none", "heroku"),
    (PLAIN, "none", HEROKU),
    *((PLAIN, "none", literals) for literals in ("10", "1000", "5000")),
    *((kind, "none", HEROKU) for kind in NEAR),
    ("windows", "1"),
    ("windows", "8"),
]
HEAD = ["what packs cost", "now", "record", "bar", ""]


def measures(cost, size):
    """Figures with their bars; `cost` has the instructions an event of each job by its name, `size` the bytes of one."""

    def of(*job):
        return cost[" ".join(job)]

    def near(kind):
        return size[f"{kind} none {HEROKU}"]

    plain, few, dashlets = of(PLAIN, "none"), of(PLAIN, "none", "10"), of(PLAIN, "none", HEROKU)
    # Hostile text counts by the byte, as the table of hostile lines does.
    usual = dashlets / size[f"{PLAIN} none"]
    return [
        # 100 ns an event at 3.1 instructions a nanosecond.
        ("the Heroku pack complete, an event", dashlets - plain, 310),
        ("of it, dashlets and metrics", dashlets - of(PLAIN, "none", "heroku"), None),
        ("1,000 literals, times the shard with ten", of(PLAIN, "none", "1000") / few, 1.1),
        ("5,000 literals, times the shard with ten", of(PLAIN, "none", "5000") / few, 1.2),
        *((f"{kind}, times a usual byte", of(kind, "none", HEROKU) / near(kind) / usual, 10) for kind in NEAR),
        # 20 ns.
        ("an event of a window, each a signal", of("windows", "1"), 62),
        ("an event of a window, eight a signal", of("windows", "8"), 62),
    ]


def against_bars(cost, recorded, size):
    """The figures beside their bars, as lines of a table; those that the record kept and that are missed now."""
    lines, missed = [], []
    before = {what: value for what, value, _ in measures(recorded, size)} if recorded else {}
    for what, value, bar in measures(cost, size):
        is_over = bar is not None and value > bar
        was_over = what in before and bar is not None and before[what] > bar
        lines.append([what, shown(value), shown(before.get(what)), shown(bar), "over" if is_over else ""])
        if is_over and not was_over:
            missed.append(f"{what}: {shown(value)} is over its bar of {bar}")
    return lines, missed


def shown(value):
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 20 else f"{value:.2f}"
