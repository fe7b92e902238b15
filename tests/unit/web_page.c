/* SPDX-License-Identifier: MIT */
/*
 * web/page: the JSON that HTTP answers hold, byte for byte where somebody compares bytes.
 */
#include "web/page.h"

#include <string.h>

#include "unit.h"

START_TEST (the_greeting_is_what_the_original_prints)
{
    struct buf out = {0};
    page_greeting (&out, "LiteDFS name service");
    ck_assert_str_eq (buf_text (&out), "{\"message\": \"LiteDFS name service\"}");
    buf_free (&out);
}
END_TEST

START_TEST (an_error_has_its_word_and_its_text_even_if_that_is_no_utf_8)
{
    struct buf out = {0};
    page_error (&out, LITEDFS_NOT_FOUND, "path \xff \"x\"");
    ck_assert_str_eq (buf_text (&out),
                      "{\"error\": \"not_found\", \"message\": \"path \\\\xff \\\"x\\\"\"}");
    buf_free (&out);
}
END_TEST

START_TEST (the_endpoint_has_host_port_cluster_and_versions)
{
    struct buf out = {0};
    struct uuid cluster;
    ck_assert (uuid_parse (&cluster, "01234567-89ab-4def-8123-456789abcdef", 36));
    page_endpoint (&out, 19000, &cluster);
    ck_assert_str_eq (buf_text (&out),
                      "{\"host\": \"\", \"port\": 19000, \"cluster\": "
                      "\"01234567-89ab-4def-8123-456789abcdef\", \"versions\": [1, 1]}");
    buf_free (&out);
}
END_TEST

START_TEST (nodes_of_all_pages_are_listed_apart_by_whether_they_are_online)
{
    struct wire_node nodes[3] = {{.id = 1, .status = NODE_ONLINE, .host = {"10.0.0.1", 8}},
                                 {.id = 2, .status = NODE_OFFLINE},
                                 {.id = 3, .status = NODE_ONLINE, .storage_total = INT64_MAX}};
    struct cluster_info_reply first = {
        .number_of_nodes = 3, .number_of_online_nodes = 2, .nodes = nodes, .nodes_count = 2};
    struct cluster_info_reply second = {.nodes = nodes + 2, .nodes_count = 1};
    struct buf out = {0};

    json_t *document = page_cluster_begin (&first);
    page_cluster_add (&document, &first);
    page_cluster_add (&document, &second);
    page_cluster_print (&document, &out);
    ck_assert (!out.failed);
    ck_assert_ptr_null (document);

    json_t *read = json_loads (buf_text (&out), 0, NULL);
    ck_assert_ptr_nonnull (read);
    ck_assert_int_eq (json_integer_value (json_object_get (read, "number_of_offline_nodes")),
                      1);
    json_t *online = json_object_get (read, "online_nodes");
    ck_assert_uint_eq (json_array_size (online), 2);
    ck_assert_str_eq (json_string_value (json_object_get (json_array_get (online, 0), "host")),
                      "10.0.0.1");
    ck_assert_int_eq (
        json_integer_value (json_object_get (json_array_get (online, 1), "storage_total")),
        INT64_MAX);
    ck_assert_uint_eq (json_array_size (json_object_get (read, "offline_nodes")), 1);
    json_decref (read);
    buf_free (&out);
}
END_TEST

UNIT_MAIN ("web_page", the_greeting_is_what_the_original_prints,
           an_error_has_its_word_and_its_text_even_if_that_is_no_utf_8,
           the_endpoint_has_host_port_cluster_and_versions,
           nodes_of_all_pages_are_listed_apart_by_whether_they_are_online)
