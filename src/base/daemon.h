/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_BASE_DAEMON_H
#define LITEDFS_BASE_DAEMON_H

/*
 * What litename and litedata have in common: a program in the foreground that reads a configuration,
 * logs, runs until a signal, and ends with a status.  Each main.c describes itself with a struct
 * daemon_program and calls daemon_main; it holds nothing else.  litecluster runs several of them in one
 * process, by the calls of which daemon_main is made.
 *
 *   -g DIR    write configuration.yml and the systemd scripts into DIR (scaffold.h)
 *   -c FILE   run with this configuration
 *   -v, -h    version, help
 *
 * SIGTERM and SIGINT stop the service, SIGHUP reopens the logs and takes over the options that can be
 * reloaded.  Exit status: 0 stopped by a signal, 1 it failed, 2 usage or configuration.
 */

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "base/opt.h"

/* A daemon.  The first members are for its service, which may use them until it has stopped. */
struct daemon {
    const struct daemon_program *program;
    char *config_path; // absolute
    void *config;      // the program's struct
    struct log *log;
    const struct clock *clock;
    struct zap
        *zap; // of the process, if several daemons share it; NULL: the service has its own

    void *service; // what start made
    bool running;
    bool on_stderr; // whether the log goes there too
    struct arena arena;
};

/* What a program does once instead of serving, when a row of its command line asks for it. */
struct daemon_task {
    int option;         // the row
    unsigned long with; // rows that may be given with it: 1ul << DAEMON_OPT_CONFIG | ...

    /* Do it.  self has its configuration if -c was given, else config is NULL; it has no log, and main has
     * the only thread.  values are in the order of opt_rows.  0 and the exit status in *status, which is
     * EXIT_SUCCESS before, or an error, which is said on stderr. */
    int (*run) (struct daemon *self, const char *const *values, int *status,
                litedfs_error_t *error);
};

struct daemon_program {
    const char *name;    // "litename"
    const char *service; // "litedfs-name", the systemd service
    const char *title;   // "LiteDFS name node"
    const char *usage;   // for the help, after the program's name

    const struct option_row *options; // keys of configuration.yml
    size_t config_size;               // of the struct that they fill
    size_t log_path_offset;           // its char * and enum log_level members
    size_t log_level_offset;

    /* Options of the command line after -g, -c, -v, -h (rows 0 to 3 must be DAEMON_OPT_ROWS). */
    const struct opt_row *opt_rows;

    /* What it does instead of serving; the row after the last has run NULL.  NULL: nothing. */
    const struct daemon_task *tasks;

    /* Take what the command line said besides -g into a configuration that holds the defaults; values
     * are in the order of opt_rows.  LITEDFS_USAGE or LITEDFS_CONFIG with one line. */
    int (*generate) (const char *const *values, void *config, struct arena *arena,
                     litedfs_error_t *error);

    /* Derive and check what no single row can.  Its error begins with "PATH: KEY: "; the number of the
     * key's line is put into it afterwards. */
    int (*check) (const char *path, void *config, litedfs_error_t *error);

    /* Start and stop the service.  start blocks until it serves or has failed; nothing is left behind
     * when it fails. */
    int (*start) (struct daemon *daemon, void **service, litedfs_error_t *error);
    void (*stop) (void **service);

    /* Called several times a second while it runs, by main's thread; must not block.  NULL: not wanted. */
    void (*tick) (void *service);

    /* The reloadable options of daemon->config have new values. */
    void (*reload) (struct daemon *daemon, void *service);

    /* Whether the service has ended by itself; the daemon then stops with status 1 and says why: what
     * the service puts there, if it knows more than that the log says it. */
    bool (*failed) (void *service, litedfs_error_t *why);
};

/* The first four rows of opt_rows, and where their values are. */
enum {
    DAEMON_OPT_GENERATE,
    DAEMON_OPT_CONFIG,
    DAEMON_OPT_VERSION,
    DAEMON_OPT_HELP,
    DAEMON_OPT_OWN
};
#define DAEMON_OPT_ROWS                                                                        \
    {'g', "generate", "DIR", "write configuration.yml and systemd scripts into DIR"},          \
        {'c', "config", "FILE", "run with this configuration, in the foreground"},             \
        {'v', "version", NULL, "print the version"},                                           \
    {                                                                                          \
        'h', "help", NULL, "print this help"                                                   \
    }

/* The whole of main: returns the exit status. */
int daemon_main (const struct daemon_program *program, int argc, char **argv);

/* Where the program of this name is: beside the one that runs, or this one under another name; just the
 * name if that is not known.  LITEDFS_MEMORY. */
int daemon_program_path (const char *name, struct buf *out, litedfs_error_t *error);

/* ---- its parts, for a process with several daemons ---------------------------------------------- */

/* Write a directory (its absolute path) as -g does: the program's defaults, log_path and data_path below
 * it, and what `fill` sets, which gets context.  Errors as scaffold_write, those of fill and of the
 * program's check. */
int daemon_generate (const struct daemon_program *program, const char *directory,
                     int (*fill) (const void *context, void *config, struct arena *arena,
                                  litedfs_error_t *error),
                     const void *context, litedfs_error_t *error);

/* Read and check a configuration.  *self need not be initialised; whatever the outcome, daemon_close
 * frees it.  LITEDFS_CONFIG with one line, LITEDFS_MEMORY. */
int daemon_load (struct daemon *self, const struct daemon_program *program,
                 const char *config_path, litedfs_error_t *error);

/* Open its log, after process_init_czmq.  Errors as log_open. */
int daemon_open_log (struct daemon *self, bool on_stderr, litedfs_error_t *error);

/* Start its service: blocks until it serves or has failed. */
int daemon_start (struct daemon *self, litedfs_error_t *error);

/* Stop its service if it runs, and log that. */
void daemon_stop (struct daemon *self);

/* Free what it has; of zeroes and after a failed daemon_load, too. */
void daemon_close (struct daemon *self);

/* Wait for SIGTERM or SIGINT, and reload all of them at each SIGHUP.  Returns the number of the signal; 0
 * when timeout_ms are over (-1: they never are); a negative number, with *failed the index of the
 * daemon, when a service has ended by itself. */
int daemon_wait (struct daemon *daemons, size_t count, int timeout_ms, size_t *failed,
                 litedfs_error_t *error);

/* Say on stderr, and in the log of self, what went wrong; self and its log may be NULL.  Returns the exit
 * status. */
int daemon_complain (const struct daemon *self, const char *name, const litedfs_error_t *error);

#endif
