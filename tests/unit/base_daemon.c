/* SPDX-License-Identifier: MIT */
/*
 * base/daemon: the life of a daemon, with a service that only notes what it is told.
 *
 * Each run is a child process, as daemon_main is the whole of a main.
 */
#include "base/daemon.h"

#include "base/err.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

struct config {
    char *log_path;
    enum log_level log_level;
    char *data_path;
    int64_t port;
    char *mode; // "ok", "refuse", "end"
};

static const struct option_row options[] = {
    {.key = "log_level",
     .type = OPTION_LEVEL,
     .offset = offsetof (struct config, log_level),
     .default_text = "INFO",
     .reloadable = true,
     .help = "log level"},
    {.key = "log_path",
     .type = OPTION_PATH,
     .offset = offsetof (struct config, log_path),
     .help = "log directory"},
    {.key = "data_path",
     .type = OPTION_PATH,
     .offset = offsetof (struct config, data_path),
     .help = "data directory"},
    {.key = "http_port",
     .type = OPTION_INT,
     .offset = offsetof (struct config, port),
     .default_text = "9000",
     .min = 1,
     .max = 65535,
     .help = "port"},
    {.key = "mode",
     .type = OPTION_STRING,
     .offset = offsetof (struct config, mode),
     .default_text = "ok",
     .reloadable = true,
     .help = "what the test wants"},
    {0},
};

static const struct opt_row opt_rows[] = {DAEMON_OPT_ROWS,
                                          {0, "http-port", "N", "port"},
                                          {0, "look", NULL, "do something once"},
                                          {0, "at", "WHAT", "with --look"},
                                          {0, NULL, NULL, NULL}};

static int
take_options (const char *const *values, void *config, struct arena *arena,
              litedfs_error_t *error)
{
    const char *port = values[DAEMON_OPT_OWN];
    return port ? conf_set (options, config, "http_port", port, arena, error) : 0;
}

static int
check (const char *path, void *config, litedfs_error_t *error)
{
    const struct config *self = config;
    return self->port == 666 ? err_set (error, LITEDFS_CONFIG, "%s: http_port: no", path) : 0;
}

/* The events go to standard output, which the test reads. */
static void
note (const char *event)
{
    ck_assert_int_eq (write (STDOUT_FILENO, event, strlen (event)), (ssize_t) strlen (event));
}

static int
start (struct daemon *daemon, void **service, litedfs_error_t *error)
{
    const struct config *config = daemon->config;
    if (strcmp (config->mode, "refuse") == 0)
        return err_set (error, LITEDFS_IN_USE, "port %d is taken", (int) config->port);
    *service = daemon;
    note ("started\n");
    return 0;
}

static void
stop (void **service)
{
    *service = NULL;
    note ("stopped\n");
}

static void
reload (struct daemon *daemon, void *service)
{
    const struct config *config = daemon->config;
    ck_assert_ptr_eq (service, daemon);
    note ("reloaded ");
    note (config->mode);
    note ("\n");
}

static bool
failed (void *service, litedfs_error_t *why)
{
    const struct daemon *daemon = service;
    const struct config *config = daemon->config;
    (void) why;
    return strcmp (config->mode, "end") == 0;
}

/* A task: says what it was given, and ends with status 3; "nothing" cannot be looked at. */
static int
look (struct daemon *self, const char *const *values, int *status, litedfs_error_t *error)
{
    const char *at = values[DAEMON_OPT_OWN + 2];

    if (at && strcmp (at, "nothing") == 0)
        return err_set (error, LITEDFS_NOT_FOUND, "there is nothing");
    note (self->config ? "configured " : "bare ");
    note (at ? at : "everything");
    *status = 3;
    return 0;
}

static const struct daemon_task tasks[] = {
    {DAEMON_OPT_OWN + 1, 1ul << DAEMON_OPT_CONFIG | 1ul << (DAEMON_OPT_OWN + 2), look},
    {0, 0, NULL},
};

static const struct daemon_program program = {
    .name = "testd",
    .service = "litedfs-test",
    .title = "Test",
    .usage = "-g DIR | -c FILE",
    .options = options,
    .config_size = sizeof (struct config),
    .log_path_offset = offsetof (struct config, log_path),
    .log_level_offset = offsetof (struct config, log_level),
    .opt_rows = opt_rows,
    .tasks = tasks,
    .generate = take_options,
    .check = check,
    .start = start,
    .stop = stop,
    .reload = reload,
    .failed = failed,
};

/* ---- a run ------------------------------------------------------------------------------------------ */

static char root[64];
static char config_path[192];

static void
setup (void)
{
    strcpy (root, "/tmp/litedfs-daemon-XXXXXX");
    ck_assert_ptr_nonnull (mkdtemp (root));
    snprintf (config_path, sizeof config_path, "%s/configuration.yml", root);
}

static void
teardown (void)
{
    char command[128];
    snprintf (command, sizeof command, "rm -rf '%s'", root);
    ck_assert_int_eq (system (command), 0);
}

struct run {
    pid_t pid;
    int out; // its standard output
    int err;
};

static struct run
start_run (const char *const *arguments)
{
    int out[2], err[2];
    char *argv[8] = {"testd"};
    int argc = 1;

    for (; arguments[argc - 1]; argc++)
        argv[argc] = strdup (arguments[argc - 1]);
    ck_assert_int_eq (pipe (out), 0);
    ck_assert_int_eq (pipe (err), 0);
    pid_t pid = fork ();
    ck_assert_int_ge (pid, 0);
    if (pid == 0) {
        dup2 (out[1], STDOUT_FILENO);
        dup2 (err[1], STDERR_FILENO);
        int status = daemon_main (&program, argc, argv);
        fflush (stdout);
        _exit (status);
    }
    for (int i = 1; i < argc; i++)
        free (argv[i]);
    close (out[1]);
    close (err[1]);
    return (struct run){pid, out[0], err[0]};
}

/* Everything up to the end, or up to the line that is waited for. */
static void
read_until (int fd, const char *line, char *out, size_t size)
{
    size_t got = 0;
    out[0] = 0;
    while (got + 1 < size && !(line && strstr (out, line))) {
        ssize_t n = read (fd, out + got, 1);
        if (n <= 0)
            break;
        got += (size_t) n;
        out[got] = 0;
    }
}

static int
end_run (struct run *run, char *out, char *err, size_t size)
{
    int status;
    read_until (run->out, NULL, out, size);
    read_until (run->err, NULL, err, size);
    ck_assert_int_eq (waitpid (run->pid, &status, 0), run->pid);
    close (run->out);
    close (run->err);
    ck_assert (WIFEXITED (status));
    return WEXITSTATUS (status);
}

static int
whole_run (char out[4096], char err[4096], const char *a, const char *b, const char *c,
           const char *d)
{
    const char *arguments[] = {a, b, c, d, NULL};
    struct run run = start_run (arguments);
    return end_run (&run, out, err, 4096);
}

static void
write_config (const char *more)
{
    FILE *file = fopen (config_path, "w");
    ck_assert_ptr_nonnull (file);
    fprintf (file, "log_path: %s/logs\ndata_path: %s/data\n%s", root, root, more);
    fclose (file);
}

/* ---- cases --------------------------------------------------------------------------------------------- */

START_TEST (generate_writes_a_configuration_with_absolute_paths_that_can_be_run)
{
    char out[4096], err[4096];
    char directory[128];
    snprintf (directory, sizeof directory, "%s/made", root);

    ck_assert_int_eq (whole_run (out, err, "-g", directory, "--http-port", "1234"), 0);
    ck_assert_str_eq (err, "");
    snprintf (config_path, sizeof config_path, "%s/configuration.yml", directory);
    FILE *file = fopen (config_path, "r");
    ck_assert_ptr_nonnull (file);
    size_t got = fread (out, 1, sizeof out - 1, file);
    out[got] = 0;
    fclose (file);
    ck_assert_ptr_nonnull (strstr (out, "http_port: 1234"));
    ck_assert_ptr_nonnull (strstr (out, "/made/data"));
    ck_assert_ptr_nonnull (strstr (out, "/made/logs"));
    ck_assert_int_eq (whole_run (out, err, "-g", directory, NULL, NULL), 1);
    ck_assert_ptr_nonnull (strstr (err, "exists already"));
}
END_TEST

START_TEST (sigterm_stops_the_service_and_the_status_is_0)
{
    const char *arguments[] = {"-c", config_path, NULL};
    char out[4096], err[4096];

    write_config ("");
    struct run run = start_run (arguments);
    read_until (run.out, "started\n", out, sizeof out);
    kill (run.pid, SIGTERM);
    ck_assert_int_eq (end_run (&run, out, err, sizeof out), 0);
    ck_assert_str_eq (out, "stopped\n");
}
END_TEST

START_TEST (sighup_takes_what_can_be_reloaded_and_opens_the_log_anew)
{
    const char *arguments[] = {"-c", config_path, NULL};
    char out[4096], err[4096];
    char log[160], moved[170];

    write_config ("");
    struct run run = start_run (arguments);
    read_until (run.out, "started\n", out, sizeof out);
    snprintf (log, sizeof log, "%s/logs/testd.log", root);
    snprintf (moved, sizeof moved, "%s.1", log);
    ck_assert_int_eq (rename (log, moved), 0);
    write_config ("mode: other\nhttp_port: 77\n");
    kill (run.pid, SIGHUP);
    read_until (run.out, "reloaded other\n", out, sizeof out);
    kill (run.pid, SIGINT);
    ck_assert_int_eq (end_run (&run, out, err, sizeof out), 0);
    FILE *file = fopen (log, "r");
    ck_assert_ptr_nonnull (file);
    size_t got = fread (out, 1, sizeof out - 1, file);
    out[got] = 0;
    fclose (file);
    ck_assert_ptr_nonnull (strstr (out, "a restart is needed for http_port"));
}
END_TEST

START_TEST (a_start_that_fails_is_said_on_stderr_and_in_the_log)
{
    char out[4096], err[4096], log[160];
    write_config ("mode: refuse\n");

    ck_assert_int_eq (whole_run (out, err, "-c", config_path, NULL, NULL), 1);
    ck_assert_str_eq (err, "testd: port 9000 is taken\n");
    snprintf (log, sizeof log, "%s/logs/testd.log", root);
    FILE *file = fopen (log, "r");
    ck_assert_ptr_nonnull (file);
    size_t got = fread (out, 1, sizeof out - 1, file);
    out[got] = 0;
    fclose (file);
    ck_assert_ptr_nonnull (strstr (out, "port 9000 is taken"));
}
END_TEST

START_TEST (a_service_that_ends_by_itself_gives_status_1)
{
    char out[4096], err[4096];
    write_config ("mode: end\n");

    ck_assert_int_eq (whole_run (out, err, "-c", config_path, NULL, NULL), 1);
    ck_assert_str_eq (out, "started\nstopped\n");
}
END_TEST

START_TEST (wrong_usage_and_wrong_configurations_give_one_line_and_status_2)
{
    char out[4096], err[4096];
    const struct {
        const char *a, *b, *c, *d;
    } wrong[] = {
        {NULL, NULL, NULL, NULL},
        {"-g", "x", "-c", "y"},
        {"--nonsense", NULL, NULL, NULL},
        {"-c", config_path, "more", NULL},
        {"-c", config_path, "--http-port", "1"},
        {"-c", "/nowhere/at/all.yml", NULL, NULL},
        {"-c", config_path, NULL, NULL},
    };

    write_config ("http_port: 666\n");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_int_eq (whole_run (out, err, wrong[i].a, wrong[i].b, wrong[i].c, wrong[i].d),
                          2);
        ck_assert_str_eq (out, "");
        ck_assert_ptr_eq (strchr (err, '\n'), err + strlen (err) - 1);
        ck_assert_int_eq (strncmp (err, "testd: ", 7), 0);
    }
}
END_TEST

START_TEST (help_and_version_go_to_standard_output)
{
    char out[4096], err[4096];

    ck_assert_int_eq (whole_run (out, err, "-v", NULL, NULL, NULL), 0);
    ck_assert_str_eq (out, "testd " PACKAGE_VERSION "\n");
    ck_assert_int_eq (whole_run (out, err, "--help", NULL, NULL, NULL), 0);
    ck_assert_ptr_nonnull (strstr (out, "--http-port"));
    ck_assert_str_eq (err, "");
}
END_TEST

START_TEST (a_task_runs_instead_of_the_service_and_says_its_status)
{
    char out[4096], err[4096];

    ck_assert_int_eq (whole_run (out, err, "--look", "--at", "it", NULL), 3);
    ck_assert_str_eq (out, "bare it");
    ck_assert_str_eq (err, "");
    ck_assert_int_eq (whole_run (out, err, "--look", "--at", "nothing", NULL), 1);
    ck_assert_str_eq (err, "testd: there is nothing\n");
    ck_assert_int_eq (whole_run (out, err, "--look", "--http-port", "1", NULL), 2);
    ck_assert_str_eq (err, "testd: --http-port does not go with --look; testd -h tells more\n");
    ck_assert_int_eq (whole_run (out, err, "-g", "/tmp", "--look", NULL), 2);
    ck_assert_str_eq (err, "testd: --generate does not go with --look; testd -h tells more\n");
    ck_assert_int_eq (whole_run (out, err, "-g", "/tmp", "--at", "it"), 2);
    ck_assert_str_eq (err, "testd: --at goes with --look\n");
}
END_TEST

UNIT_MAIN_FIXTURE ("base_daemon", setup, teardown,
                   generate_writes_a_configuration_with_absolute_paths_that_can_be_run,
                   sigterm_stops_the_service_and_the_status_is_0,
                   sighup_takes_what_can_be_reloaded_and_opens_the_log_anew,
                   a_start_that_fails_is_said_on_stderr_and_in_the_log,
                   a_service_that_ends_by_itself_gives_status_1,
                   wrong_usage_and_wrong_configurations_give_one_line_and_status_2,
                   help_and_version_go_to_standard_output,
                   a_task_runs_instead_of_the_service_and_says_its_status)
