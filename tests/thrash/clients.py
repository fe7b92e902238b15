# SPDX-License-Identifier: MIT
"""The clients of the thrasher: each owns a directory, draws one thing after the other from its own dice, and
keeps a model of what it knows.  What it does does not depend on chance besides: the n-th step always draws
the same numbers, and takes them as far as what is there allows."""
import collections
import os
import random
import subprocess
import sys
import threading
import time

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "clients"))
from cluster import DEADLINE, read_file  # noqa: E402
from litedfs_client import Client, Error  # noqa: E402
from model import File, Model, content  # noqa: E402

DONE, REFUSED, DOUBT = "done", "refused", "in doubt"
TTL = 4             # seconds of a lease
PATIENCE = 20.0     # seconds that a script asks again
MOST_BYTES = 24 << 20
MOST_FILES = 40

# What a client does, and how often.
STEPS = {"put": 40, "replace": 10, "delete": 14, "make_directory": 8, "delete_directory": 3, "move": 7, "rename": 7,
         "move_directory": 3, "rename_directory": 3, "update": 14, "download": 16, "list": 4}
NAMES = ("plain", "with a blank", "größe", ".hidden", "x" * 60)
# Why something may be refused that would have been carried out in quiet times.
EXCUSES = ("no_node", "no_space", "busy", "locked", "lease_lost", "unreachable")


class Draw:
    """The numbers of one step, drawn at once."""

    def __init__ (self, dice):
        self.kind, self.first, self.second, self.size, self.replica, self.name = \
            [dice.random () for _ in range (6)]
        self.seed = dice.getrandbits (48)

    @staticmethod
    def pick (number, list_):
        return list_[int (number * len (list_))]


class Worker:
    """One client.  trouble: what it found wrong, for the main thread to raise."""

    def __init__ (self, c, number, seed, sizes, trace):
        self.c = c
        self.model = Model (f"/client-{number}")
        self.dice = random.Random (f"{seed} client {number}")
        self.sizes = sizes
        self.trace = trace
        self.steps = 0
        self.done = collections.Counter ()      # acknowledged, by kind
        self.unanswered = 0
        self.trouble = None
        self.thread = None
        self.stopping = threading.Event ()

    def start (self):
        self.stopping.clear ()
        self.thread = threading.Thread (target=self._run, daemon=True)
        self.thread.start ()

    def end (self, within):
        """After what is under way; everything should be well by now."""
        self.stopping.set ()
        self.thread.join (within)
        assert not self.thread.is_alive (), f"{self.model.root}: a request has not ended within {within:.0f} s"

    def _run (self):
        try:
            self.open ()
            while not self.stopping.is_set ():
                self.step ()
        except BaseException as error:      # for the main thread to raise
            self.trouble = error
        finally:
            self.close ()

    def open (self):
        pass

    def close (self):
        pass

    def interrupt (self):
        """End what is under way in the middle, if that is possible: whether it was."""
        return False

    def step (self):
        draw = Draw (self.dice)
        self.steps += 1
        if not self.model.entries:
            return self.change ("make_directory", self.model.made (self.model.root, None),
                                self.make_directory, self.model.root)
        kind = self.kind (draw)
        outcome = getattr (self, "step_" + kind) (draw)
        if outcome in (REFUSED, DOUBT):
            self.stopping.wait (0.05)
        return outcome

    def kind (self, draw):
        """What this step is to be; putting, if there is nothing to do something else to."""
        kind = random.Random (draw.kind).choices (list (STEPS), STEPS.values ())[0]
        crowded = self.model.bytes () > MOST_BYTES or len (self.model.files ()) > MOST_FILES
        if crowded and kind in ("put", "replace"):
            kind = "delete"
        if kind.endswith ("_directory") and kind != "make_directory" and not self.model.directories ():
            kind = "make_directory"
        if kind in ("replace", "delete", "move", "rename", "update", "download") and not self.model.files ():
            kind = "put"
        return kind

    def change (self, kind, after, ask, *arguments):
        """Ask for a change after which the paths are so."""
        outcome, why = ask (*arguments)
        self.note (kind, arguments, outcome, why)
        if outcome == DONE:
            self.model.apply (after)
            self.done[kind] += 1
        elif outcome == DOUBT:
            self.model.doubt (after)
            self.unanswered += 1
        return outcome

    def note (self, kind, arguments, outcome, why=""):
        self.trace (f"{self.model.root} step {self.steps}: {kind} {' '.join (str (x) for x in arguments)}: "
                    f"{outcome} {why}")

    # The steps.

    def _new_name (self, draw):
        return f"{draw.pick (draw.name, NAMES)} {self.steps}"

    def _place (self, draw, besides=()):
        """A directory to make something in, or None."""
        places = [p for p in self.model.places () if p not in besides and p.count ("/") < 6]
        return draw.pick (draw.second, places) if places else None

    def _file (self, draw):
        return File (draw.pick (draw.size, self.sizes), draw.seed, draw.pick (draw.replica, (1, 2, 2, 3, 3)))

    def step_put (self, draw):
        place = self._place (draw)
        if place is None:       # all is in doubt: elsewhere
            return self.stopping.wait (0.2)
        path, file = f"{place}/{self._new_name (draw)}", self._file (draw)
        return self.change ("put", self.model.made (path, file), self.put, path, file)

    def step_replace (self, draw):
        path, file = draw.pick (draw.first, self.model.files ()), self._file (draw)
        return self.change ("replace", self.model.made (path, file), self.replace, path, file)

    def step_delete (self, draw):
        path = draw.pick (draw.first, self.model.files ())
        return self.change ("delete", self.model.removed (path), self.delete, path)

    def step_make_directory (self, draw):
        place = self._place (draw)
        if place is None:
            return self.stopping.wait (0.2)
        path = f"{place}/{self._new_name (draw)}"
        return self.change ("make_directory", self.model.made (path, None), self.make_directory, path)

    def step_delete_directory (self, draw):
        path = draw.pick (draw.first, self.model.directories ())
        return self.change ("delete_directory", self.model.removed (path), self.delete_directory, path)

    def _move (self, draw, kind, path, ask):
        name = path.rsplit ("/", 1)[1]
        besides = [p for p in self.model.places ()
                   if f"{p}/{name}" in self.model.entries or (p + "/").startswith (path + "/")
                   or not self.model.is_certain (f"{p}/{name}")]
        place = self._place (draw, besides)
        if place is None:
            return None
        return self.change (kind, self.model.moved (path, f"{place}/{name}"), ask, path, place)

    def step_move (self, draw):
        return self._move (draw, "move", draw.pick (draw.first, self.model.files ()), self.move)

    def step_move_directory (self, draw):
        return self._move (draw, "move_directory", draw.pick (draw.first, self.model.directories ()),
                           self.move_directory)

    def _rename (self, draw, kind, path, ask):
        name = self._new_name (draw)
        after = self.model.moved (path, f"{path.rsplit ('/', 1)[0]}/{name}")
        return self.change (kind, after, ask, path, name)

    def step_rename (self, draw):
        return self._rename (draw, "rename", draw.pick (draw.first, self.model.files ()), self.rename)

    def step_rename_directory (self, draw):
        return self._rename (draw, "rename_directory", draw.pick (draw.first, self.model.directories ()),
                             self.rename_directory)

    def step_update (self, draw):
        path, replica = draw.pick (draw.first, self.model.files ()), draw.pick (draw.replica, (1, 2, 3))
        file = self.model.entries[path]._replace (replica=replica)
        return self.change ("update", self.model.made (path, file), self.update, path, replica)

    def step_download (self, draw):
        path = draw.pick (draw.first, self.model.files ())
        outcome, got = self.download (path)
        if outcome == DONE:
            assert got == content (self.model.entries[path]), f"{path}: {len (got)} bytes, and other ones"
            self.done["download"] += 1
        self.note ("download", [path], outcome, got if outcome != DONE else "")
        return outcome

    def step_list (self, draw):
        """A directory with nothing in doubt in it has exactly what it should have."""
        certain = [p for p in self.model.places () if self.model.is_certain (p)]
        if not certain:
            return None
        path = draw.pick (draw.first, certain)
        outcome, got = self.list (path)
        if outcome == DONE:
            wanted = {p[len (path) + 1:]: x and x.size for p, x in self.model.entries.items ()
                      if p.rsplit ("/", 1)[0] == path}
            assert got == wanted, f"{path}: there is {got}, and there should be {wanted}"
            self.done["list"] += 1
        self.note ("list", [path], outcome, got if outcome != DONE else "")
        return outcome


class _Patient (Client):
    """The client of litedfs-protocol(7), with a shorter lease."""

    def ask (self, op, **fields):
        if op == "file.create":
            fields["ttl"] = TTL
        return super ().ask (op, **fields)


class Script (Worker):
    """The client in Python.  It asks again with the same bytes until it is answered or has lost patience."""

    def open (self):
        self.client = _Patient (self.c.address (), patience=PATIENCE)

    def close (self):
        for peer in (self.client.name, *self.client.peers.values ()):
            if peer.socket:
                peer.socket.close (0)

    def asked (self, ask, *arguments, **fields):
        """(outcome, why or what it gave)."""
        try:
            return DONE, ask (*arguments, **fields)
        except Error as error:
            if error.word == "timeout":
                return DOUBT, str (error)
            assert error.word in EXCUSES, f"{arguments} {fields}: {error}"
            return REFUSED, str (error)

    def changed (self, ask, *arguments, **fields):
        outcome, why = self.asked (ask, *arguments, **fields)
        return outcome, "" if outcome == DONE else why

    def put (self, path, file):
        return self.changed (self.client.write, path, content (file), replica=file.replica)

    replace = put

    def delete (self, path):
        return self.changed (self.client.delete, path)

    def make_directory (self, path):
        return self.changed (self.client.make_directory, path)

    def delete_directory (self, path):
        return self.changed (self.client.ask, "directory.delete", path=path)

    def move (self, path, target):
        return self.changed (self.client.ask, "file.move", source=path, target=target)

    def move_directory (self, path, target):
        return self.changed (self.client.ask, "directory.move", source=path, target=target)

    def rename (self, path, name):
        return self.changed (self.client.ask, "file.rename", path=path, name=name)

    def rename_directory (self, path, name):
        return self.changed (self.client.ask, "directory.rename", path=path, name=name)

    def update (self, path, replica):
        return self.changed (self.client.ask, "file.update", path=path, replica=replica)

    def download (self, path):
        return self.asked (self.client.read, path)

    def list (self, path):
        return self.asked (lambda: {entry["name"]: entry.get ("size", 0) if entry["kind"] == "file" else None
                                    for entry in self.client.list (path)})


class Command (Worker):
    """litedfs, a process for each step, that may be killed in the middle.  It says so if the outcome is not
    known."""

    process = None

    def open (self):
        self.local = self.c.path (self.model.root.strip ("/"))

    def interrupt (self):
        process = self.process
        if process is None or process.poll () is not None:
            return False
        process.kill ()
        return True

    def asked (self, *arguments, input=None):
        process = self.c.litedfs_start (*arguments, stdin=subprocess.PIPE if input is not None else
                                        subprocess.DEVNULL)
        self.process = process
        out, err = process.communicate (input)
        err = err.decode (errors="replace").strip ()
        if process.returncode == 0:
            return DONE, out
        if process.returncode == -9 or "not known" in err:
            return DOUBT, f"status {process.returncode} {err}"
        assert process.returncode in (1, 5, 6, 7) and err.startswith ("litedfs: "), \
            f"{arguments}: status {process.returncode}: {err}"
        return REFUSED, err

    def changed (self, *arguments, **options):
        outcome, why = self.asked (*arguments, **options)
        return outcome, "" if outcome == DONE else why

    def put (self, path, file):
        with open (self.local, "wb") as f:
            f.write (content (file))
        return self.changed ("file", "create", "-l", self.local, "-r", path, "-R", str (file.replica),
                             "-L", str (TTL))

    def step_replace (self, draw):
        """It has no such command: a stream instead, whose size is not known before."""
        place = self._place (draw)
        if place is None:
            return None
        path, file = f"{place}/{self._new_name (draw)}", self._file (draw)
        return self.change ("stream", self.model.made (path, file), self.stream, path, file)

    def stream (self, path, file):
        return self.changed ("file", "create", "-l", "-", "-r", path, "-R", str (file.replica), "-L", str (TTL),
                             input=content (file))

    def delete (self, path):
        return self.changed ("file", "delete", "-r", path)

    def make_directory (self, path):
        return self.changed ("directory", "create", "-r", path)

    def delete_directory (self, path):
        return self.changed ("directory", "delete", "-r", path)

    def move (self, path, target):
        return self.changed ("file", "move", "-s", path, "-t", target)

    def move_directory (self, path, target):
        return self.changed ("directory", "move", "-s", path, "-t", target)

    def rename (self, path, name):
        return self.changed ("file", "rename", "-r", path, "-n", name)

    def rename_directory (self, path, name):
        return self.changed ("directory", "rename", "-r", path, "-n", name)

    def update (self, path, replica):
        return self.changed ("file", "update", "-r", path, "-R", str (replica))

    def download (self, path):
        outcome, why = self.asked ("file", "download", "-r", path, "-l", self.local, "--force")
        return outcome, read_file (self.local) if outcome == DONE else why

    def step_list (self, draw):
        return self.step_download (draw) if self.model.files () else None
