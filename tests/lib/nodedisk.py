# SPDX-License-Identifier: MIT
"""What a data node has on its disk, looked at without it: block files, and the rows of its index, read from
the pages of LMDB's file by hand (little machines and big ones differ in the layout; this reads that of 64
bits), so that the one can be compared with the other."""
import os
import struct
import time

from cluster import DEADLINE

PAGE_HEADER = 16
TRAILER_MOST = 96 + 4096 + 4 * 1024     # bytes of a block file beside the block, at most
P_BRANCH, P_LEAF = 1, 2
F_BIGDATA, F_SUBDATA = 1, 2


class _Pages:
    """An LMDB file as of its last commit."""

    def __init__ (self, path):
        with open (path, "rb") as f:
            self.bytes = f.read ()
        self.size = struct.unpack_from ("<I", self.bytes, PAGE_HEADER + 24)[0]
        metas = [self._meta (0), self._meta (self.size)]
        self.main = max (metas)[1]

    def _meta (self, at):
        """(transaction, root page of the main table)."""
        magic = struct.unpack_from ("<I", self.bytes, at + PAGE_HEADER)[0]
        assert magic == 0xBEEFC0DE, "not an LMDB file of this machine"
        main = at + PAGE_HEADER + 24 + 48
        root = struct.unpack_from ("<Q", self.bytes, main + 40)[0]
        transaction = struct.unpack_from ("<Q", self.bytes, main + 48 + 8)[0]
        return transaction, root

    def rows (self, root):
        """(flags, key, value) of each leaf below a page."""
        if root == (1 << 64) - 1:
            return
        at = root * self.size
        number, _, flags, lower = struct.unpack_from ("<QHHH", self.bytes, at)
        assert number == root and flags & (P_BRANCH | P_LEAF), f"page {root} is none of a tree"
        for i in range ((lower - PAGE_HEADER) // 2):
            node = at + struct.unpack_from ("<H", self.bytes, at + PAGE_HEADER + 2 * i)[0]
            low, high, marks, key_size = struct.unpack_from ("<HHHH", self.bytes, node)
            if flags & P_BRANCH:
                yield from self.rows (low | high << 16 | marks << 32)
            else:
                key = self.bytes[node + 8:node + 8 + key_size]
                size = low | high << 16
                assert not marks & F_BIGDATA, "a value of several pages"
                yield marks, key, self.bytes[node + 8 + key_size:node + 8 + key_size + size]

    def table (self, name):
        for marks, key, value in self.rows (self.main):
            if key == name and marks & F_SUBDATA:
                return self.rows (struct.unpack_from ("<Q", value, 40)[0])
        raise AssertionError (f"there is no table {name}")


def index_of (data_path):
    """{block id: size} of the index."""
    rows = _Pages (os.path.join (data_path, "index", "data.mdb")).table (b"block")
    return {struct.unpack (">Q", key)[0]: struct.unpack_from ("<Q", value, 8)[0] for _, key, value in rows}


def files_of (data_path):
    """({block id: bytes} of the finished files, [what is in writing and damaged])."""
    finished, others = {}, []
    for directory, _, names in os.walk (os.path.join (data_path, "blocks")):
        for name in names:
            assert directory.endswith (name[-2:]), f"{directory}/{name}: not where it belongs"
            try:
                finished[int (name, 16)] = os.path.getsize (os.path.join (directory, name))
            except FileNotFoundError:
                pass
    for below in ("writing", "damaged"):
        if os.path.isdir (os.path.join (data_path, below)):
            others += [f"{below}/{name}" for name in os.listdir (os.path.join (data_path, below))]
    return finished, others


def infos (name, files):
    return {path: name.ok ("file.info", path=path) for path in files}


def lacking (infos):
    """{path: what is wrong with its copies}.  Holders that are offline are expected back, and do not count."""
    out = {}
    for path, info in infos.items ():
        online = {endpoint["node"] for endpoint in info["nodes"] if endpoint.get ("online", True)}
        counts = [len (online & set (block["nodes"])) for block in info["blocks"]]
        if info["current_replica"] != info["replica"] or any (n != info["replica"] for n in counts):
            out[path] = f"{info['current_replica']} of {info['replica']}, by block " + \
                " ".join (f"{b['id']:016x}@{b['nodes']}" for b in info["blocks"])
    return out


def _wanted_on (infos):
    """{node: {block: size}} by the metadata."""
    out = {}
    for info in infos.values ():
        for block in info["blocks"]:
            for node in block["nodes"]:
                out.setdefault (node, {})[block["id"]] = block["size"]
    return out


def _wrong_on_disk (number, data_path, wanted):
    """What is otherwise on a node's disk or in its index than the metadata say, as lines of text."""
    try:
        index = index_of (data_path)
    except (AssertionError, IndexError, ValueError) as error:      # read in the middle of a commit
        return [f"node {number}: its index cannot be read: {error}"]
    finished, others = files_of (data_path)
    out = [f"node {number}: {name}" for name in others]
    for block in sorted (wanted.keys () | index.keys () | finished.keys ()):
        size = wanted.get (block)
        where = [name for name, rows in (("metadata", wanted), ("index", index), ("blocks/", finished))
                 if block in rows]
        if len (where) != 3:
            out.append (f"node {number}: block {block:016x} is in {' and '.join (where)} only")
        elif index[block] != size or not size < finished[block] <= size + TRAILER_MOST:
            out.append (f"node {number}: block {block:016x} has {size} bytes, {index[block]} in the index, "
                        f"{finished[block]} on disk")
    return out


def poll (what, find, deadline):
    """Wait until find gives nothing wrong any more; what it gave last is the reason of the failure, and what
    this gives if all is well in the end."""
    end, last = time.monotonic () + deadline, []
    while True:
        wrong = find ()
        if not wrong:
            return last
        if time.monotonic () > end:
            lines = [f"{k}: {v}" for k, v in wrong.items ()] if isinstance (wrong, dict) else wrong
            raise AssertionError (f"not within {deadline} s: {what}; {len (lines)} are not:\n" +
                                  "\n".join (str (x) for x in lines[:20]))
        last = wrong
        time.sleep (0.1)


def disks_as_known (c, name, files, deadline=2 * DEADLINE):
    """Wait until each data node has, on disk and in its index, the blocks of these files that the name node
    believes it to hold, and nothing else; gives what was wrong last.  name: a Raw session with the name
    node."""
    numbers = {d: c.node (d)["id"] for d in c.data}

    def wrong ():
        wanted = _wanted_on (infos (name, files))
        return [line for d in c.data for line in _wrong_on_disk (
            numbers[d], os.path.join (d.directory, d.get ("data_path")), wanted.get (numbers[d], {}))]
    return poll ("disks, indexes and metadata are the same", wrong, deadline)
