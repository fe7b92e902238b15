/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_WEB_WEB_IMPL_H
#define LITEDFS_WEB_WEB_IMPL_H

/*
 * The HTTP actor's state, for web.c (the actor and libmicrohttpd) and routes.c (what there is under which
 * path) alone.
 */

#include "base/actor.h"
#include "rpc/dealer.h"
#include "web/connections.h"
#include "web/scrape.h"
#include "web/web.h"

#include <jansson.h>
#include <microhttpd.h>

#define WEB_JSON "application/json"

struct web {
    struct actor *actor;
    struct web_options options;
    struct arena strings; // of the options
    int listen_fd;
    struct MHD_Daemon *daemon;
    struct dealer *dealer;
    struct waiting *waiting; // requests that wait for the ROUTER
    struct connections connections;
    bool stopping;
};

/* A request.  It exists from the first call of the handler to the notice of its end. */
struct waiting {
    struct web *web;
    struct waiting *next;
    struct MHD_Connection *connection;
    json_t *document;     // of /cluster/info
    struct scrape scrape; // of /metrics
    struct buf body;
    const char *type; // of the body
    unsigned status;
    int64_t request_id; // of the DEALER; 0: none under way
    bool asked;
    bool suspended;
};

/* The body is ready: let libmicrohttpd call the handler again. */
void web_finish (struct waiting *self, unsigned status);

/* Begin to answer a GET of this path; false if there is nothing under it.  When the body is ready web_finish
 * is called, which may be before this returns. */
bool routes_get (struct waiting *self, const char *path);

/* Answer that it failed, whatever was there of the answer. */
void routes_fail (struct waiting *self, const litedfs_error_t *error);

#endif
