/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_WEB_WEB_H
#define LITEDFS_WEB_WEB_H

/*
 * HTTP in a daemon: an actor that answers GET and HEAD, with JSON but for the metrics.
 *
 *   /                   {"message": "LiteDFS name service"}
 *   /cluster/endpoint   {"host": "", "port": 19000, "cluster": "...", "versions": [1, 1]}
 *   /cluster/info       what cluster.info says, nodes apart by online and offline
 *   /metrics            what metric.def has, in Prometheus's text format; what the ROUTER is asked for is
 *                       left out if it does not answer in 2 s
 *
 * Anything else is a 404, another method a 405, somebody whom the list does not let in a 403, all in
 * JSON: {"error": word, "message": text}.  What needs the name node's state is asked over the ROUTER's
 * inproc endpoint, as an ordinary client would, so a slow answer holds nobody but who waits for it.
 * A connection that says nothing is closed after 15 s, and before that when there are more than 256
 * (connections.h): idle and slow clients hold nobody out.
 */

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/metric.h"
#include "rpc/zap.h"

struct web;

struct web_options {
    const char *greeting; // "LiteDFS name service"
    const char *host;     // address to listen on, numeric; "0.0.0.0" and "::" are all
    int port;             // 1 to 65535
    struct zap *zap;      // who may come in: the list of this domain
    const char *domain;
    const char *allow_file;          // the file that has the list, for the 403's text
    const char *router;              // inproc endpoint of the ROUTER; NULL: no /cluster/ here
    int router_port;                 // for /cluster/endpoint
    struct uuid cluster;             // for /cluster/endpoint
    struct metrics *metrics;         // for /metrics, must outlive it; NULL: it is not here
    void (*measure) (void *context); // before they are rendered, in the actor's thread; or NULL
    void *context;
    struct log *log; // may be NULL
    const struct clock *clock;
};

/* Start it: it listens when this returns.  The strings are copied; zap, log and clock must outlive it.
 * LITEDFS_IN_USE if the port is taken, LITEDFS_INVALID for an address that is none, else as
 * actor_start. */
int web_start (struct web **out, const struct web_options *options, litedfs_error_t *error);

/* Stop it: who waits for an answer gets a 503.  Takes NULL, sets it to NULL. */
void web_stop (struct web **self);

/* Whether it has ended by itself. */
bool web_ended (const struct web *self);

#endif
