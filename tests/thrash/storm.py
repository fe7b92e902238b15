# SPDX-License-Identifier: MIT
"""Storms, one after the other, and after each of them the look at everything; see thrash.py."""
import collections
import os
import random
import shutil
import time

from chaos import Chaos
from clients import Command, Script
from cluster import DEADLINE, Cluster, Disk, Skip, wait_for
from nodedisk import infos, lacking, poll
from raw import Raw
from settle import no_growth, settled, usage

KIB, MIB = 1 << 10, 1 << 20
NODES = 5
CLIENTS = (Script, Script, Script, Command, Command)
STORM = 45.0        # seconds at most, until everything has to be right once more
DISK = 96 * MIB     # of the one that is filled


class _Trace:
    """What happened, with the time, for those who look for the reason of a failure."""

    def __init__ (self):
        self.began = time.monotonic ()
        self.lines = collections.deque (maxlen=200000)

    def __call__ (self, line):
        self.lines.append (f"{time.strftime ('%H:%M:%S')} {time.monotonic () - self.began:8.3f} {line}")

    def show (self):
        """The end of it, after a failure."""
        for line in list (self.lines)[-60:]:
            print ("# " + line)

    def keep (self, c, seed):
        to = os.environ.get ("THRASH_KEEP")
        if not to:
            return
        to = os.path.join (to, str (seed))
        os.makedirs (to, exist_ok=True)
        with open (os.path.join (to, "trace"), "w") as f:
            f.writelines (line + "\n" for line in self.lines)
        for daemon in c.daemons ():
            shutil.copytree (os.path.join (daemon.directory, "logs"),
                             os.path.join (to, os.path.basename (daemon.directory)), dirs_exist_ok=True)


class _Plan:
    """What the seed says besides what clients and events draw."""

    def __init__ (self, seed):
        dice = random.Random (f"{seed} plan")
        block = dice.choice ((64 * KIB, 192 * KIB, 256 * KIB, 2 * MIB))
        self.block_size = block
        self.sizes = (0, 1, 1000, 65536, block - 1, block, block + 1, 2 * block, 3 * block + 7,
                      (MIB if block == 2 * MIB else 6 * block) + 65537)
        self.name_settings = {"delete_delay": dice.choice (("0", "0.2", "1")),
                              "repair_delay": dice.choice ((0, 1, 3, 10))}
        self.data_settings = {"heartbeat_interval": "0.5", "heartbeat_timeout": dice.choice ((2, 5, 30)),
                              "pipeline_timeout": dice.choice ((1, 2, 5)), "write_timeout": dice.choice ((5, 20)),
                              "retry_interval": "0.5"}
        self.seed = seed

    def dice (self, what, number):
        """For the n-th of something: what one draws does not change what another one gets."""
        return random.Random (f"{self.seed} {what} {number}")

    def __str__ (self):
        return f"block_size {self.block_size}, {self.name_settings}, {self.data_settings}"


def _raise_troubles (chaos, clients):
    """What somebody found wrong; the daemon that ended comes before the client that missed it."""
    for one in (chaos, *clients):
        if one.trouble:
            raise one.trouble


def _storm (c, plan, number, seconds, clients, disks, trace):
    """One of them; gives the events by kind."""
    dice = plan.dice ("storm", number)
    spared = {c.data[int (dice.random () * len (c.data))], *(() if number % 2 else [c.name])}
    chaos = Chaos (c, dice, disks, spared, clients, trace)
    trace (f"storm {number}: {', '.join (d.directory for d in spared)} will not be killed")
    before = [sum (client.done.values ()) for client in clients]
    for client in clients:
        client.start ()
    try:
        wait_for ("every client was answered", lambda: all (
            sum (x.done.values ()) > b or x.trouble for x, b in zip (clients, before)))
        chaos.start ()
        end = time.monotonic () + seconds
        while time.monotonic () < end and not any (x.trouble for x in (chaos, *clients)):
            time.sleep (0.1)
    finally:
        for client in clients:
            client.stopping.set ()
        if chaos.thread.ident:
            chaos.end ()
    for client in clients:
        client.end (8 * DEADLINE)
    _raise_troubles (chaos, clients)
    for client, b in zip (clients, before):
        assert sum (client.done.values ()) > b + 1, f"{client.model.root}: nothing was acknowledged"
    assert chaos.killed () > 0, f"nothing was killed: {dict (chaos.count)}"
    return chaos.count


def thrash (seconds):
    """Storms of so many seconds altogether, by the seed in SEED or a random one."""
    seed = int (os.environ.get ("SEED") or random.SystemRandom ().randrange (1 << 32))
    plan = _Plan (seed)
    trace = _Trace ()
    print (f"# SEED={seed} THRASH_SECONDS={seconds:g}: {plan}", flush=True)
    try:
        with Disk (DISK) as disk:
            _thrash_on (disk, plan, seed, seconds, trace)
    except Skip as reason:
        print (f"# no disk is filled: {reason}", flush=True)
        _thrash_on (None, plan, seed, seconds, trace)


def _lose_a_disk (c, dice, disks, clients, trace):
    """One that has the last copy of nothing is erased, and its node joins as a new one."""
    daemon = dice.choice ([d for d in c.data if d not in disks])
    with Raw (c.name) as name:
        for entries in (client.model.entries for client in clients):
            for path, file in entries.items ():
                if file and file.replica == 1:
                    name.ok ("file.update", path=path, replica=2)
                    entries[path] = file._replace (replica=2)
        files = [p for client in clients for p, x in client.model.entries.items () if x]
        poll ("every file has two copies", lambda: lacking (infos (name, files)), 4 * DEADLINE)
    trace (f"the disk of {daemon.directory} is lost")
    daemon.kill ()
    data = os.path.join (daemon.directory, daemon.get ("data_path"))
    shutil.rmtree (data)
    os.mkdir (data)
    daemon.start (wait=False)


def _thrash_on (disk, plan, seed, seconds, trace):
    with Cluster (nodes=NODES - bool (disk), block_size=plan.block_size, start=False,
                  name_settings=plan.name_settings, data_settings=plan.data_settings) as c:
        disks = {c.add_node (data_path=disk.path): disk} if disk else {}
        c.start ()
        clients = [kind (c, number, seed, plan.sizes, trace) for number, kind in enumerate (CLIENTS, 1)]
        events, lasted, lost, used = collections.Counter (), 0, 0, usage (c)
        try:
            storms = max (1, round (seconds / STORM))
            for number in range (1, storms + 1):
                dice = plan.dice ("disk", number)
                if number > 1 and dice.random () < 0.5:
                    _lose_a_disk (c, dice, disks, clients, trace)
                    lost += 1
                events += _storm (c, plan, number, seconds / storms, clients, disks, trace)
                files = settled (c, clients, trace)
                now = usage (c)
                lasted += no_growth (used, now)
                used = now
                _report (c, number, clients, events, files, used)
            assert files, "no file is left"
            assert lasted > 0 or os.environ.get ("SANITIZE", "no") not in ("", "no"), "nothing lived through it"
        except BaseException:
            trace.show ()
            raise
        finally:
            trace.keep (c, seed)
        print (f"# {lasted} daemons that lived through a storm were compared with themselves, {lost} disks were "
               "lost", flush=True)


def _report (c, number, clients, events, files, used):
    done = sum ((client.done for client in clients), collections.Counter ())
    print (f"# storm {number}: acknowledged {dict (done)}; without an answer "
           f"{sum (client.unanswered for client in clients)}; events {dict (events)}; "
           f"{len (files)} files; RSS and descriptors " +
           ", ".join (f"{rss >> 20} MiB {fds}" for _, rss, fds in used.values ()), flush=True)
