/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLIENT_FILL_H
#define LITEDFS_CLIENT_FILL_H

/*
 * What the calls do alike that copy replies into structs of the caller's.
 */

#include "base/err.h"
#include "base/id.h"

#include <stdlib.h>

/* Room in *array for one more element of `size` bytes; false when memory is short. */
static inline bool
make_room (void **array, size_t count, size_t size)
{
    if (count & (count - 1)) // a power of two, or 0, is full
        return true;
    void *grown = realloc (*array, (count ? 2 * count : 1) * size);
    if (grown)
        *array = grown;
    return grown != NULL;
}

static inline int
memory_short (litedfs_error_t *error)
{
    return err_set (error, LITEDFS_MEMORY, "out of memory");
}

static inline void
print_id (const struct uuid *id, char out[LITEDFS_ID_SIZE])
{
    out[0] = '\0';
    if (!uuid_is_nil (id))
        uuid_print (id, out);
}

#endif
