# SPDX-License-Identifier: MIT
"""After a storm: what has to hold when everything is back and nothing goes on any more."""
import os
import time

from cluster import DEADLINE, wait_for
from nodedisk import disks_as_known, infos, lacking, poll
from model import content
from raw import Raw, Writer
from replicas import namespace, read_everywhere

# Longer than all delays and timeouts of a plan, and shorter than the minute after which an order that was lost is
# given anew: nothing should be lost.
WITHIN = 1.5 * DEADLINE
# What a daemon may have more of at a settled point than at the one before.
RSS_GROWTH = 32 << 20       # 20 MiB was the most that one had at all
DESCRIPTORS_GROWTH = 320     # a data node keeps up to 256 block files open for readers


def _locks (name):
    return name.ok ("lock.list")["locks"]


def _namespace_is_as_known (name, clients):
    """Gives ({path: File}, {path: its info})."""
    files, directories = namespace (name)
    about = infos (name, files)
    there = {path: (info.get ("size", 0), info["replica"]) for path, info in about.items ()}
    there.update ({path: None for path in directories})
    for client in clients:
        root = client.model.root
        client.model.compare ({p: x for p, x in there.items () if p == root or p.startswith (root + "/")})
    info = name.ok ("cluster.info")
    assert (info["files"], info["directories"], info["bytes"]) == \
        (len (files), len (directories), sum (files.values ())), f"totals: {info}"
    return {p: x for client in clients for p, x in client.model.entries.items () if x is not None}


def settled (c, clients, trace):
    """Wait for it, and look at everything; gives {path: File}."""
    began = time.monotonic ()
    c.wait_online (len (c.data))
    with Raw (c.name) as name, Writer (name) as writer:
        poll ("all leases have ended", lambda: _locks (name), 2 * DEADLINE)
        files = _namespace_is_as_known (name, clients)
        said = [f"namespace {time.monotonic () - began:.1f} s"]
        poll ("every file has its copies", lambda: lacking (infos (name, files)), WITHIN)
        said.append (f"copies {time.monotonic () - began:.1f} s")
        last = disks_as_known (c, name, files, WITHIN)
        said.append (f"disks {time.monotonic () - began:.1f} s")
        for path, file in files.items ():
            got, replica = read_everywhere (name, writer, path)
            assert (got, replica) == (content (file), file.replica), f"{path}: other bytes than {file}"
        assert not lacking (infos (name, files)), "copies went away while nothing happened"
        said.append (f"bytes {time.monotonic () - began:.1f} s")
    for line in last[:10]:
        trace ("the last thing that was wrong: " + line)
    trace ("settled: " + ", ".join (said))
    print ("# settled: " + ", ".join (said), flush=True)
    return files


def usage (c):
    """{daemon: (pid, resident bytes, descriptors)} when all connections of clients are gone."""
    wait_for ("no client is connected",
              lambda: c.name.connections (int (c.name.get ("tcp_port"))) <= len (c.data))
    return {d: (d.process.pid, d.rss (), d.descriptors ()) for d in c.daemons ()}


def no_growth (before, after):
    """Of daemons that were there both times and not started anew; gives how many were.  Sanitizers keep what
    was freed."""
    lasted = 0
    if os.environ.get ("SANITIZE", "no") not in ("", "no"):
        return lasted
    for daemon, (pid, rss, descriptors) in after.items ():
        if daemon not in before or before[daemon][0] != pid:
            continue
        lasted += 1
        _, was, had = before[daemon]
        assert rss <= was + RSS_GROWTH, f"{daemon.directory}: {rss >> 10} KiB are resident, and were {was >> 10}"
        assert descriptors <= had + DESCRIPTORS_GROWTH, \
            f"{daemon.directory}: {descriptors} descriptors are open, and were {had}"
    return lasted
