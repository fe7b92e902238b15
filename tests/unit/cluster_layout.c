/* SPDX-License-Identifier: MIT */
/*
 * cluster/layout: what is there is used and never written to, what is missing is made, and a directory
 * of something else is left alone.
 */
#include "cluster/layout.h"

#include "base/buf.h"
#include "base/file.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

#define PORT 23400

static char root[64];
static struct layout layout;
static litedfs_error_t error;

static void
setup (void)
{
    strcpy (root, "/tmp/litedfs-layout-XXXXXX");
    ck_assert_ptr_nonnull (mkdtemp (root));
    layout = (struct layout){0};
}

static void
teardown (void)
{
    char command[128];
    layout_free (&layout);
    snprintf (command, sizeof command, "rm -rf '%s'", root);
    ck_assert_int_eq (system (command), 0);
}

static void
make (size_t nodes)
{
    layout_free (&layout);
    ck_assert_msg (layout_look (&layout, root, nodes, &error) == 0, "%s", error.text);
    ck_assert_msg (layout_make (&layout, PORT, &error) == 0, "%s", error.text);
}

/* Look, and be refused with these words. */
static void
refused (size_t nodes, const char *words)
{
    layout_free (&layout);
    ck_assert_int_eq (layout_look (&layout, root, nodes, &error), LITEDFS_USAGE);
    ck_assert_msg (strstr (error.text, words) != NULL, "%s", error.text);
}

static void
make_directory (const char *name)
{
    char path[128];
    snprintf (path, sizeof path, "%s/%s", root, name);
    ck_assert_int_eq (mkdir (path, 0755), 0);
}

/* Whether the configuration of a part has this line. */
static bool
says (size_t part, const char *line)
{
    struct buf text = {0};
    ck_assert_int_eq (file_read_all (layout.parts[part].config_path, 1 << 20, &text, &error),
                      0);
    bool found = strstr (buf_text (&text), line) != NULL;
    buf_free (&text);
    return found;
}

START_TEST (an_empty_directory_gets_a_name_node_and_three_data_nodes)
{
    make (0);
    ck_assert_uint_eq (layout.nodes, 3);
    for (size_t part = 0; part <= 3; part++)
        ck_assert (!layout.parts[part].exists);
    ck_assert (says (0, "http_port: 23400 "));
    ck_assert (says (0, "tcp_port: 0 "));
    ck_assert (says (3, "http_port: 23403 "));
    ck_assert (says (3, "chain_port: 0 "));
    ck_assert (says (3, "name_http_port: 23400 "));
    ck_assert (says (3, "/data-3/data "));
}
END_TEST

START_TEST (a_directory_that_is_missing_is_made)
{
    strcat (root, "/a");
    make (1);
    ck_assert_uint_eq (layout.nodes, 1);
    *strrchr (root, '/') = '\0';
}
END_TEST

START_TEST (what_is_there_is_used_and_left_as_it_is)
{
    make (2);
    ck_assert_int_eq (
        file_write_atomic (layout.parts[1].config_path, "mine: 1\n", 8, 0644, &error), 0);
    make (0);
    ck_assert_uint_eq (layout.nodes, 2);
    ck_assert (layout.parts[0].exists && layout.parts[1].exists && layout.parts[2].exists);
    ck_assert (says (1, "mine: 1\n"));
}
END_TEST

START_TEST (more_data_nodes_are_added)
{
    make (1);
    make (4);
    ck_assert (layout.parts[1].exists);
    ck_assert (!layout.parts[4].exists);
    ck_assert (says (4, "http_port: 23404 "));
}
END_TEST

START_TEST (a_data_node_that_is_missing_is_made_anew)
{
    char command[128];
    make (3);
    snprintf (command, sizeof command, "rm -rf '%s/data-2'", root);
    ck_assert_int_eq (system (command), 0);
    make (0);
    ck_assert_uint_eq (layout.nodes, 3);
    ck_assert (!layout.parts[2].exists);
    ck_assert (says (2, "http_port: 23402 "));
}
END_TEST

START_TEST (fewer_data_nodes_than_there_are_is_refused)
{
    make (3);
    refused (2, "it has 3 data nodes");
}
END_TEST

START_TEST (more_data_nodes_than_a_process_takes_are_refused)
{
    make (1);
    make_directory ("data-17");
    refused (0, "data-17");
}
END_TEST

START_TEST (a_directory_of_something_else_is_refused)
{
    make_directory ("photos");
    refused (0, "it is not empty");
}
END_TEST

START_TEST (data_nodes_without_their_name_node_are_refused)
{
    make_directory ("data-1");
    refused (0, "there is no name/configuration.yml");
}
END_TEST

START_TEST (names_that_are_nearly_those_of_data_nodes_are_something_else)
{
    make_directory ("data-01");
    refused (0, "it is not empty");
}
END_TEST

START_TEST (a_run_that_was_cut_off_can_be_repeated)
{
    make_directory ("name");
    make_directory ("lost+found");
    make (2);
    ck_assert_uint_eq (layout.nodes, 2);
}
END_TEST

START_TEST (a_port_that_is_taken_is_found_before_anything_is_written)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons (PORT + 2),
                                        .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
    int fd = socket (AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq (bind (fd, (const struct sockaddr *) &address, sizeof address), 0);
    ck_assert_int_eq (listen (fd, 1), 0);
    ck_assert_int_eq (layout_look (&layout, root, 3, &error), 0);
    ck_assert_int_eq (layout_make (&layout, PORT, &error), LITEDFS_IN_USE);
    ck_assert_msg (strstr (error.text, "23402") != NULL, "%s", error.text);
    ck_assert_int_ne (access (layout.parts[0].directory, F_OK), 0);
    close (fd);
}
END_TEST

START_TEST (ports_end_at_65535)
{
    ck_assert_int_eq (layout_look (&layout, root, 3, &error), 0);
    ck_assert_int_eq (layout_make (&layout, 65533, &error), LITEDFS_USAGE);
    ck_assert_msg (strstr (error.text, "65536") != NULL, "%s", error.text);
    ck_assert_int_ne (access (layout.parts[0].directory, F_OK), 0);
}
END_TEST

UNIT_MAIN_FIXTURE ("cluster_layout", setup, teardown,
                   an_empty_directory_gets_a_name_node_and_three_data_nodes,
                   a_directory_that_is_missing_is_made, what_is_there_is_used_and_left_as_it_is,
                   more_data_nodes_are_added, a_data_node_that_is_missing_is_made_anew,
                   fewer_data_nodes_than_there_are_is_refused,
                   more_data_nodes_than_a_process_takes_are_refused,
                   a_directory_of_something_else_is_refused,
                   data_nodes_without_their_name_node_are_refused,
                   names_that_are_nearly_those_of_data_nodes_are_something_else,
                   a_run_that_was_cut_off_can_be_repeated,
                   a_port_that_is_taken_is_found_before_anything_is_written, ports_end_at_65535)
