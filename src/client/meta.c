/* SPDX-License-Identifier: MIT */
/*
 * The calls that only the name node answers: tree, locks, cluster.  Each one fills a request, waits,
 * and copies the reply into structs of the caller's.  Lists are asked for page by page; a list that
 * changes meanwhile shows each entry as it was when its page was read.
 */
#include "client/fill.h"
#include "client/session.h"

#include "base/crc.h"
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- changes of the tree -------------------------------------------------------------------------------- */

int
litedfs_make_directory (litedfs_t *session, const char *path, litedfs_error_t *error)
{
    const struct directory_create_request request = {.path = slice_str (path), .parents = true};
    return session_call (session, MESSAGE_directory_create, &request, NULL, NULL, error);
}

int
litedfs_delete (litedfs_t *session, litedfs_kind_t kind, const char *path,
                litedfs_error_t *error)
{
    const struct file_delete_request file = {.path = slice_str (path)};
    const struct directory_delete_request directory = {.path = slice_str (path)};

    if (kind == LITEDFS_FILE)
        return session_call (session, MESSAGE_file_delete, &file, NULL, NULL, error);
    return session_call (session, MESSAGE_directory_delete, &directory, NULL, NULL, error);
}

int
litedfs_move (litedfs_t *session, litedfs_kind_t kind, const char *source, const char *target,
              litedfs_error_t *error)
{
    const struct file_move_request file = {.source = slice_str (source),
                                           .target = slice_str (target)};
    const struct directory_move_request directory = {.source = slice_str (source),
                                                     .target = slice_str (target)};

    if (kind == LITEDFS_FILE)
        return session_call (session, MESSAGE_file_move, &file, NULL, NULL, error);
    return session_call (session, MESSAGE_directory_move, &directory, NULL, NULL, error);
}

int
litedfs_rename (litedfs_t *session, litedfs_kind_t kind, const char *path, const char *name,
                litedfs_error_t *error)
{
    const struct file_rename_request file = {.path = slice_str (path),
                                             .name = slice_str (name)};
    const struct directory_rename_request directory = {.path = slice_str (path),
                                                       .name = slice_str (name)};

    if (kind == LITEDFS_FILE)
        return session_call (session, MESSAGE_file_rename, &file, NULL, NULL, error);
    return session_call (session, MESSAGE_directory_rename, &directory, NULL, NULL, error);
}

int
litedfs_set_replica (litedfs_t *session, const char *path, uint32_t replica, const char *id,
                     litedfs_error_t *error)
{
    struct file_update_request request = {.path = slice_str (path), .replica = replica};

    if (id && !uuid_parse (&request.file, id, strlen (id)))
        return err_set (error, LITEDFS_INVALID, "id[%s]: not a file's id", id);
    return session_call (session, MESSAGE_file_update, &request, NULL, NULL, error);
}

/* ---- one path ----------------------------------------------------------------------------------------------- */

/* The last part of a path; the root's is "/". */
static struct slice
last_part (struct slice path)
{
    const char *text = path.data;
    size_t start = path.size;
    while (start > 0 && text[start - 1] != '/')
        start--;
    return start == path.size ? path : slice_of (text + start, path.size - start);
}

int
litedfs_stat (litedfs_t *session, const char *path, litedfs_entry_t *out,
              litedfs_error_t *error)
{
    const struct path_info_request request = {.path = slice_str (path)};
    struct path_info_reply info;
    struct dealer_reply *reply = NULL;

    int rc = session_call (session, MESSAGE_path_info, &request, &info, &reply, error);
    if (rc < 0)
        return rc;
    *out = (litedfs_entry_t){
        .kind = info.kind == KIND_FILE ? LITEDFS_FILE : LITEDFS_DIRECTORY,
        .name = session_text (last_part (info.path)),
        .size = info.size,
        .replica = (uint32_t) info.replica,
        .ctime_ms = info.ctime,
        .mtime_ms = info.mtime,
        .files = info.files,
        .directories = info.directories,
    };
    print_id (&info.file, out->id);
    dealer_reply_destroy (&reply);
    return out->name ? 0 : memory_short (error);
}

void
litedfs_entry_free (litedfs_entry_t *entry)
{
    free (entry->name);
    *entry = (litedfs_entry_t){0};
}

/* ---- lists ---------------------------------------------------------------------------------------------------- */

static int
add_entries (litedfs_list_t *list, const struct directory_list_reply *page,
             litedfs_error_t *error)
{
    for (size_t i = 0; i < page->entries_count; i++) {
        const struct wire_entry *from = &page->entries[i];
        if (!make_room ((void **) &list->entries, list->count, sizeof *list->entries))
            return memory_short (error);
        litedfs_entry_t *to = &list->entries[list->count];
        *to = (litedfs_entry_t){
            .kind = from->kind == KIND_FILE ? LITEDFS_FILE : LITEDFS_DIRECTORY,
            .name = session_text (from->name),
            .size = from->size,
            .replica = (uint32_t) from->replica,
            .ctime_ms = from->ctime,
            .mtime_ms = from->mtime,
            .files = from->files,
            .directories = from->directories,
        };
        if (!to->name)
            return memory_short (error);
        print_id (&from->id, to->id);
        list->count++;
    }
    list->total = page->total;
    return 0;
}

/* Ask for pages until `limit` entries are there (0: all).  The cursor points into the page before, which
 * is kept until the next one has come. */
static int
list_pages (litedfs_t *session, struct directory_list_request *request, uint64_t limit,
            litedfs_list_t *out, litedfs_error_t *error)
{
    struct dealer_reply *before = NULL;
    int rc = 0;

    for (bool more = true; more && rc == 0;) {
        struct directory_list_reply page;
        struct dealer_reply *reply = NULL;
        request->limit = limit ? limit - out->count : 0;
        rc = session_call (session, MESSAGE_directory_list, request, &page, &reply, error);
        dealer_reply_destroy (&before);
        if (rc < 0)
            break;
        rc = add_entries (out, &page, error);
        more = page.cursor.data && (!limit || out->count < limit);
        request->offset = 0;
        request->cursor = page.cursor;
        before = reply;
    }
    dealer_reply_destroy (&before);
    return rc;
}

int
litedfs_list (litedfs_t *session, const char *path, const litedfs_list_options_t *options,
              litedfs_list_t *out, litedfs_error_t *error)
{
    struct directory_list_request request = {
        .path = slice_str (path),
        .offset = options ? options->offset : 0,
        .files = !(options && options->directories_only),
        .directories = !(options && options->files_only),
    };

    *out = (litedfs_list_t){0};
    int rc = list_pages (session, &request, options ? options->limit : 0, out, error);
    if (rc < 0)
        litedfs_list_free (out);
    return rc;
}

void
litedfs_list_free (litedfs_list_t *list)
{
    for (size_t i = 0; i < list->count; i++)
        litedfs_entry_free (&list->entries[i]);
    free (list->entries);
    *list = (litedfs_list_t){0};
}

/* ---- a file and its blocks -------------------------------------------------------------------------------------- */

static int
add_blocks (litedfs_file_t *file, const struct file_info_reply *page, litedfs_error_t *error)
{
    for (size_t i = 0; i < page->blocks_count; i++) {
        const struct wire_block *from = &page->blocks[i];
        if (!make_room ((void **) &file->blocks, file->block_count, sizeof *file->blocks))
            return memory_short (error);
        litedfs_block_t *to = &file->blocks[file->block_count];
        *to = (litedfs_block_t){
            .id = from->id,
            .size = from->size,
            .crc32 = (uint32_t) from->crc32,
            .nodes = calloc (from->nodes_count + 1, sizeof *to->nodes),
            .node_count = from->nodes_count,
        };
        if (!to->nodes)
            return memory_short (error);
        for (size_t k = 0; k < from->nodes_count; k++)
            to->nodes[k] = (uint32_t) from->nodes[k];
        file->block_count++;
    }
    return 0;
}

static int
fill_file (litedfs_file_t *out, const struct file_info_reply *info, litedfs_error_t *error)
{
    *out = (litedfs_file_t){
        .path = session_text (info->path),
        .size = info->size,
        .replica = (uint32_t) info->replica,
        .current_replica = (uint32_t) info->current_replica,
        .ctime_ms = info->ctime,
        .mtime_ms = info->mtime,
        .block_size = info->block_size,
    };
    print_id (&info->file, out->id);
    snprintf (out->checksum, sizeof out->checksum, "%.*s", (int) info->checksum.size,
              info->checksum.data ? (const char *) info->checksum.data : "");
    return out->path ? 0 : memory_short (error);
}

int
litedfs_file_info (litedfs_t *session, const char *path, litedfs_file_t *out,
                   litedfs_error_t *error)
{
    struct file_info_request request = {.path = slice_str (path)};
    struct file_info_reply page = {.next = 0};
    int rc = 0;

    *out = (litedfs_file_t){0};
    for (bool first = true; rc == 0 && page.next != WIRE_UNKNOWN; first = false) {
        struct dealer_reply *reply = NULL;
        request.offset = page.next;
        rc = session_call (session, MESSAGE_file_info, &request, &page, &reply, error);
        if (rc == 0 && first) {
            rc = fill_file (out, &page, error);
            request.file = page.file; // pages of the same file, whatever happens to the path
            request.path = slice_of (NULL, 0);
        }
        if (rc == 0)
            rc = add_blocks (out, &page, error);
        dealer_reply_destroy (&reply);
    }
    if (rc < 0)
        litedfs_file_free (out);
    return rc;
}

void
litedfs_file_free (litedfs_file_t *file)
{
    for (size_t i = 0; i < file->block_count; i++)
        free (file->blocks[i].nodes);
    free (file->blocks);
    free (file->path);
    *file = (litedfs_file_t){0};
}

/* ---- locks ----------------------------------------------------------------------------------------------------- */

static int
add_locks (litedfs_locks_t *out, const struct lock_list_reply *page, litedfs_error_t *error)
{
    for (size_t i = 0; i < page->locks_count; i++) {
        const struct wire_lock *from = &page->locks[i];
        if (!make_room ((void **) &out->locks, out->count, sizeof *out->locks))
            return memory_short (error);
        litedfs_lock_t *to = &out->locks[out->count];
        *to = (litedfs_lock_t){
            .path = session_text (from->path),
            .ttl_s = from->ttl,
            .remaining_s = from->remaining,
            .replica = (uint32_t) from->replica,
        };
        if (!to->path)
            return memory_short (error);
        print_id (&from->id, to->id);
        out->count++;
    }
    return 0;
}

int
litedfs_locks (litedfs_t *session, litedfs_locks_t *out, litedfs_error_t *error)
{
    struct lock_list_request request = {0};
    struct dealer_reply *before = NULL;
    int rc = 0;

    *out = (litedfs_locks_t){0};
    for (bool more = true; more && rc == 0;) {
        struct lock_list_reply page;
        struct dealer_reply *reply = NULL;
        rc = session_call (session, MESSAGE_lock_list, &request, &page, &reply, error);
        dealer_reply_destroy (&before);
        if (rc < 0)
            break;
        rc = add_locks (out, &page, error);
        request.cursor = page.cursor;
        more = page.cursor.data != NULL;
        before = reply;
    }
    dealer_reply_destroy (&before);
    if (rc < 0)
        litedfs_locks_free (out);
    return rc;
}

void
litedfs_locks_free (litedfs_locks_t *locks)
{
    for (size_t i = 0; i < locks->count; i++)
        free (locks->locks[i].path);
    free (locks->locks);
    *locks = (litedfs_locks_t){0};
}

/* ---- the cluster ------------------------------------------------------------------------------------------------- */

/* An empty host is the one on which the name node was reached. */
static int
add_nodes (litedfs_cluster_t *out, const struct cluster_info_reply *page, const char *name_host,
           litedfs_error_t *error)
{
    for (size_t i = 0; i < page->nodes_count; i++) {
        const struct wire_node *from = &page->nodes[i];
        if (!make_room ((void **) &out->nodes, out->node_count, sizeof *out->nodes))
            return memory_short (error);
        litedfs_node_t *to = &out->nodes[out->node_count++];
        *to = (litedfs_node_t){
            .id = (uint32_t) from->id,
            .host = session_text (from->host.size ? from->host : slice_str (name_host)),
            .http_port = (uint32_t) from->http_port,
            .version = session_text (from->version),
            .zone = session_text (from->zone),
            .online = from->status == NODE_ONLINE,
            .storage_total = from->storage_total,
            .storage_used = from->storage_used,
            .storage_free = from->storage_free,
            .storage_full = from->storage_full,
            .blocks = from->blocks,
            .last_heartbeat_ms = from->last_heartbeat,
            .duty = from->duty == DUTY_DRAIN ? LITEDFS_DRAIN : LITEDFS_SERVE,
            .maintenance_until_ms = from->maintenance_until,
            .drained = from->drained,
            .surveyed = from->surveyed,
            .blocks_left = from->blocks_left,
            .bytes_left = from->bytes_left,
            .blocks_sole = from->blocks_sole,
            .bytes_sole = from->bytes_sole,
            .blocks_stuck = from->blocks_stuck,
            .quarantined = from->quarantined,
            .quarantined_bytes = from->quarantined_bytes,
            .quarantined_since_ms = from->quarantined_since,
        };
        print_id (&from->node_id, to->node_id);
        if (!to->host || !to->version || !to->zone)
            return memory_short (error);
        out->online_count += to->online;
    }
    return 0;
}

static int
fill_cluster (litedfs_cluster_t *out, const struct cluster_info_reply *page,
              litedfs_error_t *error)
{
    out->version = session_text (page->version);
    out->block_size = page->block_size;
    out->files = page->files;
    out->directories = page->directories;
    out->bytes = page->bytes;
    print_id (&page->cluster, out->id);
    return out->version ? 0 : memory_short (error);
}

int
litedfs_cluster (litedfs_t *session, litedfs_cluster_t *out, litedfs_error_t *error)
{
    struct cluster_info_request request = {0};
    int rc = 0;

    *out = (litedfs_cluster_t){0};
    do {
        struct cluster_info_reply page;
        struct dealer_reply *reply = NULL;
        bool first = request.cursor == 0;
        rc = session_call (session, MESSAGE_cluster_info, &request, &page, &reply, error);
        if (rc < 0)
            break;
        if (first)
            rc = fill_cluster (out, &page, error);
        if (rc == 0)
            rc = add_nodes (out, &page, session->name_host, error);
        request.cursor = page.cursor;
        dealer_reply_destroy (&reply);
    } while (rc == 0 && request.cursor);
    if (rc < 0)
        litedfs_cluster_free (out);
    return rc;
}

void
litedfs_cluster_free (litedfs_cluster_t *cluster)
{
    for (size_t i = 0; i < cluster->node_count; i++) {
        free (cluster->nodes[i].host);
        free (cluster->nodes[i].version);
        free (cluster->nodes[i].zone);
    }
    free (cluster->nodes);
    free (cluster->version);
    *cluster = (litedfs_cluster_t){0};
}

/* LITEDFS_BALANCE_KEEP and so on are in the order of enum balance_set. */
int
litedfs_balance (litedfs_t *session, litedfs_balance_set_t set, litedfs_balance_t *out,
                 litedfs_error_t *error)
{
    const struct cluster_balance_request request = {.set = set};
    struct cluster_balance_reply fields;
    struct dealer_reply *reply = NULL;

    *out = (litedfs_balance_t){0};
    int rc = session_call (session, MESSAGE_cluster_balance, &request, &fields, &reply, error);
    if (rc < 0)
        return rc;
    out->moves = calloc (fields.moves_count + 1, sizeof *out->moves);
    if (!out->moves)
        rc = memory_short (error);
    for (size_t i = 0; i < fields.moves_count && rc == 0; i++)
        out->moves[out->move_count++] =
            (litedfs_balance_move_t){.from = (uint32_t) fields.moves[i].from,
                                     .to = (uint32_t) fields.moves[i].to,
                                     .bytes = fields.moves[i].bytes,
                                     .stuck = fields.moves[i].stuck};
    out->enabled = fields.enabled;
    out->threshold = (uint32_t) fields.threshold;
    out->copies = fields.copies;
    out->bytes = fields.bytes;
    dealer_reply_destroy (&reply);
    return rc;
}

void
litedfs_balance_free (litedfs_balance_t *balance)
{
    free (balance->moves);
    *balance = (litedfs_balance_t){0};
}

int
litedfs_node_drain (litedfs_t *session, uint32_t node, bool drain, litedfs_error_t *error)
{
    const struct node_drain_request request = {.node = node, .drain = drain};
    return session_call (session, MESSAGE_node_drain, &request, NULL, NULL, error);
}

int
litedfs_node_maintenance (litedfs_t *session, uint32_t node, uint64_t seconds,
                          uint64_t *until_ms, litedfs_error_t *error)
{
    const struct node_maintenance_request request = {
        .node = node,
        .duration = seconds > LITEDFS_MAINTENANCE_MAX_S ? WIRE_MAX : 1000 * seconds};
    struct node_maintenance_reply reply;

    int rc = session_call (session, MESSAGE_node_maintenance, &request, &reply, NULL, error);
    if (rc == 0)
        *until_ms = reply.until;
    return rc;
}

int
litedfs_node_remove (litedfs_t *session, uint32_t node, bool force, litedfs_error_t *error)
{
    const struct node_remove_request request = {.node = node, .force = force};
    return session_call (session, MESSAGE_node_remove, &request, NULL, NULL, error);
}

/* ---- the library ------------------------------------------------------------------------------------------------- */

const char *
litedfs_error_word (int number)
{
    return err_word (number);
}

int
litedfs_error_exit_status (int number)
{
    return err_exit_status (number);
}

const char *
litedfs_version (void)
{
    return PACKAGE_VERSION;
}
