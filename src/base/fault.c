/* SPDX-License-Identifier: MIT */
/*
 * Named fault points.
 *
 * This file has state of its own, against the habit of the house: a point stands deep inside
 * code that has no context to carry a table in, and the environment variable that fills the
 * table is as global as the table.  It is written before threads start; afterwards only the
 * counters change, and they are atomic.
 */
#include "base/fault.h"

#include "base/err.h"
#include "base/text.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NAME_SIZE 48
#define DELAY_MAX_MS 600000

enum action { ACTION_EXIT, ACTION_STOP, ACTION_DELAY, ACTION_ERROR };

struct fault {
    char name[NAME_SIZE];
    enum action action;
    int64_t delay_ms;
    int64_t nth; // 0: every passage
    atomic_uint passed;
};

static struct {
    struct fault items[FAULT_MAX];
    size_t count;
} faults;

static bool
read_action (const char *text, struct fault *out)
{
    static const char delay[] = "delay=";

    if (strcmp (text, "exit") == 0)
        out->action = ACTION_EXIT;
    else if (strcmp (text, "stop") == 0)
        out->action = ACTION_STOP;
    else if (strcmp (text, "error") == 0)
        out->action = ACTION_ERROR;
    else if (strncmp (text, delay, sizeof delay - 1) == 0) {
        out->action = ACTION_DELAY;
        return text_parse_int (text + sizeof delay - 1, 1, DELAY_MAX_MS, &out->delay_ms);
    } else
        return false;
    return true;
}

// Read name=action[:n], which it takes apart in place.
static bool
read_fault (char *text, struct fault *out)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    size_t name_size = strspn (text, letters);

    if (name_size == 0 || name_size >= NAME_SIZE || text[name_size] != '=')
        return false;
    memcpy (out->name, text, name_size);

    char *action = text + name_size + 1;
    char *colon = strchr (action, ':');
    if (colon) {
        *colon = 0;
        if (!text_parse_int (colon + 1, 1, UINT32_MAX, &out->nth))
            return false;
    }
    return read_action (action, out);
}

int
fault_set (const char *text, litedfs_error_t *error)
{
    faults.count = 0;
    memset (faults.items, 0, sizeof faults.items);
    if (!text || !*text)
        return 0;

    char *copy = strdup (text);
    if (!copy)
        return err_set (error, LITEDFS_MEMORY, "LITEDFS_FAULT: no memory");

    size_t count = 0;
    bool good = true;
    char *rest = copy;
    for (char *item; good && (item = strsep (&rest, ","));)
        good = count < FAULT_MAX && read_fault (item, &faults.items[count++]);
    free (copy);
    if (!good)
        return err_set (
            error, LITEDFS_USAGE,
            "LITEDFS_FAULT[%s]: item %zu cannot be read; it is name=action[:n] with "
            "exit, stop, error or delay=MS, and there are at most %d",
            text, count, FAULT_MAX);
    faults.count = count;
    return 0;
}

int
fault_init (litedfs_error_t *error)
{
    return fault_set (getenv ("LITEDFS_FAULT"), error);
}

static void
delay (int64_t ms)
{
    struct timespec left = {(time_t) (ms / 1000), (long) (ms % 1000) * 1000000};
    while (nanosleep (&left, &left) < 0 && errno == EINTR)
        ;
}

static bool
act (const struct fault *fault)
{
    switch (fault->action) {
    case ACTION_EXIT:
        _exit (FAULT_EXIT_STATUS);
    case ACTION_STOP:
        kill (getpid (), SIGSTOP);
        return false;
    case ACTION_DELAY:
        delay (fault->delay_ms);
        return false;
    case ACTION_ERROR:
        return true;
    }
    return false;
}

bool
fault_hit (const char *name)
{
    bool failing = false;

    for (size_t i = 0; i < faults.count; i++) {
        struct fault *fault = &faults.items[i];
        if (strcmp (fault->name, name) != 0)
            continue;
        int64_t passage = (int64_t) atomic_fetch_add (&fault->passed, 1) + 1;
        if (fault->nth == 0 || fault->nth == passage)
            failing |= act (fault);
    }
    return failing;
}
