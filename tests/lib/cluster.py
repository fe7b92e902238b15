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


_marks = []


def free_port (*offsets):
    """A port that nobody has now, below the range from which the kernel takes its own, and that no
    other test on this machine is given before this process ends.  With offsets, port + offset is
    free too, for each of them."""
    while True:
        port = random.randrange (*((2048, 12000) if offsets else (20000, 30000)))
        marks = []
        try:
            for number in (port, *(port + offset for offset in offsets)):
                marks.append (socket.socket (socket.AF_UNIX))
                marks[-1].bind (f"\0litedfs-test-port-{number}")
                with socket.socket () as s:
                    s.bind (("", number))
            _marks.extend (marks)
            return port
        except OSError:
            for mark in marks:
                mark.close ()


def terminal ():
    """A terminal: (our end, its end), two descriptors.  Skips the test where there are none."""
    try:
        return os.openpty ()
    except OSError as error:
        raise Skip (f"a terminal cannot be made here: {error.strerror}") from None


def program (name):
    return os.environ.get (name.upper ()) or shutil.which (name) or name


def http_get (port, path="/", timeout=5.0, host="127.0.0.1", method="GET"):
    """(status, body) of a GET."""
    connection = http.client.HTTPConnection (host, port, timeout=timeout)
    try:
        connection.request (method, path)
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


def read_file (path):
    with open (path, "rb") as f:
        return f.read ()


def tree (directory, skip=()):
    """What is in a directory: {path below it: content, or None for a directory}.  Two of them are
    equal if nothing was changed in between."""
    out = {}
    for below, directories, names in os.walk (directory):
        for name in directories:
            out[os.path.relpath (os.path.join (below, name), directory)] = None
        for name in names:
            path = os.path.join (below, name)
            short = os.path.relpath (path, directory)
            if name not in skip:
                out[short] = read_file (path) if os.path.isfile (path) else "special"
    return out


def run_to_end (*arguments, within=DEADLINE, **options):
    """Run a program that is to end by itself: (status, stdout, stderr) as text."""
    done = subprocess.run (arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=within, **options)
    return (done.returncode, done.stdout.decode (errors="replace"),
            done.stderr.decode (errors="replace"))


def same_content (a, b):
    with open (a, "rb") as x, open (b, "rb") as y:
        while True:
            p, q = x.read (1 << 20), y.read (1 << 20)
            if p != q:
                return False
            if not p:
                return True


def sockets_of (pid):
    """(local port, remote port, whether it listens) of each TCP socket of a process."""
    inodes = set ()
    for fd in os.listdir (f"/proc/{pid}/fd"):
        try:
            inodes.add (os.readlink (f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            pass
    for table in ("tcp", "tcp6"):
        with open (f"/proc/{pid}/net/{table}") as f:
            for line in f.readlines ()[1:]:
                part = line.split ()
                if f"socket:[{part[9]}]" in inodes:
                    local, remote = (int (part[i].rsplit (":", 1)[1], 16) for i in (1, 2))
                    yield local, remote, part[3] == "0A"


def is_stopped (pid):
    """Whether a process stands still (SIGSTOP)."""
    with open (f"/proc/{pid}/stat") as f:
        return f.read ().rsplit (")", 1)[1].split ()[0] == "T"


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

    def start (self, wait=True, env=None, prefix=()):
        """prefix: a command that runs it, such as ip netns exec X."""
        with open (os.path.join (self.directory, "stderr"), "ab") as stderr:
            self.process = subprocess.Popen ([*prefix, program (self.name), "-c", self.config],
                                             stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr,
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

    def refused (self, *parts, status=None, within=5.0 * DEADLINE / 30.0):
        """Run it; it must end by itself with one line on stderr that has all the parts (regular
        expressions), and not with status 0.  Gives the line."""
        got, out, err = run_to_end (program (self.name), "-c", self.config, within=within)
        assert got == status if status is not None else got > 0, f"status {got}: {out}{err}"
        assert out == "", out
        assert err.endswith ("\n") and err.count ("\n") == 1, f"not one line: {err!r}"
        for part in parts:
            assert re.search (part, err), f"no {part!r} in {err!r}"
        return err

    def log (self):
        """All that is in its log."""
        path = os.path.join (self.directory, "logs", self.name + ".log")
        if not os.path.exists (path):
            return ""
        with open (path, errors="replace") as f:
            return f.read ()

    def wait_log (self, pattern, deadline=DEADLINE):
        """The match of a regular expression in its log, as soon as there is one."""
        return wait_for (f"{pattern!r} in the log of {self.directory}",
                         lambda: re.search (pattern, self.log ()), deadline)

    def ports (self):
        """The TCP ports on which it listens."""
        return sorted ({local for local, _, listens in sockets_of (self.process.pid) if listens})

    def connections (self, port):
        """How many connections it has open that came in on a port."""
        return sum (1 for local, _, listens in sockets_of (self.process.pid) if local == port and not listens)

    def descriptors (self):
        return len (os.listdir (f"/proc/{self.process.pid}/fd"))

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
                            **{"log_level": "DEBUG", **(name_settings or {})})
        self.data = []
        self.data_settings = data_settings or {}
        self.checked = True     # whether the end of a test looks at the name node's store
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
            wait_for (f"{daemon.name} answers on {daemon.http_port}", daemon.answers)
        self.wait_online (len (self.data))

    def restart (self):
        for daemon in self.daemons ():
            assert daemon.stop () == 0, f"{daemon.name} did not end with status 0"
        self.start ()

    def wait_online (self, count):
        wait_for (f"{count} data nodes online", lambda: self.info ()["number_of_online_nodes"] == count)

    def node (self, daemon):
        """What cluster info says of one data node, found by its HTTP port; None: nothing."""
        info = self.info ()
        for status in ("online", "offline"):
            for node in info[f"{status}_nodes"]:
                if node["http_port"] == daemon.http_port:
                    return node
        return None

    def wait_status (self, daemon, status, deadline=DEADLINE):
        """Wait until a data node is "online" or "offline"; gives its number."""
        def is_so ():
            node = self.node (daemon)
            return node and node["status"] == status and node
        return wait_for (f"{daemon.directory} is {status}", is_so, deadline)["id"]

    def upload_and_download (self, name, size=200000, back=None):
        """A file goes in and comes back equal: the cluster is well."""
        local = self.make_file (name, size)
        back = self.path (back or name + ".back")
        self.litedfs ("file", "create", "-l", local, "-r", "/" + name)
        self.litedfs ("file", "download", "-r", "/" + name, "-l", back)
        assert same_content (local, back), name

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

    def block_bytes (self, daemon=None):
        """Bytes in block files of all data nodes, or of one, finished or not."""
        total = 0
        for node in [daemon] if daemon else self.data:
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

    def check (self):
        """The tables of the name node's store agree with each other, whatever was done to it."""
        data = self.name.get ("data_path")
        if not os.path.exists (os.path.join (data, "VERSION")):
            return
        status, out, err = run_to_end (program ("litename"), "--check", "--data-path", data)
        assert status == 0, f"litename --check: status {status}\n{out}{err}"

    def __enter__ (self):
        return self

    def __exit__ (self, kind, value, trace):
        failed = kind is not None and kind is not Skip
        try:
            if not failed:
                for daemon in self.daemons ():
                    status = daemon.stop ()
                    assert status in (0, None), f"{daemon.name} ended with status {status}\n{daemon.said ()}"
                if self.checked:
                    self.check ()
        finally:
            if failed:
                self.show ()
            for daemon in self.daemons ():
                daemon.kill ()
            shutil.rmtree (self.root, ignore_errors=True)


class Disk:
    """A small file system of its own, to be filled: a tmpfs, mounted by the test.  Skips the test if
    that is not permitted.  It must outlive the daemons on it: `with Disk (...) as d, Cluster ...`."""

    def __init__ (self, size):
        self.path = tempfile.mkdtemp (prefix="litedfs-test-disk-")
        done = subprocess.run (["mount", "-t", "tmpfs", "-o", f"size={size}", "litedfs-test", self.path],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False) \
            if shutil.which ("mount") else None
        if not done or done.returncode != 0:
            os.rmdir (self.path)
            raise Skip ("a tmpfs cannot be mounted here: " +
                        (done.stdout.decode ().strip () if done else "there is no mount"))

    def free (self):
        about = os.statvfs (self.path)
        return about.f_bavail * about.f_frsize

    def used_by (self, *_):
        """Bytes of block files, finished or not."""
        total = 0
        for below in ("blocks", "writing"):
            for directory, _, names in os.walk (os.path.join (self.path, below)):
                for name in names:
                    try:
                        total += os.path.getsize (os.path.join (directory, name))
                    except FileNotFoundError:
                        pass
        return total

    def fill (self, leave=0):
        """Take what is free, but for some bytes; with leave=0 to the very last byte."""
        with open (os.path.join (self.path, "lost+found"), "ab") as f:
            while self.free () > leave:
                try:
                    f.write (b"x" * min (1 << 20, self.free () - leave))
                    f.flush ()
                except OSError:
                    return

    def empty (self):
        """Give back what fill took."""
        try:
            os.unlink (os.path.join (self.path, "lost+found"))
        except FileNotFoundError:
            pass

    def __enter__ (self):
        return self

    def __exit__ (self, *_):
        subprocess.run (["umount", "-l", self.path], check=True)
        os.rmdir (self.path)


class Upload:
    """An upload from a pipe, of which the test decides how far it is.  content is what was sent."""

    def __init__ (self, c, remote, *arguments):
        self.content = b""
        read, write = os.pipe ()
        self.client = c.litedfs_start ("file", "create", "-l", "-", "-r", remote, *arguments, stdin=read)
        os.close (read)
        self.pipe = os.fdopen (write, "wb")

    def send (self, size):
        part = os.urandom (size)
        self.pipe.write (part)
        self.pipe.flush ()
        self.content += part

    def end (self):
        """The end of the stream: (exit status, stderr)."""
        try:
            self.pipe.close ()
        except BrokenPipeError:
            pass
        err = self.client.communicate (timeout=4 * DEADLINE)[1]
        return self.client.returncode, err.decode (errors="replace")

    def kill (self):
        """kill -9 of the client."""
        self.client.kill ()
        return self.end ()


def _in_a_line (error, file):
    """Where in the file a test failed, and why, for its line of TAP, in which # begins something else."""
    lines = [frame.lineno for frame in traceback.extract_tb (error.__traceback__) if frame.filename == file]
    where = f"line {lines[-1]}: " if lines else ""
    why = " ".join (f"{type (error).__name__}: {error}".split ()).replace ("#", "%")
    return where + (why if len (why) <= 400 else f"{why[:200]} ... {why[-200:]}")


def run (names):
    """Run the tests among globals (): the functions that the calling file defines without a leading
    underscore, in order of definition, and exit with the status for the harness."""
    # Where a shell or nohup has started us in the background these are ignored, also by what we start.
    signal.signal (signal.SIGINT, signal.default_int_handler)
    signal.signal (signal.SIGQUIT, signal.SIG_DFL)
    signal.signal (signal.SIGHUP, signal.SIG_DFL)
    here = names["__file__"]
    tests = [f for n, f in names.items ()
             if inspect.isfunction (f) and f.__code__.co_filename == here and not n.startswith ("_")]
    print (f"1..{len (tests)}", flush=True)
    failed = 0
    for number, test in enumerate (tests, 1):
        title = test.__name__.replace ("_", " ")
        began = time.monotonic ()
        try:
            test ()
            print (f"ok {number} - {title}\n# {time.monotonic () - began:.1f} s", flush=True)
        except Skip as reason:
            print (f"ok {number} - {title} # SKIP {reason}", flush=True)
        except BaseException as error:
            if isinstance (error, KeyboardInterrupt):
                raise
            failed += 1
            for line in traceback.format_exc ().splitlines ():
                print ("# " + line)
            print (f"not ok {number} - {title}: {_in_a_line (error, here)}", flush=True)
    sys.exit (1 if failed else 0)
