/* SPDX-License-Identifier: MIT */
/*
 * The HTTP actor.  libmicrohttpd runs inside the actor's own poll loop, without threads: its epoll
 * descriptor is polled beside the actor's pipe and the DEALER to the ROUTER.  An answer that needs the
 * ROUTER suspends its connection; the reply's callback resumes it.  A request is found again by its
 * number, since libmicrohttpd may end a connection at any time.
 *
 * libmicrohttpd's epoll is edge-triggered: it is run until it has nothing left to do at once.
 */
#include "web/web_impl.h"

#include "base/err.h"
#include "base/net.h"
#include "web/page.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IDLE_SECONDS 15u
#define CONNECTIONS 256u     // then the longest without a request goes
#define CONNECTIONS_MAX 512u // then nobody is let in: that many are being answered or closed
#define CONNECTION_MEMORY ((size_t) 32 << 10)
#define BACKLOG 128
#define TICK_MS 100 // libmicrohttpd's own time-outs are looked after this often
#define TURNS 64    // of libmicrohttpd a wake-up, before others get their turn

/* ---- answers --------------------------------------------------------------------------------------- */

static enum MHD_Result
answer (struct MHD_Connection *connection, unsigned status, const char *type, struct buf *body)
{
    static const char memory_short[] =
        "{\"error\": \"memory\", \"message\": \"out of memory\"}";
    struct MHD_Response *response =
        body->failed
            ? MHD_create_response_from_buffer (sizeof memory_short - 1,
                                               (void *) (uintptr_t) memory_short,
                                               MHD_RESPMEM_PERSISTENT)
            : MHD_create_response_from_buffer (body->size, body->data, MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;

    enum MHD_Result rc = MHD_add_response_header (response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                                  body->failed ? WEB_JSON : type);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header (response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    if (rc == MHD_YES)
        rc = MHD_queue_response (
            connection, body->failed ? MHD_HTTP_INTERNAL_SERVER_ERROR : status, response);
    MHD_destroy_response (response);
    return rc;
}

static enum MHD_Result
answer_error (struct MHD_Connection *connection, unsigned status, int number, const char *text)
{
    struct buf body = {0};
    page_error (&body, number, text);
    enum MHD_Result rc = answer (connection, status, WEB_JSON, &body);
    buf_free (&body);
    return rc;
}

/* What on_connection has put there. */
static struct connection *
place_of (struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info (connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

void
web_finish (struct waiting *self, unsigned status)
{
    self->request_id = 0;
    self->status = status;
    if (self->suspended) {
        self->suspended = false;
        connections_set_busy (&self->web->connections, place_of (self->connection), false);
        MHD_resume_connection (self->connection);
    }
}

/* ---- libmicrohttpd -------------------------------------------------------------------------------------- */

/* The numeric address of the peer, an IPv4 one in its own form; "" if it has none. */
static void
peer_address (struct MHD_Connection *connection, char out[NET_ADDRESS_SIZE])
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info (connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    out[0] = '\0';
    if (!info || !info->client_addr)
        return;
    socklen_t size = info->client_addr->sa_family == AF_INET6 ? sizeof (struct sockaddr_in6)
                                                              : sizeof (struct sockaddr_in);
    if (getnameinfo (info->client_addr, size, out, NET_ADDRESS_SIZE, NULL, 0, NI_NUMERICHOST) !=
        0)
        out[0] = '\0';
}

/* What can be said of a request by its head alone; true if it was answered.  libmicrohttpd closes the
 * connection after such an answer. */
static bool
refuse (struct web *self, struct MHD_Connection *connection, const char *method,
        enum MHD_Result *rc)
{
    char address[NET_ADDRESS_SIZE];
    char text[512];

    peer_address (connection, address);
    if (!zap_allows (self->options.zap, self->options.domain, address)) {
        snprintf (text, sizeof text, "%s is not let in; add it to allow: in %s", address,
                  self->options.allow_file);
        *rc = answer_error (connection, MHD_HTTP_FORBIDDEN, LITEDFS_REFUSED, text);
    } else if (strcmp (method, MHD_HTTP_METHOD_GET) != 0 &&
               strcmp (method, MHD_HTTP_METHOD_HEAD) != 0) {
        *rc = answer_error (connection, MHD_HTTP_METHOD_NOT_ALLOWED, LITEDFS_UNSUPPORTED,
                            "only GET and HEAD are served here");
    } else if (self->stopping) {
        *rc = answer_error (connection, MHD_HTTP_SERVICE_UNAVAILABLE, LITEDFS_CANCELLED,
                            "the service is stopping");
    } else {
        return false;
    }
    return true;
}

static void
on_connection (void *arg, struct MHD_Connection *connection, void **context,
               enum MHD_ConnectionNotificationCode code)
{
    struct web *self = arg;

    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        connections_remove (&self->connections, *context);
        *context = NULL;
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info (connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info)
        *context = connections_add (&self->connections, info->connect_fd);
}

static struct waiting *
waiting_new (struct web *self, struct MHD_Connection *connection)
{
    struct waiting *waiting = calloc (1, sizeof *waiting);
    if (waiting) {
        waiting->web = self;
        waiting->connection = connection;
        waiting->type = WEB_JSON;
        waiting->next = self->waiting;
        self->waiting = waiting;
    }
    return waiting;
}

/* Called for a request's head, again for the body that it should not have, and again after a resume. */
static enum MHD_Result
on_request (void *arg, struct MHD_Connection *connection, const char *path, const char *method,
            const char *version, const char *upload, size_t *upload_size, void **state)
{
    struct web *self = arg;
    struct waiting *waiting = *state;
    enum MHD_Result rc;
    (void) version;
    (void) upload;

    if (!waiting) {
        if (refuse (self, connection, method, &rc))
            return rc;
        *state = waiting = waiting_new (self, connection);
        return waiting ? MHD_YES : MHD_NO;
    }
    if (*upload_size > 0)
        return answer_error (connection, MHD_HTTP_CONTENT_TOO_LARGE, LITEDFS_INVALID,
                             "a GET has no body");
    if (!waiting->asked) {
        waiting->asked = true;
        if (!routes_get (waiting, path))
            return answer_error (connection, MHD_HTTP_NOT_FOUND, LITEDFS_NOT_FOUND,
                                 "there is nothing under this path");
    }
    if (waiting->status)
        return answer (connection, waiting->status, waiting->type, &waiting->body);
    MHD_suspend_connection (connection);
    waiting->suspended = true;
    connections_set_busy (&self->connections, place_of (connection), true);
    return MHD_YES;
}

static void
on_end (void *arg, struct MHD_Connection *connection, void **state,
        enum MHD_RequestTerminationCode code)
{
    struct web *self = arg;
    struct waiting *waiting = *state;
    (void) code;

    if (!waiting)
        return;
    connections_set_busy (&self->connections, place_of (connection), false);
    for (struct waiting **at = &self->waiting; *at; at = &(*at)->next)
        if (*at == waiting) {
            *at = waiting->next;
            break;
        }
    if (waiting->request_id > 0)
        dealer_cancel (self->dealer, waiting->request_id);
    json_decref (waiting->document);
    scrape_free (&waiting->scrape);
    buf_free (&waiting->body);
    free (waiting);
    *state = NULL;
}

/* Paths are compared as they came: decoded, "/%00" would end after its slash. */
static size_t
keep_escapes (void *arg, struct MHD_Connection *connection, char *text)
{
    (void) arg;
    (void) connection;
    return strlen (text);
}

static void
run_http (struct web *self)
{
    unsigned long long wait_ms = 0;

    for (int turn = 0; turn < TURNS; turn++) {
        MHD_run (self->daemon);
        if (MHD_get_timeout (self->daemon, &wait_ms) != MHD_YES || wait_ms > 0)
            return;
    }
}

/* ---- the actor ------------------------------------------------------------------------------------------- */

static int
http_epoll (const struct web *self)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info (self->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    return info ? info->epoll_fd : -1;
}

/* How long the loop may sleep: not past libmicrohttpd's or the DEALER's next deadline. */
static long
sleep_ms (struct web *self)
{
    unsigned long long http_ms = 0;
    long ms = TICK_MS;

    if (MHD_get_timeout (self->daemon, &http_ms) == MHD_YES &&
        http_ms < (unsigned long long) ms)
        ms = (long) http_ms;
    if (self->dealer) {
        long dealer_ms = dealer_timeout_ms (self->dealer);
        if (dealer_ms >= 0 && dealer_ms < ms)
            ms = dealer_ms;
    }
    return ms;
}

static void
loop (struct web *self, struct actor_pipe *pipe)
{
    while (!actor_stopping (pipe)) {
        zmq_pollitem_t items[2 + DEALER_POLL_ITEMS] = {
            {actor_pipe_socket (pipe), 0, ZMQ_POLLIN, 0},
            {NULL, http_epoll (self), ZMQ_POLLIN, 0},
        };
        size_t count = 2;
        if (self->dealer)
            count += dealer_poll_items (self->dealer, items + count);
        zmq_poll (items, (int) count, sleep_ms (self));
        while (actor_recv_command (pipe))
            ;
        if (self->dealer)
            dealer_process (self->dealer);
        run_http (self);
    }
}

/* libmicrohttpd must not be stopped with suspended connections: they get their answer first. */
static void
end_waiting (struct web *self)
{
    litedfs_error_t error;

    self->stopping = true;
    err_set (&error, LITEDFS_BUSY, "the service is stopping");
    for (struct waiting *waiting = self->waiting; waiting; waiting = waiting->next)
        if (waiting->suspended) {
            if (waiting->request_id > 0)
                dealer_cancel (self->dealer, waiting->request_id);
            routes_fail (waiting, &error);
        }
    run_http (self);
}

static int
start_http (struct web *self, litedfs_error_t *error)
{
    self->connections.limit = CONNECTIONS;
    self->daemon = MHD_start_daemon (
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, self,
        MHD_OPTION_LISTEN_SOCKET, self->listen_fd, MHD_OPTION_NOTIFY_COMPLETED, on_end, self,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, self, MHD_OPTION_CONNECTION_TIMEOUT,
        IDLE_SECONDS, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        CONNECTION_MEMORY, MHD_OPTION_END);
    if (!self->daemon)
        return err_set (error, LITEDFS_FAILED, "HTTP on %s:%d: libmicrohttpd does not start",
                        self->options.host, self->options.port);
    self->listen_fd = -1; // libmicrohttpd's now
    if (!self->options.router)
        return 0;

    const struct dealer_options dealer = {
        .endpoint = self->options.router,
        .peer = "the name node's own ROUTER",
        .clock = self->options.clock,
        .log = self->options.log,
    };
    return dealer_new (&self->dealer, &dealer, error);
}

static void
run (struct actor_pipe *pipe, void *args)
{
    struct web *self = args;
    litedfs_error_t error;

    if (start_http (self, &error) < 0) {
        actor_failed (pipe, &error);
    } else {
        actor_ready (pipe);
        loop (self, pipe);
        end_waiting (self);
    }
    if (self->daemon)
        MHD_stop_daemon (self->daemon);
    dealer_destroy (&self->dealer);
}

/* ---- start and stop ------------------------------------------------------------------------------------- */

/* A socket bound to one address; -1 and errno. */
static int
bind_socket (const struct addrinfo *address)
{
    int fd = socket (address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;

    setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof (int));
    if (address->ai_family == AF_INET6)
        setsockopt (fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof (int));
    if (bind (fd, address->ai_addr, address->ai_addrlen) == 0 && listen (fd, BACKLOG) == 0)
        return fd;

    int why = errno;
    close (fd);
    errno = why;
    return -1;
}

/* Our own socket, not libmicrohttpd's, so that a port that is taken is told apart from the rest. */
static int
listen_on (const char *host, int port, int *out, litedfs_error_t *error)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *address = NULL;
    char service[8];

    snprintf (service, sizeof service, "%d", port);
    int why = getaddrinfo (host, service, &hints, &address);
    if (why != 0)
        return err_set (error, LITEDFS_INVALID,
                        "http_host[%s]: %s; allowed: an address of this machine", host,
                        gai_strerror (why));
    *out = bind_socket (address);
    why = errno;
    freeaddrinfo (address);
    if (*out >= 0)
        return 0;
    if (why == EADDRINUSE)
        return err_set (
            error, LITEDFS_IN_USE,
            "HTTP port %d on %s is taken by another program; stop it or set another http_port",
            port, host);
    return err_set_errno (error, LITEDFS_FAILED, why, "HTTP on %s:%d", host, port);
}

static int
copy_options (struct web *self, const struct web_options *options, litedfs_error_t *error)
{
    const char **strings[] = {&self->options.greeting, &self->options.host,
                              &self->options.domain, &self->options.allow_file,
                              &self->options.router};

    self->options = *options;
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        if (*strings[i] &&
            !(*strings[i] = arena_copy (&self->strings, *strings[i], strlen (*strings[i]))))
            return err_set (error, LITEDFS_MEMORY, "out of memory");
    return 0;
}

static void
destroy (struct web *self)
{
    if (self->listen_fd >= 0)
        close (self->listen_fd);
    arena_free (&self->strings);
    free (self);
}

int
web_start (struct web **out, const struct web_options *options, litedfs_error_t *error)
{
    struct web *self = calloc (1, sizeof *self);
    if (!self)
        return err_set (error, LITEDFS_MEMORY, "out of memory");

    self->listen_fd = -1;
    int rc = copy_options (self, options, error);
    if (rc == 0)
        rc = listen_on (options->host, options->port, &self->listen_fd, error);
    if (rc == 0)
        rc = actor_start (&self->actor, "web", run, self, error);
    if (rc < 0) {
        destroy (self);
        return rc;
    }
    *out = self;
    return 0;
}

void
web_stop (struct web **self)
{
    if (!*self)
        return;
    actor_stop (&(*self)->actor);
    destroy (*self);
    *self = NULL;
}

bool
web_ended (const struct web *self)
{
    return actor_ended (self->actor);
}
