/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_BASE_SCAFFOLD_H
#define LITEDFS_BASE_SCAFFOLD_H

/*
 * What `-g DIR` writes: configuration.yml, README, the systemd unit and the scripts that install and
 * uninstall it.  The texts are the files of conf/templates/, built into the program, with @WORDS@
 * replaced.
 */

#include "base/buf.h"
#include "litedfs.h"

struct scaffold {
    const char *directory; // absolute; made if it is missing
    const char *program;   // "litename"
    const char *service;   // "litedfs-name"
    const char *title;     // "LiteDFS name node"
    const char *binary;    // absolute path of the program, for the unit
    struct slice configuration;
};

/* Write everything.  LITEDFS_EXISTS, and nothing is written, if DIR/configuration.yml is there; what
 * else is there of an earlier run is replaced.  LITEDFS_IO, LITEDFS_NO_SPACE with the path. */
int scaffold_write (const struct scaffold *scaffold, litedfs_error_t *error);

#endif
