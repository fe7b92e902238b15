/* SPDX-License-Identifier: MIT */
/*
 * The life of a daemon: read the command line, then either write a directory (-g) or run (-c).
 * Everything that can be wrong before the service runs is said on stderr in one line, and in the log
 * as soon as there is one.  While it runs, main's thread does nothing but wait for signals.
 *
 * The parts are calls of their own, over one daemon or over several, for litecluster.
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

int
daemon_complain (const struct daemon *self, const char *name, const litedfs_error_t *error)
{
    char line[4 * sizeof error->text];

    if (self && self->log)
        log_critical (self->log, "%s", error->text);
    if (!self || !self->log || !self->on_stderr)
        fprintf (stderr, "%s: %s\n", name,
                 text_escape (error->text, strlen (error->text), line, sizeof line));
    return error->number == LITEDFS_USAGE || error->number == LITEDFS_CONFIG ? EXIT_USAGE
                                                                             : EXIT_FAILURE;
}

int
daemon_program_path (const char *name, struct buf *out, litedfs_error_t *error)
{
    char own[4096];
    ssize_t size = readlink ("/proc/self/exe", own, sizeof own - 1);

    own[size > 0 ? size : 0] = '\0';
    char *slash = strrchr (own, '/');
    if (slash)
        buf_printf (out, "%.*s/%s", (int) (slash - own), own, name);
    if (!slash || access (buf_text (out), X_OK) < 0) {
        out->size = 0;
        buf_printf (out, "%s", slash ? own : name);
    }
    return out->failed ? err_set (error, LITEDFS_MEMORY, "out of memory") : 0;
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

/* Make the text of a configuration: defaults, paths below the directory, what fill says. */
static int
write_configuration (const struct daemon_program *program, const char *directory,
                     int (*fill) (const void *context, void *config, struct arena *arena,
                                  litedfs_error_t *error),
                     const void *context, struct buf *out, litedfs_error_t *error)
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
        rc = fill (context, config, &arena, error);
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

int
daemon_generate (const struct daemon_program *program, const char *directory,
                 int (*fill) (const void *context, void *config, struct arena *arena,
                              litedfs_error_t *error),
                 const void *context, litedfs_error_t *error)
{
    struct buf binary = {0};
    struct buf configuration = {0};

    int rc = daemon_program_path (program->name, &binary, error);
    if (rc == 0)
        rc = write_configuration (program, directory, fill, context, &configuration, error);
    if (rc == 0) {
        const struct scaffold scaffold = {
            .directory = directory,
            .program = program->name,
            .service = program->service,
            .title = program->title,
            .binary = buf_text (&binary),
            .configuration = buf_slice (&configuration),
        };
        rc = scaffold_write (&scaffold, error);
    }
    buf_free (&binary);
    buf_free (&configuration);
    return rc;
}

/* What -g is told stands in the options of the command line. */
struct command_line {
    const struct daemon_program *program;
    const char *const *values;
};

static int
fill_from_command_line (const void *context, void *config, struct arena *arena,
                        litedfs_error_t *error)
{
    const struct command_line *line = context;

    return line->program->generate (line->values, config, arena, error);
}

static int
generate (const struct daemon_program *program, const char *const *values)
{
    const struct command_line line = {.program = program, .values = values};
    char *directory = NULL;
    litedfs_error_t error;

    int rc = file_absolute (NULL, values[DAEMON_OPT_GENERATE], &directory, &error);
    if (rc == 0)
        rc = daemon_generate (program, directory, fill_from_command_line, &line, &error);
    if (rc == 0)
        printf ("%s: wrote %s/configuration.yml; start it with: %s -c %s/configuration.yml\n",
                program->name, directory, program->name, directory);
    free (directory);
    return rc < 0 ? daemon_complain (NULL, program->name, &error) : EXIT_SUCCESS;
}

static void *
member (void *config, size_t offset)
{
    return (char *) config + offset;
}

static const char *
log_directory (const struct daemon *self)
{
    return *(char **) member (self->config, self->program->log_path_offset);
}

static enum log_level
configured_level (const struct daemon *self)
{
    return *(enum log_level *) member (self->config, self->program->log_level_offset);
}

/* Read and check the configuration. */
static int
read_configuration (const struct daemon *self, void *config, struct arena *arena,
                    litedfs_error_t *error)
{
    int rc = conf_load (self->config_path, self->program->options, config, arena, error);

    if (rc == 0) {
        rc = self->program->check (self->config_path, config, error);
        if (rc < 0)
            conf_add_line (self->config_path, self->program->options, error);
    }
    return rc;
}

int
daemon_load (struct daemon *self, const struct daemon_program *program, const char *config_path,
             litedfs_error_t *error)
{
    *self = (struct daemon){.program = program, .clock = clock_system ()};
    int rc = file_absolute (NULL, config_path, &self->config_path, error);
    if (rc < 0)
        return rc;
    self->config = arena_alloc (&self->arena, program->config_size);
    if (!self->config)
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    return read_configuration (self, self->config, &self->arena, error);
}

int
daemon_open_log (struct daemon *self, bool on_stderr, litedfs_error_t *error)
{
    self->on_stderr = on_stderr;
    return log_open (&self->log, log_directory (self), self->program->name,
                     configured_level (self), on_stderr, error);
}

int
daemon_start (struct daemon *self, litedfs_error_t *error)
{
    int rc = self->program->start (self, &self->service, error);

    self->running = rc == 0;
    return rc;
}

void
daemon_stop (struct daemon *self)
{
    if (!self->running)
        return;
    self->running = false;
    self->program->stop (&self->service);
    log_info (self->log, "stopped");
}

void
daemon_close (struct daemon *self)
{
    log_close (&self->log);
    free (self->config_path);
    self->config_path = NULL;
    arena_free (&self->arena);
}

/* SIGHUP: the logs anew, and what can be reloaded.  A file that is wrong changes nothing.  The texts
 * of the configurations before stay until the end: somebody may still look at them. */
static void
reload (struct daemon *self)
{
    const struct daemon_program *program = self->program;
    litedfs_error_t error;
    struct buf not_taken = {0};

    if (log_reopen (self->log, &error) < 0)
        log_error (self->log, "cannot reopen the log: %s", error.text);

    void *fresh = arena_alloc (&self->arena, program->config_size);
    if (!fresh || read_configuration (self, fresh, &self->arena, &error) < 0) {
        log_error (self->log, "the configuration stays as it was: %s",
                   fresh ? error.text : "out of memory");
        return;
    }
    size_t changed = conf_reload (program->options, self->config, fresh, &not_taken);
    log_set_level (self->log, configured_level (self));
    if (changed > 0 && program->reload)
        program->reload (self, self->service);
    log_info (self->log, "reloaded: %zu option%s changed%s%s", changed, changed == 1 ? "" : "s",
              not_taken.size ? "; a restart is needed for " : "", buf_text (&not_taken));
    buf_free (&not_taken);
}

/* Whether a service has ended by itself, and why as far as is known. */
static bool
has_ended (const struct daemon *self, litedfs_error_t *why)
{
    err_set (why, LITEDFS_FAILED, "it has ended by itself; %s/%s.log says why",
             log_directory (self), self->program->name);
    return self->program->failed (self->service, why);
}

int
daemon_wait (struct daemon *daemons, size_t count, int timeout_ms, size_t *failed,
             litedfs_error_t *error)
{
    int64_t end_ms = clock_mono (clock_system ()) + timeout_ms;

    for (;;) {
        int64_t left_ms = timeout_ms < 0 ? LOOK_MS : end_ms - clock_mono (clock_system ());
        int number = process_wait_signal (left_ms < 0         ? 0
                                          : left_ms < LOOK_MS ? (int) left_ms
                                                              : LOOK_MS);

        if (number == SIGTERM || number == SIGINT) {
            for (size_t i = 0; i < count; i++)
                log_info (daemons[i].log, "stopping: %s",
                          number == SIGTERM ? "SIGTERM" : "SIGINT");
            return number;
        }
        for (size_t i = 0; number == SIGHUP && i < count; i++)
            reload (&daemons[i]);
        for (size_t i = 0; i < count; i++)
            if (daemons[i].running && daemons[i].program->tick)
                daemons[i].program->tick (daemons[i].service);
        for (*failed = 0; *failed < count; ++*failed)
            if (has_ended (&daemons[*failed], error))
                return error->number;
        if (number == 0 && left_ms <= 0)
            return 0;
    }
}

/* Serve until the end. */
static int
serve (struct daemon *self)
{
    litedfs_error_t why;
    size_t failed;

    sd_notify (0, "READY=1");
    int rc = daemon_wait (self, 1, -1, &failed, &why);
    if (rc < 0)
        return daemon_complain (self, self->program->name, &why);
    sd_notify (0, "STOPPING=1");
    return EXIT_SUCCESS;
}

static int
run (const struct daemon_program *program, const char *config_path)
{
    struct daemon self = {0};
    litedfs_error_t error;

    int rc = FAULT_INIT (&error);
    if (rc == 0)
        rc = daemon_load (&self, program, config_path, &error);
    if (rc == 0)
        rc = process_init_czmq (IO_THREADS, &error);
    if (rc == 0)
        rc = daemon_open_log (&self, isatty (STDERR_FILENO) == 1, &error);
    if (rc == 0)
        rc = daemon_start (&self, &error);

    int status = rc < 0 ? daemon_complain (&self, program->name, &error) : serve (&self);
    daemon_stop (&self);
    process_end ();
    daemon_close (&self);
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

/* The task that a row is for, or NULL. */
static const struct daemon_task *
task_of_row (const struct daemon_program *program, size_t row)
{
    for (const struct daemon_task *task = program->tasks; task && task->run; task++)
        if (row >= DAEMON_OPT_OWN && task->with >> row & 1)
            return task;
    return NULL;
}

/* The options of -g make no sense with -c, and those of a task with neither. */
static int
check_together (const struct daemon_program *program, const char *const *values,
                litedfs_error_t *error)
{
    if (!values[DAEMON_OPT_GENERATE] == !values[DAEMON_OPT_CONFIG])
        return err_set (error, LITEDFS_USAGE, "say either -g DIR or -c FILE; %s -h tells more",
                        program->name);
    for (size_t i = DAEMON_OPT_OWN; program->opt_rows[i].name; i++) {
        const struct daemon_task *task = task_of_row (program, i);
        if (values[i] && task)
            return err_set (error, LITEDFS_USAGE, "--%s goes with --%s",
                            program->opt_rows[i].name, program->opt_rows[task->option].name);
        if (values[i] && values[DAEMON_OPT_CONFIG])
            return err_set (error, LITEDFS_USAGE,
                            "--%s goes with -g; with -c the configuration says it",
                            program->opt_rows[i].name);
    }
    return 0;
}

/* The task that the command line asks for, or NULL. */
static const struct daemon_task *
find_task (const struct daemon_program *program, const char *const *values)
{
    for (const struct daemon_task *task = program->tasks; task && task->run; task++)
        if (values[task->option])
            return task;
    return NULL;
}

static int
check_task (const struct daemon_program *program, const struct daemon_task *task,
            const char *const *values, litedfs_error_t *error)
{
    for (int i = 0; program->opt_rows[i].name; i++)
        if (values[i] && i != task->option && !(task->with >> i & 1))
            return err_set (
                error, LITEDFS_USAGE, "--%s does not go with --%s; %s -h tells more",
                program->opt_rows[i].name, program->opt_rows[task->option].name, program->name);
    return 0;
}

/* Do a task and nothing else. */
static int
run_task (const struct daemon_program *program, const struct daemon_task *task,
          const char *const *values)
{
    struct daemon self = {.program = program, .clock = clock_system ()};
    int status = EXIT_SUCCESS;
    litedfs_error_t error;

    int rc = check_task (program, task, values, &error);
    if (rc == 0)
        rc = FAULT_INIT (&error);
    if (rc == 0 && values[DAEMON_OPT_CONFIG])
        rc = daemon_load (&self, program, values[DAEMON_OPT_CONFIG], &error);
    if (rc == 0)
        rc = task->run (&self, values, &status, &error);
    if (rc < 0)
        status = daemon_complain (NULL, program->name, &error);
    daemon_close (&self);
    return status;
}

int
daemon_main (const struct daemon_program *program, int argc, char **argv)
{
    const char *values[OPTIONS_MAX] = {NULL};
    int first = 0;
    litedfs_error_t error;

    if (opt_parse (program->opt_rows, argc, argv, values, &first, &error) < 0)
        return daemon_complain (NULL, program->name, &error);
    if (values[DAEMON_OPT_HELP])
        return print_help (program);
    if (values[DAEMON_OPT_VERSION]) {
        printf ("%s %s\n", program->name, PACKAGE_VERSION);
        return EXIT_SUCCESS;
    }
    const struct daemon_task *task = find_task (program, values);
    if (first < argc)
        err_set (&error, LITEDFS_USAGE, "%s: not understood; %s -h tells more", argv[first],
                 program->name);
    else if (task)
        return run_task (program, task, values);
    else if (check_together (program, values, &error) == 0)
        return values[DAEMON_OPT_GENERATE] ? generate (program, values)
                                           : run (program, values[DAEMON_OPT_CONFIG]);
    return daemon_complain (NULL, program->name, &error);
}
