/* SPDX-License-Identifier: MIT */
/*
 * The clock of the machine, one for tests that moves when it is told to, and one that leaves out
 * the time in which its owner did not run.  The monotonic time is CLOCK_BOOTTIME where there is
 * one: a machine that slept has not heard from anybody meanwhile.
 */
#include "base/clock.h"

#include <stddef.h>
#include <time.h>

static int64_t
now_ms (clockid_t id)
{
    struct timespec now;
    clock_gettime (id, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t
system_mono_ms (void *arg)
{
    (void) arg;
#ifdef CLOCK_BOOTTIME
    return now_ms (CLOCK_BOOTTIME);
#else
    return now_ms (CLOCK_MONOTONIC);
#endif
}

static int64_t
system_wall_ms (void *arg)
{
    (void) arg;
    return now_ms (CLOCK_REALTIME);
}

const struct clock *
clock_system (void)
{
    static const struct clock machine = {system_mono_ms, system_wall_ms, NULL};
    return &machine;
}

int64_t
clock_mono (const struct clock *self)
{
    return self->mono_ms (self->arg);
}

int64_t
clock_wall (const struct clock *self)
{
    return self->wall_ms (self->arg);
}

static int64_t
fake_mono_ms (void *arg)
{
    struct fake_clock *self = arg;
    return atomic_load (&self->mono_now_ms);
}

static int64_t
fake_wall_ms (void *arg)
{
    struct fake_clock *self = arg;
    return atomic_load (&self->wall_now_ms);
}

void
fake_clock_init (struct fake_clock *self, int64_t mono_now_ms, int64_t wall_now_ms)
{
    self->clock = (struct clock){fake_mono_ms, fake_wall_ms, self};
    atomic_init (&self->mono_now_ms, mono_now_ms);
    atomic_init (&self->wall_now_ms, wall_now_ms);
}

void
fake_clock_advance (struct fake_clock *self, int64_t ms)
{
    atomic_fetch_add (&self->mono_now_ms, ms);
    atomic_fetch_add (&self->wall_now_ms, ms);
}

void
fake_clock_set_wall (struct fake_clock *self, int64_t wall_now_ms)
{
    atomic_store (&self->wall_now_ms, wall_now_ms);
}

static int64_t
patient_mono_ms (void *arg)
{
    struct patient_clock *self = arg;
    int64_t now = clock_mono (self->of);

    if (now - self->seen_ms > PATIENT_GAP_MS)
        self->left_out_ms += now - self->seen_ms;
    self->seen_ms = now;
    return now - self->left_out_ms;
}

static int64_t
patient_wall_ms (void *arg)
{
    const struct patient_clock *self = arg;
    return clock_wall (self->of);
}

void
patient_clock_init (struct patient_clock *self, const struct clock *of)
{
    *self = (struct patient_clock){.clock = {patient_mono_ms, patient_wall_ms, self},
                                   .of = of,
                                   .seen_ms = clock_mono (of)};
}
