/* SPDX-License-Identifier: MIT */
/*
 * litedfs ADDRESS file create|delete|info|move|rename|download; update and why are in files of their
 * own
 *
 * `create` on a path that exists is how replicas have always been changed: if the local file is the
 * same, the remote one gets the wanted number of copies; if not, it is refused and nothing changes.
 */
#include "base/err.h"
#include "base/text.h"
#include "cli/cmd.h"
#include "cli/local.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "cli/tree.h"
#include "cli/update.h"
#include "cli/why.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* ---- transfers -------------------------------------------------------------------------------------- */

// What a transfer shows: a bar while it lasts, and what went wrong on the way when it has ended well.  If
// it has not, its error says enough.
struct transfer {
    struct progress progress;
    struct buf warnings;
};

static void
transfer_start (struct transfer *self, size_t columns)
{
    self->warnings = (struct buf){0};
    progress_start (&self->progress, STDERR_FILENO, columns, clock_system ());
}

static void
add_warning (void *arg, const char *text)
{
    struct transfer *self = arg;
    buf_printf (&self->warnings, "litedfs: warning: ");
    text_put_escaped (&self->warnings, text, strlen (text));
    buf_put (&self->warnings, "\n", 1);
}

static void
transfer_end (struct transfer *self, int rc)
{
    progress_end (&self->progress);
    if (rc == 0 && self->warnings.size > 0)
        fprintf (stderr, "%s", buf_text (&self->warnings));
    buf_free (&self->warnings);
}

/* ---- create ----------------------------------------------------------------------------------------- */

// The file exists: with the same content it is given the wanted copies.
static int
update_existing (struct cmd_call *call, int fd, litedfs_error_t *error)
{
    const char *path = call->text[CMD_REMOTE_PATH];
    char id[LITEDFS_ID_SIZE];

    int rc = litedfs_compare (call->session, fd, path, id, error);
    if (rc < 0)
        return rc;
    // Without -R nobody has asked for another number.
    if (call->text[CMD_REPLICA])
        rc = litedfs_set_replica (call->session, path, (uint32_t) call->number[CMD_REPLICA], id,
                                  error);
    return rc;
}

static int
upload (struct cmd_call *call, const struct local_source *source, litedfs_error_t *error)
{
    struct transfer transfer;
    transfer_start (&transfer, progress_columns (STDERR_FILENO));
    const litedfs_upload_options_t options = {
        .replica = (uint32_t) call->number[CMD_REPLICA],
        .ttl_s = (uint32_t) call->number[CMD_LOCK_TTL],
        .stream = source->stream,
        .progress = progress_update,
        .progress_arg = &transfer.progress,
        .warning = add_warning,
        .warning_arg = &transfer,
    };
    int rc = litedfs_upload (call->session, source->fd, call->text[CMD_REMOTE_PATH], &options,
                             error);
    transfer_end (&transfer, rc);
    return rc;
}

static int
run_create (struct cmd_call *call, litedfs_error_t *error)
{
    const char *done = "create file";
    struct local_source source;

    int rc = local_source_open (&source, call->text[CMD_LOCAL_PATH], error);
    if (rc < 0)
        return rc;
    rc = cmd_open (call, error);
    if (rc == 0)
        rc = upload (call, &source, error);
    if (rc == LITEDFS_EXISTS && source.regular) {
        done = "update file";
        rc = update_existing (call, source.fd, error);
    } else if (rc == LITEDFS_EXISTS)
        rc = err_set (error, LITEDFS_EXISTS,
                      "it exists already, and only a regular file can be compared with it");
    local_source_close (&source);
    if (rc == 0)
        print_success (stdout, done, call->text[CMD_REMOTE_PATH], NULL);
    return rc;
}

/* ---- download ------------------------------------------------------------------------------------------ */

static int
download (struct cmd_call *call, struct local_target *target, litedfs_error_t *error)
{
    // Standard output is somebody's, who may write before and after us; on a terminal the bytes and a
    // bar do not go together.
    bool standard = target->fd == STDOUT_FILENO;
    bool bar = !standard || !isatty (STDOUT_FILENO);
    struct transfer transfer;
    transfer_start (&transfer, bar ? progress_columns (STDERR_FILENO) : 0);
    const litedfs_download_options_t options = {.stream = standard,
                                                .progress = progress_update,
                                                .progress_arg = &transfer.progress,
                                                .warning = add_warning,
                                                .warning_arg = &transfer};
    int rc = litedfs_download (call->session, call->text[CMD_REMOTE_PATH], target->fd, &options,
                               error);
    transfer_end (&transfer, rc);
    return rc;
}

static void
print_downloaded (const struct cmd_call *call)
{
    struct buf paths = {0};
    buf_printf (&paths, "%s => %s", call->text[CMD_REMOTE_PATH], call->text[CMD_LOCAL_PATH]);
    print_success (stdout, "download file", buf_text (&paths), NULL);
    buf_free (&paths);
}

static int
run_download (struct cmd_call *call, litedfs_error_t *error)
{
    struct local_target target;
    bool quiet = strcmp (call->text[CMD_LOCAL_PATH], "-") == 0; // stdout is the file's

    int rc = local_target_check (&target, call->text[CMD_LOCAL_PATH],
                                 call->text[CMD_FORCE] != NULL, error);
    if (rc == 0)
        rc = cmd_open (call, error);
    if (rc == 0)
        rc = local_target_open (&target, error);
    if (rc == 0) {
        interrupt_set_temporary (call->interrupt, target.temporary);
        rc = download (call, &target, error);
    }
    if (rc == 0)
        rc = local_target_commit (&target, error);
    interrupt_set_temporary (call->interrupt, NULL);
    local_target_discard (&target);
    if (rc == 0 && !quiet)
        print_downloaded (call);
    return rc;
}

/* ---- info ------------------------------------------------------------------------------------------------- */

static json_t *
block_json (const litedfs_block_t *block)
{
    char id[17];
    json_t *nodes = json_array ();

    snprintf (id, sizeof id, "%016" PRIx64, block->id);
    for (size_t i = 0; i < block->node_count; i++)
        if (json_array_append_new (nodes, json_integer (block->nodes[i])) < 0) {
            json_decref (nodes);
            return NULL;
        }
    return json_pack ("{sssososo}", "id", id, "size", print_json_number (block->size), "crc32",
                      print_json_number (block->crc32), "nodes", nodes);
}

static json_t *
blocks_json (const litedfs_file_t *file)
{
    json_t *blocks = json_array ();
    for (size_t i = 0; i < file->block_count; i++)
        if (json_array_append_new (blocks, block_json (&file->blocks[i])) < 0) {
            json_decref (blocks);
            return NULL;
        }
    return blocks;
}

static json_t *
file_json (const litedfs_file_t *file)
{
    return json_pack ("{sosssssosososssosososo}", "path", print_json_text (file->path), "id",
                      file->id, "type", "file", "size", print_json_number (file->size),
                      "replica", print_json_number (file->replica), "current_replica",
                      print_json_number (file->current_replica), "checksum", file->checksum,
                      "ctime", print_json_time (file->ctime_ms), "mtime",
                      print_json_time (file->mtime_ms), "block_size",
                      print_json_number (file->block_size), "blocks", blocks_json (file));
}

static void
block_cell (const void *arg, size_t row, size_t column, struct buf *out)
{
    const litedfs_file_t *file = arg;
    const litedfs_block_t *block = &file->blocks[row];

    if (column == 0)
        buf_printf (out, "%016" PRIx64, block->id);
    else if (column == 1)
        buf_printf (out, "%" PRIu64, block->size);
    else if (column == 2)
        buf_printf (out, "%08" PRIx32, block->crc32);
    else
        for (size_t i = 0; i < block->node_count; i++)
            buf_printf (out, "%s%" PRIu32, i ? ", " : "", block->nodes[i]);
}

static int
print_file (const litedfs_file_t *file, uint64_t width, litedfs_error_t *error)
{
    static const char *const names[] = {"id", "size", "crc32", "nodes", NULL};
    char time[PRINT_TIME_SIZE];

    print_field (stdout, "path", "%s", file->path);
    print_field (stdout, "id", "%s", file->id);
    print_field (stdout, "type", "file");
    print_field (stdout, "size", "%" PRIu64, file->size);
    print_field (stdout, "replica", "%" PRIu32, file->replica);
    print_field (stdout, "current_replica", "%" PRIu32, file->current_replica);
    print_field (stdout, "checksum", "%s", file->checksum);
    print_field (stdout, "ctime", "%s", print_time (file->ctime_ms, time));
    print_field (stdout, "mtime", "%s", print_time (file->mtime_ms, time));
    print_field (stdout, "block_size", "%" PRIu64, file->block_size);
    print_field (stdout, "blocks", "%zu", file->block_count);
    const struct print_table table = {
        .names = names, .first = 1, .rows = file->block_count, .cell = block_cell, .arg = file};
    return print_table (&table, width, stdout, error);
}

static int
run_info (struct cmd_call *call, litedfs_error_t *error)
{
    litedfs_file_t file;

    int rc = cmd_open (call, error);
    if (rc == 0)
        rc = litedfs_file_info (call->session, call->text[CMD_REMOTE_PATH], &file, error);
    if (rc < 0)
        return rc;
    rc = call->text[CMD_JSON] ? print_json (file_json (&file), stdout, error)
                              : print_file (&file, (uint64_t) call->number[CMD_WIDTH], error);
    litedfs_file_free (&file);
    return rc;
}

/* ---- the commands ------------------------------------------------------------------------------------------- */

const struct cmd cmd_file[] = {
    {"file", "create", NULL, "Upload a local file; if it is there already, change its replicas",
     CMD_BIT (CMD_REMOTE_PATH) | CMD_BIT (CMD_LOCAL_PATH),
     CMD_BIT (CMD_REPLICA) | CMD_BIT (CMD_LOCK_TTL), run_create},
    {"file", "delete", NULL, "Delete a file", CMD_BIT (CMD_REMOTE_PATH), 0, tree_delete},
    {"file", "info", NULL, "Show a file and its blocks", CMD_BIT (CMD_REMOTE_PATH),
     CMD_BIT (CMD_JSON), run_info},
    {"file", "move", NULL, "Move a file into another directory",
     CMD_BIT (CMD_SOURCE) | CMD_BIT (CMD_TARGET), 0, tree_move},
    {"file", "rename", NULL, "Give a file another name",
     CMD_BIT (CMD_REMOTE_PATH) | CMD_BIT (CMD_NAME), 0, tree_rename},
    {"file", "update", NULL, "Change how many copies of a file are wanted",
     CMD_BIT (CMD_REMOTE_PATH) | CMD_BIT (CMD_REPLICA),
     CMD_BIT (CMD_RECURSIVE) | CMD_BIT (CMD_WAIT) | CMD_BIT (CMD_TIMEOUT), update_run},
    {"file", "download", NULL, "Download a file",
     CMD_BIT (CMD_REMOTE_PATH) | CMD_BIT (CMD_LOCAL_PATH), CMD_BIT (CMD_FORCE), run_download},
    {"file", "why", NULL, "Say why a file is not where it should be, and what is under way",
     CMD_BIT (CMD_REMOTE_PATH), CMD_BIT (CMD_JSON), why_run},
    {0},
};
