/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_BASE_CLOCK_H
#define LITEDFS_BASE_CLOCK_H

/*
 * Time in milliseconds.  The monotonic one measures (deadlines, leases, silence); it starts
 * anywhere and never goes back.  The wall clock dates (ctime, mtime, logs); it is milliseconds
 * since 1970 and may jump.  Who needs time is handed a clock, so that a test can hand it one of
 * its own.
 */

#include <stdatomic.h>
#include <stdint.h>

struct clock {
    int64_t (*mono_ms) (void *arg);
    int64_t (*wall_ms) (void *arg);
    void *arg;
};

/* The clock of the machine.  May be shared by all threads. */
const struct clock *clock_system (void);

int64_t clock_mono (const struct clock *self);
int64_t clock_wall (const struct clock *self);

/* A clock that moves when it is told to.  Pass &fake.clock to what needs one; it must not be
 * copied or moved after fake_clock_init.  All calls may come from any thread. */
struct fake_clock {
    struct clock clock;
    _Atomic int64_t mono_now_ms;
    _Atomic int64_t wall_now_ms;
};

/* Start it at these times. */
void fake_clock_init (struct fake_clock *self, int64_t mono_now_ms, int64_t wall_now_ms);

/* Move both times on by ms, 0 or more. */
void fake_clock_advance (struct fake_clock *self, int64_t ms);

/* Make the wall clock jump; the monotonic one stays. */
void fake_clock_set_wall (struct fake_clock *self, int64_t wall_now_ms);

/* A clock whose monotonic time leaves out what passed while its owner did not run (it was stopped, the
 * machine slept, a disk held it up), so that nobody is judged by that.  Who waits with it looks at it
 * at least every PATIENT_SLEEP_MS; a time of more than PATIENT_GAP_MS between two looks counts for
 * nothing.  Pass &patient.clock; it must not be copied or moved after patient_clock_init, and belongs
 * to one thread. */
#define PATIENT_SLEEP_MS 1000
#define PATIENT_GAP_MS 1500

struct patient_clock {
    struct clock clock;
    const struct clock *of;
    int64_t seen_ms; // of the other clock, at the last look
    int64_t left_out_ms;
};

/* Start it; `of` is the clock that it follows. */
void patient_clock_init (struct patient_clock *self, const struct clock *of);

#endif
