# SPDX-License-Identifier: MIT
"""Uploads with one to three replicas while daemons are killed and stopped at random: what was acknowledged
is there byte for byte, and has all its copies soon after."""
import hashlib
import json
import os
import random
import signal
import sys
import threading
import time

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import DEADLINE, Cluster, run, wait_for  # noqa: E402

MIB = 1 << 20
SIZES = [10, 5000, MIB, 3 * MIB, 9 * MIB, 14 * MIB]
SECONDS = 20.0      # of trouble
CLIENTS = 3


class _Load:
    """Clients that upload until they are told to end, and the manifest of what was acknowledged."""

    def __init__ (self, c):
        self.c = c
        self.acknowledged = {}      # path: (digest, replicas)
        self.ended = threading.Event ()
        self.threads = [threading.Thread (target=self._upload, args=(number,)) for number in range (CLIENTS)]
        for thread in self.threads:
            thread.start ()

    def _upload (self, number):
        source = random.Random (number)
        count = 0
        while not self.ended.is_set ():
            count += 1
            content = source.randbytes (source.choice (SIZES))
            replicas = source.choice ([1, 2, 3, 3])
            path = f"/client-{number}/{count}"
            done = self.c.litedfs_run ("file", "create", "-l", "-", "-r", path, "-R", str (replicas),
                                       input=content, timeout=8 * DEADLINE)
            if done.returncode == 0:
                self.acknowledged[path] = (hashlib.sha256 (content).digest (), replicas)
            else:
                assert done.returncode > 0, f"the client was ended by signal {-done.returncode}"
                self.ended.wait (0.1)   # the name node is away

    def end (self):
        self.ended.set ()
        for thread in self.threads:
            thread.join ()


def _trouble (c, dice):
    """Kill a daemon and start it again, or stop one for a while: True if it was killed."""
    daemon = dice.choice (c.daemons ())
    if daemon is c.name or dice.random () < 0.6:
        daemon.kill ()
        time.sleep (dice.uniform (0, 2))
        daemon.start (wait=False)
        return True
    daemon.process.send_signal (signal.SIGSTOP)
    time.sleep (dice.uniform (0.5, 7))
    daemon.process.send_signal (signal.SIGCONT)
    return False


def _lacking (c, acknowledged):
    """What has not as many copies as it should."""
    def current (path):
        return json.loads (c.litedfs ("file", "info", "-r", path, "--json"))["current_replica"]
    return [path for path, (_, replicas) in acknowledged.items () if current (path) != replicas]


def what_was_acknowledged_is_there_and_gets_all_its_copies ():
    seed = random.randrange (1 << 30)
    print (f"# seed {seed}", flush=True)
    dice = random.Random (seed)
    with Cluster (nodes=4, block_size=4 * MIB, name_settings={"delete_delay": "0.5"}) as c:
        load = _Load (c)
        try:
            kills = 0
            end = time.monotonic () + SECONDS
            while time.monotonic () < end or kills == 0:
                kills += _trouble (c, dice)
                time.sleep (dice.uniform (0.2, 1.5))
        finally:
            load.end ()
        c.wait_online (4)
        assert len (load.acknowledged) > CLIENTS, load.acknowledged
        print (f"# {len (load.acknowledged)} files, {kills} kills", flush=True)
        for path, (digest, _) in load.acknowledged.items ():
            done = c.litedfs_run ("file", "download", "-r", path, "-l", "-")
            assert done.returncode == 0, (path, done.stderr)
            assert hashlib.sha256 (done.stdout).digest () == digest, path
        lacking = dict (load.acknowledged)
        def all_there ():
            for path in set (lacking) - set (_lacking (c, lacking)):
                del lacking[path]
            return not lacking
        wait_for ("all copies", all_there, 3 * DEADLINE)


run (globals ())
