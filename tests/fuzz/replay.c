/* SPDX-License-Identifier: MIT */
/*
 * Gives a fuzz target every input of its corpus, once: the main of the .t programs here.  The corpus
 * is top_srcdir/tests/fuzz/corpus/NAME for NAME.t, or the directory that the command line names.
 * Speaks TAP, a line an input; an input that crashes is the last one named.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/* The bytes of the file, in memory of exactly their size, so that a sanitizer sees one read too far. */
static uint8_t *
read_input (const char *path, size_t *size)
{
    struct stat status;
    FILE *file = fopen (path, "rb");
    uint8_t *data = NULL;

    if (file && fstat (fileno (file), &status) == 0) {
        *size = (size_t) status.st_size;
        data = malloc (*size ? *size : 1);
        if (data && fread (data, 1, *size, file) != *size) {
            free (data);
            data = NULL;
        }
    }
    if (file)
        fclose (file);
    return data;
}

static int
replay (const char *directory, const struct dirent *entry, int number)
{
    char path[PATH_MAX];
    size_t size = 0;

    snprintf (path, sizeof path, "%s/%s", directory, entry->d_name);
    printf ("# %s\n", entry->d_name);
    fflush (stdout);

    uint8_t *data = read_input (path, &size);
    if (!data) {
        printf ("not ok %d - %s: %s\n", number, path, strerror (errno));
        return -1;
    }
    LLVMFuzzerTestOneInput (data, size);
    free (data);
    printf ("ok %d - %s\n", number, entry->d_name);
    return 0;
}

static int
not_hidden (const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void
corpus_of (const char *program, char *out, size_t size)
{
    const char *slash = strrchr (program, '/');
    const char *name = slash ? slash + 1 : program;
    const char *top = getenv ("top_srcdir");

    snprintf (out, size, "%s/tests/fuzz/corpus/%.*s", top ? top : ".",
              (int) strcspn (name, "."), name);
}

int
main (int argc, char **argv)
{
    char directory[PATH_MAX / 2];
    struct dirent **entries = NULL;
    int failed = 0;

    if (argc > 1)
        snprintf (directory, sizeof directory, "%s", argv[1]);
    else
        corpus_of (argv[0], directory, sizeof directory);

    int count = scandir (directory, &entries, not_hidden, alphasort);
    if (count <= 0) {
        printf ("1..1\nnot ok 1 - no inputs in %s: %s\n", directory,
                count < 0 ? strerror (errno) : "it is empty");
        return EXIT_FAILURE;
    }
    printf ("1..%d\n", count);
    for (int i = 0; i < count; i++) {
        if (replay (directory, entries[i], i + 1) < 0)
            failed++;
        free (entries[i]);
    }
    free (entries);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
