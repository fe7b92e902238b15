# SPDX-License-Identifier: MIT
"""How fast LiteDFS is on this machine, beside what the machine can do without it.

Every round measures each thing and, right before it, what it is compared with, so that a machine that
is slow for a minute slows down both; a row shows the median and the range of the rounds, and the ratio
to each measure of comparison, which is taken round by round.  A ratio is "how much of its speed": 1.0 is
as fast.  All daemons run on this machine, on one disk, with default settings (`sync: true`).
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib

HERE = os.path.dirname (os.path.abspath (__file__))
sys.path.insert (0, os.path.join (HERE, "..", "lib"))
from cluster import Cluster, program  # noqa: E402
from raw import Raw, Writer  # noqa: E402

ROUNDS = int (os.environ.get ("BENCH_ROUNDS", 5))
MIB = int (os.environ.get ("BENCH_MIB", 1024))
ONLY = os.environ.get ("BENCH_ONLY", "")
BUILT = os.path.join (os.environ.get ("top_builddir", "."), "tests", "bench")
SETTINGS = {"log_level": "INFO", "delete_delay": 0}


def timed (*arguments, **options):
    began = time.monotonic ()
    subprocess.run (arguments, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **options)
    return time.monotonic () - began


def numbers (name, *arguments):
    """What one of our own programs prints."""
    done = subprocess.run ([os.path.join (BUILT, name), *map (str, arguments)], check=True,
                           stdout=subprocess.PIPE, text=True)
    return [float (word) for word in done.stdout.split ()]


def together (count, action):
    """Run action (0) .. action (count - 1) at once; the seconds until the last has ended."""
    threads = [threading.Thread (target=action, args=(number,)) for number in range (count)]
    began = time.monotonic ()
    for thread in threads:
        thread.start ()
    for thread in threads:
        thread.join ()
    return time.monotonic () - began


def touch_memory ():
    """An idle guest gives memory back, and the first touch of it costs three times as much."""
    size = MIB << 22
    block = bytearray (min (size, 4 << 30))
    block[::4096] = b"x" * len (block[::4096])


class Table:
    """Rows of figures: name -> one value a round."""

    def __init__ (self):
        self.rows = {}

    def add (self, name, value):
        self.rows.setdefault (name, []).append (value)

    def show (self, name, unit, scale=1.0, than=()):
        """One line: the median and the range, and for each (title, other row) the ratio of speeds;
        unit is per second where scale is given as work done in the seconds that were measured."""
        if name not in self.rows:
            return
        values = [scale / v if scale != 1.0 else v for v in self.rows[name]]
        line = f"| {name} | {statistics.median (values):,.6g} {unit} | " \
               f"{min (values):,.4g} .. {max (values):,.4g} | "
        ratios = []
        for title, other in than:
            pairs = [b / a for a, b in zip (self.rows[name], self.rows[other])]
            ratios.append (f"{statistics.median (pairs):.2f} of {title} "
                           f"({min (pairs):.2f} .. {max (pairs):.2f})")
        print (line + ("; ".join (ratios) or "-") + " |", flush=True)


class Bench:
    def __init__ (self, disk, memory, one, three):
        self.disk = disk            # a directory on the disk of the data nodes
        self.memory = memory        # one in memory
        self.one = one
        self.three = three
        self.table = Table ()
        self.source = os.path.join (memory, "source")
        self.back = os.path.join (memory, "back")

    def make_source (self):
        part = os.urandom (64 << 20)
        with open (self.source, "wb") as f:
            for number in range (max (1, MIB // 64)):
                f.write (part[number:] + part[:number])

    def dd (self, number=0):
        target = os.path.join (self.disk, f"dd{number}")
        seconds = timed ("dd", f"if={self.source}", f"of={target}", "bs=1M", "conv=fdatasync")
        os.unlink (target)
        return seconds

    def transfers (self):
        add = self.table.add
        for c, replicas, dds in ((self.one, 1, 1), (self.three, 3, 3)):
            names = "one replica" if replicas == 1 else "three replicas"
            add ("dd conv=fdatasync" if dds == 1 else "three dd conv=fdatasync at once",
                 self.dd () if dds == 1 else together (dds, self.dd))
            add (f"upload, {names}", timed (program ("litedfs"), c.address (), "file", "create", "-l",
                                            self.source, "-r", "/f", "-R", str (replicas)))
            shutil.copyfile (self.source, self.back)    # pages of the target are there, as for the others
            add (f"cp to memory, beside {names}", timed ("cp", self.source, self.back))
            seconds, cpu = numbers ("bare_pair", self.source, self.back)
            add (f"bare pair, beside {names}", seconds)
            add ("CPU of the bare pair", cpu)
            before = self.cpu (c)
            add (f"download, {names}", timed (program ("litedfs"), c.address (), "file", "download", "-r",
                                              "/f", "-l", self.back, "--force"))
            add (f"CPU of the daemons, download, {names}", self.cpu (c) - before)
            assert filecmp (self.source, self.back), "the file did not come back as it was"
            os.unlink (self.back)
            c.litedfs ("file", "delete", "-r", "/f")

    def cpu (self, c):
        """CPU seconds of all daemons so far."""
        ticks = 0
        for daemon in c.daemons ():
            with open (f"/proc/{daemon.process.pid}/stat") as f:
                part = f.read ().rsplit (")", 1)[1].split ()
                ticks += int (part[11]) + int (part[12])
        return ticks / os.sysconf ("SC_CLK_TCK")

    def creates (self, number):
        port = self.one.name.get ("tcp_port")
        for in_flight, count in ((1, 2000), (64, 20000), (1000, 40000)):
            seconds, = numbers ("creates", f"127.0.0.1:{port}", f"/empty-{number}-{in_flight}", count,
                                in_flight)
            self.table.add (f"creates of empty files, {in_flight} in flight", seconds / count)

    def small_files (self, number):
        for c, replicas in ((self.one, 1), (self.three, 3)):
            written, read = numbers ("smallfiles", c.address (), f"/small-{number}", 2000, 4096, replicas)
            self.table.add (f"4 KiB files written one by one, replicas: {replicas}", written / 2000)
            self.table.add (f"4 KiB files read one by one, replicas: {replicas}", read / 2000)

    def start_up (self):
        for _ in range (10):
            self.table.add ("directory list, the whole process", timed (
                program ("litedfs"), self.one.address (), "directory", "list", "-r", "/") * 1000)

    def small_writes (self, name, writer, title, wanted):
        """Durable 4 KiB block.writes, one at a time, for as long as wanted () is true."""
        content = os.urandom (4096)
        took = []
        while wanted (len (took)):
            created = name.ok ("file.create", path=f"/beside-{len (took)}", size=4096)
            block = created["blocks"][0]
            endpoint = block["nodes"][0]
            node = writer.node (endpoint)
            began = time.monotonic ()
            node.ok ("block.write", content, block=block["block"], node=endpoint["node"], offset=0,
                     crc32=zlib.crc32 (content), last=True, file=created["file"], index=0, path="/beside",
                     count=1)
            took.append ((time.monotonic () - began) * 1000)
            name.ok ("file.abandon", file=created["file"], lease=created["lease"])
        self.table.add (f"durable block.write of 4 KiB, {title}", statistics.median (took))
        self.table.add (f"the slowest of them, {title}", max (took))

    def small_write_beside_bulk (self):
        self.one.litedfs ("file", "create", "-l", self.source, "-r", "/bulk")
        with Raw (self.one.name) as name, Writer (name) as writer:
            self.small_writes (name, writer, "idle node", lambda count: count < 100)
            bulk = self.one.litedfs_start ("file", "download", "-r", "/bulk", "-l", self.back, "--force")
            self.small_writes (name, writer, "beside a bulk read",
                               lambda count: count == 0 or bulk.poll () is None)
        bulk.communicate ()
        assert bulk.returncode == 0
        self.one.litedfs ("file", "delete", "-r", "/bulk")

    def memory_rows (self):
        for title, daemon in (("name node", self.three.name), ("data node", self.three.data[0])):
            print (f"| resident memory without mapped files, {title} | {daemon.rss () / 1048576:.1f} MiB "
                   "| after all of it | - |")

    def show (self):
        show = self.table.show
        for replicas, dd in (("one replica", "dd conv=fdatasync"),
                             ("three replicas", "three dd conv=fdatasync at once")):
            cp, pair = f"cp to memory, beside {replicas}", f"bare pair, beside {replicas}"
            show (dd, "MiB/s", MIB)
            show (f"upload, {replicas}", "MiB/s", MIB, [(dd, dd)])
            show (cp, "MiB/s", MIB)
            show (pair, "MiB/s", MIB)
            show (f"download, {replicas}", "MiB/s", MIB, [("the bare pair", pair), ("cp", cp)])
            show (f"CPU of the daemons, download, {replicas}", "s")
        show ("CPU of the bare pair", "s")
        for in_flight in (1, 64, 1000):
            self.rate (f"creates of empty files, {in_flight} in flight")
        for replicas in (1, 3):
            self.rate (f"4 KiB files written one by one, replicas: {replicas}")
            self.rate (f"4 KiB files read one by one, replicas: {replicas}")
        show ("directory list, the whole process", "ms")
        for title in ("idle node", "beside a bulk read"):
            show (f"durable block.write of 4 KiB, {title}", "ms")
            show (f"the slowest of them, {title}", "ms")

    def rate (self, name):
        """Rows of seconds each as a number a second."""
        if name in self.table.rows:
            values = [1.0 / v for v in self.table.rows[name]]
            print (f"| {name} | {statistics.median (values):,.0f} /s | {min (values):,.0f} .. "
                   f"{max (values):,.0f} | - |")


def filecmp (a, b):
    return subprocess.run (["cmp", "-s", a, b], check=False).returncode == 0


def main ():
    disk = tempfile.mkdtemp (prefix="litedfs-bench-")
    memory = tempfile.mkdtemp (prefix="litedfs-bench-", dir="/dev/shm" if os.path.isdir ("/dev/shm") else None)
    try:
        touch_memory ()
        with Cluster (nodes=1, name_settings=SETTINGS, data_settings={"log_level": "INFO"}) as one, \
             Cluster (nodes=3, name_settings=SETTINGS, data_settings={"log_level": "INFO"}) as three:
            bench = Bench (disk, memory, one, three)
            bench.make_source ()
            parts = {"transfers": lambda _: bench.transfers (), "creates": bench.creates,
                     "small": bench.small_files, "start": lambda _: bench.start_up (),
                     "beside": lambda _: bench.small_write_beside_bulk ()}
            for number in range (ROUNDS):
                for name, part in parts.items ():
                    if ONLY in name:
                        print (f"# round {number + 1} of {ROUNDS}: {name}", file=sys.stderr, flush=True)
                        part (number)
            print (f"{ROUNDS} rounds, {MIB} MiB, {os.cpu_count ()} CPUs, kernel {os.uname ().release}\n")
            print ("| what | median | min .. max | how much of the speed of |")
            print ("|---|---|---|---|")
            bench.show ()
            bench.memory_rows ()
            if path := os.environ.get ("BENCH_JSON"):
                with open (path, "w") as f:
                    json.dump (bench.table.rows, f, indent=1)
    finally:
        shutil.rmtree (disk, ignore_errors=True)
        shutil.rmtree (memory, ignore_errors=True)


main ()
