# SPDX-License-Identifier: MIT
"""A LiteDFS client in Python, written from litedfs-protocol(7) alone, with python3-zmq and
python3-msgpack.  It sends and receives in turn, which is simple and not fast.

    files = Client("localhost:9000")
    files.make_directory("/a")
    files.write("/a/f", b"some bytes", replica=2)
    files.read("/a/f", offset=5, size=5)
"""
import json
import os
import time
import urllib.request
import zlib

import msgpack
import zmq

CHUNK = 1 << 20         # bytes of a block.write, a multiple of 64 KiB
SILENCE = 2.0           # seconds after which a request is sent again


class Error(Exception):
    """What a daemon answered, or that none did: then the word is timeout, and the outcome unknown."""
    def __init__(self, word, message):
        super().__init__(f"{word}: {message}")
        self.word = word


class Peer:
    """A session with a daemon: requests with ascending ids, repeated byte by byte until answered."""

    def __init__(self, where, patience):
        self.where, self.patience = where, patience     # where() gives (host, port) for a connection
        self.client = os.urandom(16)
        self.last, self.socket = 0, None                # last: the id of the last request

    def ask(self, op, payload=None, **fields):
        """(reply, payload) of a request; an Error if it is refused."""
        self.last += 1
        request = {"op": op, "id": self.last, "client": self.client, "seen": self.last - 1, **fields}
        return self.send([msgpack.packb(request)] + ([payload] if payload else []))

    def send(self, frames):
        """The same for a request's frames, which may have been sent before."""
        number, end = msgpack.unpackb(frames[0])["id"], time.monotonic() + self.patience
        while time.monotonic() < end:
            try:
                self.socket = self.socket or self.connect()
            except OSError:                     # the name node is away
                time.sleep(0.1)
                continue
            self.socket.send_multipart(frames)
            reply, data = self.wait_for(number)
            if reply and reply["ok"]:
                return reply, data
            if reply and reply["error"] != "busy":
                raise Error(reply["error"], reply["message"])
            if not reply:                       # a new connection, and the same bytes
                self.socket.close(0)
                self.socket = None
            time.sleep(0.05)
        raise Error("timeout", "no answer; whether the request was carried out is not known")

    def connect(self):
        host, port = self.where()
        socket = zmq.Context.instance().socket(zmq.DEALER)
        socket.connect(f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}")
        return socket

    def wait_for(self, number):
        """(reply, payload) with this id, or nothing.  Replies to earlier attempts may come, too."""
        while self.socket.poll(SILENCE * 1000):
            frames = self.socket.recv_multipart()
            reply = msgpack.unpackb(frames[0])
            if reply["id"] == number:
                return reply, frames[1] if len(frames) > 1 else None
        return None, None


class Client:
    """Files and directories of a cluster.  address is that of the name node's HTTP, HOST:PORT."""

    def __init__(self, address, patience=60.0):
        self.address = address
        self.host = address.rsplit(":", 1)[0].strip("[]")
        self.name, self.peers = Peer(self.endpoint, patience), {}

    def endpoint(self):
        with urllib.request.urlopen(f"http://{self.address}/cluster/endpoint", timeout=5) as answer:
            found = json.load(answer)
        return found["host"] or self.host, found["port"]

    def ask(self, op, **fields):
        return self.name.ask(op, **fields)[0]

    def ask_node(self, endpoint, op, payload=None, **fields):
        where = endpoint["host"] or self.host, endpoint["tcp_port"]
        peer = self.peers.setdefault(where, Peer(lambda: where, 10.0))
        return peer.ask(op, payload, node=endpoint["node"], **fields)

    def make_directory(self, path):
        return self.ask("directory.create", path=path)["created"]

    def list(self, path):
        page = {"cursor": None}
        while "cursor" in page:
            after = {"cursor": page["cursor"]} if page["cursor"] else {}
            page = self.ask("directory.list", path=path, **after)
            yield from page["entries"]

    def stat(self, path):
        return self.ask("path.info", path=path)

    def delete(self, path):
        self.ask("file.delete", path=path)

    def write(self, path, content, replica=1):
        new = self.ask("file.create", path=path, size=len(content), replica=replica, replace=True)
        lease = {"file": new["file"], "lease": new.get("lease")}    # an empty file needs none
        size, count = new["block_size"], -(-len(content) // new["block_size"])
        ready = {block["index"]: block for block in new["blocks"]}
        suspects, done, told, renewed = [], [], 0, time.monotonic()
        while (index := len(done)) < count:
            if time.monotonic() > renewed + new["ttl"] / 3:
                self.ask("file.renew", **lease)
                renewed = time.monotonic()
            if index not in ready:
                got = self.ask("file.allocate", **lease, index=index, done=done[told:], suspects=suspects)
                ready, told = {index: got["blocks"][0]}, index
            block, part = ready.pop(index), content[index * size:(index + 1) * size]
            about = {"file": new["file"], "index": index, "path": path}
            nodes = self.write_block(block, part, about, count if index + 1 == count else 0)
            if nodes:
                done.append({"index": index, "block": block["block"], "size": len(part),
                             "crc32": zlib.crc32(part), "nodes": nodes})
            else:               # another block, on other nodes
                suspects.append(block["nodes"][0]["node"])
        if content:
            self.ask("file.commit", **lease, size=len(content), count=count, done=done[told:])
        return new["file"]

    def write_block(self, block, part, about, count):
        """The nodes that have the block in the end: it goes to the first one, which passes it on."""
        first, number = block["nodes"][0], block["block"]
        about["chain"] = [node["node"] for node in block["nodes"][1:]]
        end = time.monotonic() + self.name.patience
        reply = {"offset": 0, "state": "unknown", "nodes": []}  # as after a restart of the node
        while reply["state"] not in ("durable", "failed") and time.monotonic() < end:
            at = reply["offset"]
            chunk = part[at:at + CHUNK]
            last = at + len(chunk) == len(part)
            try:
                if chunk:
                    reply, _ = self.ask_node(first, "block.write", chunk, block=number, offset=at, **about,
                                             crc32=zlib.crc32(chunk), last=last, count=count if last else 0)
                else:
                    reply, _ = self.ask_node(first, "block.stat", block=number, wait=1000)
            except Error as error:
                if error.word not in ("gap", "corrupt"):
                    return []                           # this node will not take it
                reply, _ = self.ask_node(first, "block.stat", block=number)
        return [copy["node"] for copy in reply["nodes"] if copy["state"] == reply["state"] == "durable"]

    def blocks(self, **which):
        """What file.info says, with all blocks and nodes on one page."""
        page, blocks, nodes = {"next": 0}, [], {}
        while "next" in page:
            page = self.ask("file.info", **which, offset=page["next"])
            which = {"file": page["file"]}      # the path may name another file by now
            blocks += page["blocks"]
            nodes.update({node["node"]: node for node in page["nodes"]})
        return {**page, "blocks": blocks, "nodes": nodes}

    def read(self, path, offset=0, size=None):
        file = self.blocks(path=path)
        parts, end = [], file["size"] if size is None else min(offset + size, file["size"])
        for index, block in enumerate(file["blocks"]):
            begins = index * file["block_size"]
            at, stop = max(offset - begins, 0), min(end - begins, block["size"])
            while at < stop:
                parts.append(self.read_range(file, index, at, min(stop - at, 4 << 20)))
                at += len(parts[-1])
        return b"".join(parts)

    def read_range(self, file, index, at, size):
        """From the first holder that can give it; when none can, there may be others by now."""
        for again in (False, True):
            file = self.blocks(file=file["file"]) if again else file
            block = file["blocks"][index]
            for node in [file["nodes"][n] for n in block["nodes"] if n in file["nodes"]]:
                try:
                    reply, data = self.ask_node(node, "block.read", block=block["id"], offset=at, size=size)
                    if zlib.crc32(data) == reply["crc32"]:
                        return data
                except Error:
                    pass
        raise Error("unreachable", f"no node can give block {index} of {file['path']}")
