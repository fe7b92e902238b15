/* SPDX-License-Identifier: MIT */
/*
 * base/scaffold: what `-g DIR` writes is whole, filled in, and never over somebody's configuration.
 */
#include "base/scaffold.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

static char root[64];
static char directory[128];

static void
setup (void)
{
    strcpy (root, "/tmp/litedfs-scaffold-XXXXXX");
    ck_assert_ptr_nonnull (mkdtemp (root));
    snprintf (directory, sizeof directory, "%s/new/name node", root);
}

static void
teardown (void)
{
    char command[128];
    snprintf (command, sizeof command, "rm -rf '%s'", root);
    ck_assert_int_eq (system (command), 0);
}

static struct scaffold
scaffold_of (const char *path)
{
    return (struct scaffold){
        .directory = path,
        .program = "litename",
        .service = "litedfs-name",
        .title = "LiteDFS name node",
        .binary = "/opt/bin/litename",
        .configuration = slice_str ("http_port: 9000\n"),
    };
}

static void
read_product (const char *name, struct buf *out)
{
    char path[256];
    litedfs_error_t error;
    snprintf (path, sizeof path, "%s/%s", directory, name);
    ck_assert_msg (file_read_all (path, 1 << 20, out, &error) == 0, "%s", error.text);
}

START_TEST (every_file_is_written_with_its_words_filled_in)
{
    static const char *const names[] = {"README", "litedfs-name.service",
                                        "install_systemd_service.sh",
                                        "uninstall_systemd_service.sh", "configuration.yml"};
    struct scaffold scaffold = scaffold_of (directory);
    litedfs_error_t error;

    ck_assert_msg (scaffold_write (&scaffold, &error) == 0, "%s", error.text);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct buf text = {0};
        read_product (names[i], &text);
        ck_assert_ptr_null (strstr (buf_text (&text), "@PROGRAM@"));
        ck_assert_ptr_null (strstr (buf_text (&text), "@DIRECTORY@"));
        ck_assert_ptr_null (strstr (buf_text (&text), "@SERVICE"));
        buf_free (&text);
    }
}
END_TEST

START_TEST (the_unit_names_the_program_and_keeps_user_and_group_for_the_install_script)
{
    struct scaffold scaffold = scaffold_of (directory);
    struct buf text = {0};

    ck_assert_int_eq (scaffold_write (&scaffold, NULL), 0);
    read_product ("litedfs-name.service", &text);
    ck_assert_ptr_nonnull (strstr (buf_text (&text), "ExecStart=\"/opt/bin/litename\" -c \""));
    ck_assert_ptr_nonnull (strstr (buf_text (&text), "User=@USER@\nGroup=@GROUP@\n"));
    ck_assert_ptr_nonnull (strstr (buf_text (&text), "Restart=on-failure"));
    buf_free (&text);
}
END_TEST

START_TEST (the_scripts_can_be_run_and_are_valid_shell)
{
    static const char *const names[] = {"install_systemd_service.sh",
                                        "uninstall_systemd_service.sh"};
    struct scaffold scaffold = scaffold_of (directory);

    ck_assert_int_eq (scaffold_write (&scaffold, NULL), 0);
    for (size_t i = 0; i < 2; i++) {
        char command[512];
        struct stat about;
        snprintf (command, sizeof command, "%s/%s", directory, names[i]);
        ck_assert_int_eq (stat (command, &about), 0);
        ck_assert_int_eq (about.st_mode & 0777, 0755);
        snprintf (command, sizeof command, "sh -n '%s/%s'", directory, names[i]);
        ck_assert_int_eq (system (command), 0);
    }
}
END_TEST

START_TEST (a_configuration_that_exists_is_never_overwritten_and_nothing_else_is_written)
{
    struct scaffold scaffold = scaffold_of (root);
    char path[256];
    litedfs_error_t error;

    snprintf (path, sizeof path, "%s/configuration.yml", root);
    ck_assert_int_eq (file_write_atomic (path, "mine", 4, 0644, NULL), 0);
    ck_assert_int_eq (scaffold_write (&scaffold, &error), LITEDFS_EXISTS);
    ck_assert_ptr_nonnull (strstr (error.text, path));

    struct buf text = {0};
    ck_assert_int_eq (file_read_all (path, 100, &text, NULL), 0);
    ck_assert_str_eq (buf_text (&text), "mine");
    buf_free (&text);
    snprintf (path, sizeof path, "%s/README", root);
    ck_assert_int_ne (access (path, F_OK), 0);
}
END_TEST

START_TEST (a_directory_that_would_break_out_of_a_quotation_is_refused)
{
    static const char *const paths[] = {"/tmp/it's",  "/tmp/\"x",  "/tmp/%n",
                                        "/tmp/$HOME", "/tmp/a\nb", "/tmp/`id`"};

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct scaffold scaffold = scaffold_of (paths[i]);
        litedfs_error_t error;
        ck_assert_int_eq (scaffold_write (&scaffold, &error), LITEDFS_USAGE);
        ck_assert_int_ne (access (paths[i], F_OK), 0);
    }
}
END_TEST

START_TEST (a_place_that_cannot_be_written_is_named)
{
    struct scaffold scaffold = scaffold_of ("/proc/litedfs");
    litedfs_error_t error;

    ck_assert_int_lt (scaffold_write (&scaffold, &error), 0);
    ck_assert_ptr_nonnull (strstr (error.text, "/proc/litedfs"));
}
END_TEST

UNIT_MAIN_FIXTURE ("base_scaffold", setup, teardown,
                   every_file_is_written_with_its_words_filled_in,
                   the_unit_names_the_program_and_keeps_user_and_group_for_the_install_script,
                   the_scripts_can_be_run_and_are_valid_shell,
                   a_configuration_that_exists_is_never_overwritten_and_nothing_else_is_written,
                   a_directory_that_would_break_out_of_a_quotation_is_refused,
                   a_place_that_cannot_be_written_is_named)
