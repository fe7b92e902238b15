# SPDX-License-Identifier: MIT
"""What befalls the daemons: a plan that is drawn from one seed, event by event, whatever comes of it.

At most two data nodes are in trouble at a time, unless all are killed at once.  A daemon that is spared is
stopped and starved like the others but lives through the whole storm, so that what it gained can be seen."""
import collections
import heapq
import os
import random
import signal
import subprocess
import threading
import time

from cluster import DEADLINE, is_stopped, program, wait_for

# What happens, and how often.
EVENTS = {"kill a data node": 30, "stop a data node": 20, "end a data node": 6, "kill two data nodes": 6,
          "kill a data node twice": 6, "kill the name node": 8, "stop the name node": 8, "end the name node": 3,
          "kill everything": 3, "fill a disk": 6, "kill a client": 14, "add a node": 3,
          "let a data node fail": 8, "let the name node fail": 3, "drain a data node": 4}
MOST_NODES = 6
IN_TROUBLE = 2
GAP = 0.7           # seconds between two events, on average
FAULT_EXIT = 99
# Where a daemon dies or an operation of its disk fails, in builds with --enable-fault: {point: what happens}.
DATA_POINTS = {**{f"blockstore_{point}": "exit" for point in (
    "after_data", "after_trailer", "after_file_sync", "before_commit", "after_commit", "after_rename",
    "before_execute", "after_execute", "after_unlink", "before_join")},
    **{f"blockstore_{point}_error": "error" for point in ("pwrite", "full", "sync", "finish", "commit")}}
NAME_POINTS = {"metastore_before_commit": "exit", "metastore_after_commit": "exit"}


class Chaos:
    """One storm.  disks: {data node: its Disk} of those that can be filled; spared: daemons that are not
    killed.  trouble: what a daemon did that none should do."""

    def __init__ (self, c, dice, disks, spared, clients, trace):
        self.c = c
        self.dice = dice
        self.disks = disks
        self.spared = spared
        self.clients = clients
        self.trace = trace
        self.count = collections.Counter ()
        self.pending = []       # heap of (when, number, what, daemon)
        self.numbers = 0
        self.busy = set ()      # daemons in trouble
        self.ending = {}        # daemon that was told to end: by when
        self.armed = {}         # daemon with a fault point set: which
        self.draining = {}      # data node: its number
        self.drained = set ()   # the numbers of all that were told to drain in this storm
        self.told = []          # litedfs processes
        self.trouble = None
        self.stopping = threading.Event ()
        self.thread = threading.Thread (target=self._run, daemon=True)

    def start (self):
        self.thread.start ()

    def end (self):
        """Everything is brought back."""
        self.stopping.set ()
        self.thread.join ()
        while self.pending or self.ending:
            self._tick (all_of_it=True)
            time.sleep (0.02)
        for daemon in list (self.armed):
            daemon.kill ()      # no fault from now on
        self.armed.clear ()
        for daemon in self.c.daemons ():
            if daemon.process is None:
                self._start (daemon)
            elif is_stopped (daemon.process.pid):
                daemon.signal (signal.SIGCONT)
        for disk in self.disks.values ():
            disk.empty ()
        self.busy.clear ()
        wait_for ("the name node answers", self.c.name.answers)
        for process in self.told:
            process.wait ()
        for number in self.drained:
            self.c.litedfs ("node", "undrain", str (number))

    def killed (self):
        return sum (n for what, n in self.count.items () if what.startswith ("kill") and what != "kill a client")

    def _run (self):
        try:
            after = 0
            while not self.stopping.is_set ():
                self._tick ()
                if time.monotonic () >= after:
                    after = time.monotonic () + self._event ()
                self.stopping.wait (0.02)
        except BaseException as error:      # for the main thread to raise
            self.trouble = error

    def _event (self):
        """One event of the plan; gives the seconds until the next one.  Always draws as many numbers."""
        kind = self.dice.choices (list (EVENTS), EVENTS.values ())[0]
        who, other, long = self.dice.random (), self.dice.random (), self.dice.random ()
        gap = min (self.dice.expovariate (1 / GAP), 4 * GAP)
        getattr (self, "_" + kind.replace (" ", "_")) (kind, who, other, long)
        return gap

    def _say (self, what, daemon=None, how=""):
        self.trace (f"chaos: {what} {daemon.directory.rsplit ('/', 1)[1] if daemon else ''} {how}")

    def _begin (self, kind, daemon, how=""):
        self.count[kind] += 1
        self.busy.add (daemon)
        self._say (kind, daemon, how)

    def _later (self, seconds, what, daemon):
        self.numbers += 1
        heapq.heappush (self.pending, (time.monotonic () + seconds, self.numbers, what, daemon))

    def _victim (self, number, kill):
        """A data node that may get into trouble now, or None."""
        can = [d for d in self.c.data if d not in self.busy and not (kill and d in self.spared)]
        if not can or sum (d in self.busy for d in self.c.data) >= IN_TROUBLE:
            return None
        return can[int (number * len (can))]

    def _kill (self, kind, daemon, away):
        self._begin (kind, daemon, f"for {away:.2f} s")
        daemon.kill ()
        self._later (away, self._start_again, daemon)

    # The events.

    def _kill_a_data_node (self, kind, who, other, long):
        daemon = self._victim (who, kill=True)
        if daemon:
            self._kill (kind, daemon, 8 * long * long)

    def _kill_two_data_nodes (self, kind, who, other, long):
        for number, away in ((who, 6 * long), (other, 6 * (1 - long))):
            daemon = self._victim (number, kill=True)
            if daemon:
                self._kill (kind, daemon, away)

    def _kill_a_data_node_twice (self, kind, who, other, long):
        """And again while it starts."""
        daemon = self._victim (who, kill=True)
        if daemon:
            self._begin (kind, daemon)
            daemon.kill ()
            self._start (daemon)
            self._later (0.5 * long, self._kill_again, daemon)

    def _kill_again (self, daemon):
        self._say ("kill it again", daemon)
        daemon.kill ()
        self._later (0.2, self._start_again, daemon)

    def _stop_a_data_node (self, kind, who, other, long):
        daemon = self._victim (who, kill=False)
        if daemon:
            self._stop (kind, daemon, 0.2 + 8 * long * long)

    def _stop (self, kind, daemon, away):
        self._begin (kind, daemon, f"for {away:.2f} s")
        daemon.signal (signal.SIGSTOP)
        self._later (away, self._continue, daemon)

    def _end (self, kind, daemon):
        self._begin (kind, daemon)
        daemon.signal (signal.SIGTERM)
        self.ending[daemon] = time.monotonic () + DEADLINE

    def _end_a_data_node (self, kind, who, other, long):
        daemon = self._victim (who, kill=True)
        if daemon:
            self._end (kind, daemon)

    def _kill_the_name_node (self, kind, who, other, long):
        if self.c.name not in self.busy and self.c.name not in self.spared:
            self._kill (kind, self.c.name, 3 * long * long)

    def _stop_the_name_node (self, kind, who, other, long):
        if self.c.name not in self.busy:
            self._stop (kind, self.c.name, 0.2 + 6 * long)

    def _end_the_name_node (self, kind, who, other, long):
        if self.c.name not in self.busy and self.c.name not in self.spared:
            self._end (kind, self.c.name)

    def _kill_everything (self, kind, who, other, long):
        """In one moment, whoever of them is there; they come back in another order."""
        victims = [d for d in self.c.daemons () if d not in self.busy and d not in self.spared]
        random.Random (who).shuffle (victims)
        for daemon in victims:
            daemon.process.kill ()
        for number, daemon in enumerate (victims):
            self._kill (kind, daemon, (number * other) % 1.0)

    def _fill_a_disk (self, kind, who, other, long):
        can = [d for d in self.c.data if d in self.disks and d not in self.busy]
        if can:
            daemon = can[int (who * len (can))]
            leave = int (other * 3) * (512 << 10)
            self._begin (kind, daemon, f"but for {leave} bytes, for {8 * long:.2f} s")
            self.disks[daemon].fill (leave)
            self._later (8 * long, self._empty, daemon)

    def _kill_a_client (self, kind, who, other, long):
        client = self.clients[int (who * len (self.clients))]
        if client.interrupt ():
            self.count[kind] += 1
            self.trace (f"chaos: kill the client {client.model.root}")

    def _add_a_node (self, kind, who, other, long):
        if len (self.c.data) < MOST_NODES:
            self.count[kind] += 1
            daemon = self.c.add_node ()
            self._say (kind, daemon)
            self._start (daemon)

    def _arm (self, kind, daemon, points, other, passage):
        """Start it anew, to die or fail when it passes a point for the n-th time."""
        if os.environ.get ("FAULT") != "yes":
            return
        point = sorted (points)[int (other * len (points))]
        self.armed[daemon] = f"{point}={points[point]}:{passage}"
        self._begin (kind, daemon, self.armed[daemon])
        daemon.kill ()
        daemon.start (wait=False, env={"LITEDFS_FAULT": self.armed[daemon]})
        self.busy.discard (daemon)

    def _let_a_data_node_fail (self, kind, who, other, long):
        daemon = self._victim (who, kill=True)
        if daemon:
            self._arm (kind, daemon, DATA_POINTS, other, 1 + int (20 * long * long))

    def _let_the_name_node_fail (self, kind, who, other, long):
        if self.c.name not in self.busy and self.c.name not in self.spared:
            self._arm (kind, self.c.name, NAME_POINTS, other, 1 + int (200 * long * long))

    def _drain_a_data_node (self, kind, who, other, long):
        """One at a time, so that there is room for three copies; whether it comes to its end is all the same."""
        daemon = self.c.data[int (who * len (self.c.data))]
        if self.draining or self.c.name in self.busy:
            return
        try:
            about = self.c.node (daemon)
        except (OSError, AssertionError):       # the name node is just starting
            return
        if about:
            self.count[kind] += 1
            self.draining[daemon] = about["id"]
            self.drained.add (about["id"])
            self._say (kind, daemon)
            self._tell ("drain", about["id"])
            self._later (10 * long, self._undrain, daemon)

    def _undrain (self, daemon):
        self._say ("undrain", daemon)
        self._tell ("undrain", self.draining[daemon])
        self.draining.clear ()

    def _tell (self, what, number):
        """Without waiting for it: the name node may be away."""
        self.told = [p for p in self.told if p.poll () is None]
        self.told.append (subprocess.Popen ([program ("litedfs"), self.c.address (), "node", what, str (number)],
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    # What ends them.

    def _start (self, daemon):
        self.armed.pop (daemon, None)
        daemon.start (wait=False)

    def _start_again (self, daemon):
        self._say ("start", daemon)
        self._start (daemon)
        self.busy.discard (daemon)

    def _continue (self, daemon):
        self._say ("continue", daemon)
        daemon.signal (signal.SIGCONT)
        self.busy.discard (daemon)

    def _empty (self, daemon):
        self._say ("empty the disk of", daemon)
        self.disks[daemon].empty ()
        self.busy.discard (daemon)

    def _tick (self, all_of_it=False):
        """What is due; and nobody may have ended that was not told to."""
        while self.pending and (all_of_it or self.pending[0][0] <= time.monotonic ()):
            _, _, what, daemon = heapq.heappop (self.pending)
            what (daemon)
        for daemon in self.c.daemons ():
            status = daemon.process.poll () if daemon.process else None
            if daemon in self.ending:
                if status is None:
                    assert time.monotonic () < self.ending[daemon], f"{daemon.directory} does not end"
                    continue
                del self.ending[daemon]
                assert status == 0 or (status == FAULT_EXIT and daemon in self.armed), f"{daemon.directory} ended with {status}\n{daemon.said ()}"
                daemon.process = None
                self._start_again (daemon)
            elif status == FAULT_EXIT and daemon in self.armed:
                self.count["kill at a point"] += 1
                self._say ("it died at its point", daemon, self.armed[daemon])
                daemon.process = None
                self._start_again (daemon)
            elif status is not None:
                raise AssertionError (f"{daemon.directory} ended by itself with {status}\n{daemon.said ()}")
