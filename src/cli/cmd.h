/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLI_CMD_H
#define LITEDFS_CLI_CMD_H

/*
 * The commands of litedfs(1): ADDRESS OBJECT OPERATION, for some an operand, and options, in any order.
 *
 * All options of all commands stand in one table (cmd.c); a command names those that it needs and
 * those that it takes, and usage, help and checks come from there.  A command's function does its
 * local checks first, then opens the session with cmd_open, and prints when all is done, so that a
 * failed one leaves stdout empty (but for a check that has found something).
 */

#include "base/buf.h"
#include "cli/interrupt.h"
#include "litedfs.h"

#include <stdio.h>

/* Every option.  Two may have the same letter if no command has both. */
enum cmd_option {
    CMD_REMOTE_PATH,
    CMD_LOCAL_PATH,
    CMD_REPLICA,
    CMD_LOCK_TTL,
    CMD_SOURCE,
    CMD_TARGET,
    CMD_NAME,
    CMD_OFFSET,
    CMD_LIMIT,
    CMD_FILES,
    CMD_DIRECTORIES,
    CMD_FORCE,
    CMD_LOSE,
    CMD_WAIT,
    CMD_SCRUB,
    CMD_FOR,
    CMD_RECURSIVE,
    CMD_TIMEOUT,
    CMD_ON,
    CMD_OFF,
    CMD_DRY_RUN,
    CMD_RAW,
    CMD_JSON,
    CMD_WIDTH,
    CMD_VERSION,
    CMD_HELP,
    CMD_OPTIONS
};

#define CMD_BIT(option) (1u << (option))

/* What every command takes. */
#define CMD_COMMON (CMD_BIT (CMD_WIDTH) | CMD_BIT (CMD_VERSION) | CMD_BIT (CMD_HELP))

/* One call of a command.  All texts point into argv. */
struct cmd_call {
    const struct cmd *cmd;         // NULL: none was named, which only help and version do
    const char *address;           // NULL: none was given, as above
    const char *operand;           // the word after the operation, of a command that has one
    const char *object;            // as the help wants it: NULL for that of the whole program
    const char *text[CMD_OPTIONS]; // NULL if it was not given; "" for a flag
    int64_t number[CMD_OPTIONS];   // of options that are numbers: the value or the default
    struct interrupt *interrupt;
    litedfs_t *session;
    bool connecting; // the session could not be opened; the error is not about a path
};

/* A command.  Tables of them end in a row without object. */
struct cmd {
    const char *object;
    const char *operation;
    const char *operand; // what the word after the operation is, or NULL: there is none
    const char *help;    // what it does, without a full stop
    unsigned required;   // bits of options
    unsigned optional;   // bits of options, without CMD_COMMON
    int (*run) (struct cmd_call *call, litedfs_error_t *error);
};

/* One table for each object. */
extern const struct cmd cmd_file[];
extern const struct cmd cmd_directory[];
extern const struct cmd cmd_path[];
extern const struct cmd cmd_cluster[];
extern const struct cmd cmd_lock[];
extern const struct cmd cmd_node[];

/* Read the command line; argv is put into another order.  Without -h and -v the call is complete:
 * command, address, every required option.  LITEDFS_USAGE with one line. */
int cmd_parse (int argc, char **argv, struct cmd_call *out, litedfs_error_t *error);

/* Print the help of the call's level: the program, an object or a command. */
void cmd_help (const struct cmd_call *call, FILE *out);

/* Open call->session, which main closes.  Errors as litedfs_open; an address of a wrong form is
 * LITEDFS_USAGE. */
int cmd_open (struct cmd_call *call, litedfs_error_t *error);

/* Put the command and its path in front of the error of its run, "file create[/a]: "; nothing if
 * the session could not be opened. */
void cmd_name_error (const struct cmd_call *call, litedfs_error_t *error);

#endif
