/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_CLI_INTERRUPT_H
#define LITEDFS_CLI_INTERRUPT_H

/*
 * Ctrl-C and its like (SIGINT, SIGTERM, SIGHUP), in a thread of their own.
 *
 * Before there is a session the first signal ends the process.  After that it cancels the session,
 * which gives up what is under way, and main ends the process with interrupt_die; a second signal,
 * or INTERRUPT_GRACE_MS, ends it at once.  The temporary local file goes in each case.  A signal
 * that was ignored at start (nohup) stays ignored.
 */

#include "litedfs.h"

/* How long what is under way may take to give up. */
#define INTERRUPT_GRACE_MS 3000

struct interrupt;

/* Start to listen; the signals must be blocked already (process_init).  LITEDFS_MEMORY,
 * LITEDFS_FAILED. */
int interrupt_start (struct interrupt **out, litedfs_error_t *error);

/* What to cancel; NULL before it is closed. */
void interrupt_set_session (struct interrupt *self, litedfs_t *session);

/* What to remove when the process ends, or NULL.  Borrowed. */
void interrupt_set_temporary (struct interrupt *self, const char *path);

/* Stop to listen, and give the number of the signal that came, or 0.  Takes NULL, sets it to
 * NULL. */
int interrupt_stop (struct interrupt **self);

/* End the process as the signal does by itself, so that a shell knows. */
_Noreturn void interrupt_die (int signal_number);

#endif
