# SPDX-License-Identifier: MIT
"""A cluster of real, installed daemons for the system tests, and the TAP that they print.

A test is a function whose docstring or name is a sentence of what holds; it raises to fail and
raises Skip to be skipped.  Everything that a test starts ends with it, by process id; its files are
in one temporary directory that goes with it.  When a test fails, the daemons' logs are shown.

    from cluster import Cluster, run

    def a_file_comes_back_as_it_was ():
        with Cluster (nodes=3) as c:
            ...

    run (globals ())
"""

import http.client
import inspect
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

DEADLINE = 30.0 * (4 if os.environ.get ("SANITIZE", "no") not in ("", "no") else 1)


class Skip (Exception):
    """Raised by a test that this machine cannot run; says why."""


def wait_for (what, condition, deadline=DEADLINE):
    """Call condition until it gives something true, and give that; fail after deadline seconds."""
    end = time.monotonic () + deadline
    while True:
        value = condition ()
        if value:
            return value
        if time.monotonic () > end:
            raise AssertionError (f"not within {deadline} s: {what}")
        time.sleep (0.02)


def free_port ():
    """A port that nobody has now, below the range from which the kernel takes its own."""
    while True:
        port = random.randrange (20000, 30000)
        with socket.socket () as s:
            try:
                s.bind (("127.0.0.1", port))
                return port
            except OSError:
                pass


def program (name):
    return os.environ.get (name.upper ()) or shutil.which (name) or name


def http_get (port, path="/", timeout=5.0, host="127.0.0.1"):
    """(status, body) of a GET."""
    connection = http.client.HTTPConnection (host, port, timeout=timeout)
    try:
        connection.request ("GET", path)
        answer = connection.getresponse ()
        return answer.status, answer.read ()
    finally:
        connection.close ()


def make_file (path, size, seed=0):
    """A file of size bytes that no block of another looks like."""
    source = random.Random (seed + size)
    with open (path, "wb") as f:
        while size > 0:
            part = source.randbytes (min (size, 1 << 20))
            f.write (part)
            size -= len (part)
    return path


def same_content (a, b):
    with open (a, "rb") as x, open (b, "rb") as y:
        while True:
            p, q = x.read (1 << 20), y.read (1 << 20)
            if p != q:
                return False
            if not p:
                return True


class Daemon:
    """One litename or litedata: its directory, its configuration, its process."""

    def __init__ (self, name, directory, arguments=(), **settings):
        self.name = name
        self.directory = directory
        self.process = None
        self.http_port = free_port ()
        subprocess.run ([program (name), "-g", directory, "--http-port", str (self.http_port), *arguments],
                        check=True, stdout=subprocess.DEVNULL)
        self.config = os.path.join (directory, "configuration.yml")
        self.set (tcp_port=free_port (), **settings)

    def set (self, **settings):
        """Change keys of the configuration; it is read at the next start or SIGHUP."""
        with open (self.config) as f:
            text = f.read ()
        for key, value in settings.items ():
            text, found = re.subn (rf"(?m)^{key}:.*$", f"{key}: {value}", text)
            if not found:
                text += f"{key}: {value}\n"
        with open (self.config, "w") as f:
            f.write (text)

    def get (self, key):
        with open (self.config) as f:
            return re.search (rf"(?m)^{key}: *([^ #\n]*)", f.read ()).group (1)

    def start (self, wait=True, env=None):
        self.stderr = open (os.path.join (self.directory, "stderr"), "ab")
        self.process = subprocess.Popen ([program (self.name), "-c", self.config], stdin=subprocess.DEVNULL,
                                         stdout=self.stderr, stderr=self.stderr,
                                         env={**os.environ, **(env or {})})
        if wait:
            wait_for (f"{self.name} answers on {self.http_port}", self.answers)
        return self

    def answers (self):
        if self.process.poll () is not None:
            raise AssertionError (f"{self.name} ended with {self.process.returncode}:\n{self.said ()}")
        try:
            return http_get (self.http_port)[0] == 200
        except OSError:
            return False

    def signal (self, number):
        self.process.send_signal (number)

    def stop (self, within=5.0 * DEADLINE / 30.0):
        """SIGTERM; its exit status, or a failure if it takes longer than the time promised."""
        if self.process is None:
            return None
        if self.process.poll () is None:
            self.process.send_signal (signal.SIGTERM)
        try:
            status = self.process.wait (within)
        except subprocess.TimeoutExpired:
            raise AssertionError (f"{self.name} did not stop within {within} s") from None
        self.process = None
        return status

    def kill (self):
        if self.process is not None:
            if self.process.poll () is None:
                self.process.send_signal (signal.SIGKILL)
            self.process.wait ()
            self.process = None

    def rss (self):
        """Resident bytes without the pages of mapped files."""
        with open (f"/proc/{self.process.pid}/status") as f:
            return int (re.search (r"RssAnon:\s+(\d+) kB", f.read ()).group (1)) * 1024

    def said (self):
        """What it wrote to its log and to stderr, the end of it."""
        out = []
        logs = os.path.join (self.directory, "logs")
        names = [os.path.join (self.directory, "stderr")]
        if os.path.isdir (logs):
            names += [os.path.join (logs, n) for n in sorted (os.listdir (logs))]
        for name in names:
            if os.path.exists (name):
                with open (name, errors="replace") as f:
                    out.append (f"--- {name}\n" + "".join (f.readlines ()[-40:]))
        return "\n".join (out)


class Cluster:
    """One name node and some data nodes in a temporary directory.  Data nodes are c.data[0], ..."""

    def __init__ (self, nodes=3, block_size=None, start=True, name_settings=None, data_settings=None):
        self.root = tempfile.mkdtemp (prefix="litedfs-test-")
        self.local = os.path.join (self.root, "local")
        os.mkdir (self.local)
        arguments = ["--block-size", str (block_size)] if block_size else []
        self.name = Daemon ("litename", os.path.join (self.root, "name"), arguments,
                            log_level="DEBUG", **(name_settings or {}))
        self.data = []
        self.data_settings = data_settings or {}
        for _ in range (nodes):
            self.add_node ()
        if start:
            self.start ()

    def add_node (self, **settings):
        node = Daemon ("litedata", os.path.join (self.root, f"data{len (self.data) + 1}"),
                       ["--name-node", f"127.0.0.1:{self.name.http_port}"],
                       **{"log_level": "DEBUG", "chain_port": free_port (), "retry_interval": 1,
                          "storage_preserve_space": "1M", **self.data_settings, **settings})
        self.data.append (node)
        return node

    def daemons (self):
        return [self.name, *self.data]

    def start (self):
        for daemon in self.daemons ():
            if daemon.process is None:
                daemon.start (wait=False)
        for daemon in self.daemons ():
            wait_for (f"{daemon.name} answers", daemon.answers)
        self.wait_online (len (self.data))

    def restart (self):
        for daemon in self.daemons ():
            assert daemon.stop () == 0, f"{daemon.name} did not end with status 0"
        self.start ()

    def wait_online (self, count):
        wait_for (f"{count} data nodes online", lambda: self.info ()["number_of_online_nodes"] == count)

    def info (self):
        status, body = http_get (self.name.http_port, "/cluster/info")
        assert status == 200, body
        return json.loads (body)

    def address (self):
        return f"127.0.0.1:{self.name.http_port}"

    def litedfs (self, *arguments, expect=0, input=None, **options):
        """Run the command; its stdout as text.  expect: the exit status that it must have."""
        done = self.litedfs_run (*arguments, input=input, **options)
        out = done.stdout.decode (errors="surrogateescape")
        err = done.stderr.decode (errors="replace")
        assert done.returncode == expect, \
            f"litedfs {arguments}: status {done.returncode}, not {expect}\n{out}{err}"
        return out

    def litedfs_run (self, *arguments, input=None, timeout=4 * DEADLINE, env=None):
        return subprocess.run ([program ("litedfs"), self.address (), *arguments], input=input,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                               env={**os.environ, **(env or {})})

    def litedfs_start (self, *arguments, **options):
        return subprocess.Popen ([program ("litedfs"), self.address (), *arguments],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def path (self, name):
        return os.path.join (self.local, name)

    def make_file (self, name, size, seed=0):
        return make_file (self.path (name), size, seed)

    def block_bytes (self):
        """Bytes in block files of all data nodes, finished or not."""
        total = 0
        for node in self.data:
            for below in ("blocks", "writing"):
                for directory, _, names in os.walk (os.path.join (node.directory, "data", below)):
                    for name in names:
                        try:
                            total += os.path.getsize (os.path.join (directory, name))
                        except FileNotFoundError:
                            pass
        return total

    def show (self):
        for daemon in self.daemons ():
            for line in daemon.said ().splitlines ():
                print ("# " + line)

    def __enter__ (self):
        return self

    def __exit__ (self, kind, value, trace):
        failed = kind is not None and kind is not Skip
        try:
            if not failed:
                for daemon in self.daemons ():
                    status = daemon.stop ()
                    assert status in (0, None), f"{daemon.name} ended with status {status}\n{daemon.said ()}"
        finally:
            if failed:
                self.show ()
            for daemon in self.daemons ():
                daemon.kill ()
            shutil.rmtree (self.root, ignore_errors=True)


def run (names):
    """Run the tests among globals (): the functions that the calling file defines without a leading
    underscore, in order of definition, and exit with the status for the harness."""
    here = names["__file__"]
    tests = [f for n, f in names.items ()
             if inspect.isfunction (f) and f.__code__.co_filename == here and not n.startswith ("_")]
    print (f"1..{len (tests)}", flush=True)
    failed = 0
    for number, test in enumerate (tests, 1):
        title = test.__name__.replace ("_", " ")
        try:
            test ()
            print (f"ok {number} - {title}", flush=True)
        except Skip as reason:
            print (f"ok {number} - {title} # SKIP {reason}", flush=True)
        except BaseException as error:
            if isinstance (error, KeyboardInterrupt):
                raise
            failed += 1
            for line in traceback.format_exc ().splitlines ():
                print ("# " + line)
            print (f"not ok {number} - {title}", flush=True)
    sys.exit (1 if failed else 0)
