/* SPDX-License-Identifier: MIT */
/*
 * What an operator wants of a data node.
 */
#include "namenode/duty.h"

#include "base/err.h"

#include <inttypes.h>

bool
duty_is_excused (const struct node_duty *self, int64_t wall_ms)
{
    return self->excused > (uint64_t) wall_ms;
}

bool
duty_takes_blocks (const struct node_duty *self, int64_t wall_ms)
{
    return self->duty == DUTY_SERVE && !duty_is_excused (self, wall_ms);
}

bool
duty_is_drained (const struct node_duty *self)
{
    const struct duty_survey *survey = &self->survey;

    return self->duty == DUTY_DRAIN && survey->time > 0 && survey->blocks == 0 &&
           survey->writing == 0;
}

int
duty_check_removal (const struct node_duty *self, uint32_t node, uint64_t steady,
                    litedfs_error_t *error)
{
    const struct duty_survey *survey = &self->survey;

    if (self->duty != DUTY_DRAIN)
        return err_set (error, LITEDFS_INVALID,
                        "node[%" PRIu32 "]: it does not drain; drain it first", node);
    if (survey->time == 0 || survey->steady != steady) // who was there then may have gone
        return err_set (error, LITEDFS_BUSY,
                        "node[%" PRIu32 "]: its blocks are being looked at; try again", node);
    if (survey->sole > 0)
        return err_set (error, LITEDFS_REFUSED,
                        "node[%" PRIu32 "]: it has the last copy of %" PRIu64
                        " blocks (%" PRIu64
                        " bytes); wait until they are copied (node list shows how many are "
                        "left), or lose them with --force",
                        node, survey->sole, survey->sole_bytes);
    if (survey->writing > 0)
        return err_set (error, LITEDFS_BUSY,
                        "node[%" PRIu32 "]: uploads are under way to it (%" PRIu64
                        " bytes); try again when they have ended",
                        node, survey->writing);
    return 0;
}
