# SPDX-License-Identifier: MIT
"""Another host: a network namespace, joined to this one by a pair of virtual interfaces.  Skips the test where
none can be made.

    with Elsewhere () as there, Cluster (nodes=0, ...) as c:
        far = c.add_node ()
        far.set (name_http_host=there.here)
        far.start (wait=False, prefix=there.prefix ())
"""

import os
import random
import shutil
import subprocess
import sys
import time

from cluster import Skip, program


def _ip (*arguments):
    done = subprocess.run (["ip", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise Skip (f"ip {' '.join (arguments)}: {done.stdout.decode (errors='replace').strip ()}")


class Elsewhere:
    """Another host: its address is .there, ours as it sees it .here, the network of both .network."""

    def __init__ (self, ipv6=False):
        if not shutil.which ("ip"):
            raise Skip ("there is no ip(8)")
        number = random.randrange (1 << 14)
        self.name = f"litedfs{os.getpid ()}-{number}"
        self.link = f"ldfs{number:x}"
        base = f"198.18.{64 + number // 256 % 64}.{number % 64 * 4}"
        net = f"fd00:51de:{number:x}::"
        self.network = f"{net}/64" if ipv6 else f"{base}/30"
        stem, last = base.rsplit (".", 1)
        self.here = f"{net}1" if ipv6 else f"{stem}.{int (last) + 1}"
        self.there = f"{net}2" if ipv6 else f"{stem}.{int (last) + 2}"
        self.bits = "64" if ipv6 else "30"
        self.more = ["nodad"] if ipv6 else []
        self.host = f"[{self.here}]" if ipv6 else self.here

    def __enter__ (self):
        _ip ("netns", "add", self.name)
        try:
            _ip ("link", "add", self.link + "a", "type", "veth", "peer", "name", self.link + "b", "netns", self.name)
            _ip ("addr", "add", f"{self.here}/{self.bits}", "dev", self.link + "a", *self.more)
            _ip ("link", "set", self.link + "a", "up")
            for what in (["addr", "add", f"{self.there}/{self.bits}", "dev", self.link + "b", *self.more],
                         ["link", "set", self.link + "b", "up"], ["link", "set", "lo", "up"]):
                _ip ("-n", self.name, *what)
        except BaseException:
            self.__exit__ ()
            raise
        return self

    def __exit__ (self, *unused):
        for what in (["netns", "del", self.name], ["link", "del", self.link + "a"]):
            subprocess.run (["ip", *what], stderr=subprocess.DEVNULL)

    def cut (self):
        """From now on nothing gets through, in either direction, and nobody is told."""
        _ip ("link", "set", self.link + "a", "down")

    def join (self):
        """The end of that."""
        _ip ("link", "set", self.link + "a", "up")
        if self.more:
            _ip ("addr", "replace", f"{self.here}/{self.bits}", "dev", self.link + "a", *self.more)

    def prefix (self):
        return ["ip", "netns", "exec", self.name]

    def run (self, *arguments, timeout=60):
        """Run a command there: (status, stdout, stderr)."""
        done = subprocess.run ([*self.prefix (), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, timeout=timeout)
        return (done.returncode, done.stdout.decode (errors="replace"), done.stderr.decode (errors="replace"))

    def get (self, port, path="/"):
        """(status, body) of a GET from there."""
        code = ("import http.client, sys\n"
                "c = http.client.HTTPConnection (sys.argv[1], int (sys.argv[2]), timeout=5)\n"
                "c.request ('GET', sys.argv[3])\n"
                "a = c.getresponse ()\n"
                "print (a.status)\n"
                "sys.stdout.write (a.read ().decode ())\n")
        status, out, err = self.run (sys.executable, "-c", code, self.here, str (port), path)
        assert status == 0, err
        number, body = out.split ("\n", 1)
        return int (number), body

    def litedfs (self, address, *arguments):
        began = time.monotonic ()
        out = self.run (program ("litedfs"), address, *arguments)
        return (*out, time.monotonic () - began)
