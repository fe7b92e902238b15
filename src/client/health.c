/* SPDX-License-Identifier: MIT */
/*
 * The calls that tell how the blocks are: check, why, repair.  The name node answers a part at a time, so
 * that it holds up nobody; the parts are put together here.
 */
#include "client/fill.h"
#include "client/session.h"

#include <string.h>

/* ---- check -------------------------------------------------------------------------------------- */

static void
add_tallies (litedfs_check_t *out, const struct cluster_check_reply *page)
{
    for (size_t i = 0; i < page->tallies_count; i++) {
        const struct wire_tally *from = &page->tallies[i];
        litedfs_tally_t *to = &out->tallies[from->state];
        to->files += from->files;
        to->blocks += from->blocks;
        to->bytes += from->bytes;
        if (from->since && (to->since_ms == 0 || from->since < to->since_ms))
            to->since_ms = from->since;
    }
    out->settling = out->settling || page->settling;
}

/* A file that has several copies which are corrupt is told of once for each, mostly one after the other. */
static bool
is_told (const litedfs_check_t *out, const struct wire_concern *from)
{
    char id[LITEDFS_ID_SIZE];

    print_id (&from->file, id);
    return out->concern_count > 0 && from->state >= CHECK_CORRUPT &&
           out->concerns[out->concern_count - 1].state == words_check_state[from->state] &&
           strcmp (out->concerns[out->concern_count - 1].id, id) == 0;
}

static int
add_concerns (litedfs_check_t *out, const struct cluster_check_reply *page,
              litedfs_error_t *error)
{
    for (size_t i = 0; i < page->concerns_count; i++) {
        const struct wire_concern *from = &page->concerns[i];
        if (is_told (out, from)) {
            out->concerns[out->concern_count - 1].blocks += from->blocks;
            out->concerns[out->concern_count - 1].bytes += from->bytes;
            continue;
        }
        if (!make_room ((void **) &out->concerns, out->concern_count, sizeof *out->concerns))
            return memory_short (error);
        litedfs_concern_t *to = &out->concerns[out->concern_count];
        *to = (litedfs_concern_t){
            .state = words_check_state[from->state],
            .path = session_text (from->path),
            .replica = (uint32_t) from->replica,
            .copies = (uint32_t) from->copies,
            .blocks = from->blocks,
            .bytes = from->bytes,
            .since_ms = from->since,
        };
        print_id (&from->file, to->id);
        if (!to->path)
            return memory_short (error);
        out->concern_count++;
    }
    return 0;
}

/* The cursor points into the page before, which is kept until the next one has come. */
static int
check_parts (litedfs_t *session, bool files, litedfs_check_t *out, litedfs_error_t *error)
{
    struct cluster_check_request request = {.files = files};
    struct dealer_reply *before = NULL;
    int rc = 0;

    do {
        struct cluster_check_reply page;
        struct dealer_reply *reply = NULL;
        rc = session_call (session, MESSAGE_cluster_check, &request, &page, &reply, error);
        dealer_reply_destroy (&before);
        if (rc < 0)
            break;
        add_tallies (out, &page);
        rc = add_concerns (out, &page, error);
        request.cursor = page.cursor;
        before = reply;
    } while (rc == 0 && request.cursor.data);
    dealer_reply_destroy (&before);
    return rc;
}

int
litedfs_check (litedfs_t *session, bool files, litedfs_check_t *out, litedfs_error_t *error)
{
    *out = (litedfs_check_t){0};
    for (size_t i = 0; i < LITEDFS_STATES; i++)
        out->tallies[i].state = words_check_state[i];
    int rc = check_parts (session, files, out, error);
    if (rc < 0) {
        litedfs_check_free (out);
        return rc;
    }
    out->healthy = !out->settling;
    for (size_t i = CHECK_OVER + 1; i < LITEDFS_STATES; i++)
        out->healthy = out->healthy && out->tallies[i].blocks == 0;
    return 0;
}

void
litedfs_check_free (litedfs_check_t *check)
{
    for (size_t i = 0; i < check->concern_count; i++)
        free (check->concerns[i].path);
    free (check->concerns);
    *check = (litedfs_check_t){0};
}

/* ---- why ---------------------------------------------------------------------------------------- */

static void
free_stray (litedfs_stray_t *stray)
{
    free (stray->holders);
    free (stray->copies);
}

static int
fill_stray (litedfs_stray_t *to, const struct wire_stray *from, litedfs_error_t *error)
{
    *to = (litedfs_stray_t){
        .index = from->index,
        .id = from->id,
        .size = from->size,
        .awaits = words_awaits[from->awaits],
        .left_ms = from->left,
        .holders = calloc (from->holders_count + 1, sizeof *to->holders),
        .copies = calloc (from->copies_count + 1, sizeof *to->copies),
        .offline = from->offline,
        .full = from->full,
        .busy = from->busy,
        .failures = from->failures,
    };
    if (!to->holders || !to->copies)
        return memory_short (error);
    for (size_t i = 0; i < from->holders_count; i++)
        to->holders[to->holder_count++] = (litedfs_holder_t){
            .node = (uint32_t) from->holders[i].node,
            .standing = words_standing[from->holders[i].standing],
            .left_ms = from->holders[i].left,
        };
    for (size_t i = 0; i < from->copies_count; i++)
        to->copies[to->copy_count++] = (litedfs_transfer_t){
            .source = (uint32_t) from->copies[i].source,
            .target = (uint32_t) from->copies[i].target,
            .left_ms = from->copies[i].left,
        };
    return 0;
}

static int
add_strays (litedfs_why_t *out, const struct file_why_reply *page, litedfs_error_t *error)
{
    for (size_t i = 0; i < page->blocks_count; i++) {
        if (!make_room ((void **) &out->blocks, out->block_count, sizeof *out->blocks))
            return memory_short (error);
        if (fill_stray (&out->blocks[out->block_count++], &page->blocks[i], error) < 0)
            return error ? error->number : LITEDFS_MEMORY;
    }
    if (page->copies < out->copies)
        out->copies = (uint32_t) page->copies;
    return 0;
}

int
litedfs_why (litedfs_t *session, const char *path, litedfs_why_t *out, litedfs_error_t *error)
{
    struct file_why_request request = {.path = slice_str (path)};
    struct file_why_reply page = {.next = 0};
    int rc = 0;

    *out = (litedfs_why_t){0};
    for (bool first = true; rc == 0 && page.next != WIRE_UNKNOWN; first = false) {
        struct dealer_reply *reply = NULL;
        request.offset = page.next;
        rc = session_call (session, MESSAGE_file_why, &request, &page, &reply, error);
        if (rc == 0 && first) {
            out->path = session_text (page.path);
            print_id (&page.file, out->id);
            out->replica = (uint32_t) page.replica;
            out->copies = (uint32_t) page.copies;
            out->count = page.count;
            request.file = page.file; // parts of the same file, whatever happens to the path
            request.path = slice_of (NULL, 0);
            if (!out->path)
                rc = memory_short (error);
        }
        if (rc == 0)
            rc = add_strays (out, &page, error);
        dealer_reply_destroy (&reply);
    }
    if (rc < 0)
        litedfs_why_free (out);
    return rc;
}

void
litedfs_why_free (litedfs_why_t *why)
{
    for (size_t i = 0; i < why->block_count; i++)
        free_stray (&why->blocks[i]);
    free (why->blocks);
    free (why->path);
    *why = (litedfs_why_t){0};
}

/* ---- repair ------------------------------------------------------------------------------------- */

int
litedfs_repair (litedfs_t *session, litedfs_repair_t *out, litedfs_error_t *error)
{
    struct cluster_repair_reply from;
    struct dealer_reply *reply = NULL;

    *out = (litedfs_repair_t){0};
    int rc = session_call (session, MESSAGE_cluster_repair, NULL, &from, &reply, error);
    if (rc < 0)
        return rc;
    *out = (litedfs_repair_t){
        .counted = from.counted,
        .missing = from.missing,
        .last = from.last,
        .few = from.few,
        .move = from.move,
        .surplus = from.surplus,
        .bytes = from.bytes,
        .copies = from.copies,
        .copying = from.copying,
        .rate = from.rate,
        .settling_ms = from.settling,
        .awaited = calloc (from.awaited_count + 1, sizeof *out->awaited),
    };
    for (size_t i = 0; out->awaited && i < from.awaited_count; i++)
        out->awaited[out->awaited_count++] = (uint32_t) from.awaited[i];
    dealer_reply_destroy (&reply);
    return out->awaited ? 0 : memory_short (error);
}

void
litedfs_repair_free (litedfs_repair_t *repair)
{
    free (repair->awaited);
    *repair = (litedfs_repair_t){0};
}
