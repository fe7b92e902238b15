/* SPDX-License-Identifier: MIT */
/*
 * namenode/backups: copies are made in time, and the last few kept.  The program that makes them is a
 * script here.
 */
#include "namenode/backups.h"

#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

#define HOUR_MS ((int64_t) 3600000)
#define NOON_MS ((int64_t) 1796040000000) // 2026-11-30 12:00:00

static char root[] = "/tmp/litedfs-backups-XXXXXX";
static char directory[64], program[64], made[64];
static struct fake_clock fake;
static struct backups *backups;
static struct log *events;

static int
remove_one (const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void) status;
    (void) type;
    (void) where;
    return remove (path);
}

static void
write_text (const char *path, const char *text, unsigned mode)
{
    litedfs_error_t error;

    ck_assert_int_eq (file_write_atomic (path, text, strlen (text), mode, &error), 0);
}

/* What is run instead of litename --backup TARGET -c CONFIG. */
static void
program_is (const char *text)
{
    char script[512];

    snprintf (script, sizeof script, "#!/bin/sh\n%s\n", text);
    write_text (program, script, 0755);
}

static void
start (void)
{
    const struct backups_options options = {.program = program,
                                            .config_path = "/the/configuration.yml",
                                            .made = made,
                                            .directory = directory,
                                            .interval_ms = 6 * HOUR_MS,
                                            .keep = 2,
                                            .log = events,
                                            .clock = &fake.clock};
    litedfs_error_t error;

    backups_destroy (&backups);
    ck_assert_int_eq (backups_new (&backups, &options, &error), 0);
}

static void
setup (void)
{
    char logs[96];

    ck_assert_ptr_nonnull (mkdtemp (root));
    snprintf (directory, sizeof directory, "%s/copies", root);
    snprintf (program, sizeof program, "%s/litename", root);
    snprintf (made, sizeof made, "%s/VERSION", root);
    write_text (made, "", 0644);
    const struct timespec times[2] = {{NOON_MS / 1000, 0}, {NOON_MS / 1000, 0}};
    ck_assert_int_eq (utimensat (AT_FDCWD, made, times, 0), 0);
    snprintf (logs, sizeof logs, "%s/logs", root);
    ck_assert_int_eq (log_open (&events, logs, "test", LOG_LEVEL_INFO, false, NULL), 0);
    fake_clock_init (&fake, 5000, NOON_MS);
    program_is ("mkdir -p $2 && echo $4 > $2/COPY");
    start ();
}

static void
teardown (void)
{
    backups_destroy (&backups);
    log_close (&events);
    nftw (root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int
copies (void)
{
    int count = 0;
    struct dirent *entry;
    DIR *open = opendir (directory);

    while (open && (entry = readdir (open)))
        count += entry->d_name[0] != '.';
    if (open)
        closedir (open);
    return count;
}

static bool
has (const char *name)
{
    char path[128];

    snprintf (path, sizeof path, "%s/%s", directory, name);
    return access (path, F_OK) == 0;
}

/* How many lines of the log have this. */
static int
logged (const char *part)
{
    struct buf text = {0};
    char path[96];
    int count = 0;

    snprintf (path, sizeof path, "%s/logs/test.log", root);
    ck_assert_int_eq (file_read_all (path, 1 << 20, &text, NULL), 0);
    for (const char *at = buf_text (&text); (at = strstr (at, part)); at++)
        count++;
    buf_free (&text);
    return count;
}

/* Tick until the log has one more line with this. */
static void
tick_until_logged (const char *part)
{
    int before = logged (part);

    for (int i = 0; i < 3000; i++) {
        backups_tick (backups);
        if (logged (part) > before)
            return;
        poll (NULL, 0, 10);
    }
    ck_abort_msg ("not logged: %s", part);
}

/* Tick until this copy is there and its process has ended. */
static void
tick_until (const char *name)
{
    tick_until_logged ("metadata copied");
    ck_assert (has (name));
}

START_TEST (names_are_times_and_nothing_else_is_a_name)
{
    static const char *const none[] = {"",
                                       "20261130",
                                       "20261130-1200000",
                                       "20261330-120000",
                                       "20261130-120000.partial",
                                       "monday",
                                       "../../../../etc"};
    char name[BACKUPS_NAME_SIZE];
    int64_t wall_ms;

    ck_assert_str_eq (backups_name (NOON_MS + 999, name), "20261130-120000");
    ck_assert (backups_time (name, &wall_ms));
    ck_assert_int_eq (wall_ms, NOON_MS);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        ck_assert (!backups_time (none[i], &wall_ms));
}
END_TEST

START_TEST (the_first_copy_is_due_an_interval_after_the_store_was_made)
{
    fake_clock_advance (&fake, 6 * HOUR_MS - 1);
    backups_tick (backups);
    backups_tick (backups);
    ck_assert_int_eq (copies (), 0);
    fake_clock_advance (&fake, 1);
    tick_until ("20261130-180000/COPY");
    ck_assert_int_eq (copies (), 1);
}
END_TEST

START_TEST (the_last_ones_are_kept_and_other_names_left_alone)
{
    char path[128];

    snprintf (path, sizeof path, "%s/mine", directory);
    ck_assert_int_eq (mkdir (directory, 0755), 0);
    ck_assert_int_eq (mkdir (path, 0755), 0);
    snprintf (path, sizeof path, "%s/20261130-170000.partial", directory);
    ck_assert_int_eq (mkdir (path, 0755), 0);
    fake_clock_advance (&fake, 6 * HOUR_MS);
    tick_until ("20261130-180000/COPY");
    ck_assert (!has ("20261130-170000.partial"));
    fake_clock_advance (&fake, 6 * HOUR_MS);
    tick_until ("20261201-000000/COPY");
    fake_clock_advance (&fake, 6 * HOUR_MS);
    tick_until ("20261201-060000/COPY");
    ck_assert (!has ("20261130-180000"));
    ck_assert (has ("20261201-000000/COPY"));
    ck_assert (has ("mine"));
    ck_assert_int_eq (copies (), 3);
}
END_TEST

START_TEST (a_restart_does_not_put_it_off_and_begins_none_at_once)
{
    fake_clock_advance (&fake, 7 * HOUR_MS); // the store is older than an interval
    start ();
    fake_clock_advance (&fake, 59999);
    backups_tick (backups);
    backups_tick (backups);
    ck_assert_int_eq (copies (), 0);
    fake_clock_advance (&fake, 1);
    tick_until ("20261130-190100/COPY");
    start ();
    fake_clock_advance (&fake, 6 * HOUR_MS - 61000);
    backups_tick (backups);
    ck_assert_int_eq (copies (), 1);
}
END_TEST

START_TEST (one_that_fails_is_tried_again_in_a_while)
{
    program_is ("echo no room >&2; exit 1");
    fake_clock_advance (&fake, 6 * HOUR_MS);
    tick_until_logged ("the metadata were not copied: no room");
    program_is ("mkdir -p $2 && echo $4 > $2/COPY");
    fake_clock_advance (&fake, 599000);
    for (int i = 0; i < 5; i++)
        backups_tick (backups);
    ck_assert_int_eq (copies (), 0);
    fake_clock_advance (&fake, 2000);
    tick_until ("20261130-181001/COPY");
    unlink (program); // it cannot even be started: the process goes on
    fake_clock_advance (&fake, 6 * HOUR_MS);
    tick_until_logged ("the metadata were not copied");
    ck_assert_int_eq (copies (), 1);
}
END_TEST

START_TEST (a_copy_under_way_ends_with_us)
{
    char path[256];
    snprintf (path, sizeof path,
              "trap 'touch %s/given-up; exit 1' TERM; touch %s/begun; "
              "while :; do sleep 0.05; done",
              root, root);
    program_is (path);
    snprintf (directory, sizeof directory, "%s", root);
    start ();
    fake_clock_advance (&fake, 6 * HOUR_MS);
    for (int i = 0; i < 3000 && !has ("begun"); i++) {
        backups_tick (backups);
        poll (NULL, 0, 10);
    }
    backups_destroy (&backups);
    ck_assert (has ("given-up"));
}
END_TEST

UNIT_MAIN_FIXTURE ("namenode_backups", setup, teardown,
                   names_are_times_and_nothing_else_is_a_name,
                   the_first_copy_is_due_an_interval_after_the_store_was_made,
                   the_last_ones_are_kept_and_other_names_left_alone,
                   a_restart_does_not_put_it_off_and_begins_none_at_once,
                   one_that_fails_is_tried_again_in_a_while, a_copy_under_way_ends_with_us)
