/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_WEB_PAGE_H
#define LITEDFS_WEB_PAGE_H

/*
 * What HTTP answers say: JSON texts from the structs of messages.  Pure.
 */

#include "wire/message.h"

#include <jansson.h>

/* {"message": text}, and {"error": word, "message": text}. */
void page_greeting (struct buf *out, const char *text);
void page_error (struct buf *out, int number, const char *text);

/* {"host": "", "port": ..., "cluster": ..., "versions": [min, max]} */
void page_endpoint (struct buf *out, int port, const struct uuid *cluster);

/* The document of /cluster/info from the pages of cluster.info: begin with the first page, then add
 * the nodes of each page, then print.  page_cluster_begin gives NULL when memory is short; the others
 * free the document then and set it to NULL. */
json_t *page_cluster_begin (const struct cluster_info_reply *page);
void page_cluster_add (json_t **document, const struct cluster_info_reply *page);
void page_cluster_print (json_t **document, struct buf *out);

#endif
