# SPDX-License-Identifier: MIT
"""A client that knows only litedfs-protocol(7): maps on a DEALER, as a script in any language would
send them.

    with Raw (c.name) as name:
        name.ok ("directory.create", path="/a")
        name.refused ("exists", "file.create", path="/a", size=0)
"""

import os
import threading
import time
import zlib

import msgpack
import zmq

from cluster import DEADLINE

CHUNK = 1 << 20


class Gone (AssertionError):
    """No reply in time; whether the request took effect is not known."""


class Refused (AssertionError):
    """A request that should have been carried out was not; reply says why."""

    def __init__ (self, what, reply):
        super ().__init__ (f"{what}: {reply}")
        self.reply = reply


def pack (request):
    """A request's bytes.  Text that is not UTF-8 is written with surrogates, as in os.fsdecode."""
    return msgpack.packb (request, use_bin_type=True, unicode_errors="surrogateescape")


class Raw:
    """A session with one daemon."""

    def __init__ (self, daemon, client=None, deadline=DEADLINE):
        """daemon: one of the cluster's, an endpoint of an allocation, or a port here.  client: 16 bytes, so
        that replies of changes are stored; b"" for none; None for random."""
        host = daemon["host"] if isinstance (daemon, dict) else ""
        port = daemon["tcp_port"] if isinstance (daemon, dict) else \
            daemon if isinstance (daemon, int) else int (daemon.get ("tcp_port"))
        self.client = os.urandom (16) if client is None else client
        self.deadline = deadline
        self.given_up = threading.Event ()      # set by another thread: no reply will come
        self.next_id = 1
        self.waiting = set ()
        self.socket = zmq.Context.instance ().socket (zmq.DEALER)
        self.socket.setsockopt (zmq.LINGER, 0)
        self.socket.setsockopt (zmq.SNDHWM, 0)
        self.socket.setsockopt (zmq.RCVHWM, 0)
        self.socket.setsockopt (zmq.RECONNECT_IVL, 20)
        self.socket.connect (f"tcp://{host or '127.0.0.1'}:{port}")

    def close (self):
        self.socket.close (0)

    def __enter__ (self):
        return self

    def __exit__ (self, *_):
        self.close ()

    def request (self, op, **fields):
        """The map of a new request; its id counts as not answered from now on."""
        number = self.next_id
        self.next_id += 1
        self.waiting.add (number)
        out = {"op": op, "id": number, "seen": min (self.waiting) - 1, **fields}
        if self.client:
            out["client"] = self.client
        return out

    def send (self, op, payload=None, **fields):
        """Send and do not wait; gives the request's bytes."""
        frame = pack (self.request (op, **fields))
        self.send_frames (frame, payload)
        return frame

    def send_frames (self, frame, payload=None):
        self.socket.send_multipart ([frame] if payload is None else [frame, payload])

    def receive (self, deadline=None):
        """The next reply: (map, payload or None)."""
        end = time.monotonic () + (deadline or self.deadline)
        while not self.socket.poll (50):
            if self.given_up.is_set () or time.monotonic () > end:
                raise Gone (f"no reply within {deadline or self.deadline} s")
        frames = self.socket.recv_multipart ()
        reply = msgpack.unpackb (frames[0], unicode_errors="surrogateescape")
        self.waiting.discard (reply["id"])
        return reply, frames[1] if len (frames) > 1 else None

    def call (self, op, payload=None, deadline=None, **fields):
        """One request and its reply, whether it is a refusal or not."""
        sent = msgpack.unpackb (self.send (op, payload, **fields), unicode_errors="surrogateescape")
        while True:
            reply, bytes_ = self.receive (deadline)
            if reply["id"] == sent["id"]:
                if bytes_ is not None:
                    reply["payload"] = bytes_
                return reply

    def ok (self, op, payload=None, deadline=None, **fields):
        reply = self.call (op, payload, deadline, **fields)
        if not reply["ok"]:
            raise Refused (f"{op} {fields}", reply)
        return reply

    def refused (self, word, op, payload=None, **fields):
        """It must be refused with this word; gives the text for people."""
        reply = self.call (op, payload, **fields)
        assert not reply["ok"] and reply["error"] == word, f"{op} {fields}: not {word} but {reply}"
        return reply["message"]

    def all_of (self, requests, window=64):
        """Send (op, fields) of a list, a window of them under way; the replies in order."""
        replies = {}
        order = []
        for op, fields in requests:
            while len (self.waiting) >= window:
                reply, _ = self.receive ()
                replies[reply["id"]] = reply
            order.append (self.next_id)
            self.send (op, **fields)
        while len (replies) < len (order):
            reply, _ = self.receive ()
            replies[reply["id"]] = reply
        return [replies[number] for number in order]


class Writer:
    """Uploads by hand, for files of a few blocks: create, block.write, commit."""

    def __init__ (self, name, deadline=DEADLINE):
        self.name = name
        self.deadline = deadline
        self.nodes = {}

    def close (self):
        for node in self.nodes.values ():
            node.close ()
        self.nodes = {}

    def __enter__ (self):
        return self

    def __exit__ (self, *_):
        self.close ()

    def node (self, endpoint):
        where = endpoint["host"], endpoint["tcp_port"]
        if where not in self.nodes:
            self.nodes[where] = Raw (endpoint, client=b"", deadline=self.deadline)
            self.nodes[where].given_up = self.name.given_up
        return self.nodes[where]

    def ask (self, endpoint, op, payload=None, **fields):
        """The reply of a data node, which is asked again as long as it is busy: it may have joined the
        cluster this moment, and not have read its number yet."""
        fields["node"] = endpoint["node"]
        end = time.monotonic () + self.deadline
        while True:
            reply = self.node (endpoint).call (op, payload, **fields)
            if reply["ok"]:
                return reply
            if reply["error"] != "busy" or time.monotonic () > end:
                raise Refused (f"{op} {fields}", reply)
            time.sleep (0.05)

    def _holders (self, endpoint, block, reply):
        """The nodes that have the block, when it is final; reply: the last one of its first node."""
        end = time.monotonic () + self.deadline
        while reply["state"] not in ("durable", "failed"):
            assert time.monotonic () < end, f"block {block} is not final: {reply}"
            reply = self.ask (endpoint, "block.stat", block=block, wait=1000)
        assert reply["state"] == "durable", f"block {block}: {reply}"
        return [copy["node"] for copy in reply["nodes"] if copy["state"] == "durable"]

    def block (self, created, path, block, content, count):
        """Write one whole block through its nodes; gives the map that commit wants."""
        endpoint, *others = block["nodes"]
        chain = [other["node"] for other in others]
        for at in range (0, len (content), CHUNK):
            part = content[at:at + CHUNK]
            last = at + CHUNK >= len (content)
            reply = self.ask (endpoint, "block.write", part, block=block["block"], offset=at,
                              crc32=zlib.crc32 (part), last=last, chain=chain, file=created["file"],
                              index=block["index"], path=path, count=count if last else 0)
        return {"index": block["index"], "block": block["block"], "size": len (content),
                "crc32": zlib.crc32 (content), "nodes": self._holders (endpoint, block["block"], reply)}

    def blocks (self, created, path, content):
        """Write all blocks of a file that file.create has answered for; gives the fields of file.commit."""
        size = created["block_size"]
        count = -(-len (content) // size)
        blocks = created["blocks"]
        shown = {"file": created["file"], "lease": created["lease"]}
        while len (blocks) < count:
            blocks += self.name.ok ("file.allocate", index=len (blocks), count=min (count - len (blocks), 8),
                                    **shown)["blocks"]
        done = [self.block (created, path, block, content[block["index"] * size:][:size],
                            count if block["index"] == count - 1 else 0) for block in blocks]
        return {"size": len (content), "count": count, "done": done, **shown}

    def begin (self, path, content, **fields):
        """Everything but the commit; gives the fields of file.commit, or None for an empty file."""
        created = self.name.ok ("file.create", path=path, size=len (content), **fields)
        return self.blocks (created, path, content) if created.get ("lease") else None

    def put (self, path, content, **fields):
        commit = self.begin (path, content, **fields)
        if commit:
            self.name.ok ("file.commit", **commit)
