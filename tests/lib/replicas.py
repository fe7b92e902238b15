# SPDX-License-Identifier: MIT
"""Copies: whether each of them is whole, and a block that the test itself sends down a chain, so that it
decides who stands where in it and what happens at which chunk.

    with Chain (c, "/f", content, nodes=[c.data[1], c.data[0], c.data[2]]) as chain:
        chain.send (until=2 * MIB)
        c.data[0].kill ()
        chain.finish ()
        holders = chain.commit ()
"""

import json
import threading
import time
import zlib

from cluster import DEADLINE, wait_for
from raw import CHUNK, Raw, Refused


def info (c, path):
    return json.loads (c.litedfs ("file", "info", "-r", path, "--json"))


def wait_copies (c, path, count, deadline=DEADLINE):
    """Wait until each block of the file has so many copies on nodes that are online."""
    return wait_for (f"{path} has {count} copies", lambda: info (c, path)["current_replica"] == count, deadline)


def whole_everywhere (c, path, content):
    """Read every block from every node that is said to hold it, and compare."""
    with Raw (c.name) as name:
        about = name.ok ("file.info", path=path)
    endpoints = {endpoint["node"]: endpoint for endpoint in about["nodes"]}
    at = 0
    for block in about["blocks"]:
        assert len (set (block["nodes"])) == len (block["nodes"]) > 0, block
        for number in block["nodes"]:
            with Raw (endpoints[number], client=b"") as node:
                got = b""
                while len (got) < block["size"]:
                    got += node.ok ("block.read", block=block["id"], node=number, offset=len (got),
                                    size=min (CHUNK, block["size"] - len (got)))["payload"]
            assert got == content[at:at + block["size"]], f"{path}: other bytes on node {number}"
            assert zlib.crc32 (got) == block["crc32"], f"{path}: the CRC of block {block['index']}"
        at += block["size"]
    assert at == len (content), f"{path}: {at} bytes instead of {len (content)}"


def settled (c, path, content, copies):
    """The file gets so many copies, each of them whole."""
    wait_copies (c, path, copies)
    whole_everywhere (c, path, content)


def namespace (name, path="/"):
    """Everything below a path: ({file: size}, [directories])."""
    files, directories, cursor = {}, [], {}
    while True:
        page = name.ok ("directory.list", path=path, **cursor)
        for entry in page["entries"]:
            below = path.rstrip ("/") + "/" + entry["name"]
            if entry["kind"] == "file":
                files[below] = entry.get ("size", 0)
            else:
                directories.append (below)
                more = namespace (name, below)
                files.update (more[0])
                directories += more[1]
        if "cursor" not in page:
            return files, directories
        cursor = {"cursor": page["cursor"]}


def _copy (name, writer, path, block, endpoint):
    """A block's bytes on one node, or None if that is no holder of it any more."""
    got = b""
    try:
        while len (got) < block["size"]:
            got += writer.ask (endpoint, "block.read", block=block["id"], offset=len (got),
                               size=min (CHUNK, block["size"] - len (got)))["payload"]
        return got
    except Refused as refusal:
        now = name.ok ("file.info", path=path)["blocks"][block["index"]]["nodes"]
        if refusal.reply["error"] != "not_found" or endpoint["node"] in now:
            raise
        return None


def read_everywhere (name, writer, path):
    """(content, replica) of a file, after each block was read from every node that is said to hold it and is
    online."""
    info = name.ok ("file.info", path=path)
    endpoints = {endpoint["node"]: endpoint for endpoint in info["nodes"] if endpoint.get ("online", True)}
    content = b""
    for block in info["blocks"]:
        assert len (set (block["nodes"])) == len (block["nodes"]) > 0, f"{path}: {block}"
        copies = {_copy (name, writer, path, block, endpoints[number]) for number in block["nodes"]
                  if number in endpoints}
        copies.discard (None)
        assert len (copies) == 1, f"{path}: {len (copies)} different copies of {block}"
        content += copies.pop ()
        assert zlib.crc32 (content[-block["size"]:]) == block["crc32"], f"{path}: the CRC of {block}"
    assert len (content) == info.get ("size", 0), path
    return content, info["replica"]


def together (*tasks):
    """Run functions at the same time; what the first of them raised, if any, is raised again."""
    troubles = []

    def guard (task):
        try:
            task ()
        except BaseException as error:      # for the caller to raise
            troubles.append (error)
    threads = [threading.Thread (target=guard, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start ()
    for thread in threads:
        thread.join ()
    if troubles:
        raise troubles[0]


class Chain:
    """A file of one block, written by hand through the given nodes in their order."""

    def __init__ (self, c, path, content, nodes, ttl=60):
        self.name = Raw (c.name)
        self.path = path
        self.content = content
        self.sent = 0           # bytes
        self.unanswered = {}    # request: whether it has the last bytes
        self.state = None       # of the last reply
        self.replicas = []
        self.refusal = None     # the reply of the first node that ended it
        numbers = [c.node (daemon)["id"] for daemon in nodes]
        self._allocate (path, numbers, ttl)
        self.first = Raw (nodes[0], client=b"")

    def _allocate (self, path, numbers, ttl):
        """Take leases until one's first block has the nodes in this order; the others are given back."""
        end = time.monotonic () + DEADLINE
        while True:
            created = self.name.ok ("file.create", path=path, size=len (self.content), replica=len (numbers),
                                    ttl=ttl)
            self.shown = {"file": created["file"], "lease": created["lease"]}
            self._block (created["blocks"][0])
            if self.nodes == numbers:
                return
            self.name.ok ("file.abandon", **self.shown)
            assert time.monotonic () < end, f"never {numbers}, but {self.nodes}"

    def _block (self, allocation):
        self.block = allocation["block"]
        self.nodes = [endpoint["node"] for endpoint in allocation["nodes"]]
        self.ports = [endpoint["tcp_port"] for endpoint in allocation["nodes"]]

    def anew (self):
        """Another block without the first node, as a client asks for when that failed."""
        self._block (self.name.ok ("file.allocate", index=0, count=1, suspects=[self.nodes[0]],
                                   **self.shown)["blocks"][0])
        self.first.close ()
        self.first = Raw (self.ports[0], client=b"")
        self.sent, self.unanswered, self.state, self.replicas, self.refusal = 0, {}, None, [], None

    def _send_one (self, size):
        part = self.content[self.sent:self.sent + size]
        last = self.sent + len (part) >= len (self.content)
        self.unanswered[self.first.next_id] = last
        self.first.send ("block.write", part, block=self.block, node=self.nodes[0], offset=self.sent,
                         crc32=zlib.crc32 (part), last=last, chain=self.nodes[1:], file=self.shown["file"],
                         index=0, path=self.path, count=1 if last else 0)
        self.sent += len (part)

    def _receive (self, deadline):
        reply, _ = self.first.receive (deadline)
        self.unanswered.pop (reply["id"], None)
        if not reply["ok"]:
            self.refusal = reply
            return
        self.state = reply["state"]
        self.replicas = reply["nodes"]

    def send (self, until=None, deadline=DEADLINE):
        """Send bytes, a chunk at a time, each after the reply to the one before."""
        while self.refusal is None and self.sent < (until or len (self.content)):
            self._send_one (min (CHUNK, (until or len (self.content)) - self.sent))
            while self.unanswered and self.refusal is None:
                self._receive (deadline)

    def send_last (self):
        """Send the rest as one chunk, and do not wait."""
        self._send_one (len (self.content) - self.sent)

    def finish (self, deadline=DEADLINE):
        """The rest of the bytes, and wait for the block to be final: its state."""
        end = time.monotonic () + deadline
        while self.sent < len (self.content) and self.refusal is None:
            self.send (deadline=end - time.monotonic ())
        while self.unanswered and self.refusal is None:
            self._receive (end - time.monotonic ())
        while self.refusal is None and self.state not in ("durable", "failed"):
            self.unanswered[self.first.next_id] = False
            self.first.send ("block.stat", block=self.block, node=self.nodes[0], wait=1000)
            while self.unanswered and self.refusal is None:
                self._receive (end - time.monotonic ())
        return self.state

    def holders (self):
        """The nodes that are durable, by what the first one says."""
        return [r["node"] for r in self.replicas if r["state"] == "durable"]

    def states (self):
        return [r["state"] for r in self.replicas]

    def commit (self):
        """Make the file visible with the holders that there are; gives them."""
        holders = self.holders ()
        self.name.ok ("file.commit", size=len (self.content), count=1, done=[
            {"index": 0, "block": self.block, "size": len (self.content), "crc32": zlib.crc32 (self.content),
             "nodes": holders}], **self.shown)
        return holders

    def close (self):
        self.first.close ()
        self.name.close ()

    def __enter__ (self):
        return self

    def __exit__ (self, *_):
        self.close ()
