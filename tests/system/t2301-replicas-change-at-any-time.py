# SPDX-License-Identifier: MIT
"""Replica counts: as many copies as were wanted, on different nodes, each of them whole; up and down at any
time; the rest when nodes come."""
import collections
import os
import re
import sys
import threading
import time

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import DEADLINE, Cluster, Upload, read_file, run, same_content, wait_for  # noqa: E402
from raw import Gone, Raw, Writer  # noqa: E402
from replicas import info, settled, wait_copies, whole_everywhere  # noqa: E402

MIB = 1 << 20
SOON = {"delete_delay": "0.2"}
# How long the disk takes does not matter where there are many bytes.
UNSYNCED = {"data_settings": {"sync": "false"}, "name_settings": {"sync": "false", **SOON}}
# Seconds, for those who measure them.
DELETE_DELAY = 1.0 * DEADLINE / 30.0
HEARTBEAT_TIMEOUT = 3.0 * DEADLINE / 30.0


class _Reader:
    """A download to a pipe, of which the test takes as much as it likes."""

    def __init__ (self, c, remote):
        self.client = c.litedfs_start ("file", "download", "-r", remote, "-l", "-")
        self.got = bytearray ()

    def read (self, size):
        for _ in range (0, size, MIB):
            self.got += self.client.stdout.read (MIB)

    def end (self):
        """The rest: (exit status, stderr)."""
        for part in iter (lambda: self.client.stdout.read (MIB), b""):
            self.got += part
        err = self.client.communicate ()[1]
        return self.client.returncode, err.decode (errors="replace")


class _Sampler (threading.Thread):
    """Asks, again and again, how many copies a file has, and reads each block from every node that is named:
    so many copies must be readable.  A read may fail on a node that the test has killed not longer than
    heartbeat_timeout before the question, or later than delete_delay after it."""

    def __init__ (self, c, path, content):
        super ().__init__ ()
        self.c = c
        self.path = path
        self.content = content
        self.nodes = {}
        self.killed = {}                        # node: when, as long as it is away
        self.seen = collections.Counter ()      # current_replica
        self.late = 0                           # reads
        self.trouble = None
        self.stopping = threading.Event ()
        self.start ()

    def run (self):
        try:
            with Raw (self.c.name) as name:
                while not self.stopping.is_set ():
                    self.sample (name)
        except BaseException as error:      # for the main thread to raise
            self.trouble = error
        for node in self.nodes.values ():
            node.close ()

    def sample (self, name):
        asked = time.monotonic ()
        about = name.ok ("file.info", path=self.path)
        ports = {endpoint["node"]: endpoint["tcp_port"] for endpoint in about["nodes"]}
        for block in about["blocks"]:
            good = [node for node in block["nodes"] if self.readable (block, node, ports[node], asked)]
            assert about["current_replica"] <= len (good), f"{good} can be read, of {about}"
        self.seen[about["current_replica"]] += 1

    def readable (self, block, number, port, asked):
        """Whether this copy is, or need not be."""
        reply = self.read (block, number, port)
        if reply is None:
            return asked <= self.killed[number] + HEARTBEAT_TIMEOUT
        if not reply["ok"]:
            late = time.monotonic () > asked + DELETE_DELAY
            self.late += late
            return late
        at = block["index"] * MIB
        assert reply["payload"] == self.content[at:at + block["size"]], f"other bytes on node {number}"
        return True

    def read (self, block, number, port):
        """The reply of a node, or None if the test has killed it."""
        if number not in self.nodes:
            self.nodes[number] = Raw (port, client=b"")
        end = time.monotonic () + DEADLINE
        self.nodes[number].send ("block.read", block=block["id"], node=number, offset=0, size=block["size"])
        while True:
            try:
                reply, payload = self.nodes[number].receive (0.1)
                return {**reply, "payload": payload}
            except Gone:
                if number in self.killed:
                    self.nodes.pop (number).close ()
                    return None
                assert time.monotonic () < end, f"node {number} does not answer"

    def kill (self, daemon):
        number = self.c.node (daemon)["id"]
        self.killed[number] = time.monotonic ()
        daemon.kill ()
        self.more ()
        return number

    def start_again (self, daemon, number):
        del self.killed[number]
        daemon.start ()
        self.c.wait_status (daemon, "online")
        self.more ()

    def more (self):
        """Wait for some samples that begin after this."""
        count = sum (self.seen.values ()) + 4
        wait_for ("samples", lambda: self.trouble or sum (self.seen.values ()) >= count)

    def end (self):
        self.stopping.set ()
        self.join ()
        if self.trouble:
            raise self.trouble


def _wait_bytes (c, count):
    wait_for (f"{count} bytes are on the disks", lambda: count <= c.block_bytes () < count + MIB)


def each_copy_is_whole_and_on_a_node_of_its_own ():
    with Cluster (nodes=3, block_size=4 * MIB) as c:
        for replicas in (1, 2, 3):
            content = os.urandom (9 * MIB + 12345)
            path = f"/f{replicas}"
            c.litedfs ("file", "create", "-l", "-", "-r", path, "-R", str (replicas), input=content)
            about = info (c, path)
            assert (about["replica"], about["current_replica"]) == (replicas, replicas), about
            assert all (len (block["nodes"]) == replicas for block in about["blocks"]), about
            whole_everywhere (c, path, content)


def replicas_go_up_and_down_and_bytes_with_them ():
    with Cluster (nodes=3, block_size=4 * MIB, name_settings=SOON) as c:
        local = c.make_file ("f", 10 * MIB)
        content = read_file (local)
        c.litedfs ("file", "create", "-l", local, "-r", "/f")
        for wanted in (3, 1, 2, 3, 2):
            said = c.litedfs ("file", "update", "-r", "/f", "-R", str (wanted))
            assert re.search (r"update file\[/f\] success", said), said
            assert info (c, "/f")["replica"] == wanted
            wait_copies (c, "/f", wanted)
            _wait_bytes (c, wanted * 10 * MIB)
            whole_everywhere (c, "/f", content)
        # The same content again is an update, too.
        c.litedfs ("file", "create", "-l", local, "-r", "/f", "-R", "3")
        wait_copies (c, "/f", 3)


def up_again_before_the_surplus_is_gone_needs_no_copy ():
    with Cluster (nodes=3, name_settings={"delete_delay": "600"}) as c:
        c.litedfs ("file", "create", "-l", c.make_file ("f", 2 * MIB), "-r", "/f", "-R", "3")
        c.litedfs ("file", "update", "-r", "/f", "-R", "1")
        wait_copies (c, "/f", 1)
        assert c.block_bytes () >= 6 * MIB
        c.litedfs ("file", "update", "-r", "/f", "-R", "3")
        wait_copies (c, "/f", 3)
        assert c.block_bytes () < 7 * MIB


def a_file_that_is_being_written_gets_the_replicas_that_were_wanted_last ():
    with Cluster (nodes=3, block_size=MIB, name_settings=SOON) as c:
        for first, last in ((1, 3), (3, 1)):
            upload = Upload (c, "/f", "-R", str (first))
            upload.send (3 * MIB)
            wait_for ("some of it is there", lambda: c.block_bytes () >= 2 * first * MIB)
            c.litedfs ("file", "update", "-r", "/f", "-R", str (last))
            upload.send (2 * MIB)
            status, err = upload.end ()
            assert status == 0, err
            assert info (c, "/f")["replica"] == last
            settled (c, "/f", upload.content, last)
            _wait_bytes (c, last * 5 * MIB)
            c.litedfs ("file", "delete", "-r", "/f")
            wait_for ("the bytes are gone", lambda: c.block_bytes () == 0)


def a_replacement_has_the_replicas_that_its_own_upload_asked_for ():
    with Cluster (nodes=3, block_size=MIB, name_settings=SOON) as c, \
            Raw (c.name) as name, Writer (name) as writer:
        old, new = os.urandom (2 * MIB + 1), os.urandom (3 * MIB + 5)
        for first, changed, last in ((3, 1, 3), (1, 3, 2)):
            path = f"/{first}"
            writer.put (path, old, replica=first)
            commit = writer.begin (path, new, replica=last, replace=True)
            name.ok ("file.update", path=path, replica=changed)
            settled (c, path, old, changed)
            name.ok ("file.commit", **commit)
            assert info (c, path)["replica"] == last
            settled (c, path, new, last)
        # By its id the replacement is meant, while there still is another file of the name.
        commit = writer.begin ("/1", old, replica=3, replace=True)
        name.ok ("file.update", path="/1", replica=1, file=commit["file"])
        assert info (c, "/1")["replica"] == 2
        name.ok ("file.commit", **commit)
        assert info (c, "/1")["replica"] == 1
        settled (c, "/1", old, 1)
        _wait_bytes (c, 3 * len (new) + len (old))


def a_file_is_read_while_its_replicas_change ():
    with Cluster (nodes=3, block_size=4 * MIB, name_settings=SOON) as c:
        local = c.make_file ("f", 40 * MIB)
        c.litedfs ("file", "create", "-l", local, "-r", "/f", "-R", "3")
        for turn, wanted in enumerate ((1, 3, 1, 2)):
            reader = c.litedfs_start ("file", "download", "-r", "/f", "-l", c.path (f"back{turn}"))
            c.litedfs ("file", "update", "-r", "/f", "-R", str (wanted))
            wait_copies (c, "/f", wanted)
            err = reader.communicate ()[1]
            assert reader.returncode == 0, err
            assert same_content (local, c.path (f"back{turn}"))


def a_reader_goes_on_when_the_copies_that_it_began_with_are_deleted ():
    with Cluster (nodes=3, block_size=4 * MIB, **UNSYNCED) as c:
        content = os.urandom (48 * MIB)
        c.litedfs ("file", "create", "-l", "-", "-r", "/f", "-R", "3", input=content)
        reader = _Reader (c, "/f")
        reader.read (2 * MIB)
        c.litedfs ("file", "update", "-r", "/f", "-R", "1")
        wait_for ("two copies are gone from the disks", lambda: c.block_bytes () < 49 * MIB)
        assert reader.client.poll () is None, "it has read all"
        status, err = reader.end ()
        assert status == 0, err
        assert reader.got == content, len (reader.got)


def a_reader_goes_on_with_copies_that_were_made_after_it_began ():
    with Cluster (nodes=3, block_size=4 * MIB, **UNSYNCED) as c:
        content = os.urandom (48 * MIB)
        c.litedfs ("file", "create", "-l", "-", "-r", "/f", input=content)
        last, = info (c, "/f")["blocks"][-1]["nodes"]
        reader = _Reader (c, "/f")
        reader.read (2 * MIB)
        c.litedfs ("file", "update", "-r", "/f", "-R", "3")
        wait_copies (c, "/f", 3)
        assert reader.client.poll () is None, "it has read all"
        next (daemon for daemon in c.data if c.node (daemon)["id"] == last).kill ()
        status, err = reader.end ()
        assert status == 0, err
        assert reader.got == content, len (reader.got)


def current_replica_is_never_more_than_the_copies_that_can_be_read ():
    with Cluster (nodes=3, block_size=MIB, name_settings={"delete_delay": DELETE_DELAY},
                  data_settings={"heartbeat_timeout": HEARTBEAT_TIMEOUT}) as c:
        content = os.urandom (3 * MIB)
        c.litedfs ("file", "create", "-l", "-", "-r", "/f", input=content)
        sampler = _Sampler (c, "/f", content)
        try:
            for wanted in (3, 1, 2, 3):
                c.litedfs ("file", "update", "-r", "/f", "-R", str (wanted))
                wait_copies (c, "/f", wanted)
                sampler.more ()
            sampler.start_again (c.data[1], sampler.kill (c.data[1]))
            wait_copies (c, "/f", 3)
            c.litedfs ("file", "update", "-r", "/f", "-R", "1")
            wait_for ("two copies are gone from the disks", lambda: c.block_bytes () < 4 * MIB)
            c.litedfs ("file", "update", "-r", "/f", "-R", "3")
            sampler.start_again (c.data[2], sampler.kill (c.data[2]))
        finally:
            sampler.end ()
        print (f"# samples with so many copies: {dict (sampler.seen)}; reads that were late: {sampler.late}")
        assert all (sampler.seen[count] > 0 for count in (1, 2, 3)), sampler.seen
        assert sampler.late < sum (sampler.seen.values ()) / 4, (sampler.late, sampler.seen)


def fewer_nodes_than_wanted_is_fewer_copies_now_and_the_rest_when_nodes_come ():
    with Cluster (nodes=1, block_size=4 * MIB) as c:
        content = os.urandom (6 * MIB)
        c.litedfs ("file", "create", "-l", "-", "-r", "/f", "-R", "3", input=content)
        about = info (c, "/f")
        assert (about["replica"], about["current_replica"]) == (3, 1), about
        for count in (2, 3):
            c.add_node ()
            c.start ()
            wait_copies (c, "/f", count)
        whole_everywhere (c, "/f", content)
        # It tells the truth when a node is away, too.
        c.data[2].kill ()
        wait_copies (c, "/f", 2)
        c.data[2].start ()
        wait_copies (c, "/f", 3)


def a_copy_outlives_restarts_of_those_who_make_it ():
    with Cluster (nodes=3, block_size=4 * MIB) as c:
        content = os.urandom (48 * MIB)
        c.litedfs ("file", "create", "-l", "-", "-r", "/f", input=content)
        c.litedfs ("file", "update", "-r", "/f", "-R", "3")
        for daemon in (c.name, c.data[0], c.data[1]):
            daemon.kill ()
            daemon.start (wait=False)
        c.start ()
        # A copy that its source forgot is ordered again when its time, a minute, is over.
        wait_copies (c, "/f", 3, 90 + DEADLINE)
        whole_everywhere (c, "/f", content)


run (globals ())
