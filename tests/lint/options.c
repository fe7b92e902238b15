/* SPDX-License-Identifier: MIT */
/*
 * Prints the configuration table of the daemon that is named: key, default and range, by tabs.
 */
#include "base/conf.h"
#include "datanode/config.h"
#include "namenode/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
main (int argc, char **argv)
{
    if (argc == 2 && strcmp (argv[1], "litename") == 0)
        conf_table_print (namenode_options, stdout);
    else if (argc == 2 && strcmp (argv[1], "litedata") == 0)
        conf_table_print (datanode_options, stdout);
    else {
        fprintf (stderr, "usage: options litename|litedata\n");
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
