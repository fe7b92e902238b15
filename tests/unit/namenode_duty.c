/* SPDX-License-Identifier: MIT */
/*
 * namenode/duty: who takes blocks, who is drained, and who may be removed.
 */
#include "namenode/duty.h"

#include "base/err.h"

#include <string.h>

#include "unit.h"

enum { NOW = 5000, STEADY = 77 };

static litedfs_error_t error;

/* One that drains, and of which a survey came to nothing. */
static struct node_duty
empty_node (void)
{
    return (struct node_duty){.duty = DUTY_DRAIN, .survey = {.time = NOW, .steady = STEADY}};
}

static int
check (const struct node_duty *duty)
{
    return duty_check_removal (duty, 4, STEADY, &error);
}

static void
check_says (const struct node_duty *duty, int number, const char *text)
{
    ck_assert_int_eq (check (duty), number);
    ck_assert_msg (strstr (error.text, text) != NULL, "%s", error.text);
    ck_assert_msg (strstr (error.text, "node[4]") != NULL, "%s", error.text);
}

START_TEST (only_who_serves_and_is_not_in_maintenance_takes_blocks)
{
    struct node_duty duty = {.duty = DUTY_SERVE};

    ck_assert (duty_takes_blocks (&duty, NOW));
    duty.excused = NOW + 1;
    ck_assert (duty_is_excused (&duty, NOW));
    ck_assert (!duty_takes_blocks (&duty, NOW));
    ck_assert (!duty_is_excused (&duty, NOW + 1));
    ck_assert (duty_takes_blocks (&duty, NOW + 1));
    duty = (struct node_duty){.duty = DUTY_DRAIN};
    ck_assert (!duty_takes_blocks (&duty, NOW));
    duty.duty = DUTY_REMOVED;
    ck_assert (!duty_takes_blocks (&duty, NOW));
}
END_TEST

START_TEST (a_node_is_drained_when_a_survey_found_nothing_on_it_or_under_way_to_it)
{
    struct node_duty duty = empty_node ();

    ck_assert (duty_is_drained (&duty));
    duty.survey.time = 0;
    ck_assert (!duty_is_drained (&duty));
    duty = empty_node ();
    duty.survey.blocks = 1;
    ck_assert (!duty_is_drained (&duty));
    duty = empty_node ();
    duty.survey.writing = 1;
    ck_assert (!duty_is_drained (&duty));
    duty = empty_node ();
    duty.duty = DUTY_SERVE;
    ck_assert (!duty_is_drained (&duty));
}
END_TEST

START_TEST (a_node_is_removed_only_when_nothing_would_be_lost)
{
    struct node_duty duty = empty_node ();

    ck_assert_int_eq (check (&duty), 0);
    duty.survey.blocks = duty.survey.stuck = 3; // copies of what others have, too
    ck_assert_int_eq (check (&duty), 0);
    duty.survey.sole = 2;
    duty.survey.sole_bytes = 200;
    check_says (&duty, LITEDFS_REFUSED, "the last copy of 2 blocks (200 bytes)");
    duty = empty_node ();
    duty.survey.writing = 9;
    check_says (&duty, LITEDFS_BUSY, "(9 bytes)");
    duty = empty_node ();
    duty.survey.time = 0;
    check_says (&duty, LITEDFS_BUSY, "try again");
    duty = empty_node ();
    duty.survey.steady--; // somebody has gone since
    check_says (&duty, LITEDFS_BUSY, "try again");
    duty = empty_node ();
    duty.duty = DUTY_SERVE;
    check_says (&duty, LITEDFS_INVALID, "drain it first");
}
END_TEST

UNIT_MAIN ("namenode_duty", only_who_serves_and_is_not_in_maintenance_takes_blocks,
           a_node_is_drained_when_a_survey_found_nothing_on_it_or_under_way_to_it,
           a_node_is_removed_only_when_nothing_would_be_lost)
