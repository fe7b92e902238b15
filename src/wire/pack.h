/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_WIRE_PACK_H
#define LITEDFS_WIRE_PACK_H

/*
 * Bounded msgpack: the door through which bytes of strangers come in, and the writers to a
 * buffer.
 *
 * msgpack-c trusts the counts that a frame declares: five bytes make it ask for 8 GiB.  So a
 * frame is scanned first, without recursion or memory, and only what the scan accepts is
 * unpacked:
 *
 *   one object and nothing after it, PACK_FRAME_MAX bytes, PACK_DEPTH_MAX maps and lists in
 *   each other, at most objects_max objects; no count or length above the bytes that are left;
 *   keys of maps are text; no ext types.
 *
 * Unpacking then takes at most 48 bytes an object beside the frame.  Text is not checked for
 * UTF-8 here; unpacked text and bytes point into the frame.
 */

#include "base/buf.h"
#include "base/err.h"

#include <msgpack.h>

#define PACK_FRAME_MAX ((size_t) 1 << 20) // bytes
#define PACK_DEPTH_MAX 8
#define PACK_REQUEST_OBJECTS 65536 // a node.report of 4,096 changes has 45,000
#define PACK_REPLY_OBJECTS 262144  // a page of 256 KiB cannot hold more

/* Whether the frame keeps the bounds above: 0, or LITEDFS_INVALID with the byte where it
 * does not. */
int pack_scan (struct slice frame, size_t objects_max, litedfs_error_t *error);

/* Scan and unpack.  On success *out is the caller's, for msgpack_unpacked_destroy, and the
 * frame must outlive it.  LITEDFS_INVALID as above, LITEDFS_MEMORY. */
int pack_unpack (struct slice frame, size_t objects_max, msgpack_unpacked *out,
                 litedfs_error_t *error);

/* The value of the first such key, or NULL. */
const msgpack_object *pack_find (const msgpack_object_map *map, const char *key);

/* What an object is, for people: "text", "a list", ... */
const char *pack_type_name (const msgpack_object *object);

/* Make packer append to a buffer; a failure is found in out->failed. */
void pack_to_buf (msgpack_packer *packer, struct buf *out);

/* Make packer only add up the bytes that it would write. */
void pack_to_count (msgpack_packer *packer, size_t *count);

/* Write text; bytes. */
void pack_text (msgpack_packer *packer, const void *data, size_t size);
void pack_bytes (msgpack_packer *packer, const void *data, size_t size);

#endif
