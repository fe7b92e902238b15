# SPDX-License-Identifier: MIT
"""`-g DIR` writes a directory that a daemon, a person and systemd can use as it is, and never
overwrites one; the command lines of the daemons."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert (0, os.path.join (os.environ.get ("top_srcdir", "."), "tests", "lib"))
from cluster import Daemon, Skip, free_port, program, run, run_to_end, tree  # noqa: E402

# The keys of the original README with its comments, where ours has nothing to add to them.
ORIGINAL = {
    "litename": {
        "log_level": "NOSET, DEBUG, INFO, WARNING, ERROR, CRITICAL",
        "log_path": "log file directory, can auto generate by litename",
        "http_host": "name node's http host",
        "http_port": "name node's http port",
        "tcp_host": "name node's tcp host",
        "tcp_port": "name node's tcp port",
        "block_size": "67108864 = 64M, file block size",
        "data_path": "name node data store directory, can auto generate by litename",
    },
    "litedata": {
        "log_level": "NOSET, DEBUG, INFO, WARNING, ERROR, CRITICAL",
        "log_path": "log file directory, can auto generate by litedata",
        "http_host": "data node's http host",
        "http_port": "data node's http port",
        "name_http_host": "name node's http host",
        "name_http_port": "name node's http port",
        "name_tcp_host": "name node's tcp host",
        "name_tcp_port": "name node's tcp port",
        "heartbeat_interval": "heartbeat interval, 1 seconds",
        "heartbeat_timeout": "heartbeat timeout, 30 seconds",
        "retry_interval": "retry to connect name node interval, when lost connection, 5 seconds",
        "data_path": "data node data store directory, can auto generate by litedata",
    },
}
OURS = {
    "litename": ["allow", "sync", "storage_preserve_space"],
    "litedata": ["tcp_host", "tcp_port", "chain_port", "advertise_host", "zone", "allow",
                 "storage_preserve_space", "sync", "memory_limit"],
}
SERVICE = {"litename": "litedfs-name", "litedata": "litedfs-data"}
GREETING = {"litename": "LiteDFS name service", "litedata": "LiteDFS data service"}


class _Directory:
    """A directory for one test that goes away with it."""

    def __enter__ (self):
        self.path = tempfile.mkdtemp (prefix="litedfs-test-")
        return self.path

    def __exit__ (self, *unused):
        shutil.rmtree (self.path, ignore_errors=True)


def _generate (name, directory, *arguments, cwd=None):
    status, out, err = run_to_end (program (name), "-g", directory, *arguments, cwd=cwd)
    assert (status, err) == (0, ""), f"{status}: {err}"
    assert out.count ("\n") == 1, out


def _keys (directory):
    """{key: (value, comment)} of a generated configuration, each line of which is one."""
    out = {}
    with open (os.path.join (directory, "configuration.yml")) as f:
        for line in f:
            match = re.fullmatch (r"(\w+): (\S.*?) +# (\S.*)\n", line)
            assert match, f"not `key: value  # comment`: {line!r}"
            assert match[1] not in out, line
            out[match[1]] = match.groups ()[1:]
    return out


def every_file_is_there_and_the_scripts_can_be_run ():
    for name, service in SERVICE.items ():
        with _Directory () as root:
            there = os.path.join (root, "new", "below")
            _generate (name, there)
            assert sorted (os.listdir (there)) == sorted (
                ["README", "configuration.yml", "install_systemd_service.sh", f"{service}.service",
                 "uninstall_systemd_service.sh"])
            for script in ("install_systemd_service.sh", "uninstall_systemd_service.sh"):
                path = os.path.join (there, script)
                assert os.access (path, os.X_OK)
                assert run_to_end ("sh", "-n", path)[0] == 0
                for shell in ("dash", "bash"):
                    if shutil.which (shell):
                        assert run_to_end (shell, "-n", path)[0] == 0


def every_key_is_there_with_its_comment_and_the_original_s_are_as_they_were ():
    for name in SERVICE:
        with _Directory () as root:
            _generate (name, root)
            keys = _keys (root)
            for key, comment in ORIGINAL[name].items ():
                assert keys[key][1].startswith (comment), f"{key}: {keys[key]}"
            for key in OURS[name]:
                assert key in keys, key
            assert keys["log_level"][0] == "NOSET"
            assert keys["http_host"][0] == "0.0.0.0"
            assert keys["http_port"][0] == ("9000" if name == "litename" else "8002")
            assert int (keys["tcp_port"][0]) == int (keys["http_port"][0]) + 10000


def paths_are_absolute_however_the_directory_was_named ():
    for name in SERVICE:
        with _Directory () as root:
            root = os.path.realpath (root)
            for number, directory in enumerate (("./", "a//b/./", "../c")):
                here = os.path.join (root, f"here{number}")
                os.mkdir (here)
                _generate (name, directory, cwd=here)
                keys = _keys (os.path.join (here, directory))
                there = os.path.normpath (os.path.join (here, directory))
                assert keys["log_path"][0] == os.path.join (there, "logs"), keys
                assert keys["data_path"][0] == os.path.join (there, "data"), keys


def an_odd_directory_name_works_or_is_refused_and_nothing_is_written ():
    with _Directory () as root:
        for name in SERVICE:
            odd = Daemon (name, os.path.join (root, f"{name} # ä: [x]{{}},"))
            odd.set (tcp_port=free_port ())
            try:
                odd.start ()
                assert odd.stop () == 0
            finally:
                odd.kill ()
            before = os.listdir (root)
            for bad in ("a'b", 'a"b', "a\\b", "a$b", "a\nb", "a`b", "a|b"):
                status, out, err = run_to_end (program (name), "-g", os.path.join (root, bad))
                assert (status, out) == (2, ""), (bad, status, out)
                assert err.startswith (f"{name}: "), err
            assert os.listdir (root) == before


def nothing_is_ever_overwritten ():
    for name in SERVICE:
        with _Directory () as root:
            _generate (name, root)
            path = os.path.join (root, "configuration.yml")
            with open (path, "a") as f:
                f.write ("# mine\n")
            before = tree (root)
            status, out, err = run_to_end (program (name), "-g", root, "--http-port", "5000")
            assert (status, out) == (1, ""), (status, out)
            assert err.count ("\n") == 1 and path in err and "exists" in err, err
            assert tree (root) == before


def options_of_g_stand_in_the_configuration ():
    with _Directory () as root:
        _generate ("litename", root + "/n", "--allow", "10.1.0.0/16", "--http-port=9100", "--block-size", "1M")
        keys = _keys (root + "/n")
        assert keys["allow"][0] == "[10.1.0.0/16]", keys["allow"]
        assert (keys["http_port"][0], keys["tcp_port"][0]) == ("9100", "19100")
        assert keys["block_size"] == ("1048576", "1048576 = 1M, file block size")
        _generate ("litedata", root + "/d", "--name-node", "name.example:9100", "--http-port", "9200",
                   "--allow", "10.1.0.0/16,fd00::/8")
        keys = _keys (root + "/d")
        assert keys["allow"][0] == '[10.1.0.0/16, fd00::/8]', keys["allow"]
        assert (keys["http_port"][0], keys["tcp_port"][0], keys["chain_port"][0]) == ("9200", "19200", "29200")
        assert (keys["name_http_host"][0], keys["name_http_port"][0]) == ("name.example", "9100")
        _generate ("litedata", root + "/e", "--name-node", "name.example")
        assert _keys (root + "/e")["name_http_port"][0] == "9000"
        _generate ("litedata", root + "/f", "--name-node", "[fd00::1]:9100")
        assert _keys (root + "/f")["name_http_host"][0].strip ('"') == "fd00::1"


def what_was_generated_runs_as_it_is ():
    with _Directory () as root:
        for name in SERVICE:
            daemon = Daemon (name, os.path.join (root, name))
            try:
                daemon.start ()
                daemon.wait_log ("who may connect: 127.0.0.0/8, ::1")
                assert daemon.stop () == 0
            finally:
                daemon.kill ()


def wrong_usage_is_one_line_and_status_2 ():
    with _Directory () as root:
        there = os.path.join (root, "no")
        wrong = [[], ["-x"], ["-c"], ["-g"], ["stray"], ["-g", there, "stray"], ["--nonsense"],
                 ["-g", there, "-c", there], ["-c", there, "--http-port", "1"], ["-g", there, "--http-port"],
                 ["-g", there, "--http-port", "0"], ["-g", there, "--http-port", "65536"],
                 ["-g", there, "--http-port", "x"], ["-g", there, "--http-port", "60000"],
                 ["-g", there, "--allow", "10.0.0.1/8"], ["-g", there, "--allow", "everybody"], ["-vv=3"]]
        own = {"litename": [["-g", there, "--block-size", "1"], ["-g", there, "--block-size", "65537"],
                            ["-g", there, "--block-size", "5G"], ["-g", there, "--name-node", "x"]],
               "litedata": [["-g", there, "--name-node", ":1"], ["-g", there, "--name-node", "x:0"],
                            ["-g", there, "--name-node", ""], ["-g", there, "--block-size", "1M"]]}
        for name in SERVICE:
            for arguments in wrong + own[name]:
                status, out, err = run_to_end (program (name), *arguments)
                assert (status, out) == (2, ""), (arguments, status, out, err)
                assert err.count ("\n") == 1 and err.startswith (f"{name}: "), (arguments, err)
                assert not os.path.exists (there), arguments
        for name in SERVICE:
            for bad in ("/dev/null/x", "/proc/nothing/x"):
                status, out, err = run_to_end (program (name), "-g", bad)
                assert status == 1 and out == "" and err.count ("\n") == 1 and bad.rsplit ("/", 1)[0] in err, err


def version_and_help_are_printed_to_stdout ():
    for name in SERVICE:
        for option in ("-v", "--version"):
            status, out, err = run_to_end (program (name), option)
            assert (status, err) == (0, "") and re.fullmatch (rf"{name} \d+\.\d+\.\d+\S*\n", out), out
        for option in ("-h", "--help"):
            status, out, err = run_to_end (program (name), option)
            assert (status, err) == (0, ""), err
            for word in (f"usage: {name}", "-g", "-c", "-v", "-h", "--allow", "--http-port"):
                assert word in out, (word, out)


def the_install_script_installs_the_unit_and_the_other_removes_it ():
    """With a systemctl of our own, which notes what it is asked."""
    if os.geteuid () != 0:
        raise Skip ("the scripts want root")
    for name, service in SERVICE.items ():
        with _Directory () as root:
            there, units, bin = (os.path.join (root, x) for x in ("my dir", "units", "bin"))
            _generate (name, there)
            os.mkdir (units)
            os.mkdir (bin)
            with open (os.path.join (bin, "systemctl"), "w") as f:
                f.write (f'#!/bin/sh\necho "$@" >>"{root}/asked"\n')
            os.chmod (os.path.join (bin, "systemctl"), 0o755)
            env = {**os.environ, "PATH": bin + ":" + os.environ["PATH"], "LITEDFS_UNIT_DIR": units}
            script = os.path.join (there, "install_systemd_service.sh")
            assert run_to_end (script, env=env)[0] == 2
            assert run_to_end (script, "nobody-of-that-name", "root", env=env)[0] == 1
            assert os.listdir (units) == []
            status, out, err = run_to_end (script, "root", "root", env=env)
            assert status == 0, err
            with open (os.path.join (units, service + ".service")) as f:
                unit = f.read ()
            assert "\nUser=root\nGroup=root\n" in unit and "@" not in unit.split ("\n", 1)[1], unit
            assert f'-c "{there}/configuration.yml"\n' in unit and "Restart=on-failure\n" in unit
            status, out, err = run_to_end (os.path.join (there, "uninstall_systemd_service.sh"), env=env)
            assert status == 0 and os.listdir (units) == [], err
            with open (os.path.join (root, "asked")) as f:
                assert f.read ().split ("\n") == ["daemon-reload", f"enable {service}", f"disable --now {service}",
                                                  "daemon-reload", ""]


def systemd_finds_nothing_wrong_with_the_unit ():
    if not shutil.which ("systemd-analyze"):
        raise Skip ("there is no systemd-analyze")
    for name, service in SERVICE.items ():
        with _Directory () as root:
            _generate (name, root + "/d")
            with open (f"{root}/d/{service}.service") as f:
                unit = f.read ().replace ("@USER@", "root").replace ("@GROUP@", "root")
            with open (f"{root}/{service}.service", "w") as f:
                f.write (unit)
            done = subprocess.run (["systemd-analyze", "verify", "--man=no", f"{root}/{service}.service"],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
            ours = [line for line in done.stdout.decode ().splitlines () if service in line]
            if done.returncode != 0 and not ours:
                raise Skip (f"systemd-analyze does not work here: {done.stdout.decode ().strip () [:200]}")
            assert done.returncode == 0 and not ours, done.stdout


run (globals ())
