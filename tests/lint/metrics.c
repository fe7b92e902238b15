/* SPDX-License-Identifier: MIT */
/*
 * metrics DAEMON: what metric.def has for litename or litedata, a line a metric: name, type as Prometheus
 * calls it, labels ("-": none; else with ", " between them) and help, with tabs between these.
 */
#include <stdio.h>
#include <string.h>

enum { NAME = 1, DATA = 2, BOTH = 3 };

static const char COUNTER[] = "counter", GAUGE[] = "gauge", SECONDS_COUNTER[] = "counter",
                  DURATION[] = "histogram", SIZE[] = "histogram";

#define LABELS(set, kind, ...) static const char *const set##_labels[] = {__VA_ARGS__, NULL};
#include "base/metric.def"

static void
print (const char *name, const char *type, const char *const *labels, const char *help)
{
    printf ("%s\t%s\t%s", name, type, labels[0] ? labels[0] : "-");
    for (size_t i = 1; labels[0] && labels[i]; i++)
        printf (", %s", labels[i]);
    printf ("\t%s\n", help);
}

int
main (int argc, char **argv)
{
    int daemon = argc == 2 && strcmp (argv[1], "litename") == 0 ? NAME : DATA;

#define METRIC(id, type, name, where, labels, help)                                            \
    if ((where) &daemon)                                                                       \
        print (name, type, labels##_labels, help);
#include "base/metric.def"
    return 0;
}
