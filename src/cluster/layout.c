/* SPDX-License-Identifier: MIT */
/*
 * Which directories a cluster has, and the making of those that are missing, with the code and the
 * formats of `litename -g` and `litedata -g`: each of them works under the real daemon as well.
 *
 * Data nodes are the directories data-1, data-2, ... up to the highest there is.  One that is missing
 * below it (a disk that was lost) is made anew and joins as a new node.  Nothing that has a
 * configuration.yml is written to.
 */
#include "cluster/layout.h"

#include "base/err.h"
#include "base/file.h"
#include "datanode/service.h"
#include "namenode/service.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT_MAX 65535

/* What a part's configuration says besides the defaults. */
struct ports {
    int http;
    int name_http;
};

/* Whether somebody keeps the port; what else may be wrong with it, its daemon will say. */
static bool
port_is_taken (int port)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons ((uint16_t) port),
                                        .sin_addr.s_addr = htonl (INADDR_ANY)};
    const int on = 1;
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return false;
    setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bool taken = bind (fd, (const struct sockaddr *) &address, sizeof address) < 0 &&
                 errno == EADDRINUSE;
    close (fd);
    return taken;
}

/* Put together the paths of a part: "name", "data-3". */
static int
fill_part (struct layout *self, size_t part, litedfs_error_t *error)
{
    struct layout_part *out = &self->parts[part];
    int rc = part == 0 ? asprintf (&out->directory, "%s/name", self->directory)
                       : asprintf (&out->directory, "%s/data-%zu", self->directory, part);

    if (rc < 0) {
        out->directory = NULL;
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    }
    if (asprintf (&out->config_path, "%s/configuration.yml", out->directory) < 0) {
        out->config_path = NULL;
        return err_set (error, LITEDFS_MEMORY, "out of memory");
    }
    out->exists = access (out->config_path, F_OK) == 0;
    return 0;
}

/* The number in "data-3"; 0 for another name. */
static size_t
data_number (const char *name)
{
    char again[32];
    char *end;

    if (strncmp (name, "data-", 5) != 0)
        return 0;
    unsigned long number = strtoul (name + 5, &end, 10);
    snprintf (again, sizeof again, "data-%lu", number);
    return strcmp (again, name) == 0 ? number : 0; // not data-03
}

/* Whether what has this name has nothing to do with a cluster. */
static bool
is_foreign (const char *name)
{
    static const char *const known[] = {".", "..", "name", "lost+found"};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp (name, known[i]) == 0)
            return false;
    return data_number (name) == 0;
}

/* What stands in the directory: the highest data-N, and whether there is anything else. */
static int
look_into (const char *directory, size_t *highest, bool *foreign, litedfs_error_t *error)
{
    DIR *dir = opendir (directory);

    *highest = 0;
    *foreign = false;
    if (!dir && errno == ENOENT)
        return 0;
    if (!dir)
        return err_set_errno (error, LITEDFS_IO, errno, "directory[%s]", directory);
    errno = 0;
    for (struct dirent *entry; (entry = readdir (dir)); errno = 0) {
        size_t number = data_number (entry->d_name);
        if (number > *highest)
            *highest = number;
        *foreign = *foreign || is_foreign (entry->d_name);
    }
    int rc = errno ? err_set_errno (error, LITEDFS_IO, errno, "directory[%s]", directory) : 0;
    closedir (dir);
    return rc;
}

/* How many data nodes there shall be, of which `there` are there. */
static int
choose_count (struct layout *self, size_t wanted, size_t there, litedfs_error_t *error)
{
    if (there > LAYOUT_NODES_MAX)
        return err_set (
            error, LITEDFS_USAGE,
            "directory[%s]: it has data-%zu; one process takes up to %d data nodes, "
            "run them with litedata",
            self->directory, there, LAYOUT_NODES_MAX);
    if (wanted > 0 && wanted < there)
        return err_set (
            error, LITEDFS_USAGE,
            "directory[%s]: it has %zu data nodes, up to data-%zu, and their blocks "
            "would be missing with -n %zu; leave -n out to run them all",
            self->directory, there, there, wanted);
    self->nodes = wanted > 0 ? wanted : there > 0 ? there : LAYOUT_NODES_DEFAULT;
    return 0;
}

int
layout_look (struct layout *self, const char *directory, size_t nodes, litedfs_error_t *error)
{
    size_t highest = 0;
    bool foreign = false;

    *self = (struct layout){0};
    int rc = file_absolute (NULL, directory, &self->directory, error);
    if (rc == 0)
        rc = look_into (self->directory, &highest, &foreign, error);
    if (rc == 0)
        rc = choose_count (self, nodes, highest, error);
    for (size_t part = 0; rc == 0 && part <= self->nodes; part++)
        rc = fill_part (self, part, error);
    if (rc == 0 && !self->parts[0].exists && (foreign || highest > 0))
        rc = err_set (
            error, LITEDFS_USAGE,
            "directory[%s]: it is not empty, and no cluster of litecluster, because there "
            "is no name/configuration.yml in it; name an empty directory or a new one",
            self->directory);
    return rc;
}

static int
set_number (const struct option_row *options, void *config, const char *key, int number,
            struct arena *arena, litedfs_error_t *error)
{
    char text[16];

    snprintf (text, sizeof text, "%d", number);
    return conf_set (options, config, key, text, arena, error);
}

static int
fill_name (const void *context, void *config, struct arena *arena, litedfs_error_t *error)
{
    const struct option_row *options = namenode_service.options;
    const struct ports *ports = context;

    int rc = set_number (options, config, "http_port", ports->http, arena, error);
    if (rc == 0)
        rc = set_number (options, config, "tcp_port", 0, arena, error);
    return rc;
}

static int
fill_data (const void *context, void *config, struct arena *arena, litedfs_error_t *error)
{
    const struct option_row *options = datanode_service.options;
    const struct ports *ports = context;

    int rc = set_number (options, config, "http_port", ports->http, arena, error);
    if (rc == 0)
        rc = set_number (options, config, "tcp_port", 0, arena, error);
    if (rc == 0)
        rc = set_number (options, config, "chain_port", 0, arena, error);
    if (rc == 0)
        rc = set_number (options, config, "name_http_port", ports->name_http, arena, error);
    return rc;
}

/* Whether a part that will be made can have its port. */
static int
check_port (const struct layout *self, size_t part, int port, litedfs_error_t *error)
{
    const char *instead = self->parts[0].exists
                              ? "stop that one, or make this directory with litedata -g"
                              : "choose others with -p";

    if (port > PORT_MAX)
        return err_set (
            error, LITEDFS_USAGE,
            "the HTTP ports of data nodes follow the name node's, and that of data-%zu "
            "would be %d; allowed: up to %d",
            part, port, PORT_MAX);
    if (port_is_taken (port))
        return err_set (error, LITEDFS_IN_USE,
                        "HTTP port %d, for %s, is taken by another program; %s", port,
                        self->parts[part].directory, instead);
    return 0;
}

int
layout_make (struct layout *self, int http_port, litedfs_error_t *error)
{
    int rc = 0;

    for (size_t part = 0; rc == 0 && part <= self->nodes; part++)
        if (!self->parts[part].exists)
            rc = check_port (self, part, http_port + (int) part, error);
    // The name node comes first: a run that was cut off after it can be repeated.
    for (size_t part = 0; rc == 0 && part <= self->nodes; part++) {
        const struct ports ports = {.http = http_port + (int) part, .name_http = http_port};
        if (!self->parts[part].exists)
            rc = daemon_generate (part == 0 ? &namenode_service : &datanode_service,
                                  self->parts[part].directory,
                                  part == 0 ? fill_name : fill_data, &ports, error);
    }
    return rc;
}

void
layout_free (struct layout *self)
{
    for (size_t part = 0; part <= LAYOUT_NODES_MAX; part++) {
        free (self->parts[part].directory);
        free (self->parts[part].config_path);
    }
    free (self->directory);
    *self = (struct layout){0};
}
