/* SPDX-License-Identifier: MIT */
/*
 * base/log: one whole line an event whoever writes, nothing forged, and a disk that fails stops
 * nobody.
 */
#include "base/log.h"

#include "base/buf.h"
#include "base/file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

static char directory[64];
static struct buf text;

static void
setup (void)
{
    strcpy (directory, "/tmp/litedfs-log-XXXXXX");
    ck_assert_ptr_nonnull (mkdtemp (directory));
    ck_assert_int_eq (chdir (directory), 0);
}

static void
teardown (void)
{
    char command[128];
    snprintf (command, sizeof command, "rm -rf '%s'", directory);
    ck_assert_int_eq (chdir ("/"), 0);
    ck_assert_int_eq (system (command), 0);
    buf_free (&text);
}

static struct log *
open_log (enum log_level level)
{
    struct log *log = NULL;
    litedfs_error_t error;
    int rc = log_open (&log, "logs", "node", level, false, &error);
    ck_assert_msg (rc == 0, "%s", error.text);
    return log;
}

static const char *
read_log (const char *path)
{
    buf_clear (&text);
    ck_assert_int_eq (file_read_all (path, BUF_MAX, &text, NULL), 0);
    return buf_text (&text);
}

static int
count_lines (const char *lines)
{
    int count = 0;
    for (; *lines; lines++)
        count += *lines == '\n';
    return count;
}

START_TEST (a_line_has_time_level_source_and_text)
{
    struct log *log = open_log (LOG_LEVEL_INFO);

    log_info (log, "node %d is online", 3);
    log_close (&log);
    ck_assert_ptr_null (log);

    const char *line = read_log ("logs/node.log");
    static const char shape[] = "dddd-dd-dd dd:dd:dd.ddd INFO  base_log: node 3 is online\n";
    ck_assert_uint_eq (strlen (line), strlen (shape));
    for (size_t i = 0; i < 23; i++)
        ck_assert (shape[i] == 'd' ? isdigit ((unsigned char) line[i]) : line[i] == shape[i]);
    ck_assert_str_eq (line + 23, shape + 23);
}
END_TEST

START_TEST (a_debug_line_says_its_source_line)
{
    struct log *log = open_log (LOG_LEVEL_DEBUG);
    char expected[64];

    log_debug (log, "x");
    snprintf (expected, sizeof expected, " DEBUG base_log:%d: x\n", __LINE__ - 1);
    log_write (log, LOG_LEVEL_CRITICAL, "a/b/blockstore.c", 7, "y");
    log_close (&log);
    ck_assert_ptr_nonnull (strstr (read_log ("logs/node.log"), expected));
    ck_assert_ptr_nonnull (strstr (buf_text (&text), " CRITICAL blockstore: y\n"));
}
END_TEST

START_TEST (lines_below_the_level_are_not_written)
{
    struct log *log = open_log (LOG_LEVEL_WARNING);

    log_debug (log, "no");
    log_info (log, "no");
    log_warning (log, "yes");
    log_error (log, "yes");
    log_critical (log, "yes");
    ck_assert (!log_enabled (log, LOG_LEVEL_INFO));
    log_set_level (log, LOG_LEVEL_NOSET);
    ck_assert (log_enabled (log, LOG_LEVEL_DEBUG));
    log_debug (log, "yes");
    log_close (&log);
    ck_assert_int_eq (count_lines (read_log ("logs/node.log")), 4);
    ck_assert_ptr_null (strstr (buf_text (&text), ": no"));
}
END_TEST

START_TEST (nobody_can_forge_a_line)
{
    struct log *log = open_log (LOG_LEVEL_INFO);

    log_info (log, "file[%s]", "a\n2026-11-23 05:51:39.123 INFO  x: forged\x1b[2J\xff");
    log_close (&log);
    ck_assert_int_eq (count_lines (read_log ("logs/node.log")), 1);
    ck_assert_ptr_nonnull (strstr (buf_text (&text), "[a\\n2026-"));
    ck_assert_ptr_nonnull (strstr (buf_text (&text), "\\x1b[2J\\xff]\n"));
}
END_TEST

START_TEST (a_line_that_is_too_long_is_cut_visibly)
{
    struct log *log = open_log (LOG_LEVEL_INFO);
    char *bytes = malloc (3 * LOG_LINE_MAX);

    memset (bytes, 'x', 3 * LOG_LINE_MAX - 1);
    bytes[3 * LOG_LINE_MAX - 1] = 0;
    log_info (log, "%s", bytes);
    memset (bytes, '\n', LOG_LINE_MAX - 200); // fits before it is escaped
    bytes[LOG_LINE_MAX - 200] = 0;
    log_info (log, "%s", bytes);
    log_info (log, "next");
    log_close (&log);

    const char *first = read_log ("logs/node.log");
    const char *end = strchr (first, '\n');
    ck_assert_int_eq (end - first + 1, LOG_LINE_MAX);
    ck_assert_int_eq (strncmp (end - 4, "x...\n", 5), 0);
    ck_assert_int_eq (count_lines (first), 3);
    free (bytes);
}
END_TEST

START_TEST (no_log_is_silent)
{
    struct log *log = NULL;

    log_critical (log, "nobody hears %d", 1);
    log_set_level (log, LOG_LEVEL_DEBUG);
    ck_assert (!log_enabled (log, LOG_LEVEL_CRITICAL));
    ck_assert_int_eq (log_reopen (log, NULL), 0);
    log_close (&log);
}
END_TEST

START_TEST (writing_keeps_errno)
{
    struct log *log = open_log (LOG_LEVEL_INFO);

    errno = EXDEV;
    log_info (log, "x");
    ck_assert_int_eq (errno, EXDEV);
    log_close (&log);
    ck_assert_int_eq (errno, EXDEV);
}
END_TEST

START_TEST (lines_go_to_stderr_with_and_without_a_file)
{
    struct log *log = NULL;
    int fds[2];
    int saved = dup (STDERR_FILENO);
    char bytes[512] = "";

    ck_assert_int_eq (pipe (fds), 0);
    ck_assert_int_eq (log_open (&log, NULL, "node", LOG_LEVEL_INFO, true, NULL), 0);
    dup2 (fds[1], STDERR_FILENO);
    log_info (log, "to people");
    ck_assert_int_eq (log_reopen (log, NULL), 0);
    log_close (&log);
    dup2 (saved, STDERR_FILENO);
    ck_assert_int_gt (read (fds[0], bytes, sizeof bytes - 1), 0);
    ck_assert_ptr_nonnull (strstr (bytes, " INFO  base_log: to people\n"));
    ck_assert (isdigit ((unsigned char) bytes[0]));
}
END_TEST

START_TEST (a_reopened_log_begins_a_new_file)
{
    struct log *log = open_log (LOG_LEVEL_INFO);

    log_info (log, "first");
    ck_assert_int_eq (rename ("logs/node.log", "logs/node.log.1"), 0);
    log_info (log, "second");
    ck_assert_int_eq (log_reopen (log, NULL), 0);
    log_info (log, "third");
    log_close (&log);
    ck_assert_int_eq (count_lines (read_log ("logs/node.log.1")), 2);
    ck_assert_int_eq (count_lines (read_log ("logs/node.log")), 1);
    ck_assert_ptr_nonnull (strstr (buf_text (&text), "third"));
}
END_TEST

START_TEST (what_is_in_the_file_stays_even_if_somebody_else_writes_there)
{
    struct log *log = open_log (LOG_LEVEL_INFO);
    struct log *other = open_log (LOG_LEVEL_INFO);

    log_info (log, "one");
    log_info (other, "two");
    log_info (log, "three");
    ck_assert_int_eq (count_lines (read_log ("logs/node.log")), 3);

    ck_assert_int_eq (truncate ("logs/node.log", 0), 0); // logrotate's copytruncate
    log_info (log, "four");
    log_close (&log);
    log_close (&other);
    ck_assert (isdigit ((unsigned char) read_log ("logs/node.log")[0]));
    ck_assert_int_eq (count_lines (buf_text (&text)), 1);
}
END_TEST

START_TEST (a_log_that_cannot_be_reopened_goes_on)
{
    struct log *log = open_log (LOG_LEVEL_INFO);
    litedfs_error_t error;

    ck_assert_int_eq (rename ("logs", "moved"), 0);
    ck_assert_int_lt (log_reopen (log, &error), 0);
    ck_assert_ptr_nonnull (strstr (error.text, "log[logs/node.log]: "));
    log_info (log, "still here");
    log_close (&log);
    ck_assert_int_eq (count_lines (read_log ("moved/node.log")), 1);
}
END_TEST

START_TEST (a_log_that_cannot_be_opened_says_why)
{
    struct log *log = NULL;
    litedfs_error_t error;
    int fd = open ("file", O_CREAT | O_WRONLY, 0600);

    close (fd);
    ck_assert_int_eq (log_open (&log, "file/x", "node", 0, false, &error),
                      LITEDFS_NOT_DIRECTORY);
    ck_assert_ptr_nonnull (strstr (error.text, "[file]: "));
    ck_assert_int_eq (mkdir ("d", 0700), 0);
    ck_assert_int_eq (mkdir ("d/node.log", 0700), 0);
    ck_assert_int_eq (log_open (&log, "d", "node", 0, false, &error), LITEDFS_IO);
    ck_assert_ptr_nonnull (strstr (error.text, "log[d/node.log]: "));
    ck_assert_ptr_null (log);
}
END_TEST

START_TEST (lines_that_a_full_disk_took_are_counted_and_told)
{
    struct log *log = NULL;

    ck_assert_int_eq (mkdir ("logs", 0700), 0);
    ck_assert_int_eq (symlink ("/dev/full", "logs/node.log"), 0);
    log = open_log (LOG_LEVEL_INFO);
    log_info (log, "lost");
    log_info (log, "lost");
    log_info (log, "lost");
    ck_assert_int_eq (unlink ("logs/node.log"), 0);
    ck_assert_int_eq (log_reopen (log, NULL), 0);
    log_info (log, "works");
    log_info (log, "again");
    log_close (&log);

    ck_assert_int_eq (count_lines (read_log ("logs/node.log")), 3);
    ck_assert_ptr_nonnull (
        strstr (buf_text (&text), " ERROR log: 3 lines were lost: No space left on device\n"));
    ck_assert_ptr_null (strstr (buf_text (&text), "lost\n"));
}
END_TEST

START_TEST (a_line_that_was_torn_does_not_spoil_the_next)
{
    struct log *log = open_log (LOG_LEVEL_INFO);
    struct rlimit limit;

    signal (SIGXFSZ, SIG_IGN);
    log_info (log, "whole");
    ck_assert_int_eq (getrlimit (RLIMIT_FSIZE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = strlen (read_log ("logs/node.log")) + 10;
    ck_assert_int_eq (setrlimit (RLIMIT_FSIZE, &limit), 0);
    log_info (log, "torn after ten bytes");
    log_info (log, "lost");
    limit.rlim_cur = before;
    ck_assert_int_eq (setrlimit (RLIMIT_FSIZE, &limit), 0);
    log_info (log, "works");
    log_close (&log);

    ck_assert_int_eq (count_lines (read_log ("logs/node.log")), 4);
    ck_assert_ptr_nonnull (strstr (buf_text (&text), " 2 lines were lost: "));
    ck_assert_ptr_nonnull (strstr (buf_text (&text), "INFO  base_log: works\n"));
}
END_TEST

static void *
write_many (void *log)
{
    for (int i = 0; i < 500; i++)
        log_info (log, "0123456789012345678901234567890123456789");
    return NULL;
}

START_TEST (lines_of_many_threads_stay_whole_while_the_log_is_reopened)
{
    struct log *log = open_log (LOG_LEVEL_INFO);
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        ck_assert_int_eq (pthread_create (&threads[i], NULL, write_many, log), 0);
    ck_assert_int_eq (rename ("logs/node.log", "logs/old.log"), 0);
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq (log_reopen (log, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join (threads[i], NULL);
    log_close (&log);

    int lines = 0;
    static const char *const files[] = {"logs/node.log", "logs/old.log"};
    for (int i = 0; i < 2; i++) {
        const char *at = read_log (files[i]);
        lines += count_lines (at);
        for (const char *end; (end = strchr (at, '\n')); at = end + 1)
            ck_assert_int_eq (end - at, 24 + 16 + 40);
    }
    ck_assert_int_eq (lines, 4 * 500);
}
END_TEST

START_TEST (levels_have_the_words_of_the_configuration)
{
    static const char *const words[] = {"NOSET",   "DEBUG", "INFO",
                                        "WARNING", "ERROR", "CRITICAL"};
    enum log_level level = LOG_LEVEL_INFO;

    for (int i = 0; i < 6; i++) {
        ck_assert (log_level_parse (words[i], &level));
        ck_assert_int_eq (level, i * 10);
        ck_assert_str_eq (log_level_word (level), words[i]);
    }
    ck_assert (log_level_parse ("debug", &level));
    ck_assert_int_eq (level, LOG_LEVEL_DEBUG);
    ck_assert (!log_level_parse ("WARN", &level));
    ck_assert (!log_level_parse ("", &level));
    ck_assert (!log_level_parse ("10", &level));
    ck_assert_int_eq (level, LOG_LEVEL_DEBUG);
}
END_TEST

UNIT_MAIN_FIXTURE ("base_log", setup, teardown,
                   what_is_in_the_file_stays_even_if_somebody_else_writes_there,
                   a_line_has_time_level_source_and_text, a_debug_line_says_its_source_line,
                   lines_below_the_level_are_not_written, nobody_can_forge_a_line,
                   a_line_that_is_too_long_is_cut_visibly, no_log_is_silent,
                   writing_keeps_errno, lines_go_to_stderr_with_and_without_a_file,
                   a_reopened_log_begins_a_new_file, a_log_that_cannot_be_reopened_goes_on,
                   a_log_that_cannot_be_opened_says_why,
                   lines_that_a_full_disk_took_are_counted_and_told,
                   a_line_that_was_torn_does_not_spoil_the_next,
                   lines_of_many_threads_stay_whole_while_the_log_is_reopened,
                   levels_have_the_words_of_the_configuration)
