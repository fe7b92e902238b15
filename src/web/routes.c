/* SPDX-License-Identifier: MIT */
/*
 * What there is under which path: the table at the end.  What the name node's state is needed for is asked
 * of its ROUTER, page by page; the reply's callback ends the answer.
 */
#include "web/web_impl.h"

#include "base/err.h"
#include "web/page.h"

#include <string.h>

#define ANSWER_MS 5000 // how long the ROUTER may take
#define SCRAPE_MS 2000 // the same for /metrics: Prometheus itself waits for 10 s

void
routes_fail (struct waiting *self, const litedfs_error_t *error)
{
    json_decref (self->document);
    self->document = NULL;
    buf_clear (&self->body);
    self->type = WEB_JSON;
    page_error (&self->body, error->number, error->text);
    web_finish (self, (unsigned) err_http_status (error->number));
}

/* Ask for a page of cluster.info: its reply goes to fn.  False, and error says why, if that cannot be. */
static bool
ask (struct waiting *self, uint64_t cursor, int64_t timeout_ms, dealer_fn *fn,
     litedfs_error_t *error)
{
    const struct cluster_info_request request = {.cursor = cursor};

    self->request_id = dealer_send (self->web->dealer, &message_types[MESSAGE_cluster_info],
                                    &request, NULL, timeout_ms, fn, self, error);
    return self->request_id > 0;
}

/* What came: NULL, or the error that it is instead of a page. */
static const litedfs_error_t *
take (struct message *message, const litedfs_error_t *failure, struct cluster_info_reply *page,
      litedfs_error_t *error)
{
    if (failure)
        return failure;
    return message_reply_fields (message, &message_types[MESSAGE_cluster_info], page, error) < 0
               ? error
               : NULL;
}

/* ---- / and /cluster/endpoint ------------------------------------------------------------------------ */

static void
get_greeting (struct waiting *self)
{
    page_greeting (&self->body, self->web->options.greeting);
    web_finish (self, MHD_HTTP_OK);
}

static void
get_endpoint (struct waiting *self)
{
    page_endpoint (&self->body, self->web->options.router_port, &self->web->options.cluster);
    web_finish (self, MHD_HTTP_OK);
}

/* ---- /cluster/info ---------------------------------------------------------------------------------- */

static void
on_cluster_info (void *arg, struct message *message, zmq_msg_t *payload,
                 const litedfs_error_t *failure)
{
    struct waiting *self = arg;
    struct cluster_info_reply page;
    litedfs_error_t error;
    const litedfs_error_t *why = take (message, failure, &page, &error);
    (void) payload;

    if (why) {
        routes_fail (self, why);
        return;
    }
    if (!self->document)
        self->document = page_cluster_begin (&page);
    page_cluster_add (&self->document, &page);
    if (page.cursor && self->document) {
        if (!ask (self, page.cursor, ANSWER_MS, on_cluster_info, &error))
            routes_fail (self, &error);
        return;
    }
    page_cluster_print (&self->document, &self->body);
    web_finish (self, MHD_HTTP_OK);
}

static void
get_cluster (struct waiting *self)
{
    litedfs_error_t error;

    if (!ask (self, 0, ANSWER_MS, on_cluster_info, &error))
        routes_fail (self, &error);
}

/* ---- /metrics --------------------------------------------------------------------------------------- */

/* What the ROUTER was to say is left out if it did not: the rest may tell why. */
static void
finish_metrics (struct waiting *self, bool complete)
{
    const struct web_options *options = &self->web->options;
    struct metrics_given given = {scrape_put, &self->scrape};

    if (options->measure)
        options->measure (options->context);
    self->type = METRIC_CONTENT_TYPE;
    metrics_render (options->metrics, complete ? &given : NULL, &self->body);
    web_finish (self, MHD_HTTP_OK);
}

static void
on_metrics_info (void *arg, struct message *message, zmq_msg_t *payload,
                 const litedfs_error_t *failure)
{
    struct waiting *self = arg;
    struct cluster_info_reply page;
    litedfs_error_t error;
    const litedfs_error_t *why = take (message, failure, &page, &error);
    (void) payload;

    if (!why && scrape_add (&self->scrape, &page, &error) < 0)
        why = &error;
    if (!why && page.cursor) {
        if (ask (self, page.cursor, SCRAPE_MS, on_metrics_info, &error))
            return;
        why = &error;
    }
    if (why)
        log_warning (self->web->options.log, "metrics without those of the cluster: %s",
                     why->text);
    finish_metrics (self, !why);
}

static void
get_metrics (struct waiting *self)
{
    litedfs_error_t error;

    if (!self->web->options.router) {
        finish_metrics (self, false);
    } else if (!ask (self, 0, SCRAPE_MS, on_metrics_info, &error)) {
        log_warning (self->web->options.log, "metrics without those of the cluster: %s",
                     error.text);
        finish_metrics (self, false);
    }
}

/* ---- all of them ------------------------------------------------------------------------------------ */

/* One row a path.  A path is there if the daemon has what it needs. */
enum { NEEDS_ROUTER = 1, NEEDS_METRICS = 2 };

static const struct route_row {
    const char *path;
    int needs;
    void (*get) (struct waiting *self);
} routes[] = {
    {"/", 0, get_greeting},
    {"/cluster/endpoint", NEEDS_ROUTER, get_endpoint},
    {"/cluster/info", NEEDS_ROUTER, get_cluster},
    {"/metrics", NEEDS_METRICS, get_metrics},
};

bool
routes_get (struct waiting *self, const char *path)
{
    const struct web_options *options = &self->web->options;
    int has = (options->router ? NEEDS_ROUTER : 0) | (options->metrics ? NEEDS_METRICS : 0);

    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (strcmp (routes[i].path, path) == 0 && (routes[i].needs & ~has) == 0) {
            routes[i].get (self);
            return true;
        }
    return false;
}
