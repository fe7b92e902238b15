/* SPDX-License-Identifier: MIT */
/*
 * The file holds the port in decimal, and a newline.  One that cannot be read is as good as none: the
 * name node learns the port anew at each registration, so a kept port is a convenience and no promise.
 */
#include "datanode/ports.h"

#include "base/err.h"
#include "base/file.h"
#include "base/text.h"
#include "rpc/socket.h"

#include <string.h>

#define PORT_FILE_MAX 64 // bytes
#define PORT_FILE_MODE 0644

/* The port in the file, or 0. */
static int
kept_port (const char *path, struct log *log)
{
    struct buf text = {0};
    int64_t port = 0;
    litedfs_error_t error;

    int rc = file_read_all (path, PORT_FILE_MAX, &text, &error);
    if (rc < 0 && rc != LITEDFS_NOT_FOUND)
        log_warning (log, "the port of before is not known: %s", error.text);
    if (rc == 0 && text.size > 0 && text.data[text.size - 1] == '\n')
        text.size--;
    if (rc == 0 && !text_parse_int (buf_text (&text), 1, 65535, &port))
        log_warning (log, "%s: it holds no port; another one is chosen", path);
    buf_free (&text);
    return (int) port;
}

static int
keep_port (const char *path, int port, litedfs_error_t *error)
{
    struct buf text = {0};

    buf_printf (&text, "%d\n", port);
    int rc = text.failed
                 ? err_set (error, LITEDFS_MEMORY, "out of memory")
                 : file_write_atomic (path, text.data, text.size, PORT_FILE_MODE, error);
    buf_free (&text);
    return rc;
}

/* Bind something to a port, 0: a free one; *out_port is the one that it got. */
typedef int (bind_fn) (void *context, int port, int *out_port, litedfs_error_t *error);

/* Bind to a port of the configuration, or, if that is 0, to the kept one or a free one, which is kept.
 * With an error after it is bound, *out_port is set. */
static int
bind_port (bind_fn *bind, void *context, int port, const char *path, int *out_port,
           struct log *log, litedfs_error_t *error)
{
    int kept = port != 0 ? port : kept_port (path, log);

    *out_port = 0;
    int rc = bind (context, kept, out_port, error);
    if (port != 0)
        return rc;
    if (rc == LITEDFS_IN_USE && kept != 0) {
        log_warning (log, "%s; another port is chosen", error->text);
        rc = bind (context, 0, out_port, error);
    }
    if (rc == 0 && *out_port != kept)
        rc = keep_port (path, *out_port, error);
    return rc;
}

/* ---- routers and sockets ------------------------------------------------------------------------ */

struct router_binding {
    struct router **out;
    struct router_options *options;
};

static int
bind_router (void *context, int port, int *out_port, litedfs_error_t *error)
{
    struct router_binding *binding = context;

    binding->options->port = port;
    int rc = router_new (binding->out, binding->options, error);
    if (rc == 0)
        *out_port = router_port (*binding->out);
    return rc;
}

int
ports_bind (struct router **out, struct router_options *options, int port, const char *path,
            litedfs_error_t *error)
{
    struct router_binding binding = {out, options};
    int bound;

    int rc = bind_port (bind_router, &binding, port, path, &bound, options->log, error);
    if (rc < 0 && bound != 0)
        router_destroy (out);
    return rc;
}

struct socket_binding {
    void *socket;
    const char *host;
};

static int
bind_socket (void *context, int port, int *out_port, litedfs_error_t *error)
{
    const struct socket_binding *binding = context;

    return socket_bind (binding->socket, binding->host, port, out_port, error);
}

int
ports_bind_socket (void *socket, const char *host, int port, const char *path, int *out_port,
                   struct log *log, litedfs_error_t *error)
{
    struct socket_binding binding = {socket, host};

    return bind_port (bind_socket, &binding, port, path, out_port, log, error);
}
