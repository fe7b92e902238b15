/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_BASE_ACTOR_H
#define LITEDFS_BASE_ACTOR_H

/*
 * An actor: a thread with its own sockets, and a pipe (two joined PAIR sockets) to its parent.
 *
 * It is CZMQ's zactor with what that lacks: a start that can fail and says why, and a stop that
 * waits until the thread is gone, whatever the pipe holds and whatever signals come.  A body
 * looks so:
 *
 *   static void
 *   run (struct actor_pipe *pipe, void *args)
 *   {
 *       litedfs_error_t error;
 *       if (set_up (args, &error) < 0) {
 *           actor_failed (pipe, &error);
 *           return;
 *       }
 *       actor_ready (pipe);
 *       while (!actor_stopping (pipe)) {
 *           zmq_pollitem_t items[] = {{actor_pipe_socket (pipe), 0, ZMQ_POLLIN, 0}, ...};
 *           zmq_poll (items, ..., timeout_ms);
 *           if (items[0].revents)
 *               while ((command = actor_recv_command (pipe)))
 *                   ...
 *       }
 *       tear_down ();
 *   }
 *
 * From the moment it is told to stop, the pipe stays readable and actor_stopping true, so a
 * body may look at either, in any order, and as often as it likes.  Sends on the pipe never
 * block, in either direction.  process_init_czmq must have run before the first actor.  Signals are
 * blocked in the thread.
 */

#include "litedfs.h"

#include <czmq.h>

/* Room for a command with its NUL. */
#define ACTOR_COMMAND_SIZE 256

struct actor;      // the parent's end
struct actor_pipe; // the body's end

/* The body.  args is what actor_start was given; it stays the caller's and must live until the
 * actor has ended, unless the two agree otherwise. */
typedef void (actor_run_fn) (struct actor_pipe *pipe, void *args);

/* Start an actor and wait until its body has called actor_ready or actor_failed.  name (up to
 * 15 letters) is for the thread and for error texts.  0 and *out, which actor_stop ends; or
 * what actor_failed was given, with the thread gone; LITEDFS_FAILED if the body returned
 * without either call or no thread can be had, LITEDFS_MEMORY.  The actor belongs to the thread
 * that started it. */
int actor_start (struct actor **out, const char *name, actor_run_fn *run, void *args,
                 litedfs_error_t *error);

/* Tell it to stop, wait until its thread has ended, free it.  Takes NULL, sets it to NULL,
 * keeps errno.  Blocks for as long as the body takes. */
void actor_stop (struct actor **self);

/* Tell it to stop and do not wait: actor_stop follows.  To end several at once. */
void actor_ask_to_stop (struct actor *self);

/* Send it a command, up to ACTOR_COMMAND_SIZE - 1 bytes.  LITEDFS_BUSY if its pipe is full,
 * LITEDFS_FAILED if it has ended. */
int actor_send (struct actor *self, const char *command, litedfs_error_t *error);

/* Whether its body has returned.  When it does so by itself, the parent's end also gets the
 * message ACTOR_ENDED, so that a parent who polls it wakes up. */
bool actor_ended (const struct actor *self);
#define ACTOR_ENDED "$ENDED"

/* The parent's end of the pipe, to poll and to read what the body sent.  It stays the
 * actor's. */
zsock_t *actor_socket (struct actor *self);

/* For the body, from here on. */

/* It is set up: actor_start returns 0.  Calls after the first are ignored. */
void actor_ready (struct actor_pipe *self);

/* It could not be set up: actor_start returns this error.  The body must return now. */
void actor_failed (struct actor_pipe *self, const litedfs_error_t *error);

/* Whether it was told to stop.  Does not block or read the pipe; cheap enough for inner
 * loops. */
bool actor_stopping (const struct actor_pipe *self);

/* The next command, or NULL if none is waiting or it was told to stop.  Does not block.  Valid
 * until the next call. */
const char *actor_recv_command (struct actor_pipe *self);

/* The body's end of the pipe as libzmq's handle, for zmq_poll and for sending to the parent
 * (which never blocks: EAGAIN if the parent does not read). */
void *actor_pipe_socket (struct actor_pipe *self);

#endif
