# SPDX-License-Identifier: MIT
"""The thrasher: clients that do everything at random to a cluster whose daemons are killed, stopped, restarted,
starved and joined by others at random, beside a model of what was acknowledged.  After each storm everything is
brought back, and then the tree is as the model says, every file has its copies, each of them byte for byte, and
no data node has a file or an index entry more or less.

    SEED=...            the plan to play again; a random one is drawn otherwise, and printed
    THRASH_SECONDS=...  of storms altogether (300)
    THRASH_KEEP=DIR     what happened, in order, and the logs of the daemons go there

The seed fixes the settings, what each client does at its n-th step and which event is the n-th.  How they
interleave is up to the machine."""
import os
import sys

sys.path[:0] = [os.path.join (os.environ.get ("top_srcdir", "."), "tests", folder) for folder in ("thrash", "lib")]
from cluster import run  # noqa: E402
from storm import thrash  # noqa: E402


def everything_is_right_after_each_storm ():
    thrash (float (os.environ.get ("THRASH_SECONDS") or 300))


run (globals ())
