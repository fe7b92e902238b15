# SPDX-License-Identifier: MIT
"""How fast LiteDFS is on this machine, beside what the machine can do without it.

Every round measures each thing and, shortly before it, what it is compared with, so that a machine that
is slow for a minute slows down both; a row shows the median and the range of its values and how many they
are, and the ratio to each measure of comparison, which is taken round by round.  A ratio is "how much of
its speed": 1.0 is as fast.  All daemons run on this machine, on one disk, with default settings (`sync:
true`).  Before each transfer what was written is synced and free memory is touched; deletes are the last
thing in a round, and waited for.

A target that is missed is said, and the exit status stays 0: the machine may be busy with something else.
"""

import itertools
import json
import mmap
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zlib

HERE = os.path.dirname (os.path.abspath (__file__))
sys.path.insert (0, os.path.join (HERE, "..", "lib"))
from cluster import Cluster, program, same_content, wait_for  # noqa: E402
from heal import heal  # noqa: E402
from raw import Raw, Writer  # noqa: E402
from table import Table  # noqa: E402

ROUNDS = int (os.environ.get ("BENCH_ROUNDS", 5))
MIB = int (os.environ.get ("BENCH_MIB", 1024))
ONLY = os.environ.get ("BENCH_ONLY", "")
BUILT = os.path.join (os.environ.get ("top_builddir", "."), "tests", "bench")
DATA_SETTINGS = {"log_level": "INFO"}
NAME_SETTINGS = {"log_level": "INFO", "delete_delay": 0}
SMALL_COUNT, SMALL_SIZE = 2000, 4096
DELETE_SECONDS = 300    # until the blocks of all deleted files are gone
SAMPLE_MS = 20          # between two looks at the memory of the processes
PEAK = f"peak RssAnon (sampled each {SAMPLE_MS} ms)"


def timed (*arguments, started=lambda pid: None):
    """The seconds that a program takes."""
    began = time.monotonic ()
    process = subprocess.Popen (arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    started (process.pid)
    err = process.communicate ()[1]
    seconds = time.monotonic () - began
    assert process.returncode == 0, f"{arguments}: status {process.returncode}: {err.decode ()}"
    return seconds


def numbers (name, *arguments):
    """What one of our own programs prints."""
    done = subprocess.run ([os.path.join (BUILT, name), *map (str, arguments)], check=True,
                           stdout=subprocess.PIPE, text=True)
    return [float (word) for word in done.stdout.split ()]


def settle (mib=MIB):
    """What was written is on the disk, and so much memory is at hand: a guest gives back what is free
    within a second, and the first touch of it after that takes several times as long."""
    os.sync ()
    free = os.sysconf ("SC_AVPHYS_PAGES") * mmap.PAGESIZE
    mmap.mmap (-1, min (mib << 20, free * 3 // 4),
               flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close ()


class Peaks (threading.Thread):
    """The most RssAnon that each watched process was seen with.  VmHWM misses no peak, but it counts the
    pages of mapped files too, in a name node those of its whole database."""

    def __init__ (self):
        super ().__init__ (daemon=True)
        self.titles = {}        # by process id
        self.peaks = {}         # MiB, by title

    def watch (self, title, pid):
        self.titles[pid] = title

    def run (self):
        while True:
            for pid, title in list (self.titles.items ()):
                try:
                    with open (f"/proc/{pid}/status") as f:
                        found = re.search (r"RssAnon:\s+(\d+) kB", f.read ())
                except OSError:
                    del self.titles[pid]        # it has ended
                    continue
                if found:
                    self.peaks[title] = max (self.peaks.get (title, 0), int (found.group (1)) / 1024)
            time.sleep (SAMPLE_MS / 1000)

    def take (self):
        """Those since the last time."""
        peaks, self.peaks = self.peaks, {}
        return sorted (peaks.items ())


class Bench:
    def __init__ (self, disk, ram, clusters):
        self.disk = disk            # a directory on the disk of the data nodes
        self.clusters = clusters    # by number of data nodes, 1 and 3
        self.table = Table ()
        self.peaks = Peaks ()
        self.source = os.path.join (ram, "source")
        self.back = os.path.join (ram, "back")
        self.names = itertools.count ()
        self.made = []              # what tidy deletes: cluster, "file" or "directory", path
        for count, c in clusters.items ():
            self.peaks.watch (f"name node of a cluster of {count}", c.name.process.pid)
            for number, node in enumerate (c.data, 1):
                self.peaks.watch (f"data node {number} of {count}", node.process.pid)
        self.peaks.start ()

    def make_source (self):
        part = os.urandom (1 << 20)
        with open (self.source, "wb") as f:
            for number in range (MIB):
                f.write (part[number:] + part[:number])

    def new_path (self):
        """A path on the disk that nothing was written to: to truncate a file takes time."""
        return os.path.join (self.disk, str (next (self.names)))

    def dd (self, count):
        """So many at once; the seconds until the last has ended."""
        targets = [self.new_path () for _ in range (count)]
        began = time.monotonic ()
        running = [subprocess.Popen (["dd", f"if={self.source}", f"of={target}", "bs=1M", "conv=fdatasync"],
                                     stderr=subprocess.DEVNULL) for target in targets]
        assert all (process.wait () == 0 for process in running), "dd failed"
        seconds = time.monotonic () - began
        for target in targets:
            os.unlink (target)  # so that its memory is free for what is compared with it
        return seconds

    def cp (self, target, source=None):
        """The seconds of a copy, which is removed again."""
        seconds = timed ("cp", source or self.source, target)
        os.unlink (target)
        return seconds

    def client (self, c, title, *arguments):
        """The seconds that a command takes, whose memory is watched under this title."""
        return timed (program ("litedfs"), c.address (), *arguments,
                      started=lambda pid: self.peaks.watch (title, pid))

    def upload (self, c, title, path, replicas):
        self.made.append ((c, "file", path))
        return self.client (c, f"litedfs, upload, {title}", "file", "create", "-l", self.source, "-r", path,
                            "-R", str (replicas))

    def transfers (self, _):
        for replicas, group, dd in ((1, "one replica", "dd conv=fdatasync"),
                                    (3, "three replicas", "three dd conv=fdatasync at once")):
            self.up (self.clusters[replicas], group, replicas, f"{group}: {dd}", f"{group}: cp to disk")
            self.down (self.clusters[replicas], group, f"{group}: bare pair", f"{group}: cp to memory")

    def up (self, c, group, replicas, dd, cp):
        settle (MIB * replicas)
        self.table.add (dd, "MiB/s", MIB / self.dd (replicas))
        settle ()
        self.table.add (cp, "MiB/s", MIB / self.cp (self.new_path ()))
        settle (MIB * replicas)
        self.table.add (f"{group}: upload", "MiB/s", MIB / self.upload (c, group, "/f", replicas),
                        beside=(dd, cp))

    def down (self, c, group, pair, cp):
        settle ()
        self.table.add (cp, "MiB/s", MIB / self.cp (self.back))
        settle ()
        seconds, cpu = numbers ("bare_pair", self.source, self.back)
        os.unlink (self.back)
        self.table.add (pair, "MiB/s", MIB / seconds)
        settle ()
        cpu_before = self.cpu (c)
        seconds = self.client (c, f"litedfs, download, {group}", "file", "download", "-r", "/f", "-l",
                               self.back)
        self.table.add (f"{group}: download", "MiB/s", MIB / seconds, beside=(pair, cp))
        self.table.add (f"{group}: CPU of the bare pair, both sides", "s", cpu)
        self.table.add (f"{group}: CPU of the daemons, download", "s", self.cpu (c) - cpu_before)
        assert same_content (self.source, self.back), "the file did not come back as it was"
        os.unlink (self.back)

    def cpu (self, c):
        """CPU seconds of all daemons so far."""
        ticks = 0
        for daemon in c.daemons ():
            with open (f"/proc/{daemon.process.pid}/stat") as f:
                part = f.read ().rsplit (")", 1)[1].split ()
                ticks += int (part[11]) + int (part[12])
        return ticks / os.sysconf ("SC_CLK_TCK")

    def creates (self, number):
        port = self.clusters[1].name.get ("tcp_port")
        for in_flight, count in ((1, 2000), (64, 20000), (1000, 40000)):
            seconds, = numbers ("creates", f"127.0.0.1:{port}", f"/empty-{number}-{in_flight}", count,
                                in_flight)
            self.table.add (f"durable creates of empty files: {in_flight:,} in flight", "/s", count / seconds)

    def small_files (self, number):
        """One after the other, beside the same without LiteDFS."""
        names = {how: f"{SMALL_COUNT:,} files of 4 KiB: plain, {how}" for how in ("one fsync each", "read")}
        for name, seconds in zip (names.values (), self.plain_files ()):
            self.table.add (name, "/s", SMALL_COUNT / seconds)
        for replicas, c in self.clusters.items ():
            self.made.append ((c, "directory", f"/small-{number}"))
            measured = numbers ("smallfiles", c.address (), f"/small-{number}", SMALL_COUNT, SMALL_SIZE,
                                replicas)
            for what, plain, seconds in zip (("written", "read"), names.values (), measured):
                self.table.add (f"{SMALL_COUNT:,} files of 4 KiB: {what}, replicas: {replicas}", "/s",
                                SMALL_COUNT / seconds, beside=(plain,))

    def plain_files (self):
        """The seconds to write small files to the disk, durably, and to read them."""
        content = os.urandom (SMALL_SIZE)
        directory = self.new_path ()
        os.mkdir (directory)
        paths = [os.path.join (directory, f"{number:06}") for number in range (SMALL_COUNT)]
        began = time.monotonic ()
        for path in paths:
            fd = os.open (path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            os.write (fd, content)
            os.fsync (fd)
            os.close (fd)
        written = time.monotonic ()
        for path in paths:
            fd = os.open (path, os.O_RDONLY)
            assert len (os.read (fd, SMALL_SIZE)) == SMALL_SIZE
            os.close (fd)
        return written - began, time.monotonic () - written

    def start_up (self, _):
        for _ in range (10):
            self.table.add ("directory list: the whole process", "ms", 1000 * timed (
                program ("litedfs"), self.clusters[1].address (), "directory", "list", "-r", "/"))

    def small_writes (self, name, writer, title, wanted):
        """Durable 4 KiB block.writes, one at a time, for as long as wanted () is true: one that ends
        after that does not count."""
        content = os.urandom (SMALL_SIZE)
        took = []
        while wanted (len (took)):
            created = name.ok ("file.create", path=f"/beside-{len (took)}", size=SMALL_SIZE)
            block = created["blocks"][0]
            endpoint = block["nodes"][0]
            node = writer.node (endpoint)
            began = time.monotonic ()
            node.ok ("block.write", content, block=block["block"], node=endpoint["node"], offset=0,
                     crc32=zlib.crc32 (content), last=True, file=created["file"], index=0, path="/beside",
                     count=1)
            milliseconds = (time.monotonic () - began) * 1000
            if wanted (len (took)):
                took.append (milliseconds)
            name.ok ("file.abandon", file=created["file"], lease=created["lease"])
        self.table.add (f"durable block.write of 4 KiB: {title}", "ms", *took)

    def small_writes_beside_bulk (self, _):
        c = self.clusters[1]
        self.upload (c, "one replica", "/bulk", 1)
        with Raw (c.name) as name, Writer (name) as writer:
            settle ()
            self.small_writes (name, writer, "idle node", lambda count: count < 100)
            settle ()
            bulk = c.litedfs_start ("file", "download", "-r", "/bulk", "-l", self.back)
            self.small_writes (name, writer, "beside a bulk read", lambda _: bulk.poll () is None)
        err = bulk.communicate ()[1]
        assert bulk.returncode == 0, err.decode ()
        os.unlink (self.back)

    def heal (self, _):
        for reading in (False, True):
            heal (self, MIB, settle, reading)

    def tidy (self):
        """The end of a round: what it left is deleted, and gone before the next begins."""
        shutil.rmtree (self.disk)
        os.mkdir (self.disk)
        for c, kind, path in self.made:
            c.litedfs (kind, "delete", "-r", path)
        for c in self.clusters.values ():
            wait_for ("all blocks are deleted", lambda c=c: c.block_bytes () == 0, DELETE_SECONDS)
        self.made = []
        for title, mib in self.peaks.take ():
            self.table.add (f"{PEAK}: {title}", "MiB", mib)

    def run (self):
        parts = {"transfers": self.transfers, "creates": self.creates, "small": self.small_files,
                 "start": self.start_up, "beside": self.small_writes_beside_bulk,
                 "heal": self.heal}
        self.make_source ()
        for number in range (ROUNDS):
            for name, part in parts.items ():
                if ONLY in name:
                    print (f"# round {number + 1} of {ROUNDS}: {name}", file=sys.stderr, flush=True)
                    settle ()
                    part (number)
            self.tidy ()


def heading (disk):
    """On what and how it is measured."""
    memory = os.sysconf ("SC_PHYS_PAGES") * mmap.PAGESIZE / (1 << 30)
    system = subprocess.run (["df", "--output=fstype,source", disk], check=True, stdout=subprocess.PIPE,
                             text=True).stdout.splitlines ()[1]
    kind = [f"{key}={os.environ[key]}" for key in ("FAULT", "SANITIZE")
            if os.environ.get (key, "no") not in ("", "no")]
    version = subprocess.run ([program ("litedfs"), "--version"], check=True, stdout=subprocess.PIPE, text=True)
    if kind:
        print (f"WARNING: programs for tests are measured, not those for use: {', '.join (kind)}")
    print (f"{version.stdout.strip ()}, {time.strftime ('%Y-%m-%d %H:%M %z')}: {ROUNDS} rounds, {MIB} MiB "
           "a transfer, source and downloads in memory")
    print (f"machine: {os.cpu_count ()} cores {platform.machine ()}, {memory:.1f} GiB of memory, kernel "
           f"{platform.release ()}, {' on '.join (system.split ())}, load {os.getloadavg ()[0]:.1f} before")
    print (f"build: {os.environ.get ('BENCH_BUILD', 'not known')}\n", flush=True)


def main ():
    top = tempfile.mkdtemp (prefix="litedfs-bench-")
    ram = tempfile.mkdtemp (prefix="litedfs-bench-", dir="/dev/shm" if os.path.isdir ("/dev/shm") else None)
    disk = os.path.join (top, "disk")
    try:
        os.mkdir (disk)
        heading (disk)
        with Cluster (nodes=1, name_settings=NAME_SETTINGS, data_settings=DATA_SETTINGS) as one, \
             Cluster (nodes=3, name_settings=NAME_SETTINGS, data_settings=DATA_SETTINGS) as three:
            bench = Bench (disk, ram, {1: one, 3: three})
            bench.run ()
            bench.table.show ()
            if path := os.environ.get ("BENCH_JSON"):
                with open (path, "w") as f:
                    json.dump ({name: row.values for name, row in bench.table.rows.items ()}, f, indent=1)
    finally:
        shutil.rmtree (top, ignore_errors=True)
        shutil.rmtree (ram, ignore_errors=True)


main ()
