/* SPDX-License-Identifier: MIT */
/*
 * base/conf_line: where a key stands, for mistakes that are found after the file was read.
 */
#include <stdio.h>
#include <unistd.h>

#include "base_conf_fixture.h"

static const char *
with_line (const char *path, const char *text)
{
    err_set (&error, LITEDFS_CONFIG, "%s", text);
    conf_add_line (path, table, &error);
    return error.text;
}

START_TEST (an_error_of_later_gets_the_line_of_its_key)
{
    char path[] = "/tmp/litedfs-conf-XXXXXX";
    static const char text[] =
        "# http_port: 1\n\n  sync: true\n\"http_port\" : 2\nmanager_http_host: x\n"
        "log_level: INFO";
    char said[256], expected[256];
    int fd = mkstemp (path);

    ck_assert_int_ge (fd, 0);
    ck_assert_int_eq (write (fd, text, sizeof text - 1), sizeof text - 1);
    close (fd);
    static const struct {
        const char *key, *line;
    } rows[] = {{"http_port", "4: "},         {"sync", "3: "},      {"name_http_host", "5: "},
                {"manager_http_host", "5: "}, {"log_level", "6: "}, {"http_host", " "},
                {"no_such_key", " "}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf (said, sizeof said, "%s: %s: why: not", path, rows[i].key);
        snprintf (expected, sizeof expected, "%s:%s%s: why: not", path, rows[i].line,
                  rows[i].key);
        ck_assert_str_eq (with_line (path, said), expected);
    }
    ck_assert_str_eq (with_line (path, "out of memory"), "out of memory");
    ck_assert_str_eq (with_line (path, path), path);
    unlink (path);
    ck_assert_str_eq (with_line (path, said), said);
}
END_TEST

UNIT_MAIN_FIXTURE ("base_conf_line", NULL, conf_teardown,
                   an_error_of_later_gets_the_line_of_its_key)
