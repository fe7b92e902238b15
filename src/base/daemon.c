/* SPDX-License-Identifier: MIT */
/*
 * The life of a daemon: read the command line, then either write a directory (-g) or run (-c).
 * Everything that can be wrong before the service runs is said on stderr in one line, and in the log
 * as soon as there is one.  While it runs, main's thread does nothing but wait for signals.
 */
#include "base/daemon.h"

#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/process.h"
#include "base/scaffold.h"
#include "base/text.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef HAVE_LIBSYSTEMD
#include <systemd/sd-daemon.h>
#else
#define sd_notify(unset, state) ((void) 0)
#endif

#define EXIT_USAGE 2
#define LOOK_MS 200    // how often main looks whether the service has ended by itself
#define IO_THREADS 2   // of ZeroMQ; one connection is served by one of them
#define OPTIONS_MAX 16 // rows of a daemon's command line

/* One line for people: on stderr always, in the log when there is one that is not stderr too. */
static int
complain (const struct daemon *daemon, const char *name, const litedfs_error_t *error)
{
    bool on_terminal = isatty (STDERR_FILENO) == 1;
    char line[4 * sizeof error->text];

    if (daemon && daemon->log)
        log_critical (daemon->log, "%s", error->text);
    if (!daemon || !daemon->log || !on_terminal)
        fprintf (stderr, "%s: %s\n", name,
                 text_escape (error->text, strlen (error->text), line, sizeof line));
    return error->number == LITEDFS_USAGE || error->number == LITEDFS_CONFIG ? EXIT_USAGE
                                                                             : EXIT_FAILURE;
}

/* Where this program is, for the unit that starts it. */
static const char *
own_path (const char *name, char *out, size_t size)
{
    ssize_t got = readlink ("/proc/self/exe", out, size - 1);

    if (got <= 0)
        return name;
    out[got] = '\0';
    return out;
}

static int
set_path (const struct option_row *options, void *config, const char *key,
          const char *directory, const char *below, struct arena *arena, litedfs_error_t *error)
{
    struct buf path = {0};
    buf_printf (&path, "%s/%s", directory, below);
    int rc = conf_set (options, config, key, buf_text (&path), arena, error);
    buf_free (&path);
    return rc;
}

static int
generate_configuration (const struct daemon_program *program, const char *const *values,
                        const char *directory, struct buf *out, litedfs_error_t *error)
{
    struct arena arena = {0};
    void *config = arena_alloc (&arena, program->config_size);
    int rc = config ? conf_defaults (program->options, config, &arena, error)
                    : err_set (error, LITEDFS_MEMORY, "out of memory");

    if (rc == 0)
        rc = set_path (program->options, config, "log_path", directory, "logs", &arena, error);
    if (rc == 0)
        rc = set_path (program->options, config, "data_path", directory, "data", &arena, error);
    if (rc == 0)
        rc = program->generate (values, config, &arena, error);
    if (rc == 0)
        rc = program->check ("-g", config, error);
    if (rc == 0) {
        conf_write (program->options, config, out);
        if (out->failed)
            rc = err_set (error, LITEDFS_MEMORY, "out of memory");
    }
    arena_free (&arena);
    return rc;
}

static int
generate (const struct daemon_program *program, const char *const *values)
{
    char binary[4096];
    char *directory = NULL;
    struct buf configuration = {0};
    litedfs_error_t error;

    int rc = file_absolute (NULL, values[DAEMON_OPT_GENERATE], &directory, &error);
    if (rc == 0)
        rc = generate_configuration (program, values, directory, &configuration, &error);
    if (rc == 0) {
        const struct scaffold scaffold = {
            .directory = directory,
            .program = program->name,
            .service = program->service,
            .title = program->title,
            .binary = own_path (program->name, binary, sizeof binary),
            .configuration = buf_slice (&configuration),
        };
        rc = scaffold_write (&scaffold, &error);
    }
    if (rc == 0)
        printf ("%s: wrote %s/configuration.yml; start it with: %s -c %s/configuration.yml\n",
                program->name, directory, program->name, directory);
    buf_free (&configuration);
    free (directory);
    return rc < 0 ? complain (NULL, program->name, &error) : EXIT_SUCCESS;
}

static void *
member (void *config, size_t offset)
{
    return (char *) config + offset;
}

/* Read and check the configuration. */
static int
load (const struct daemon *daemon, void *config, struct arena *arena, litedfs_error_t *error)
{
    int rc = conf_load (daemon->config_path, daemon->program->options, config, arena, error);

    if (rc == 0) {
        rc = daemon->program->check (daemon->config_path, config, error);
        if (rc < 0)
            conf_add_line (daemon->config_path, daemon->program->options, error);
    }
    return rc;
}

/* SIGHUP: the logs anew, and what can be reloaded.  A file that is wrong changes nothing.  The texts
 * of the configurations before stay until the end: somebody may still look at them. */
static void
reload (struct daemon *daemon, void *service, struct arena *arena)
{
    const struct daemon_program *program = daemon->program;
    litedfs_error_t error;
    struct buf not_taken = {0};

    if (log_reopen (daemon->log, &error) < 0)
        log_error (daemon->log, "cannot reopen the log: %s", error.text);

    void *fresh = arena_alloc (arena, program->config_size);
    if (!fresh || load (daemon, fresh, arena, &error) < 0) {
        log_error (daemon->log, "the configuration stays as it was: %s",
                   fresh ? error.text : "out of memory");
        return;
    }
    size_t changed = conf_reload (program->options, daemon->config, fresh, &not_taken);
    log_set_level (daemon->log,
                   *(enum log_level *) member (daemon->config, program->log_level_offset));
    if (changed > 0 && program->reload)
        program->reload (daemon, service);
    log_info (daemon->log, "reloaded: %zu option%s changed%s%s", changed,
              changed == 1 ? "" : "s", not_taken.size ? "; a restart is needed for " : "",
              buf_text (&not_taken));
    buf_free (&not_taken);
}

/* Wait for what ends the service; 0 for a signal. */
static int
serve (struct daemon *daemon, void *service, struct arena *arena)
{
    litedfs_error_t why;

    err_set (&why, LITEDFS_FAILED, "it has ended by itself; %s/%s.log says why",
             *(char **) member (daemon->config, daemon->program->log_path_offset),
             daemon->program->name);
    sd_notify (0, "READY=1");
    for (;;) {
        int number = process_wait_signal (LOOK_MS);

        if (number == SIGTERM || number == SIGINT) {
            log_info (daemon->log, "stopping: %s", number == SIGTERM ? "SIGTERM" : "SIGINT");
            sd_notify (0, "STOPPING=1");
            return EXIT_SUCCESS;
        }
        if (number == SIGHUP)
            reload (daemon, service, arena);
        if (daemon->program->failed (service, &why))
            return complain (daemon, daemon->program->name, &why);
    }
}

static int
run_service (struct daemon *daemon, struct arena *arena)
{
    void *service = NULL;
    litedfs_error_t error;

    if (daemon->program->start (daemon, &service, &error) < 0)
        return complain (daemon, daemon->program->name, &error);

    int status = serve (daemon, service, arena);
    daemon->program->stop (&service);
    log_info (daemon->log, "stopped");
    return status;
}

static int
run (const struct daemon_program *program, const char *config_path)
{
    struct arena arena = {0};
    struct daemon daemon = {.program = program, .clock = clock_system ()};
    char *path = NULL;
    litedfs_error_t error;

    int rc = file_absolute (NULL, config_path, &path, &error);
    daemon.config_path = path;
    daemon.config = arena_alloc (&arena, program->config_size);
    if (rc == 0 && !daemon.config)
        rc = err_set (&error, LITEDFS_MEMORY, "out of memory");
    if (rc == 0)
        rc = FAULT_INIT (&error);
    if (rc == 0)
        rc = load (&daemon, daemon.config, &arena, &error);
    if (rc == 0)
        rc = process_init (IO_THREADS, &error);
    if (rc == 0)
        rc = log_open (&daemon.log, *(char **) member (daemon.config, program->log_path_offset),
                       program->name,
                       *(enum log_level *) member (daemon.config, program->log_level_offset),
                       isatty (STDERR_FILENO) == 1, &error);

    int status =
        rc < 0 ? complain (&daemon, program->name, &error) : run_service (&daemon, &arena);
    process_end ();
    log_close (&daemon.log);
    free (path);
    arena_free (&arena);
    return status;
}

static int
print_help (const struct daemon_program *program)
{
    struct buf usage = {0};
    buf_printf (&usage, "%s %s", program->name, program->usage);
    opt_help (program->opt_rows, buf_text (&usage), stdout);
    buf_free (&usage);
    return EXIT_SUCCESS;
}

/* The options of -g make no sense with -c. */
static int
check_together (const struct daemon_program *program, const char *const *values,
                litedfs_error_t *error)
{
    if (!values[DAEMON_OPT_GENERATE] == !values[DAEMON_OPT_CONFIG])
        return err_set (error, LITEDFS_USAGE, "say either -g DIR or -c FILE; %s -h tells more",
                        program->name);
    for (size_t i = DAEMON_OPT_OWN; program->opt_rows[i].name; i++)
        if (values[i] && values[DAEMON_OPT_CONFIG])
            return err_set (error, LITEDFS_USAGE,
                            "--%s goes with -g; with -c the configuration says it",
                            program->opt_rows[i].name);
    return 0;
}

int
daemon_main (const struct daemon_program *program, int argc, char **argv)
{
    const char *values[OPTIONS_MAX] = {NULL};
    int first = 0;
    litedfs_error_t error;

    if (opt_parse (program->opt_rows, argc, argv, values, &first, &error) < 0)
        return complain (NULL, program->name, &error);
    if (values[DAEMON_OPT_HELP])
        return print_help (program);
    if (values[DAEMON_OPT_VERSION]) {
        printf ("%s %s\n", program->name, PACKAGE_VERSION);
        return EXIT_SUCCESS;
    }
    if (first < argc)
        err_set (&error, LITEDFS_USAGE, "%s: not understood; %s -h tells more", argv[first],
                 program->name);
    else if (check_together (program, values, &error) == 0)
        return values[DAEMON_OPT_GENERATE] ? generate (program, values)
                                           : run (program, values[DAEMON_OPT_CONFIG]);
    return complain (NULL, program->name, &error);
}
