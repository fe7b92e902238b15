/* SPDX-License-Identifier: MIT */
/*
 * A small HTTP/1.0 client for one question.
 *
 * Connect, send, read until the end of the connection or of Content-Length, each step a poll
 * against one deadline; then status, header, JSON.  The answer comes from whatever listens at
 * that address: its size is bounded, and nothing of it is used before it was checked.
 */
#include "rpc/endpoint.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"
#include "wire/message.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* The most bytes of an answer. */
#define ANSWER_MAX 65536

/* The most addresses of a name that are tried. */
#define ADDRESSES_MAX 8

#define WHERE_SIZE (NET_HOST_SIZE + 8)

struct lookup {
    int fd;
    int cancel_fd;
    int64_t deadline_ms;
    int timeout_ms;
    int64_t wait_ms;        // how much of it what is waited for now has
    char where[WHERE_SIZE]; // host:port as it was given
    const char *address;    // the one that is asked
    struct buf answer;
};

/* Wait until the descriptor is ready for events. */
static int
wait_for (struct lookup *self, short events, const char *what, litedfs_error_t *error)
{
    for (;;) {
        int64_t left_ms = self->deadline_ms - clock_mono (clock_system ());
        struct pollfd items[] = {{self->fd, events, 0}, {self->cancel_fd, POLLIN, 0}};
        if (left_ms <= 0)
            return err_set (error, events == POLLOUT ? LITEDFS_UNREACHABLE : LITEDFS_TIMEOUT,
                            "cannot reach the name node at %s: %s within %.1f s", self->where,
                            what, (double) self->wait_ms / 1000.0);
        int rc = poll (items, self->cancel_fd >= 0 ? 2 : 1, (int) left_ms);
        if (rc < 0 && errno != EINTR)
            return err_set_errno (error, LITEDFS_FAILED, errno, "poll");
        if (rc > 0 && self->cancel_fd >= 0 && items[1].revents)
            return err_set (error, LITEDFS_CANCELLED, "cancelled");
        if (rc > 0 && items[0].revents)
            return 0;
    }
}

static int
unreachable (const struct lookup *self, int errnum, litedfs_error_t *error)
{
    return err_set_errno (error, LITEDFS_UNREACHABLE, errnum,
                          "cannot reach the name node at %s", self->where);
}

static int
connect_to (struct lookup *self, int port, litedfs_error_t *error)
{
    char service[8];
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    int errnum = 0;
    socklen_t size = sizeof errnum;

    snprintf (service, sizeof service, "%d", port);
    int rc = getaddrinfo (self->address, service, &hints, &found);
    if (rc != 0)
        return err_set (error, LITEDFS_UNREACHABLE, "cannot reach the name node at %s: %s",
                        self->where, gai_strerror (rc));
    self->fd = socket (found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    rc = self->fd < 0 ? -1 : connect (self->fd, found->ai_addr, found->ai_addrlen);
    errnum = rc < 0 ? errno : 0;
    freeaddrinfo (found);
    if (errnum == 0)
        return 0;
    if (errnum != EINPROGRESS)
        return unreachable (self, errnum, error);
    rc = wait_for (self, POLLOUT, "no connection", error);
    if (rc < 0)
        return rc;
    if (getsockopt (self->fd, SOL_SOCKET, SO_ERROR, &errnum, &size) < 0)
        errnum = errno;
    return errnum ? unreachable (self, errnum, error) : 0;
}

static void
hang_up (struct lookup *self)
{
    if (self->fd >= 0)
        close (self->fd);
    self->fd = -1;
}

/* Try one address after the other; each has its share of the time that is left.  If none takes the
 * connection, the reason is that of the first. */
static int
connect_to_any (struct lookup *self, char (*addresses)[NET_ADDRESS_SIZE], size_t count,
                int port, litedfs_error_t *error)
{
    int64_t end_ms = clock_mono (clock_system ()) + self->timeout_ms;
    litedfs_error_t why = {.number = 0};
    int rc = LITEDFS_UNREACHABLE;

    for (size_t i = 0; i < count && rc == LITEDFS_UNREACHABLE; i++) {
        litedfs_error_t problem;
        int64_t now_ms = clock_mono (clock_system ());
        hang_up (self);
        self->address = addresses[i];
        self->wait_ms = (end_ms - now_ms) / (int64_t) (count - i);
        self->deadline_ms = now_ms + self->wait_ms;
        rc = connect_to (self, port, &problem);
        if (rc < 0 && (i == 0 || rc != LITEDFS_UNREACHABLE))
            why = problem;
    }
    self->wait_ms = self->timeout_ms;
    self->deadline_ms = end_ms;
    if (rc < 0 && error)
        *error = why;
    return rc;
}

static int
send_question (struct lookup *self, litedfs_error_t *error)
{
    struct buf question = {0};
    size_t sent = 0;
    int rc = 0;

    buf_printf (&question,
                "GET /cluster/endpoint HTTP/1.0\r\nHost: %s\r\nAccept: application/json\r\n"
                "Connection: close\r\n\r\n",
                self->where);
    if (question.failed)
        rc = err_set (error, LITEDFS_MEMORY, "no memory");
    while (rc == 0 && sent < question.size) {
        ssize_t n = send (self->fd, question.data + sent, question.size - sent, MSG_NOSIGNAL);
        if (n >= 0)
            sent += (size_t) n;
        else if (errno == EAGAIN)
            rc = wait_for (self, POLLOUT, "it takes nothing", error);
        else if (errno != EINTR)
            rc = unreachable (self, errno, error);
    }
    buf_free (&question);
    return rc;
}

/* Where the header ends: the offset of the body, or 0. */
static size_t
body_offset (const struct buf *answer)
{
    const char *end =
        answer->size > 0 ? memmem (answer->data, answer->size, "\r\n\r\n", 4) : NULL;

    return end ? (size_t) (end - (const char *) answer->data) + 4 : 0;
}

/* The value of Content-Length; false if it has none that can be read. */
static bool
content_length (const char *header, int64_t *out)
{
    static const char name[] = "\r\nContent-Length:";
    char digits[20];

    const char *at = strcasestr (header, name);
    if (!at)
        return false;
    at += sizeof name - 1;
    at += strspn (at, " \t");
    size_t size = strspn (at, "0123456789");
    if (size == 0 || size >= sizeof digits)
        return false;
    memcpy (digits, at, size);
    digits[size] = '\0';
    return text_parse_int (digits, 0, ANSWER_MAX, out);
}

/* Whether the whole body is there, as far as the header says. */
static bool
is_complete (struct lookup *self)
{
    int64_t length;
    size_t offset = body_offset (&self->answer);

    return offset > 0 && content_length (buf_text (&self->answer), &length) &&
           self->answer.size - offset >= (size_t) length;
}

/* It closed the connection before it said anything. */
static int
said_nothing (const struct lookup *self, litedfs_error_t *error)
{
    return err_set (error, LITEDFS_UNREACHABLE,
                    "cannot reach the name node at %s: it closes the connection; if it is not "
                    "ending, that is not its HTTP port (9000): its request port (19000) is "
                    "tcp://HOST:PORT",
                    self->where);
}

/* It closed the connection: whether what came may be the whole answer.  A name node that is killed
 * leaves half of one. */
static int
check_end (struct lookup *self, litedfs_error_t *error)
{
    static const char begin[] = "HTTP/1.";
    const struct buf *answer = &self->answer;
    size_t size = answer->size < sizeof begin - 1 ? answer->size : sizeof begin - 1;
    size_t offset = body_offset (answer);
    int64_t length;

    if (answer->size == 0)
        return said_nothing (self, error);
    if (memcmp (answer->data, begin, size) != 0)
        return 0;
    if (offset == 0 || (content_length (buf_text (&self->answer), &length) &&
                        answer->size - offset < (size_t) length))
        return err_set (error, LITEDFS_UNREACHABLE,
                        "cannot reach the name node at %s: it closed the connection in the "
                        "middle of its answer",
                        self->where);
    return 0;
}

static int
read_answer (struct lookup *self, litedfs_error_t *error)
{
    char bytes[4096];

    while (!is_complete (self)) {
        ssize_t n = recv (self->fd, bytes, sizeof bytes, 0);
        if (n == 0)
            return check_end (self, error);
        if (n < 0 && errno == EAGAIN) {
            int rc = wait_for (self, POLLIN, "no answer", error);
            if (rc < 0)
                return rc;
        } else if (n < 0 && errno == ECONNRESET && self->answer.size == 0) {
            return said_nothing (self, error);
        } else if (n < 0 && errno != EINTR) {
            return unreachable (self, errno, error);
        } else if (n > 0) {
            buf_put (&self->answer, bytes, (size_t) n);
            if (self->answer.failed || self->answer.size > ANSWER_MAX)
                return err_set (
                    error, LITEDFS_INVALID,
                    "%s is not the HTTP address of a name node: it answers too much",
                    self->where);
        }
    }
    return 0;
}

static int
not_litedfs (const struct lookup *self, const char *why, litedfs_error_t *error)
{
    return err_set (error, LITEDFS_INVALID,
                    "%s is not the HTTP address of a LiteDFS name node: %s", self->where, why);
}

/* 403 and its message. */
static int
refused (const struct lookup *self, const json_t *json, litedfs_error_t *error)
{
    const char *text = json_string_value (json_object_get (json, "message"));
    char line[512];

    if (!text)
        return err_set (
            error, LITEDFS_REFUSED,
            "%s does not let this host in; add it to allow: in the configuration.yml "
            "there",
            self->where);
    return err_set (error, LITEDFS_REFUSED, "%s: %s", self->where,
                    text_escape (text, strlen (text), line, sizeof line));
}

/* Whether an address may be connected to. */
static bool
is_numeric (const char *text)
{
    uint8_t bytes[16];

    return inet_pton (AF_INET, text, bytes) == 1 || inet_pton (AF_INET6, text, bytes) == 1;
}

/* An integer from min to max, or -1. */
static int
integer_of (const json_t *value, int min, int max)
{
    json_int_t number = json_is_integer (value) ? json_integer_value (value) : -1;

    return number >= min && number <= max ? (int) number : -1;
}

static int
read_fields (const struct lookup *self, const json_t *json, struct endpoint_info *out,
             litedfs_error_t *error)
{
    const char *host = json_string_value (json_object_get (json, "host"));
    const char *cluster = json_string_value (json_object_get (json, "cluster"));
    const json_t *versions = json_object_get (json, "versions");
    struct endpoint_info info = {.port = integer_of (json_object_get (json, "port"), 1, 65535)};

    if (!host || (host[0] && !is_numeric (host)))
        return not_litedfs (self, "its answer has no usable host", error);
    if (info.port < 0)
        return not_litedfs (self, "its answer has no usable port", error);
    if (!cluster || !uuid_parse (&info.cluster, cluster, strlen (cluster)))
        return not_litedfs (self, "its answer has no cluster id", error);
    info.version_min = integer_of (json_array_get (versions, 0), 1, INT32_MAX);
    info.version_max = integer_of (json_array_get (versions, 1), 1, INT32_MAX);
    if (json_array_size (versions) != 2 || info.version_min < 0 ||
        info.version_max < info.version_min)
        return not_litedfs (self, "its answer has no protocol versions", error);
    if (info.version_min > WIRE_VERSION_MAX || info.version_max < WIRE_VERSION_MIN)
        return err_set (
            error, LITEDFS_UNSUPPORTED_VERSION,
            "the name node at %s speaks the protocol versions %d to %d, this program "
            "%d to %d",
            self->where, info.version_min, info.version_max, WIRE_VERSION_MIN,
            WIRE_VERSION_MAX);
    bool here = !host[0] || net_is_any (host);
    snprintf (info.host, sizeof info.host, "%s", here ? self->address : host);
    *out = info;
    return 0;
}

static int
read_json (struct lookup *self, struct endpoint_info *out, litedfs_error_t *error)
{
    int status = 0;
    size_t offset = body_offset (&self->answer);
    char why[64];

    if (offset == 0 || sscanf (buf_text (&self->answer), "HTTP/1.%*1[01] %3d", &status) != 1)
        return not_litedfs (self, "it does not speak HTTP", error);
    json_t *json = json_loadb ((const char *) self->answer.data + offset,
                               self->answer.size - offset, JSON_REJECT_DUPLICATES, NULL);
    int rc;
    if (status == 403) {
        rc = refused (self, json, error);
    } else if (status != 200) {
        snprintf (why, sizeof why, "it answers with HTTP status %d", status);
        rc = not_litedfs (self, why, error);
    } else if (!json_is_object (json)) {
        rc = not_litedfs (self, "its answer is not JSON", error);
    } else {
        rc = read_fields (self, json, out, error);
    }
    json_decref (json);
    return rc;
}

int
endpoint_lookup (const char *host, int http_port, int timeout_ms, int cancel_fd,
                 struct endpoint_info *out, litedfs_error_t *error)
{
    struct lookup lookup = {.fd = -1, .cancel_fd = cancel_fd, .timeout_ms = timeout_ms};
    char addresses[ADDRESSES_MAX][NET_ADDRESS_SIZE];
    size_t count;

    if (strlen (host) >= NET_HOST_SIZE || http_port < 1 || http_port > 65535)
        return err_set (error, LITEDFS_INVALID, "%.64s:%d is no address", host, http_port);
    net_join_host_port (host, http_port, lookup.where, sizeof lookup.where);
    int rc = net_resolve_all (host, addresses, ADDRESSES_MAX, &count, error);
    if (rc < 0)
        return err_prefix (error, "cannot reach the name node at %s", lookup.where);
    rc = connect_to_any (&lookup, addresses, count, http_port, error);
    if (rc == 0)
        rc = send_question (&lookup, error);
    if (rc == 0)
        rc = read_answer (&lookup, error);
    if (rc == 0)
        rc = read_json (&lookup, out, error);
    hang_up (&lookup);
    buf_free (&lookup.answer);
    return rc;
}
