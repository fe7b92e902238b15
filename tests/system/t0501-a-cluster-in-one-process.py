# SPDX-License-Identifier: MIT
"""litecluster runs a whole cluster in one process, on the directories that the real daemons use."""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import (DEADLINE, Skip, free_port, http_get, make_file, program, run, run_to_end,  # noqa: E402
                     same_content, tree, wait_for)

LITECLUSTER = os.path.join (os.path.dirname (program ("litename")), "litecluster")
NODES = 3


class _Here:
    """A directory for a cluster, what runs on it, and the ports of its daemons: the HTTP ports are
    PORT, PORT + 1, ..."""

    def __init__ (self):
        self.root = tempfile.mkdtemp (prefix="litedfs-test-")
        self.dir = os.path.join (self.root, "cluster")
        self.port = free_port (1, 2, 3, 4)
        self.running = []
        self.out = ""

    def __enter__ (self):
        return self

    def __exit__ (self, kind, value, trace):
        for process in self.running:
            process.kill ()
            process.wait ()
        if kind is not None:
            for path in self.logs ():
                with open (path, errors="replace") as f:
                    print ("".join (f"# {line}" for line in [f"--- {path}\n", *f.readlines ()[-30:]]))
        shutil.rmtree (self.root, ignore_errors=True)

    def logs (self):
        return [os.path.join (below, name) for below, _, names in os.walk (self.dir)
                for name in names if name.endswith (".log")]

    def parts (self):
        return ["name", *(f"data-{k + 1}" for k in range (NODES))]

    def config (self, part):
        return os.path.join (self.dir, part, "configuration.yml")

    def set (self, part, key, value):
        with open (self.config (part)) as f:
            text = re.sub (rf"(?m)^{key}:.*$", f"{key}: {value}", f.read ())
        with open (self.config (part), "w") as f:
            f.write (text)

    def start (self, *arguments, env=None):
        """litecluster, until it says that it serves."""
        process = subprocess.Popen ([LITECLUSTER, *arguments, self.dir], env=env, text=True,
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.running.append (process)
        self.out = ""
        for line in process.stdout:
            self.out += line
            if "; try: " in line:
                return process
        raise AssertionError (f"litecluster ended with {process.wait ()}: {self.out}")

    def start_daemons (self):
        """The real ones on the same directories."""
        with open (os.path.join (self.root, "stderr"), "ab") as stderr:
            for part in self.parts ():
                name = "litename" if part == "name" else "litedata"
                self.running.append (subprocess.Popen ([program (name), "-c", self.config (part)],
                                                       stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr))

        def all_online ():
            try:
                return f'"number_of_online_nodes": {NODES},' in \
                    http_get (self.port, "/cluster/info")[1].decode ()
            except OSError:
                return False
        wait_for (f"{NODES} data nodes online", all_online)

    def stop (self, number=signal.SIGTERM):
        """Everything that runs; each must end with status 0."""
        for process in self.running:
            process.send_signal (number)
        for process in self.running:
            status = process.wait (5.0 * DEADLINE / 30.0)
            assert status == 0, f"status {status} of {process.args}"
            if process.stdout:
                process.stdout.close ()
        self.running = []

    def litedfs (self, *arguments):
        status, out, err = run_to_end (program ("litedfs"), f"localhost:{self.port}", *arguments,
                                       within=4 * DEADLINE)
        assert status == 0, f"{arguments}: status {status}\n{out}{err}"
        return out

    def local (self, name):
        return os.path.join (self.root, name)

    def upload (self, name, size, replica):
        make_file (self.local (name), size)
        self.litedfs ("file", "create", "-l", self.local (name), "-r", f"/{name}", "-R", str (replica))

    def comes_back (self, name):
        self.litedfs ("file", "download", "-r", f"/{name}", "-l", self.local ("back"), "--force")
        assert same_content (self.local (name), self.local ("back")), name

    def copies (self, name):
        return int (re.search (r"current_replica\D+(\d+)",
                               self.litedfs ("file", "info", "-r", f"/{name}", "--json")).group (1))

    def refused (self, *arguments, status, says, directory=None):
        """Run litecluster; it must end by itself with one line."""
        got, out, err = run_to_end (LITECLUSTER, *arguments, directory or self.dir,
                                    within=5.0 * DEADLINE / 30.0)
        assert got == status and out == "", f"status {got}: {out}{err}"
        assert err.startswith ("litecluster: ") and err.count ("\n") == 1, err
        assert re.search (says, err), f"no {says!r} in {err!r}"


def the_same_directories_run_in_one_process_and_under_the_real_daemons ():
    with _Here () as c:
        c.start ("-p", str (c.port))
        assert f"made {1 + NODES} directories" in c.out, c.out
        assert f"litedfs localhost:{c.port} cluster info" in c.out, c.out
        c.upload ("one", 30000000, NODES)
        assert c.copies ("one") == NODES
        c.stop ()

        c.start_daemons ()
        c.comes_back ("one")
        wait_for ("all copies are seen", lambda: c.copies ("one") == NODES)
        c.upload ("two", 20000000, 2)
        c.stop ()

        c.start ()
        assert "made" not in c.out, c.out
        c.comes_back ("one")
        c.comes_back ("two")
        c.stop (signal.SIGINT)


def a_configuration_is_used_as_it_is_and_never_overwritten ():
    with _Here () as c:
        c.start ("-p", str (c.port), "-n", "2")
        c.stop ()
        c.set ("data-2", "log_path", os.path.join (c.dir, "data-1", "logs"))
        c.set ("name", "block_size", 65536)
        before = tree (c.dir, skip=("litename.log", "litedata.log"))
        c.start ("-n", "3", "-p", str (c.port))
        assert "made 1 directory" in c.out, c.out
        c.stop ()
        after = tree (c.dir)
        for name in ("name/configuration.yml", "data-1/configuration.yml", "data-2/configuration.yml"):
            assert before[name] == after[name], name
        assert after["data-1/logs/litedata.log"].count (b"stopped") == 3, "a log for two data nodes"


def sighup_reopens_every_log_and_reloads ():
    with _Here () as c:
        process = c.start ("-p", str (c.port))
        old = c.logs ()
        assert len (old) == 1 + NODES, old
        for path in old:
            os.rename (path, path + ".1")
        c.set ("data-2", "log_level", "INFO")
        process.send_signal (signal.SIGHUP)

        def reloaded ():
            try:
                texts = {path: open (path, encoding="utf-8").read () for path in old}
            except FileNotFoundError:
                return False
            return all ("reloaded: " in text for text in texts.values ()) and texts
        texts = wait_for ("every log is new", reloaded)
        assert "reloaded: 1 option" in texts[os.path.join (c.dir, "data-2", "logs", "litedata.log")]
        c.upload ("one", 100000, 1)
        c.comes_back ("one")
        c.stop ()


def a_kill_loses_nothing ():
    with _Here () as c:
        process = c.start ("-p", str (c.port))
        c.upload ("one", 5000000, 2)
        process.kill ()
        process.wait ()
        process.stdout.close ()
        c.running = []
        c.start ()
        c.comes_back ("one")
        c.stop ()


def what_cannot_be_is_refused_in_one_line ():
    with _Here () as c:
        os.makedirs (os.path.join (c.root, "photos", "2024"))
        c.refused (status=2, says="not empty", directory=os.path.join (c.root, "photos"))
        for bad in ("0", "17", "x", "-1"):
            c.refused ("-n", bad, status=2, says=r"-n: .*1 to 16")
        c.refused ("-p", "65536", status=2, says=r"-p: .*1 to 65535")
        c.refused ("-p", "65534", status=2, says="65536")
        c.refused ("more", status=2, says="DIR")
        assert not os.path.exists (c.dir)

        c.start ("-p", str (c.port))
        other = os.path.join (c.root, "other")
        c.refused ("-p", str (c.port), status=1, says=f"HTTP port {c.port}, .*taken", directory=other)
        assert not os.path.exists (other)
        c.refused (status=1, says=r"cluster/name: .*process \d+ uses it")
        c.stop ()

        c.refused ("-n", "2", status=2, says="it has 3 data nodes")
        c.refused ("-p", str (c.port + 9), status=2, says=f"has http_port {c.port}")
        c.set ("data-3", "name_http_port", 1)
        c.refused (status=2, says=r"data-3/configuration.yml: name_http_port: 1 .*allowed: ")


def a_daemon_that_runs_on_one_of_the_directories_is_found ():
    with _Here () as c:
        c.start ("-p", str (c.port))
        c.stop ()
        with open (os.path.join (c.root, "stderr"), "ab") as stderr:
            c.running.append (subprocess.Popen ([program ("litedata"), "-c", c.config ("data-2")],
                                                stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr))

        def answers ():
            try:
                return http_get (c.port + 2)[0] == 200
            except OSError:
                return False
        wait_for ("the data node answers", answers)
        c.refused (status=1, says=r"data-2: .*process \d+ uses it")
        c.stop ()


def the_end_of_one_ends_all ():
    if os.environ.get ("FAULT") != "yes":
        raise Skip ("needs configure --enable-fault")
    with _Here () as c:
        process = c.start ("-p", str (c.port), env={**os.environ, "LITEDFS_FAULT": "metastore_commit=error:30"})
        for number in range (40):
            client = subprocess.Popen ([program ("litedfs"), f"localhost:{c.port}", "directory", "create", "-r",
                                        f"/{number}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_for ("an answer, or the end", lambda client=client: {client.poll (), process.poll ()} != {None})
            if process.poll () is not None:
                client.kill ()  # without an answer it would ask again for a minute
                client.wait ()
                break
            client.wait ()
        assert process.wait (DEADLINE) == 1
        said = process.stdout.read ()
        assert re.search (r"^litecluster: .*/cluster/name: it has ended by itself; .*litename.log says why$",
                          said, re.M), said
        process.stdout.close ()
        c.running = []
        c.start ()
        c.upload ("one", 100000, 1)
        c.stop ()


run (globals ())
