# SPDX-License-Identifier: MIT
"""Resident memory, without the pages of mapped files, stays within what the manual promises."""
import os
import re
import sys

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import Cluster, Skip, run, same_content, wait_for  # noqa: E402

MIB = 1 << 20


def _needs_plain_build ():
    if os.environ.get ("SANITIZE", "no") != "no":
        raise Skip ("sanitizers need memory of their own")


def _rss (pid):
    try:
        with open (f"/proc/{pid}/status") as f:
            return int (re.search (r"RssAnon:\s+(\d+) kB", f.read ()).group (1)) * 1024
    except (OSError, AttributeError):
        return 0


def idle_daemons_stay_under_20_mib ():
    _needs_plain_build ()
    with Cluster (nodes=1) as c:
        for daemon in c.daemons ():
            assert daemon.rss () < 20 * MIB, f"{daemon.name}: {daemon.rss () // 1024} KiB"


def a_transfer_of_1_gib_keeps_node_and_client_small ():
    _needs_plain_build ()
    if os.statvfs ("/tmp").f_bavail * os.statvfs ("/tmp").f_frsize < 6 << 30:
        raise Skip ("less than 6 GiB free in /tmp")
    with Cluster (nodes=1) as c:
        local = c.make_file ("big", 1 << 30)
        most = {"node": 0, "client": 0, "name": 0}

        def transfer (*arguments):
            client = c.litedfs_start (*arguments)

            def ended ():
                most["node"] = max (most["node"], c.data[0].rss ())
                most["name"] = max (most["name"], c.name.rss ())
                most["client"] = max (most["client"], _rss (client.pid))
                return client.poll () is not None

            wait_for ("the transfer ends", ended, 300)
            out, err = client.communicate ()
            assert client.returncode == 0, err

        transfer ("file", "create", "-l", local, "-r", "/big")
        transfer ("file", "download", "-r", "/big", "-l", c.path ("back"))
        print (f"# most, in MiB: { {k: v // MIB for k, v in most.items ()} }")
        assert same_content (local, c.path ("back"))
        assert most["node"] < 128 * MIB, most
        assert most["client"] < 64 * MIB, most
        assert most["name"] < 20 * MIB, most


run (globals ())
