# SPDX-License-Identifier: MIT
"""Data nodes leave: drained under load, removed, refused while they have the last copy of something, away for
maintenance."""
import json
import os
import sys
import threading

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import DEADLINE, Cluster, run, wait_for  # noqa: E402
from raw import Raw  # noqa: E402
from replicas import info, settled, wait_copies, whole_everywhere  # noqa: E402

MIB = 1 << 20
KIB = 1 << 10


def _put (c, path, content, copies):
    c.litedfs ("file", "create", "-l", "-", "-r", path, "-R", str (copies), input=content)
    settled (c, path, content, copies)


def _shown (c, number):
    """What node list says of a node; None if it is not there."""
    nodes = json.loads (c.litedfs ("node", "list", "--json"))["nodes"]
    return next ((node for node in nodes if node["id"] == number), None)


def _holders (c, path):
    return [sorted (block["nodes"]) for block in info (c, path)["blocks"]]


def _is_empty (c, daemon):
    return c.block_bytes (daemon) == 0


def _refused (c, *arguments, status):
    """What the command says when it ends with this status."""
    done = c.litedfs_run (*arguments)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done.stderr.decode ()


def _ends (daemon):
    """The exit status with which it ends by itself."""
    status = daemon.process.wait (DEADLINE)
    daemon.process = None
    return status


class _Load:
    """Uploads one after the other, until the end of the block."""

    def __init__ (self, c):
        self.c, self.files, self.stop = c, {}, threading.Event ()
        self.thread = threading.Thread (target=self._work)

    def _work (self):
        while not self.stop.is_set ():
            path, content = f"/load/{len (self.files)}", os.urandom (300 * KIB)
            self.c.litedfs ("file", "create", "-l", "-", "-r", path, "-R", "2", input=content)
            self.files[path] = content

    def __enter__ (self):
        self.thread.start ()
        return self

    def __exit__ (self, *_):
        self.stop.set ()
        self.thread.join ()


def a_node_is_drained_under_load_and_through_restarts ():
    with Cluster (nodes=4, block_size=256 * KIB, name_settings={"delete_delay": "0.2"}) as c:
        files = {f"/{copies}": (os.urandom (4 * MIB + copies), copies) for copies in (1, 2, 3)}
        for path, (content, copies) in files.items ():
            _put (c, path, content, copies)
        number = c.node (c.data[0])["id"]
        with _Load (c) as load:
            wait_for ("an upload", lambda: load.files)
            c.litedfs ("node", "drain", str (number))
            c.name.kill ()
            c.name.start ()
            c.wait_online (4)
            assert c.litedfs ("node", "drain", str (number), "--wait") == \
                f"drain node[{number}] success\n"
            assert _shown (c, number)["duty"]["drained"]
        assert load.files
        for path, (content, copies) in {**files, **{p: (f, 2) for p, f in load.files.items ()}}.items ():
            settled (c, path, content, copies)
            assert all (number not in nodes for nodes in _holders (c, path)), (path, _holders (c, path))
            whole_everywhere (c, path, content)
        wait_for ("the drained node is empty", lambda: _is_empty (c, c.data[0]))
        assert "online, drained" in c.litedfs ("node", "list")

        _put (c, "/after", os.urandom (2 * MIB), 3)
        assert _is_empty (c, c.data[0])
        c.litedfs ("node", "undrain", str (number))
        _put (c, "/all", os.urandom (MIB), 4)
        assert all (number in nodes for nodes in _holders (c, "/all"))


def a_node_to_which_an_upload_is_under_way_is_not_drained ():
    with Cluster (nodes=2, block_size=256 * KIB) as c, Raw (c.name) as client:
        upload = client.ok ("file.create", path="/f", size=200 * KIB, replica=1)
        number = upload["blocks"][0]["nodes"][0]["node"]
        c.litedfs ("node", "drain", str (number))
        wait_for ("a survey", lambda: _shown (c, number)["duty"]["surveyed"])
        assert not _shown (c, number)["duty"]["drained"]
        client.refused ("busy", "node.remove", node=number)
        client.ok ("file.abandon", file=upload["file"], lease=upload["lease"])
        assert c.litedfs ("node", "drain", str (number), "--wait") == f"drain node[{number}] success\n"
        client.ok ("node.remove", node=number)
        assert _shown (c, number) is None


def where_no_node_is_left_for_the_copies_it_says_so ():
    with Cluster (nodes=2, block_size=256 * KIB, name_settings={"delete_delay": "0.2"}) as c:
        content = os.urandom (MIB)
        _put (c, "/f", content, 2)
        number = c.node (c.data[1])["id"]
        refusal = _refused (c, "node", "drain", str (number), "--wait", status=6)
        assert "4 blocks can go nowhere" in refusal, refusal
        assert _shown (c, number)["duty"] == {
            "wanted": "drain", "drained": False, "surveyed": True, "blocks_left": 4, "bytes_left": MIB,
            "blocks_sole": 0, "bytes_sole": 0, "blocks_stuck": 4}
        c.litedfs ("node", "remove", str (number))      # nothing is lost by that
        assert _shown (c, number) is None
        wait_copies (c, "/f", 1)
        assert _ends (c.data[1]) != 0
        assert "removed from this cluster" in c.data[1].log (), c.data[1].log ()
        whole_everywhere (c, "/f", content)


def a_node_with_the_last_copy_stays_unless_it_is_forced_out ():
    with Cluster (nodes=1, block_size=256 * KIB) as c:
        content = os.urandom (MIB)
        _put (c, "/f", content, 1)
        refusal = _refused (c, "node", "remove", "1", status=8)
        assert "the last copy of 4 blocks (1048576 bytes)" in refusal, refusal
        assert _shown (c, 1)["duty"]["wanted"] == "serve"
        _put (c, "/g", content, 1)
        warning = _refused (c, "node", "remove", "1", "--force", status=0)
        assert "the last copy of 8 blocks (2097152 bytes)" in warning, warning
        assert _ends (c.data[0]) != 0
        wait_for ("nobody has the file", lambda: _holders (c, "/f") == [[]] * 4)
        c.litedfs ("node", "remove", "1", expect=3)
        c.litedfs ("node", "drain", "1", expect=3)
        c.litedfs ("node", "drain", "x", expect=2)
        c.litedfs ("node", "drain", expect=2)


def a_dead_node_can_be_removed_when_its_blocks_are_elsewhere ():
    with Cluster (nodes=3, block_size=256 * KIB, name_settings={"repair_delay": "0.2"}) as c:
        content = os.urandom (2 * MIB)
        _put (c, "/f", content, 2)
        number = c.node (c.data[0])["id"]
        c.data[0].kill ()
        c.wait_status (c.data[0], "offline")
        wait_copies (c, "/f", 2)
        c.litedfs ("node", "remove", str (number))
        wait_for ("it is no holder any more", lambda: all (number not in nodes for nodes in _holders (c, "/f")))
        c.name.kill ()
        c.name.start ()
        c.wait_online (2)
        assert _shown (c, number) is None
        c.data[0].start (wait=False)
        assert _ends (c.data[0]) != 0
        whole_everywhere (c, "/f", content)


def during_maintenance_nobody_copies_what_the_node_has ():
    with Cluster (nodes=3, block_size=256 * KIB, name_settings={"repair_delay": "0"}) as c:
        content = os.urandom (2 * MIB)
        _put (c, "/f", content, 2)
        before = _holders (c, "/f")
        number = c.node (c.data[0])["id"]
        assert any (number in nodes for nodes in before)
        c.litedfs ("node", "maintenance", str (number), "--for", "1h")
        assert "in maintenance until" in c.litedfs ("node", "list")
        assert _shown (c, number)["maintenance_until"].endswith ("Z")
        c.data[0].kill ()
        c.wait_status (c.data[0], "offline")
        c.litedfs ("file", "create", "-l", "-", "-r", "/g", "-R", "1", input=content)
        c.litedfs ("file", "update", "-r", "/g", "-R", "2")
        wait_copies (c, "/g", 2)        # repair is at work
        assert _holders (c, "/f") == before
        c.litedfs ("node", "maintenance", str (number), "--for", "0")
        assert _shown (c, number)["maintenance_until"] is None
        wait_copies (c, "/f", 2)
        assert _holders (c, "/f") != before
        c.litedfs ("node", "maintenance", str (number), "--for", "soon", expect=2)
        c.litedfs ("node", "maintenance", str (number), expect=2)


run (globals ())
