# SPDX-License-Identifier: MIT
"""SIGTERM and SIGINT end a daemon within 5 s with status 0 whatever it is doing; SIGHUP reopens its log."""
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import DEADLINE, Cluster, http_get, program, run, terminal, wait_for  # noqa: E402

WITHIN = 5.0 * DEADLINE / 30.0
LINE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (DEBUG \w+:\d+|(INFO |WARNING|ERROR|CRITICAL) \w+): .+"


def _end (daemon, number):
    """Send the signal; the daemon ends in time, with status 0, and says so."""
    process = daemon.process
    daemon.signal (number)
    sent = time.monotonic ()
    try:
        status = process.wait (WITHIN)
    except subprocess.TimeoutExpired:
        raise AssertionError (f"{daemon.name} did not end within {WITHIN} s") from None
    assert status == 0, f"{daemon.name}: status {status}"
    daemon.process = None
    assert re.search (rf"stopping: {signal.Signals (number).name}\n.*stopped\n$", daemon.log (), re.S), \
        daemon.log ()[-300:]
    return time.monotonic () - sent


class _Upload:
    """An upload from stdin that has begun and that only its end can end."""

    def __init__ (self, c, path):
        read, self.write = os.pipe ()
        self.client = c.litedfs_start ("file", "create", "-l", "-", "-r", path, "-L", "3", stdin=read)
        os.close (read)
        before = c.block_bytes ()
        self.feeder = threading.Thread (target=self._feed)
        self.feeder.start ()
        wait_for ("bytes arrive", lambda: c.block_bytes () > before + (2 << 20))

    def _feed (self):
        piece = os.urandom (1 << 16)
        try:
            while True:
                os.write (self.write, piece)
        except OSError:
            pass

    def end (self):
        self.client.kill ()
        self.client.communicate ()
        self.feeder.join ()
        os.close (self.write)


class _Download:
    """A download to a pipe that nobody reads."""

    def __init__ (self, c, path):
        self.client = c.litedfs_start ("file", "download", "-r", path, "-l", "-")
        assert len (self.client.stdout.read (100000)) == 100000

    def end (self):
        self.client.kill ()
        self.client.communicate ()


def idle_daemons_end_at_sigterm_and_sigint ():
    with Cluster (nodes=1) as c:
        for number in (signal.SIGTERM, signal.SIGINT):
            for daemon in reversed (c.daemons ()):
                assert _end (daemon, number) < 2.0 * DEADLINE / 30.0
            c.start ()


def a_data_node_without_name_node_ends_while_it_looks_for_one ():
    with Cluster (nodes=1, start=False) as c:
        node = c.data[0]
        for host in ("127.0.0.1", "192.0.2.1"):  # one refuses, one does not answer
            node.set (name_http_host=host)
            node.start ()
            _end (node, signal.SIGTERM)


def daemons_end_in_the_middle_of_an_upload ():
    with Cluster (nodes=2, block_size=1 << 20) as c:
        for round, number in enumerate ((signal.SIGTERM, signal.SIGINT)):
            for daemon in (c.data[0], c.name):
                upload = _Upload (c, f"/up{round}-{daemon.name}")
                try:
                    _end (daemon, number)
                finally:
                    upload.end ()
                daemon.start ()
                c.wait_online (2)
        c.upload_and_download ("f")


def daemons_end_in_the_middle_of_a_download ():
    with Cluster (nodes=1, block_size=16 << 20) as c:
        c.litedfs ("file", "create", "-l", c.make_file ("big", 100 << 20), "-r", "/big")
        for number in (signal.SIGTERM, signal.SIGINT):
            for daemon in (c.data[0], c.name):
                download = _Download (c, "/big")
                try:
                    _end (daemon, number)
                finally:
                    download.end ()
                daemon.start ()
                c.wait_online (1)
        c.upload_and_download ("f")


def a_signal_while_it_starts_ends_it_too ():
    with Cluster (nodes=1, start=False) as c:
        for daemon in c.daemons ():
            for _ in range (5):
                daemon.start (wait=False)
                wait_for ("there is a log", lambda: "who may connect" in daemon.log ())
                daemon.signal (signal.SIGTERM)
                assert daemon.process.wait (WITHIN) == 0
                os.unlink (os.path.join (daemon.directory, "logs", daemon.name + ".log"))


def a_renamed_log_is_written_until_sighup_and_then_a_new_one ():
    with Cluster (nodes=1) as c:
        for daemon in c.daemons ():
            path = os.path.join (daemon.directory, "logs", daemon.name + ".log")
            os.rename (path, path + ".1")
            http_get (daemon.http_port)
            assert not os.path.exists (path)
            daemon.signal (signal.SIGHUP)
            daemon.wait_log ("reloaded: 0 options changed\n")
            with open (path + ".1") as f:
                assert "reloaded" not in f.read ()
            assert stat.S_IMODE (os.stat (path).st_mode) & 0o644 == 0o644
        c.upload_and_download ("f")


def a_log_that_cannot_be_reopened_stays_as_it_was ():
    with Cluster (nodes=1) as c:
        for daemon in c.daemons ():
            logs = os.path.join (daemon.directory, "logs")
            os.rename (logs, logs + ".away")
            with open (logs, "w"):
                pass
            daemon.signal (signal.SIGHUP)
            away = os.path.join (logs + ".away", daemon.name + ".log")
            wait_for ("it is said in the old one", lambda: "cannot reopen the log: " in open (away).read ())
            os.unlink (logs)
            os.rename (logs + ".away", logs)
        c.upload_and_download ("f")


def log_lines_have_the_documented_form_at_each_level ():
    with Cluster (nodes=1) as c:
        c.upload_and_download ("f")
        c.data[0].kill ()
        c.wait_online (0)
        c.data[0].start ()
        c.wait_online (1)
        assert c.name.stop () == 0
        c.data[0].wait_log ("lost the name node|has ended")
        c.name.start ()
        c.wait_online (1)
        seen = set ()
        for daemon in c.daemons ():
            for line in daemon.log ().splitlines ():
                match = re.fullmatch (LINE, line)
                assert match, line
                seen.add (match[1].split ()[0])
            daemon.set (log_level="WARNING")
        assert {"DEBUG", "INFO", "WARNING"} <= seen, seen
        for daemon in c.daemons ():
            assert daemon.stop () == 0
            os.unlink (os.path.join (daemon.directory, "logs", daemon.name + ".log"))
        c.start ()
        for daemon in c.daemons ():
            for line in daemon.log ().splitlines ():
                assert " INFO " not in line and " DEBUG " not in line, line


def the_log_shows_control_characters_and_never_a_line_that_a_stranger_made ():
    with Cluster (nodes=1) as c:
        name = "/x\n2026-01-01 00:00:00.000 INFO  main: forged \x1b[31m"
        c.litedfs ("directory", "create", "-r", name)
        c.litedfs ("file", "delete", "-r", name, expect=1)
        http_get (c.name.http_port, "/%0a2026-01-01")
        for daemon in c.daemons ():
            text = daemon.log ()
            assert "\x1b" not in text and not re.search (r"(?m)^2026-01-01 00:00:00", text)


def the_log_is_on_stderr_too_when_that_is_a_terminal_and_only_then ():
    with Cluster (nodes=1) as c:
        for daemon in c.daemons ():
            assert os.path.getsize (os.path.join (daemon.directory, "stderr")) == 0, daemon.said ()
            assert daemon.stop () == 0
            master, slave = terminal ()
            daemon.process = subprocess.Popen ([program (daemon.name), "-c", daemon.config], stdin=slave, stdout=slave,
                                               stderr=slave)
            os.close (slave)
            try:
                wait_for ("it answers", daemon.answers)
                text = os.read (master, 100000).decode ()
                assert re.match (LINE, text.splitlines ()[0]), text
                assert daemon.stop () == 0
            finally:
                daemon.kill ()
                os.close (master)


run (globals ())
