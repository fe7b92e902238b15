# SPDX-License-Identifier: MIT
"""A copy that rots is found by a read, by the scrub, by a copy to another node or because a client doubts it;
it is set aside and replaced, also on the same node, and a reader gets the right bytes all the time."""
import json
import os
import sys

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import Cluster, Skip, run, same_content, wait_for  # noqa: E402
from raw import Raw  # noqa: E402

MIB = 1 << 20
SIZE = 2 * MIB + 70001
FAST = {"scrub_period": 2, "scrub_bandwidth": "64M"}
NEVER = {"scrub_period": 0}


def _flip (path):
    with open (path, "r+b") as f:
        f.seek (70000)
        byte = f.read (1)
        f.seek (-1, os.SEEK_CUR)
        f.write (bytes ([byte[0] ^ 0x10]))


def _zero (path):
    with open (path, "r+b") as f:
        f.seek (4096)
        f.write (bytes (4096))


def _cut (path):
    os.truncate (path, 65536)


HARMS = {"a flipped bit": _flip, "a zeroed page": _zero, "a cut file": _cut, "a missing file": os.unlink}


class _Files:
    """A file with two copies of each block, or one, in a cluster of some nodes."""

    def __init__ (self, nodes, settings, replica=2, size=SIZE):
        self.cluster = Cluster (nodes=nodes, block_size=MIB, data_settings=settings,
                                name_settings={"delete_delay": 1})
        self.remote = "/f"
        self.replica = replica
        self.size = size

    def __enter__ (self):
        c = self.cluster.__enter__ ()
        try:
            self.local = c.make_file ("f", self.size)
            c.litedfs ("file", "create", "-l", self.local, "-r", self.remote, "-R", str (self.replica))
            self.whole ()
        except BaseException:
            self.cluster.__exit__ (*sys.exc_info ())
            raise
        return self

    def __exit__ (self, *failure):
        return self.cluster.__exit__ (*failure)

    def blocks (self):
        return json.loads (self.cluster.litedfs ("file", "info", "-r", self.remote, "--json"))["blocks"]

    def path (self, node, block, below="blocks"):
        parts = ("blocks", block[-2:], block) if below == "blocks" else (below, block)
        return os.path.join (node.directory, "data", *parts)

    def copies (self, block):
        """The nodes whose disks have a file for the block."""
        return [node for node in self.cluster.data if os.path.exists (self.path (node, block))]

    def damaged (self):
        return [name for node in self.cluster.data
                for name in os.listdir (os.path.join (node.directory, "data", "damaged"))]

    def is_whole (self):
        return all (len (b["nodes"]) == len (self.copies (b["id"])) == self.replica
                    for b in self.blocks ()) and not self.damaged ()

    def whole (self):
        wait_for ("two copies of each block, and nothing damaged", self.is_whole)

    def holder (self, index):
        """The id of a block, and the one of its holders that a reader asks for it first."""
        block = self.blocks ()[index]
        number = block["nodes"][index % len (block["nodes"])]
        return block["id"], next (n for n in self.cluster.data if self.cluster.node (n)["id"] == number)

    def read (self):
        back = self.cluster.path ("back")
        done = self.cluster.litedfs_run ("file", "download", "-r", self.remote, "-l", back, "--force")
        assert done.returncode == 0 and done.stderr == b"", done
        assert same_content (self.local, back)

    def found (self, node, block):
        """The node has found it, and has said so once."""
        node.wait_log (f"ERROR .*block {block} is damaged and set aside")
        return self.count (node, block)

    def mended (self, node, block):
        assert self.found (node, block) == 1, node.log ()
        self.whole ()
        self.read ()
        for daemon in self.cluster.daemons ():
            assert daemon.process.poll () is None


    def count (self, node, block):
        return node.log ().count (f"block {block} is damaged and set aside")


def _by_read (nodes):
    with _Files (nodes, NEVER) as x:
        for index, (name, harm) in enumerate (HARMS.items ()):
            x.cluster.restart ()        # or a node reads a file that it has open still
            block, node = x.holder (index % 3)
            before = x.count (node, block)
            harm (x.path (node, block))
            x.read ()
            assert x.count (node, block) == before + 1, (name, node.log ())
            x.whole ()
            x.read ()
            assert x.count (node, block) == before + 1, name
        for daemon in x.cluster.daemons ():
            assert daemon.process.poll () is None


def rot_that_a_read_meets_is_mended_where_only_the_same_node_can_take_the_copy ():
    _by_read (2)


def rot_that_a_read_meets_is_mended_where_there_is_a_third_node ():
    _by_read (3)


def _by_scrub (nodes):
    with _Files (nodes, FAST) as x:
        for index, (name, harm) in enumerate (HARMS.items ()):
            block, node = x.holder (index % 3)
            before = x.count (node, block)
            harm (x.path (node, block))
            x.read ()
            wait_for (f"the scrub finds {name}",
                      lambda: x.count (node, block) > before)
            x.whole ()
            x.read ()
            assert x.count (node, block) == before + 1
        for daemon in x.cluster.daemons ():
            assert daemon.process.poll () is None


def rot_that_nobody_reads_is_found_by_the_scrub_with_two_nodes ():
    _by_scrub (2)


def rot_that_nobody_reads_is_found_by_the_scrub_with_three_nodes ():
    _by_scrub (3)


def bytes_that_the_disk_cannot_give_are_as_good_as_lost ():
    if os.environ.get ("FAULT", "yes") != "yes":
        raise Skip ("built without --enable-fault")
    with _Files (2, NEVER) as x:
        block, node = x.holder (0)
        assert node.stop () == 0
        # The first reads after the start: by a reader or two, and when they look again.
        node.start (env={"LITEDFS_FAULT": ",".join (
            f"blockfile_read_error=error:{n}" for n in range (1, 5))})
        x.cluster.wait_online (2)
        x.read ()
        assert x.count (node, block) == 1 and "Input/output error" in node.log ()
        x.whole ()
        x.read ()


def rot_that_a_copy_meets_is_mended_and_the_copy_made_from_another_node ():
    with _Files (3, NEVER, size=70001) as x:
        c = x.cluster
        c.restart ()
        block, node = x.holder (0)      # which is ordered to copy it
        os.unlink (x.path (node, block))
        c.litedfs ("file", "update", "-r", "/f", "-R", "3")
        x.replica = 3
        x.mended (node, block)


def a_doubted_block_is_looked_at_and_stays_if_it_is_good ():
    with _Files (2, NEVER) as x:
        c = x.cluster
        good, node = x.holder (0)
        bad = x.blocks ()[1]["id"]
        _flip (x.path (node, bad))
        number = c.node (node)["id"]
        with Raw (node) as raw:
            for block in (good, bad):
                reply = raw.call ("block.verify", node=number, block=int (block, 16))
                assert reply["ok"] and not reply["running"], reply
        x.found (node, bad)
        x.mended (node, bad)
        assert f"block {good} is damaged" not in node.log () and node in x.copies (good)


def a_pass_can_be_asked_for_and_its_end_be_seen ():
    with _Files (2, NEVER) as x:
        node = x.cluster.data[0]
        block = x.blocks ()[2]["id"]
        _flip (x.path (node, block))
        number = x.cluster.node (node)["id"]
        with Raw (node) as raw:
            first = raw.call ("block.verify", node=number, all=True)
            assert first["running"] and first["started"] > 0, first
            done = wait_for ("the pass ends", lambda: [
                r for r in [raw.call ("block.verify", node=number)] if not r["running"]])[0]
        assert done["started"] == first["started"], (first, done)
        assert done["blocks"] == 3 and done["damaged"] == 1, done
        x.mended (node, block)


def a_check_with_scrub_waits_until_all_is_verified_and_mended ():
    with _Files (3, NEVER) as x:
        nodes = [(node, block["id"]) for block in x.blocks () for node in x.copies (block["id"])[:1]]
        for node, block in nodes:
            _flip (x.path (node, block))
        said = x.cluster.litedfs ("cluster", "check", "--scrub", "--wait")
        assert "healthy" in said, said
        for node, block in nodes:
            x.found (node, block)
            x.mended (node, block)


def the_only_copy_is_kept_aside_and_said_to_be_damaged_and_goes_with_its_file ():
    with _Files (1, NEVER, replica=1) as x:
        c = x.cluster
        block, node = x.holder (1)
        assert node.stop () == 0
        _flip (x.path (node, block))
        node.start ()
        c.wait_online (1)
        for _ in range (2):
            done = c.litedfs_run ("file", "download", "-r", "/f", "-l", "-")
            assert done.returncode == 1 and b"damaged" in done.stderr and b"node 1" in done.stderr, done
            wait_for ("the name node knows", lambda: x.blocks ()[1]["nodes"] == [])
        assert x.found (node, block) == 1
        c.name.wait_log ("found damage in 1 blocks that no other node has")
        assert x.damaged () == [block]
        said = json.loads (c.litedfs_run ("cluster", "check", "--json").stdout)
        assert not said["healthy"] and said["states"]["corrupt"]["blocks"] == 1, said
        node.kill ()
        node.start ()
        c.wait_online (1)
        assert x.damaged () == [block] and x.blocks ()[1]["nodes"] == []
        c.litedfs ("file", "delete", "-r", "/f")
        wait_for ("nothing of the file is left", lambda: not x.damaged () and c.block_bytes () == 0)


def a_scrub_goes_on_after_a_restart_where_it_was ():
    with _Files (2, {"scrub_period": 3600, "scrub_bandwidth": "64K"}) as x:
        node = x.cluster.data[0]
        number = x.cluster.node (node)["id"]

        def state ():
            with Raw (node) as raw:
                return raw.call ("block.verify", node=number)
        node.stop ()                    # a pass began when there was nothing: the next one begins now
        node.start ()
        x.cluster.wait_online (2)
        before = wait_for ("it has begun", lambda: (s := state ())["running"] and s["bytes"] > 0 and s)
        assert node.stop () == 0
        node.start ()
        x.cluster.wait_online (2)
        after = state ()
        assert after["started"] == before["started"], (before, after)


run (globals ())
