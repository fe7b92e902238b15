/* SPDX-License-Identifier: MIT */
/*
 * Prints the protocol as the codec knows it, in lines of columns with tabs between them:
 *
 *   OP op FROM TO EFFECT
 *   OP-OR-RECORD request|reply|record|envelope FIELD TYPE required|optional BOUNDS DEFAULT
 *
 * BOUNDS are those of the value, the bytes or the elements, or the words; max is 2^63 - 1; "-"
 * is none.
 */
#include "wire/message.h"

#include <stdio.h>
#include <stdlib.h>

int
main (void)
{
    struct buf out = {0};

    message_describe (&out);
    bool written = !out.failed && fwrite (out.data, 1, out.size, stdout) == out.size;
    buf_free (&out);
    return written && fflush (stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
