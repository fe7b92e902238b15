# SPDX-License-Identifier: MIT
"""The thrasher of `make thrash` for half a minute: clients that do everything at random, daemons to which everything
happens at random, and in the end nothing is missing and nothing too much.  SEED=... plays a plan again."""
import os
import sys

sys.path[:0] = [os.path.join (os.environ.get ("top_srcdir", "."), "tests", folder) for folder in ("thrash", "lib")]
from cluster import run  # noqa: E402
from storm import thrash  # noqa: E402

SECONDS = 30.0


def everything_is_right_after_a_short_storm ():
    thrash (SECONDS)


run (globals ())
