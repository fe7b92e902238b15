# SPDX-License-Identifier: MIT
"""The configurations of the original run as they are, and what is wrong with one is one line."""
import os
import random
import re
import shutil
import signal
import sys
import tempfile

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import (Cluster, Daemon, Skip, free_port, http_get, program, run, run_to_end)  # noqa: E402

# As the README of the original prints them.
NAME = """\
log_level: NOSET                        # NOSET, DEBUG, INFO, WARNING, ERROR, CRITICAL
log_path: /home/pi/litename_data/logs   # log file directory, can auto generate by litename
http_host: 0.0.0.0                      # name node's http host
http_port: 9000                         # name node's http port
tcp_host: 0.0.0.0                       # name node's tcp host
tcp_port: 6061                          # name node's tcp port
block_size: 67108864                    # 67108864 = 64M, file block size
data_path: /home/pi/litename_data/data  # name node data store directory, can auto generate by litename
"""
DATA = """\
log_level: NOSET                        # NOSET, DEBUG, INFO, WARNING, ERROR, CRITICAL
log_path: /home/pi/litedata_data/logs   # log file directory, can auto generate by litedata
http_host: 0.0.0.0                      # data node's http host
http_port: 8002                         # data node's http port
manager_http_host: 127.0.0.1            # name node's http host
manager_http_port: 9000                 # name node's http port
manager_tcp_host: 127.0.0.1             # name node's tcp host
manager_tcp_port: 6061                  # name node's tcp port
heartbeat_interval: 1                   # heartbeat interval, 1 seconds
heartbeat_timeout: 30                   # heartbeat timeout, 30 seconds
retry_interval: 5                       # retry to connect name node interval, when lost connection, 5 seconds
data_path: /home/pi/litedata_data/data  # data node data store directory, can auto generate by litedata
"""


class _Original (Cluster):
    """A name node and a data node with the two texts, other paths and ports put into them."""

    def __init__ (self, change=lambda text: text):
        super ().__init__ (nodes=1, start=False)
        name, data, tcp = free_port (), free_port (10000, 20000), free_port ()
        for daemon, text, port in ((self.name, NAME, name), (self.data[0], DATA, data)):
            daemon.http_port = port
            for old, new in ((f"/home/pi/{daemon.name}_data", daemon.directory), (": 9000 ", f": {name} "),
                             (": 6061 ", f": {tcp} "), (": 8002 ", f": {data} ")):
                text = text.replace (old, new)
            text = change (text)
            assert "NOSET   " in text and "# NOSET, DEBUG" in text
            with open (daemon.config, "w") as f:
                f.write (text)
        self.tcp = tcp

    def work (self):
        self.start ()
        assert self.name.ports () == sorted ([self.name.http_port, self.tcp])
        self.upload_and_download ("f")


def the_original_s_two_configurations_work_together ():
    with _Original () as c:
        c.work ()
        assert http_get (c.name.http_port) == (200, b'{"message": "LiteDFS name service"}')
        assert http_get (c.data[0].http_port) == (200, b'{"message": "LiteDFS data service"}')


def name_keys_do_the_same_as_manager_keys ():
    with _Original (lambda text: text.replace ("manager_", "name_")) as c:
        c.work ()


def windows_line_ends_a_byte_order_mark_and_document_marks_change_nothing ():
    with _Original (lambda text: "\ufeff---\r\n" + text.replace ("\n", "\r\n") + "...\r\n") as c:
        c.work ()


def relative_paths_are_seen_from_the_configuration ():
    with Cluster (nodes=0, start=False) as c:
        c.name.set (data_path="here/data", log_path="here/logs")
        c.name.start ()
        assert os.path.isfile (os.path.join (c.name.directory, "here", "data", "VERSION"))
        assert os.path.isfile (os.path.join (c.name.directory, "here", "logs", "litename.log"))


class _Wrong:
    """A directory with a configuration that is right, and what happens when it is not."""

    def __enter__ (self):
        self.root = tempfile.mkdtemp (prefix="litedfs-test-")
        self.daemons = {name: Daemon (name, os.path.join (self.root, name)) for name in ("litename", "litedata")}
        self.texts = {name: open (daemon.config).read () for name, daemon in self.daemons.items ()}
        return self

    def __exit__ (self, *unused):
        shutil.rmtree (self.root, ignore_errors=True)

    def refuse_file (self, name, content, *parts):
        """content, as bytes, is refused with one line that names the file and has the parts."""
        daemon = self.daemons[name]
        with open (daemon.config, "wb") as f:
            f.write (content)
        line = daemon.refused (re.escape (daemon.config), *parts, status=2)
        assert line.startswith (f"{name}: ") and len (line) < 600, line
        assert sorted (os.listdir (daemon.directory)) == self.files (daemon), "it has written something"
        return line

    @staticmethod
    def files (daemon):
        return sorted (["README", "configuration.yml", "install_systemd_service.sh",
                        "uninstall_systemd_service.sh",
                        {"litename": "litedfs-name", "litedata": "litedfs-data"}[daemon.name] + ".service"])

    def refuse (self, name, key, value, *parts):
        """`key: value` in place of the key's line, or as one more, is refused: the file, the line's
        number and the key are named."""
        text, found = re.subn (rf"(?m)^{key}:.*$", lambda match: f"{key}: {value}", self.texts[name])
        if not found:
            text += f"{key}: {value}\n"
        number = text[:re.search (rf"(?m)^{key}: ", text).start ()].count ("\n") + 1
        where = re.escape (f"{self.daemons[name].config}:{number}: {key}: ")
        return self.refuse_file (name, text.encode (), where, *parts)


def an_unknown_key_is_named_with_the_nearest_one ():
    with _Wrong () as w:
        w.refuse ("litename", "blocksize", "1M", "block_size")
        w.refuse ("litename", "http_prt", "1", "'http_port'")
        w.refuse ("litedata", "heartbeat_timeuot", "1", "'heartbeat_timeout'")
        w.refuse ("litedata", "manger_http_host", "localhost", "'manager_http_host'")
        w.refuse ("litename", "manager_http_host", "localhost", "no such key")
        w.refuse ("litename", "zzzzzzzzzzzzzzzzzz", "1", "no such key")
        w.refuse ("litename", "HTTP_PORT", "1", "'http_port'")


def a_value_of_the_wrong_type_is_named_with_what_is_allowed ():
    with _Wrong () as w:
        for name in w.daemons:
            for value in ("many", '"9000"', "[1, 2]", "{a: 1}", "1.5", "", "9000x", "0x50", "1e3", "true"):
                w.refuse (name, "http_port", value)
            w.refuse (name, "http_port", "many", "1 to 65535")
            w.refuse (name, "sync", "perhaps", "true")
            w.refuse (name, "log_level", "LOUD", "NOSET, DEBUG, INFO, WARNING, ERROR, CRITICAL")
            w.refuse (name, "allow", "{a: b}")
            w.refuse (name, "allow", "[[127.0.0.1]]")
            w.refuse (name, "http_host", "[a, b]")
            w.refuse (name, "storage_preserve_space", "lots")
        w.refuse ("litedata", "heartbeat_interval", "soon")


def a_value_out_of_range_is_named_with_what_is_allowed ():
    with _Wrong () as w:
        for name in w.daemons:
            for value in ("0", "65536", "-1", "99999999999999999999999"):
                w.refuse (name, "http_port", value, "1 to 65535")
            w.refuse (name, "tcp_port", "-2", "65535")
            w.refuse (name, "storage_preserve_space", "-1")
        for value in ("0", "1", "65535", "65537", "5G", "-64M"):
            w.refuse ("litename", "block_size", value, "64 KiB to 4 GiB")
        w.refuse ("litedata", "heartbeat_interval", "0", "0.1")
        w.refuse ("litedata", "retry_interval", "0.05", "0.1")
        w.refuse ("litedata", "heartbeat_timeout", "nan")
        w.refuse ("litedata", "heartbeat_timeout", "inf")
        w.refuse ("litedata", "memory_limit", "1M", "16")
        w.refuse ("litedata", "disk_workers", "0", "1 to")


def what_keys_mean_to_each_other_is_checked_and_named_in_the_same_way ():
    with _Wrong () as w:
        for name, daemon in w.daemons.items ():
            w.refuse (name, "tcp_port", daemon.http_port, "http_port")
            w.refuse (name, "allow", "10.0.0.1/8")
            w.refuse (name, "allow", "[127.0.0.1, everybody]", "everybody")
            text = re.sub (r"(?m)^tcp_port:.*\n", "", w.texts[name])
            text = re.sub (r"(?m)^http_port:.*$", "http_port: 60000", text)
            w.refuse_file (name, text.encode (), "tcp_port: ", "65535")
        w.refuse ("litedata", "heartbeat_timeout", "0.5", "heartbeat_interval")


def a_key_that_is_there_twice_is_named_with_the_line_of_the_first ():
    with _Wrong () as w:
        for name in w.daemons:
            lines = w.texts[name].count ("\n")
            first = w.texts[name][:w.texts[name].index ("http_host:")].count ("\n") + 1
            w.refuse_file (name, (w.texts[name] + "http_host: 1.2.3.4\n").encode (),
                           f":{lines + 1}: http_host: ", f"line {first} ")
        lines = w.texts["litedata"].count ("\n")
        w.refuse_file ("litedata", (w.texts["litedata"] + "manager_http_host: 1.2.3.4\n").encode (),
                       f":{lines + 1}: manager_http_host: ", "name_http_host")


def what_is_no_configuration_is_refused_in_one_line ():
    source = random.Random (1)
    bombs = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join (
        f"{chr (98 + i)}: &{chr (98 + i)} [{', '.join (['*' + chr (97 + i)] * 9)}]\n" for i in range (20))
    with _Wrong () as w:
        text = w.texts["litename"]
        wrong = [b"", b"\n", b"# nothing\n", b"---\n...\n", b"just text\n", b"- a\n- b\n", b"{", b"[", b"'", b'"',
                 b"\t", b"%", b"a: b: c\n", b"? a\n", b"&a a: b\n", b"http_port: *a\n", b"<<: {http_port: 1}\n",
                 b"http_port: !!int 1\n", b"!!map {http_port: 1}\n", b"http_port: |\n  1\n", b"? [a]\n: b\n",
                 bombs.encode (), b"[" * 100000, b"{" * 100000, b"a: " * 50000, b"- " * 100000,
                 b"http_host: " + b"x" * (1 << 17) + b"\n", b"#" * (2 << 20), b"x" * (2 << 20),
                 text.encode () + b"\0", text.encode () + b"\x01\n", text.encode () + b"zone: \xff\xfe\n",
                 text.encode ("utf-16"), (text + "---\n" + text).encode (),
                 b"allow: [" + b"127.0.0.1, " * 50000 + b"]\n"]
        wrong += [source.randbytes (size) for size in (1, 7, 100, 4096, 1 << 20)]
        for content in wrong:
            for name in w.daemons:
                w.refuse_file (name, content)


def a_configuration_that_cannot_be_read_is_named ():
    with _Wrong () as w:
        for name, daemon in w.daemons.items ():
            for path, part in ((os.path.join (w.root, "none.yml"), "No such file"), (w.root, "regular file"),
                               (os.path.join (daemon.config, "x"), "Not a directory"),
                               ("/dev/zero", "regular file")):
                status, out, err = run_to_end (program (name), "-c", path)
                assert status == 2 and out == "", (path, status)
                assert err.count ("\n") == 1 and path in err and re.search (part, err), err


def a_configuration_that_may_not_be_read_is_named ():
    if os.geteuid () == 0:
        raise Skip ("root may read everything")
    with _Wrong () as w:
        for daemon in w.daemons.values ():
            os.chmod (daemon.config, 0)
            daemon.refused (re.escape (daemon.config), "Permission denied", status=2)


def a_wrong_configuration_at_sighup_changes_nothing_and_is_logged ():
    with Cluster (nodes=1) as c:
        for daemon in c.daemons ():
            with open (daemon.config) as f:
                text = f.read ()
            daemon.set (http_port="none")
            daemon.signal (signal.SIGHUP)
            daemon.wait_log (r"the configuration stays as it was: .*configuration.yml:\d+: http_port: ")
            with open (daemon.config, "w") as f:
                f.write (text)
        c.upload_and_download ("f")


def what_can_be_reloaded_is_and_what_cannot_is_named ():
    with Cluster (nodes=1) as c:
        for daemon in c.daemons ():
            daemon.set (log_level="INFO", http_host="127.0.0.1", allow="[192.0.2.0/24]")
            daemon.signal (signal.SIGHUP)
            daemon.wait_log ("reloaded: 2 options changed; a restart is needed for http_host\n")
            daemon.wait_log ("who may connect: 127.0.0.0/8, ::1, 192.0.2.0/24 ")
        c.upload_and_download ("f")


run (globals ())
