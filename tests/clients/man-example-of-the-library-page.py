# SPDX-License-Identifier: MIT
"""The program that liblitedfs(3) prints compiles as it stands there, with the installed header and library
and no warning, and works on a real cluster."""
import os
import re
import shutil
import subprocess
import sys

TOP = os.environ.get ("top_srcdir", ".")
sys.path.insert (0, os.path.join (TOP, "tests", "lib"))
from cluster import Cluster, Skip, run  # noqa: E402

PAGE = os.path.join (TOP, "man", "liblitedfs.3")
PREFIX = os.path.dirname (os.environ["LITEDFS_BIN"])
LIBRARIES = os.path.join (PREFIX, "lib")
COMPILER = shutil.which ("cc")


def _program ():
    with open (PAGE) as page:
        found = re.findall (r"^\.Bd -literal\n(#include.*?)^\.Ed$", page.read (), re.M | re.S)
    return found[0].replace ("\\e", "\\")


def _compile (cluster):
    source = cluster.path ("put.c")
    with open (source, "w") as f:
        f.write (_program ())
    program = cluster.path ("put")
    subprocess.run ([COMPILER, "-Wall", "-Wextra", "-Werror", "-pedantic", source, "-o", program,
                     "-I", os.path.join (PREFIX, "include"), "-L", LIBRARIES, "-llitedfs"], check=True)
    return program


def _run (*arguments):
    return subprocess.run (arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False,
                           env={**os.environ, "LD_LIBRARY_PATH": LIBRARIES})


def the_program_of_the_page_compiles_and_works ():
    if not COMPILER or not os.path.exists (os.path.join (LIBRARIES, "liblitedfs.so")):
        raise Skip ("no compiler, or no shared library in this build")
    if os.environ.get ("SANITIZE", "no") != "no":
        raise Skip ("programs with the library of this build need its sanitizers")
    with Cluster (nodes=2) as c:
        put = _compile (c)
        local = c.make_file ("big.tar", 110237727)
        done = _run (put, c.address (), local, "/big.tar")
        assert (done.returncode, done.stdout, done.stderr) == \
            (0, b"/big.tar: 110237727 bytes, 2 block(s), 2 of 2 copies\n", b""), done
        done = _run (put, c.address (), c.path ("nowhere"), "/big.tar")
        assert done.returncode == 1 and done.stderr.startswith (b"put: io: "), done
        done = _run (put, "localhost:1", local, "/big.tar")
        assert done.returncode == 7 and done.stderr.startswith (b"put: unreachable: "), done


run (globals ())
