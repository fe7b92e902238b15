/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_TESTS_UNIT_H
#define LITEDFS_TESTS_UNIT_H

/*
 * The frame of a Check program.  A case is START_TEST (a_sentence_of_what_holds) { ... } END_TEST;
 * the file ends with one of
 *
 *   UNIT_MAIN ("base_err", case_one, case_two)
 *   UNIT_MAIN_FIXTURE ("base_file", setup, teardown, case_one, case_two)
 *
 * setup and teardown are void functions without arguments.  They run in the process of each case
 * (Check forks one a case), so that sockets, threads and descriptors may be made there.  The exit
 * status says whether a case failed, unless TAP says it, where it would count twice.
 */

#include <check.h>
#include <stdlib.h>

#define UNIT_MAIN(name, ...) UNIT_MAIN_FIXTURE (name, NULL, NULL, __VA_ARGS__)

#define UNIT_MAIN_FIXTURE(name, setup, teardown, ...)                                          \
    int main (void)                                                                            \
    {                                                                                          \
        const TTest *const cases[] = {__VA_ARGS__};                                            \
        Suite *suite = suite_create (name);                                                    \
        TCase *tcase = tcase_create (name);                                                    \
        tcase_add_checked_fixture (tcase, setup, teardown);                                    \
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)                              \
            tcase_add_test (tcase, cases[i]);                                                  \
        suite_add_tcase (suite, tcase);                                                        \
        SRunner *runner = srunner_create (suite);                                              \
        srunner_run_all (runner, CK_ENV);                                                      \
        int failed = srunner_ntests_failed (runner);                                           \
        srunner_free (runner);                                                                 \
        return failed && !getenv ("CK_TAP_LOG_FILE_NAME") ? EXIT_FAILURE : EXIT_SUCCESS;       \
    }

#endif
