# SPDX-License-Identifier: MIT
"""kill -9 of all daemons, again and again, while clients upload, read, move and delete files of one to three
replicas and change their replicas: what was acknowledged is there byte for byte on every node that is said
to hold it, what was acknowledged as deleted is not, nothing is half there, and in the end every file has
all its copies and no node a byte more.

Each client owns a directory, does one thing at a time, and keeps a manifest.  Of the one request that was
under way when a client lost its answer either outcome is right; nothing else may differ."""
import collections
import os
import random
import sys
import threading

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import DEADLINE, Cluster, read_file, run, wait_for  # noqa: E402
from raw import Gone, Raw, Refused, Writer  # noqa: E402
from replicas import namespace, read_everywhere  # noqa: E402

ROUNDS = 6
NODES = 3
BLOCK = 256 << 10
SIZES = (0, 1, 1000, 65537, BLOCK, BLOCK + 1, 3 * BLOCK, 4 * BLOCK + 7)
TRAILER = 300       # bytes of a block file beside the block, at most, with paths and blocks as short as here
# What a client does, and how often.
STEPS = {"put": 56, "delete": 12, "move": 10, "update": 12, "download": 10}


class _Client:
    """One client's life in one round.  files: what is there for certain {path: (content, replica)}; unsure:
    {path: set of what may be there, None for no file}."""

    def __init__ (self, c, number):
        self.c = c
        self.root = f"/c{number}"
        self.dice = random.Random (number)
        self.files = {}
        self.unsure = {}
        self.made = 0
        self.done = collections.Counter ()      # steps that were acknowledged
        self.gone = None        # why there was no answer
        self.trouble = None
        self.stopping = threading.Event ()

    def acknowledged (self):
        """How many changes were."""
        return sum (self.done.values ()) - self.done["download"]

    def start (self):
        self.stopping.clear ()
        self.gone = None
        self.thread = threading.Thread (target=self.run)
        self.thread.start ()

    def alive (self):
        return self.thread.is_alive ()

    def end (self):
        """After the kill: no answer will come any more."""
        self.stopping.set ()
        self.thread.join ()

    def run (self):
        try:
            self.open ()
            while not self.stopping.is_set ():
                self.step ()
        except Gone as gone:
            self.gone = gone
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
        """One thing.  The manifest is unsure of a change until it is acknowledged."""
        kind = self.dice.choices (list (STEPS), STEPS.values ())[0] if self.files else "put"
        if kind == "put":
            path = self.new_path ()
            file = self.dice.randbytes (self.dice.choice (SIZES)), self.dice.randint (1, NODES)
        else:
            path = self.dice.choice (sorted (self.files))
            file = self.files[path]
        self.done[kind] += getattr (self, "step_" + kind) (path, *file)

    def change (self, after, ask, *arguments):
        """Ask for it; after: {path: what will be there}.  Whether it was carried out."""
        before = {p: self.files.pop (p, None) for p in after}
        self.unsure = {p: {before[p], after[p]} for p in after}
        done = ask (*arguments)
        self.files.update ({p: x for p, x in (after if done else before).items () if x is not None})
        self.unsure = {}
        return done

    def step_put (self, path, content, replica):
        return self.change ({path: (content, replica)}, self.put, path, content, replica)

    def step_delete (self, path, *_):
        return self.change ({path: None}, self.delete, path)

    def step_move (self, path, *file):
        target = f"{self.root}/{'ab'[path.startswith (self.root + '/a/')]}"
        after = {path: None, f"{target}/{os.path.basename (path)}": file}
        return self.change (after, self.move, path, target)

    def step_update (self, path, content, _):
        replica = self.dice.randint (1, NODES)
        return self.change ({path: (content, replica)}, self.update, path, replica)

    def step_download (self, path, content, _):
        assert self.download (path) == content, f"{path}: other bytes"
        return True

    def settle (self, there):
        """After a round: compare with what is there, and know what became of the unsure."""
        for path, file in self.files.items ():
            assert path in there, f"{path}: acknowledged, and gone"
            assert there[path][0] == file[0], f"{path}: other bytes"
            assert there[path][1] == file[1], f"{path}: {there[path][1]} replicas wanted, not {file[1]}"
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
        if not self.acknowledged ():
            for letter in "ab":
                self.name.ok ("directory.create", path=f"{self.root}/{letter}")

    def close (self):
        self.writer.close ()
        self.name.close ()

    def carried_out (self, ask, *arguments, **fields):
        """False: refused, for want of a node."""
        try:
            ask (*arguments, **fields)
            return True
        except Refused as refusal:
            assert refusal.reply["error"] in ("no_node", "busy", "locked"), refusal
            return False

    def put (self, path, content, replica):
        return self.carried_out (self.writer.put, path, content, ttl=3, replica=replica)

    def delete (self, path):
        return self.carried_out (self.name.ok, "file.delete", path=path)

    def move (self, path, target):
        return self.carried_out (self.name.ok, "file.move", source=path, target=target)

    def update (self, path, replica):
        return self.carried_out (self.name.ok, "file.update", path=path, replica=replica)

    def download (self, path):
        return read_everywhere (self.name, self.writer, path)[0]


class _Command (_Client):
    """litedfs.  What it says that failed has changed nothing, unless the outcome is unknown."""

    process = None

    def open (self):
        self.local = self.c.path (self.root.strip ("/"))
        if not self.acknowledged ():
            for letter in "ab":
                self.carried_out ("directory", "create", "-r", f"{self.root}/{letter}")

    def carried_out (self, *arguments, **options):
        process = self.c.litedfs_start (*arguments, **options)
        self.process = process
        if self.stopping.is_set ():
            process.kill ()
        err = process.communicate ()[1].decode ()
        if process.returncode == 0:
            return True
        if process.returncode < 0 or process.returncode == 7:
            raise Gone (f"{arguments}: status {process.returncode}: {err}")
        assert process.returncode in (1, 5, 6) and err.startswith ("litedfs: "), (process.returncode, err)
        return False

    def end (self):
        self.stopping.set ()
        if self.process and self.process.poll () is None:
            self.process.kill ()
        super ().end ()

    def put (self, path, content, replica):
        with open (self.local, "wb") as f:
            f.write (content)
        return self.carried_out ("file", "create", "-l", self.local, "-r", path, "-R", str (replica),
                                 "-L", "3")

    def delete (self, path):
        return self.carried_out ("file", "delete", "-r", path)

    def move (self, path, target):
        return self.carried_out ("file", "move", "-s", path, "-t", target)

    def update (self, path, replica):
        return self.carried_out ("file", "update", "-r", path, "-R", str (replica))

    def download (self, path):
        assert self.carried_out ("file", "download", "-r", path, "-l", self.local, "--force"), path
        return read_file (self.local)


def _check (c, clients):
    """All that is there against all manifests, and the totals against a recount; gives the files."""
    with Raw (c.name) as name, Writer (name) as writer:
        files, directories = namespace (name)
        there = {path: read_everywhere (name, writer, path) for path in files}
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
    return there


def _wait_for_all_copies (c, files):
    """Every file gets the replicas that are wanted, and no node keeps a byte more."""
    def has_all (info):
        return info["current_replica"] == info["replica"] and \
            all (len (block["nodes"]) == info["replica"] for block in info["blocks"])

    lacking = set (files)
    with Raw (c.name) as name:
        def none_lacks ():
            lacking.difference_update ([p for p in lacking if has_all (name.ok ("file.info", path=p))])
            return not lacking
        wait_for ("every file has its copies", none_lacks, 3 * DEADLINE)
    least = sum (len (content) * replica for content, replica in files.values ())
    blocks = sum (-(-len (content) // BLOCK) * replica for content, replica in files.values ())
    wait_for ("the disks have these bytes and no others",
              lambda: least <= c.block_bytes () <= least + blocks * TRAILER)


def _kill_all (c, order):
    """How many were alive."""
    alive = 0
    for daemon in order:
        alive += daemon.process.poll () is None
        daemon.process.kill ()
    for daemon in order:
        daemon.kill ()
    return alive


def _round (c, clients, dice):
    """Load until each client had some answers, then the kill; how many daemons it met alive."""
    before = [client.acknowledged () for client in clients]
    for client in clients:
        client.start ()
    wanted = dice.randrange (3, 12)
    try:
        wait_for ("every client was answered", lambda: all (
            x.acknowledged () >= b + wanted or not x.alive () for x, b in zip (clients, before)))
        for client in clients:
            assert not client.gone, f"{client.root}: nothing was killed, and {client.gone}"
        killed = _kill_all (c, dice.sample (c.daemons (), len (c.daemons ())))
    finally:
        for client in clients:
            client.end ()
    for client, b in zip (clients, before):
        if client.trouble:
            raise client.trouble
        assert client.acknowledged () > b, f"{client.root}: nothing was acknowledged"
    return killed


def what_was_acknowledged_is_there_after_each_kill_of_everything ():
    killed = 0
    with Cluster (nodes=NODES, block_size=BLOCK, name_settings={"delete_delay": "0.2"}) as c:
        clients = [_Script (c, 1), _Script (c, 2), _Script (c, 3), _Command (c, 4), _Command (c, 5)]
        dice = random.Random (99)
        for _ in range (ROUNDS):
            killed += _round (c, clients, dice)
            c.start ()
            _check (c, clients)
        assert killed == ROUNDS * (1 + NODES), killed
        done = sum ((client.done for client in clients), collections.Counter ())
        for daemon in c.daemons ():
            assert daemon.stop () == 0
        c.start ()
        files = _check (c, clients)
        _wait_for_all_copies (c, files)
        assert _check (c, clients) == files
        print (f"# acknowledged: {dict (done)}; {len (files)} files left")
        assert files and all (done[kind] > 0 for kind in STEPS), done
        assert {replica for _, replica in files.values ()} == {1, 2, 3}
        # With all files deleted and all leases ended no byte is left: garbage survives kills too.
        for client in clients:
            c.litedfs ("directory", "delete", "-r", client.root)
        wait_for ("the bytes are gone", lambda: c.block_bytes () == 0)


run (globals ())
