# SPDX-License-Identifier: MIT
"""kill -9 of all daemons, again and again, while several clients create, upload, move and delete: what was
acknowledged is there byte for byte, what was acknowledged as deleted is not, and nothing is half there.

Each client owns a directory, does one thing at a time, and keeps a manifest.  Of the one request that was
under way when a client lost its answer either outcome is right; nothing else may differ."""
import os
import random
import sys
import threading

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import Cluster, run, wait_for  # noqa: E402
from raw import Gone, Raw, Writer  # noqa: E402

ROUNDS = 6
SIZES = (0, 1, 1000, 65536, 65537, 200000, (1 << 20) + 7)


class _Client:
    """One client's life in one round.  files: what is there for certain {path: content}; unsure: {path:
    set of contents that may be there, None for no file}."""

    def __init__ (self, c, number):
        self.c = c
        self.root = f"/c{number}"
        self.dice = random.Random (number)
        self.files = {}
        self.unsure = {}
        self.made = 0
        self.acknowledged = 0
        self.trouble = None
        self.stopping = threading.Event ()

    def start (self):
        self.stopping.clear ()
        self.thread = threading.Thread (target=self.run)
        self.thread.start ()

    def alive (self):
        return self.thread.is_alive ()

    def end (self):
        """After the kill: no answer will come any more."""
        self.stopping.set ()
        self.thread.join ()
        if self.trouble:
            raise self.trouble

    def run (self):
        try:
            self.open ()
            while not self.stopping.is_set ():
                self.step ()
        except Gone:
            pass
        except BaseException as error:      # for the main thread to raise
            self.trouble = error
        finally:
            self.close ()

    def open (self):
        pass

    def close (self):
        pass

    def new_path (self):
        self.made += 1
        return f"{self.root}/{'ab'[self.made % 2]}/{self.made}"

    def step (self):
        """One change.  The manifest is unsure of it until it is acknowledged."""
        kind = self.dice.random ()
        if kind < 0.6 or not self.files:
            path, content = self.new_path (), self.dice.randbytes (self.dice.choice (SIZES))
            after = {path: content}
        elif kind < 0.8:
            path = self.dice.choice (sorted (self.files))
            content, after = None, {path: None}
        else:
            path = self.dice.choice (sorted (self.files))
            content = None
            target = f"{self.root}/{'ab'[path.startswith (self.root + '/a/')]}"
            after = {path: None, f"{target}/{os.path.basename (path)}": self.files[path]}
        before = {p: self.files.pop (p, None) for p in after}
        self.unsure = {p: {before[p], after[p]} for p in after}
        if len (after) == 2:
            done = self.move (path, target)
        elif content is None:
            done = self.delete (path)
        else:
            done = self.put (path, content)
        self.files.update ({p: x for p, x in (after if done else before).items () if x is not None})
        self.unsure = {}
        self.acknowledged += done

    def settle (self, there):
        """After a round: compare with what is there, and know what became of the unsure."""
        for path, content in self.files.items ():
            assert path in there, f"{path}: acknowledged, and gone"
            assert there[path] == content, f"{path}: other bytes"
        for path, choices in self.unsure.items ():
            assert there.get (path) in choices, f"{path}: neither as before nor as after"
        if len (self.unsure) == 2:
            assert len (self.unsure.keys () & there.keys ()) == 1, f"half moved: {self.unsure.keys ()}"
        extra = there.keys () - self.files.keys () - self.unsure.keys ()
        assert not extra, f"there, though deleted or never made: {extra}"
        self.files.update ({p: there[p] for p in self.unsure if p in there})
        self.unsure = {}


class _Script (_Client):
    """Raw requests."""

    def open (self):
        self.name = Raw (self.c.name)
        self.name.given_up = self.stopping
        self.writer = Writer (self.name)
        if not self.acknowledged:
            for letter in "ab":
                self.name.ok ("directory.create", path=f"{self.root}/{letter}")

    def close (self):
        self.writer.close ()
        self.name.close ()

    def put (self, path, content):
        """False: refused, for want of a node."""
        created = self.name.call ("file.create", path=path, size=len (content), ttl=3)
        if created["ok"] and created.get ("lease"):
            return self.write (created, path, content)
        return self.is_done (created)

    def write (self, created, path, content):
        done = self.writer.block (created, path, created["blocks"][0], content, 1)
        return self.is_done (self.name.call (
            "file.commit", file=created["file"], lease=created["lease"], size=len (content), count=1,
            done=[done]))

    def is_done (self, reply):
        assert reply["ok"] or reply["error"] in ("no_node", "busy", "locked"), reply
        return reply["ok"]

    def delete (self, path):
        return self.is_done (self.name.call ("file.delete", path=path))

    def move (self, path, target):
        return self.is_done (self.name.call ("file.move", source=path, target=target))


class _Command (_Client):
    """litedfs.  What it says that failed has changed nothing, unless the outcome is unknown."""

    process = None

    def open (self):
        if not self.acknowledged:
            for letter in "ab":
                self.done ("directory", "create", "-r", f"{self.root}/{letter}")

    def done (self, *arguments, **options):
        process = self.c.litedfs_start (*arguments, **options)
        self.process = process
        if self.stopping.is_set ():
            process.kill ()
        err = process.communicate ()[1].decode ()
        if process.returncode == 0:
            return True
        if process.returncode < 0 or process.returncode == 7:
            raise Gone ("killed, or no answer in time")
        assert process.returncode in (1, 5, 6) and err.startswith ("litedfs: "), (process.returncode, err)
        return False

    def end (self):
        self.stopping.set ()
        if self.process and self.process.poll () is None:
            self.process.kill ()
        super ().end ()

    def put (self, path, content):
        local = self.c.path (self.root.strip ("/"))
        with open (local, "wb") as f:
            f.write (content)
        return self.done ("file", "create", "-l", local, "-r", path, "-L", "3")

    def delete (self, path):
        return self.done ("file", "delete", "-r", path)

    def move (self, path, target):
        return self.done ("file", "move", "-s", path, "-t", target)


def _tree (name, path="/"):
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
                more = _tree (name, below)
                files.update (more[0])
                directories += more[1]
        if "cursor" not in page:
            return files, directories
        cursor = {"cursor": page["cursor"]}


def _read (c, name, writer, path):
    """A file's bytes, by raw requests."""
    info = name.ok ("file.info", path=path)
    out = b""
    for block in info["blocks"]:
        endpoint = next (n for n in info["nodes"] if n["node"] == block["nodes"][0])
        for at in range (0, block["size"], 1 << 20):
            out += writer.node (endpoint).ok (
                "block.read", block=block["id"], node=endpoint["node"], offset=at,
                size=min (1 << 20, block["size"] - at))["payload"]
    assert len (out) == info.get ("size", 0), path
    return out


def _check (c, clients):
    """All that is there against all manifests, and the totals against a recount."""
    with Raw (c.name) as name, Writer (name) as writer:
        files, directories = _tree (name)
        there = {path: _read (c, name, writer, path) for path in files}
        for client in clients:
            client.settle ({p: x for p, x in there.items () if p.startswith (client.root + "/")})
        for directory in ["/", *directories]:
            about = name.ok ("path.info", path=directory)
            below = [p for p in files if p.startswith (directory.rstrip ("/") + "/")]
            count = sum (d.startswith (directory.rstrip ("/") + "/") for d in directories)
            got = about.get ("files", 0), about.get ("directories", 0), about.get ("size", 0)
            assert got == (len (below), count, sum (files[p] for p in below)), (directory, got)
        info = name.ok ("cluster.info")
        assert (info["files"], info["directories"], info["bytes"]) == \
            (len (files), len (directories), sum (files.values ())), info
    return len (files)


def what_was_acknowledged_is_there_after_each_kill_of_everything ():
    killed = 0
    with Cluster (nodes=2, name_settings={"delete_delay": "0.2"}) as c:
        clients = [_Script (c, 1), _Script (c, 2), _Script (c, 3), _Command (c, 4), _Command (c, 5)]
        dice = random.Random (99)
        for number in range (ROUNDS):
            before = [client.acknowledged for client in clients]
            for client in clients:
                client.start ()
            wanted = dice.randrange (3, 12)
            wait_for ("every client was answered", lambda: all (
                x.acknowledged >= b + wanted or not x.alive () for x, b in zip (clients, before)))
            for daemon in dice.sample (c.daemons (), len (c.daemons ())):
                killed += daemon.process.poll () is None
                daemon.process.kill ()
            for daemon in c.daemons ():
                daemon.kill ()
            for client in clients:
                client.end ()
            for client, b in zip (clients, before):
                assert client.acknowledged > b, f"{client.root}: nothing was acknowledged in round {number}"
            c.start ()
            _check (c, clients)
        assert killed == ROUNDS * 3, killed
        for daemon in c.daemons ():
            assert daemon.stop () == 0
        c.start ()
        left = _check (c, clients)
        assert left > 0
        print (f"# {sum (x.acknowledged for x in clients)} changes acknowledged, {left} files left")
        # With all files deleted and all leases ended no byte is left: garbage survives kills too.
        for client in clients:
            c.litedfs ("directory", "delete", "-r", client.root)
        wait_for ("the bytes are gone", lambda: c.block_bytes () == 0)


run (globals ())
