# SPDX-License-Identifier: MIT
"""The table that the bench prints, and the targets that some of its rows have."""

import math
import operator
import statistics
from collections import namedtuple

# What a row must reach: which of its values, or, with `of`, which of its ratios to that row, is how to the
# limit; and of how many values at least, for fewer show nothing.
Target = namedtuple ("Target", "which how limit of least", defaults=(None, 1))
TARGETS = {
    "one replica: upload": Target ("median", ">=", 0.5, of="one replica: dd conv=fdatasync"),
    "one replica: download": Target ("median", ">=", 0.7, of="one replica: bare pair"),
    "three replicas: download": Target ("median", ">=", 0.7, of="three replicas: bare pair"),
    "durable creates of empty files: 1,000 in flight": Target ("median", ">=", 20000),
    "directory list: the whole process": Target ("median", "<=", 20),
    "durable block.write of 4 KiB: beside a bulk read": Target ("slowest", "<", 50, least=20),
    "a node dies: until it is noticed": Target ("median", "<", 300),
    "a node dies: the same, of 1.5 x cp + 0.5 s": Target ("median", "<=", 1),
    "a node dies: download meanwhile": Target ("median", ">=", 0.6, of="a node dies: download before"),
}
WHICH = {"median": statistics.median, "slowest": max}
HOW = {">=": operator.ge, "<=": operator.le, "<": operator.lt}

Row = namedtuple ("Row", "unit values beside")


def short (name):
    """A row's name without its group."""
    return name.split (": ", 1)[1]


def figure (value):
    """Three digits or more, no exponents."""
    return f"{value:,.0f}" if abs (value) >= 100 else f"{value:.3g}"


class Table:
    """Rows of figures, in the order in which they are first measured: "group: thing" -> its values, and
    the rows beside which it is shown."""

    def __init__ (self):
        self.rows = {}

    def add (self, name, unit, *values, beside=()):
        self.rows.setdefault (name, Row (unit, [], beside)).values.extend (values)

    def ratios (self, name, other):
        return [a / b for a, b in zip (self.rows[name].values, self.rows[other].values)]

    def met (self, name):
        target, values = TARGETS[name], self.rows[name].values
        if len (values) < target.least:
            return False
        judged = self.ratios (name, target.of) if target.of else values
        return HOW[target.how] (WHICH[target.which] (judged), target.limit)

    def verdict (self, name):
        """The target of a row and whether it is met, for people."""
        if name not in TARGETS:
            return "-"
        target, row = TARGETS[name], self.rows[name]
        said = f"{target.which} {target.how} {target.limit:,} " \
               f"{'of ' + short (target.of) if target.of else row.unit}: "
        if len (row.values) < target.least:
            return said + f"MISSED, NOT MEASURED: {len (row.values)} samples, fewer than {target.least}"
        return said + ("met" if self.met (name) else "MISSED")

    def line (self, name):
        row = self.rows[name]
        values = row.values or [math.nan]
        ratios = []
        for other in row.beside:
            pairs = self.ratios (name, other)
            ratios.append (f"{figure (statistics.median (pairs))} of {short (other)} "
                           f"({figure (min (pairs))} .. {figure (max (pairs))})")
        return f"| {name} | {figure (statistics.median (values))} {row.unit} | {figure (min (values))} .. " \
               f"{figure (max (values))} | {len (row.values)} | {'; '.join (ratios) or '-'} " \
               f"| {self.verdict (name)} |"

    def show (self):
        print ("| what | median | min .. max | values | how much of the speed of | target |")
        print ("|---|---|---|---|---|---|")
        for name in self.rows:
            print (self.line (name))
        measured = [name for name in TARGETS if name in self.rows]
        missed = [name for name in measured if not self.met (name)]
        print (f"\n{len (missed)} of {len (measured)} targets missed" + "".join (f"\n- {m}" for m in missed))
        if len (measured) < len (TARGETS):
            print ("not looked at: " + "; ".join (name for name in TARGETS if name not in measured))
