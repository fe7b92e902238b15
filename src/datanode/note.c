/* SPDX-License-Identifier: MIT */
/*
 * A note is one frame: the struct, then what comes with it.  Both ends are of one process and one build.
 */
#include "datanode/note.h"

#include "rpc/socket.h"

#include <stdlib.h>
#include <string.h>

bool
note_send (void *socket, const struct note *note, const void *more, size_t size)
{
    zmq_msg_t frame;

    if (zmq_msg_init_size (&frame, sizeof *note + size) < 0)
        return false;
    memcpy (zmq_msg_data (&frame), note, sizeof *note);
    if (size > 0)
        memcpy ((char *) zmq_msg_data (&frame) + sizeof *note, more, size);
    int errnum = socket_send_frame (socket, &frame, false);
    zmq_msg_close (&frame);
    return errnum == 0;
}

bool
note_receive (void *socket, struct note *out, void **out_more)
{
    zmq_msg_t frame;

    zmq_msg_init (&frame);
    if (socket_receive_frame (socket, &frame) != 0) {
        zmq_msg_close (&frame);
        return false;
    }
    size_t size = zmq_msg_size (&frame) - sizeof *out;
    memcpy (out, zmq_msg_data (&frame), sizeof *out);
    *out_more = size > 0 ? malloc (size) : NULL;
    if (*out_more != NULL)
        memcpy (*out_more, (char *) zmq_msg_data (&frame) + sizeof *out, size);
    else
        out->count = 0; // with memory short the orders come again
    zmq_msg_close (&frame);
    return true;
}
