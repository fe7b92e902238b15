# SPDX-License-Identifier: MIT
"""What one client knows of its part of the tree: what was acknowledged is certain, and of a change without
an answer both outcomes are allowed until somebody has looked.

A request whose answer never came may still be carried out later than a look that is asked for after it (by
another connection), so paths in doubt are left alone until the storm is over."""
import collections
import random

# Of a file: its size, what its bytes are made of, and the copies that are wanted.  A directory is None.
File = collections.namedtuple ("File", "size seed replica")


def content (file):
    return random.Random (file.seed).randbytes (file.size)


class Model:
    """entries: {path: File or None}, certain; doubts: [(before, after)], each {path: File, None or
    "nothing"}."""

    NOTHING = "nothing"

    def __init__ (self, root):
        self.root = root
        self.entries = {}
        self.doubts = []
        self.frozen = set ()    # the tops of what is in doubt

    def files (self):
        return sorted (p for p, x in self.entries.items () if x is not None and self.is_certain (p))

    def directories (self):
        """Those that can be changed as a whole, deepest last."""
        return sorted (p for p, x in self.entries.items () if x is None and p != self.root and self.is_certain (p))

    def places (self):
        """Directories in which something can be made: they and all above are certain."""
        return sorted (p for p, x in self.entries.items () if x is None and not self._below_doubt (p))

    def below (self, path):
        """The entry itself and all below it."""
        return {p: x for p, x in self.entries.items () if p == path or p.startswith (path + "/")}

    def _below_doubt (self, path):
        return any (path == top or path.startswith (top + "/") for top in self.frozen)

    def is_certain (self, path):
        """Nothing in doubt is this, above it or below it."""
        return not self._below_doubt (path) and not any (top.startswith (path + "/") for top in self.frozen)

    def bytes (self):
        return sum (x.size for x in self.entries.values () if x is not None)

    # What a change makes of the entries: {path: what it is after}.

    def made (self, path, what):
        return {path: what}

    def removed (self, path):
        return {p: self.NOTHING for p in self.below (path)}

    def moved (self, path, target):
        out = self.removed (path)
        out.update ({target + p[len (path):]: x for p, x in self.below (path).items ()})
        return out

    def apply (self, after):
        for path, what in after.items ():
            if what == self.NOTHING:
                self.entries.pop (path, None)
            else:
                self.entries[path] = what

    def doubt (self, after):
        """Asked for, and no answer."""
        before = {p: self.entries.pop (p, self.NOTHING) for p in after}
        if any (before[p] != after[p] for p in after):
            self.doubts.append ((before, after))
            self.frozen.update (p for p in after if p.rsplit ("/", 1)[0] not in after)
        else:
            self.apply (before)

    def compare (self, there):
        """there: {path: (size, replica) or None} of all below the root, when nothing goes on any more.
        Fails if that is not as known; what was in doubt is certain afterwards."""
        def is_as (path, what):
            if what == self.NOTHING:
                return path not in there
            return path in there and there[path] == (what and (what.size, what.replica))

        for path, what in self.entries.items ():
            assert is_as (path, what), f"{path}: acknowledged as {what}, and it is {there.get (path, 'gone')}"
        known = set (self.entries)
        for before, after in self.doubts:
            outcome = next ((x for x in (after, before) if all (is_as (p, x[p]) for p in x)), None)
            assert outcome is not None, "in doubt, and neither as before nor as after: " + \
                "; ".join (f"{p}: {before[p]} or {after[p]}, and it is {there.get (p, 'gone')}" for p in before)
            known |= set (outcome)
            self.apply (outcome)
        extra = there.keys () - known
        assert not extra, f"there, though deleted or never made: {sorted (extra)}"
        self.doubts = []
        self.frozen = set ()
