# SPDX-License-Identifier: MIT
"""The script that litedfs-protocol(7) prints works as it stands there, on a real cluster."""
import os
import re
import shutil
import subprocess
import sys

TOP = os.environ.get ("top_srcdir", ".")
sys.path.insert (0, os.path.join (TOP, "tests", "lib"))
from cluster import Cluster, Skip, run  # noqa: E402

PAGE = os.path.join (TOP, "man", "litedfs-protocol.7")
ESCAPES = {"e": "\\", "-": "-", "&": "", "(aq": "'", "(ha": "^", "(ti": "~", "(ga": "`"}


def _displays ():
    """Whatever stands between .Bd -literal and .Ed, without the escapes of mdoc."""
    with open (PAGE) as page:
        found = re.findall (r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed$", page.read (), re.M | re.S)
    return [re.sub (r"\\(\(..|.)", lambda escape: ESCAPES[escape.group (1)], text) for text in found]


def _script ():
    return next (text for text in _displays () if text.startswith ("import "))


def _promised_output ():
    displays = _displays ()
    return displays[displays.index (_script ()) + 1]


def _run_script (cluster):
    path = cluster.path ("script.py")
    with open (path, "w") as f:
        f.write (_script ())
    return subprocess.run ([sys.executable, path, f"localhost:{cluster.name.http_port}"], timeout=60,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def the_script_of_the_page_prints_what_the_page_says ():
    with Cluster (nodes=2) as c:
        for _ in range (2):  # the second time there is a file already
            done = _run_script (c)
            assert (done.returncode, done.stdout) == (0, _promised_output ()), done.stdout
        back = c.path ("back")
        c.litedfs ("file", "download", "-r", "/script/hello.txt", "-l", back)
        with open (back, "rb") as f:
            assert f.read () == b"Hello, LiteDFS. " * 1280
        assert '"current_replica": 2,' in c.litedfs ("file", "info", "-r", "/script/hello.txt", "--json")


def the_script_is_printed_as_it_is_run ():
    if not shutil.which ("mandoc"):
        raise Skip ("no mandoc: apt-get install mandoc")
    printed = subprocess.run (["mandoc", "-T", "utf8", "-O", "width=120", PAGE], check=True,
                              stdout=subprocess.PIPE).stdout.decode ()
    printed = re.sub (".\b", "", printed)
    lines = [line.rstrip () for line in printed.splitlines ()]
    script = _script ().splitlines ()
    first = next (at for at, line in enumerate (lines) if line.strip () == script[0])
    indent = len (lines[first]) - len (lines[first].lstrip ())
    assert [line[indent:] for line in lines[first:first + len (script)]] == script


run (globals ())
