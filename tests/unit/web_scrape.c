/* SPDX-License-Identifier: MIT */
/*
 * web/scrape: what cluster.info says of the cluster and of all nodes, page by page, as metrics.
 */
#include "web/scrape.h"

#include <string.h>

#include "unit.h"

static struct scrape scrape;
static struct buf out;

static void
setup (void)
{
    scrape = (struct scrape){.count = 0};
}

static void
teardown (void)
{
    scrape_free (&scrape);
    buf_free (&out);
}

static const char *
put (enum metric_id id)
{
    buf_clear (&out);
    scrape_put (&scrape, id, &out);
    return buf_text (&out);
}

START_TEST (the_cluster_without_nodes)
{
    struct cluster_info_reply page = {.files = 3, .directories = 2, .bytes = INT64_MAX};

    ck_assert_int_eq (scrape_add (&scrape, &page, NULL), 0);
    ck_assert_str_eq (put (METRIC_NAMESPACE_FILES), "litedfs_namespace_files 3\n");
    ck_assert_str_eq (put (METRIC_NAMESPACE_DIRECTORIES), "litedfs_namespace_directories 2\n");
    ck_assert_str_eq (put (METRIC_NAMESPACE_BYTES),
                      "litedfs_namespace_bytes 9223372036854775807\n");
    ck_assert_str_eq (put (METRIC_NODES), "litedfs_nodes{status=\"offline\"} 0\n"
                                          "litedfs_nodes{status=\"online\"} 0\n");
    ck_assert_str_eq (put (METRIC_NODE_FREE), "");
    ck_assert_str_eq (put (METRIC_NODE_INFO), "");
}
END_TEST

/* Two pages of nodes, whose texts do not outlive the call. */
static void
add_nodes (void)
{
    char host[] = "10.0.0.1";
    struct wire_node nodes[3] = {{.id = 1,
                                  .status = NODE_ONLINE,
                                  .host = {host, 8},
                                  .zone = {"a\"b", 3},
                                  .version = {"1.0", 3},
                                  .storage_total = 30,
                                  .storage_used = 10,
                                  .storage_free = 20,
                                  .blocks = 4,
                                  .last_heartbeat = 1700000000999},
                                 {.id = 2, .status = NODE_OFFLINE, .storage_full = true},
                                 {.id = UINT32_MAX, .status = NODE_ONLINE}};
    struct cluster_info_reply first = {.nodes = nodes, .nodes_count = 2};
    struct cluster_info_reply second = {.nodes = nodes + 2, .nodes_count = 1};

    ck_assert_int_eq (scrape_add (&scrape, &first, NULL), 0);
    ck_assert_int_eq (scrape_add (&scrape, &second, NULL), 0);
    memset (host, 'x', sizeof host);
    memset (nodes, 0, sizeof nodes);
}

START_TEST (nodes_of_all_pages_have_a_sample_each)
{
    add_nodes ();
    ck_assert_str_eq (put (METRIC_NODES), "litedfs_nodes{status=\"offline\"} 1\n"
                                          "litedfs_nodes{status=\"online\"} 2\n");
    ck_assert_str_eq (put (METRIC_NODE_CAPACITY),
                      "litedfs_node_capacity_bytes{node=\"1\"} 30\n"
                      "litedfs_node_capacity_bytes{node=\"2\"} 0\n"
                      "litedfs_node_capacity_bytes{node=\"4294967295\"} 0\n");
    ck_assert_ptr_nonnull (strstr (put (METRIC_NODE_USED), "{node=\"1\"} 10\n"));
    ck_assert_ptr_nonnull (strstr (put (METRIC_NODE_FREE), "{node=\"1\"} 20\n"));
    ck_assert_ptr_nonnull (strstr (put (METRIC_NODE_FULL), "{node=\"2\"} 1\n"));
    ck_assert_ptr_nonnull (strstr (put (METRIC_NODE_BLOCKS), "{node=\"1\"} 4\n"));
    ck_assert_ptr_nonnull (strstr (put (METRIC_NODE_HEARTBEAT), "{node=\"1\"} 1700000000\n"));
}
END_TEST

START_TEST (what_a_node_is_stands_in_labels)
{
    add_nodes ();
    ck_assert_ptr_nonnull (
        strstr (put (METRIC_NODE_INFO),
                "litedfs_node_info{node=\"1\",node_id=\"00000000-0000-0000-0000-000000000000\","
                "host=\"10.0.0.1\",zone=\"a\\\"b\",version=\"1.0\"} 1\n"));
    ck_assert_ptr_nonnull (strstr (put (METRIC_NODE_STATUS),
                                   "litedfs_node_status{node=\"2\",status=\"offline\"} 1\n"
                                   "litedfs_node_status{node=\"2\",status=\"online\"} 0\n"));
}
END_TEST

START_TEST (many_nodes_have_room)
{
    struct wire_node node = {.id = 1};
    struct cluster_info_reply page = {.nodes = &node, .nodes_count = 1};

    for (; node.id <= 5000; node.id++)
        ck_assert_int_eq (scrape_add (&scrape, &page, NULL), 0);
    ck_assert_ptr_nonnull (strstr (put (METRIC_NODE_BLOCKS), "{node=\"5000\"} 0\n"));
}
END_TEST

UNIT_MAIN_FIXTURE ("web_scrape", setup, teardown, the_cluster_without_nodes,
                   nodes_of_all_pages_have_a_sample_each, what_a_node_is_stands_in_labels,
                   many_nodes_have_room)
