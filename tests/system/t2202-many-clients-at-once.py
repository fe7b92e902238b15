# SPDX-License-Identifier: MIT
"""Many clients at a time, and those that die or sleep: everybody is served, and memory stays bounded."""
import os
import sys
import time

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import DEADLINE, Cluster, Skip, run, same_content, wait_for  # noqa: E402

try:
    import msgpack
    import zmq
except ImportError:
    zmq = None

MIB = 1 << 20

# Fifty clients with sanitizers keep two cores busy for longer than the time after which a node that says
# nothing counts as lost.
CLIENTS = 50 if os.environ.get ("SANITIZE", "no") == "no" else 12


def uploads_that_must_wait_for_memory_all_end_well ():
    with Cluster (nodes=1, block_size=4 * MIB, data_settings={"memory_limit": "16M"}) as c:
        local = c.make_file ("f", 9 * MIB)
        clients = [c.litedfs_start ("file", "create", "-l", local, "-r", f"/f{i}") for i in range (CLIENTS)]
        for client in clients:
            _, err = client.communicate (timeout=4 * DEADLINE)
            assert client.returncode == 0, err
        c.litedfs ("file", "download", "-r", f"/f{CLIENTS - 1}", "-l", c.path ("back"))
        assert same_content (local, c.path ("back"))


def uploads_that_were_killed_do_not_keep_the_node_s_memory ():
    with Cluster (nodes=1, block_size=64 * MIB, data_settings={"memory_limit": "16M"}) as c:
        local = c.make_file ("f", 64 * MIB)
        clients = [c.litedfs_start ("file", "create", "-l", local, "-r", f"/f{i}") for i in range (12)]
        wait_for ("they are under way", lambda: c.block_bytes () >= 24 * MIB)
        for client in clients:
            client.kill ()
            client.communicate ()
        start = time.monotonic ()
        c.upload_and_download ("next", 3 * MIB)
        took = time.monotonic () - start
        assert took < DEADLINE, f"{took:.1f} s"


def readers_that_fall_asleep_cost_little_memory_and_stop_nobody ():
    if not zmq:
        raise Skip ("this python has no zmq, or no msgpack")
    if os.environ.get ("SANITIZE", "no") != "no":
        raise Skip ("sanitizers need memory of their own")
    with Cluster (nodes=1, block_size=16 * MIB) as c:
        c.upload_and_download ("f", 16 * MIB)
        node = c.data[0]
        context = zmq.Context ()
        sleepers = []
        for _ in range (60):
            s = context.socket (zmq.DEALER)
            s.linger, s.rcvhwm = 0, 1
            s.setsockopt (zmq.RCVBUF, 65536)
            s.connect (f"tcp://127.0.0.1:{node.get ('tcp_port')}")
            for i in range (15):
                s.send (msgpack.packb ({"op": "block.read", "id": i + 1, "seen": 0, "node": 1,
                                        "block": _block (c), "offset": i * MIB, "size": MIB}))
            sleepers.append (s)
        most = 0
        for _ in range (10):
            c.litedfs ("file", "download", "--force", "-r", "/f", "-l", c.path ("back"))
            most = max (most, node.rss ())
        assert same_content (c.path ("f"), c.path ("back"))
        print (f"# most: {most // MIB} MiB")
        assert most < 160 * MIB, f"{most // MIB} MiB"
        for s in sleepers:
            s.close ()
        context.term ()


def _block (c):
    """The id of the only block."""
    for _, _, names in os.walk (os.path.join (c.data[0].directory, "data", "blocks")):
        for name in names:
            return int (name, 16)
    raise AssertionError ("there is no block")


run (globals ())
