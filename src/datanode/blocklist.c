/* SPDX-License-Identifier: MIT */
/*
 * The list of blocks: one directory after the other, one trailer after the other; neither the index nor the
 * bytes of blocks are looked at.
 */
#include "datanode/blocklist.h"

#include "base/err.h"
#include "datanode/blockfile.h"
#include "datanode/datapath.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

/* Directories below blocks/. */
#define FANOUT 256

static void
print_path (const struct blockfile *trailer, FILE *out)
{
    for (size_t i = 0; i < trailer->path_size; i++) {
        unsigned char c = (unsigned char) trailer->path[i];
        if (c <= ' ' || c >= 0x7f || c == '%')
            fprintf (out, "%%%02X", c);
        else
            fputc (c, out);
    }
}

static void
print_block (const struct blockfile *trailer, FILE *out)
{
    char file[UUID_TEXT_SIZE], block[BLOCK_ID_TEXT_SIZE];

    fprintf (out, "block %s %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %08" PRIx32 " ",
             block_id_print (trailer->block, block), uuid_print (&trailer->file, file),
             trailer->index, trailer->count, trailer->size, trailer->crc);
    print_path (trailer, out);
    fputc ('\n', out);
}

/* One file.  One that is gone by now is passed over. */
static void
list_file (const char *name, uint64_t block, FILE *out, struct blocklist_result *result)
{
    struct blockfile trailer = {0};
    litedfs_error_t error;
    int fd = open (name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    int rc = 0;

    if (fd < 0 && errno == ENOENT)
        return;
    if (fd < 0)
        rc = err_set_errno (&error, LITEDFS_IO, errno, "%s", name);
    if (rc == 0)
        rc = blockfile_read_trailer (fd, name, &trailer, &error);
    if (rc == 0 && trailer.block != block)
        rc = err_set (&error, LITEDFS_CORRUPT, "%s: it is another block's file", name);
    if (fd >= 0)
        close (fd);
    if (rc < 0) {
        fprintf (stderr, "%s\n", error.text);
        result->damaged++;
    } else {
        print_block (&trailer, out);
        result->blocks++;
    }
    blockfile_free (&trailer);
}

static int
list_directory (const char *path, unsigned number, FILE *out, struct blocklist_result *result,
                litedfs_error_t *error)
{
    char name[PATH_MAX];
    struct dirent *entry;
    uint64_t block;

    snprintf (name, sizeof name, "%s/blocks/%02x", path, number);
    DIR *directory = opendir (name);
    if (!directory && errno == ENOENT)
        return 0;
    if (!directory)
        return err_set_errno (error, LITEDFS_IO, errno, "%s", name);
    while ((entry = readdir (directory))) {
        if (!block_id_parse (&block, entry->d_name, strlen (entry->d_name)))
            continue;
        int size =
            snprintf (name, sizeof name, "%s/blocks/%02x/%s", path, number, entry->d_name);
        if (size > 0 && (size_t) size < sizeof name)
            list_file (name, block, out, result);
    }
    closedir (directory);
    return 0;
}

int
blocklist_write (const char *path, FILE *out, struct blocklist_result *result,
                 litedfs_error_t *error)
{
    struct blockstore_identity identity;
    char uuid[UUID_TEXT_SIZE], cluster[UUID_TEXT_SIZE];

    *result = (struct blocklist_result){0};
    int rc = datapath_identity (path, &identity, error);
    if (rc == LITEDFS_NOT_FOUND || (rc == 0 && identity.node == 0))
        rc = err_set (error, LITEDFS_NOT_FOUND,
                      "data_path[%s]: it is not the data of a data node that has joined a "
                      "cluster",
                      path);
    if (rc < 0)
        return rc;
    fprintf (out, "LiteDFS blocks 1\nnode %" PRIu32 " %s %s\n", identity.node,
             uuid_print (&identity.uuid, uuid), uuid_print (&identity.cluster, cluster));
    for (unsigned i = 0; i < FANOUT && rc == 0; i++)
        rc = list_directory (path, i, out, result, error);
    if (rc == 0)
        fprintf (out, "end %" PRIu64 "\n", result->blocks);
    if (rc == 0 && (fflush (out) != 0 || ferror (out)))
        rc = err_set (error, LITEDFS_IO, "the list cannot be written");
    return rc;
}
