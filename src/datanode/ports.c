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

int
ports_bind (struct router **out, struct router_options *options, int port, const char *path,
            litedfs_error_t *error)
{
    options->port = port != 0 ? port : kept_port (path, options->log);
    int rc = router_new (out, options, error);
    if (port != 0)
        return rc;
    int kept = options->port;
    if (rc == LITEDFS_IN_USE && kept != 0) {
        log_warning (options->log, "%s; another port is chosen", error->text);
        options->port = 0;
        rc = router_new (out, options, error);
    }
    if (rc == 0 && router_port (*out) != kept) {
        rc = keep_port (path, router_port (*out), error);
        if (rc < 0)
            router_destroy (out);
    }
    return rc;
}
