/* SPDX-License-Identifier: MIT */
/*
 * litedfs(1): read the command line, run the command, say what went wrong, end with its status.
 *
 * Help and version need no cluster and start nothing.  A failed command leaves stdout empty and one
 * line on stderr: "litedfs: what[path]: why".
 */
#include "base/err.h"
#include "base/process.h"
#include "base/text.h"
#include "cli/cmd.h"
#include "cli/local.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

// Room for an error's text when each of its bytes is escaped.
#define LINE_SIZE (4 * sizeof ((litedfs_error_t *) 0)->text)

static int
tell (const litedfs_error_t *error)
{
    char line[LINE_SIZE];
    fprintf (stderr, "litedfs: %s\n",
             text_escape (error->text, strlen (error->text), line, sizeof line));
    return litedfs_error_exit_status (error->number);
}

// What was printed is out, or it is known that it is not.
static int
flush_output (litedfs_error_t *error)
{
    errno = 0;
    if (fflush (stdout) == 0 && !ferror (stdout))
        return 0;
    if (errno)
        return err_set_errno (error, LITEDFS_IO, errno, "standard output");
    return err_set (error, LITEDFS_IO, "standard output: not all of it could be written");
}

static int
run (struct cmd_call *call, int *signal_number, litedfs_error_t *error)
{
    int rc = process_init (1, error);
    if (rc == 0)
        rc = interrupt_start (&call->interrupt, error);
    if (rc == 0) {
        rc = call->cmd->run (call, error);
        if (rc < 0)
            cmd_name_error (call, error);
        interrupt_set_session (call->interrupt, NULL);
        litedfs_close (&call->session);
        *signal_number = interrupt_stop (&call->interrupt);
    }
    process_end ();
    return rc;
}

int
main (int argc, char **argv)
{
    struct cmd_call call;
    litedfs_error_t error = {0};
    int signal_number = 0;

    local_keep_standard ();
    signal (SIGPIPE, SIG_IGN);       // a closed pipe is an error that we tell
    setlocale (LC_CTYPE, "C.UTF-8"); // for the widths of characters
    int rc = cmd_parse (argc, argv, &call, &error);
    if (rc == 0 && call.text[CMD_VERSION])
        printf ("litedfs %s\n", litedfs_version ());
    else if (rc == 0 && call.text[CMD_HELP])
        cmd_help (&call, stdout);
    else if (rc == 0)
        rc = run (&call, &signal_number, &error);

    int flushed = flush_output (rc < 0 ? NULL : &error);
    int status = rc < 0 || flushed < 0 ? tell (&error) : EXIT_SUCCESS;
    if (signal_number)
        interrupt_die (signal_number);
    return status;
}
