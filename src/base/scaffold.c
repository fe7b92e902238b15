/* SPDX-License-Identifier: MIT */
/*
 * The directory that `-g DIR` makes.  Each file is a text of conf/templates/, put into the program by
 * embed.awk, with its @WORDS@ replaced.  The configuration is written last and never replaced, so that
 * a run that was cut off can be repeated.
 */
#include "base/scaffold.h"

#include "base/err.h"
#include "base/file.h"

#include <string.h>
#include <unistd.h>

struct template
{
    const char *name;
    const char *text;
};

static const struct template templates[] = {
#include "base/templates.inc"
};

/* What is written from which template; "%s" in a name is the service. */
static const struct product {
    const char *template;
    const char *name;
    unsigned mode;
} products[] = {
    {"README", "README", 0644},
    {"service", "%s.service", 0644},
    {"install_systemd_service.sh", "install_systemd_service.sh", 0755},
    {"uninstall_systemd_service.sh", "uninstall_systemd_service.sh", 0755},
};

#ifdef HAVE_LIBSYSTEMD
#define SERVICE_TYPE "notify"
#else
#define SERVICE_TYPE "simple"
#endif

/* The text for a word between two @, or NULL: then it stays as it is, for the install script. */
static const char *
word_value (const struct scaffold *self, const char *word, size_t size)
{
    const struct {
        const char *word;
        const char *value;
    } words[] = {
        {"DIRECTORY", self->directory}, {"PROGRAM", self->program},
        {"SERVICE", self->service},     {"TITLE", self->title},
        {"BINARY", self->binary},       {"SERVICE_TYPE", SERVICE_TYPE},
    };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen (words[i].word) == size && memcmp (words[i].word, word, size) == 0)
            return words[i].value;
    return NULL;
}

static void
fill_in (const struct scaffold *self, const char *text, struct buf *out)
{
    while (*text) {
        const char *start = strchr (text, '@');
        const char *end = start ? strchr (start + 1, '@') : NULL;
        if (!end) {
            buf_put (out, text, strlen (text));
            return;
        }
        const char *value = word_value (self, start + 1, (size_t) (end - start - 1));
        buf_put (out, text, (size_t) (start - text));
        if (value) {
            buf_put (out, value, strlen (value));
            text = end + 1;
        } else {
            buf_put (out, start, (size_t) (end - start));
            text = end;
        }
    }
}

static const char *
template_text (const char *name)
{
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++)
        if (strcmp (templates[i].name, name) == 0)
            return templates[i].text;
    return "";
}

static int
write_product (const struct scaffold *self, const struct product *product,
               litedfs_error_t *error)
{
    struct buf path = {0};
    struct buf text = {0};
    buf_printf (&path, "%s/", self->directory);
    if (strchr (product->name, '%'))
        buf_printf (&path, "%s.service", self->service);
    else
        buf_printf (&path, "%s", product->name);
    fill_in (self, template_text (product->template), &text);

    int rc = path.failed || text.failed ? err_set (error, LITEDFS_MEMORY, "out of memory")
                                        : file_write_atomic (buf_text (&path), text.data,
                                                             text.size, product->mode, error);
    buf_free (&path);
    buf_free (&text);
    return rc;
}

/* The directory stands in a shell script and in a unit: what would end a quotation there is refused. */
static int
check_directory (const char *directory, litedfs_error_t *error)
{
    for (const char *c = directory; *c; c++)
        if ((unsigned char) *c < ' ' || *c == 0x7f || strchr ("'\"\\%$`|&@", *c))
            return err_set (
                error, LITEDFS_USAGE,
                "-g: the directory's path must not contain control characters or any of "
                "' \" \\ %% $ ` | & @: %s",
                directory);
    return 0;
}

int
scaffold_write (const struct scaffold *self, litedfs_error_t *error)
{
    struct buf path = {0};
    int rc = check_directory (self->directory, error);
    if (rc < 0)
        return rc;

    buf_printf (&path, "%s/configuration.yml", self->directory);
    if (path.failed)
        rc = err_set (error, LITEDFS_MEMORY, "out of memory");
    else if (access (buf_text (&path), F_OK) == 0)
        rc = err_set (error, LITEDFS_EXISTS,
                      "%s: exists already and is never overwritten; remove it or choose "
                      "another directory",
                      buf_text (&path));
    else
        rc = file_make_directories (self->directory, 0755, error);

    for (size_t i = 0; rc == 0 && i < sizeof products / sizeof *products; i++)
        rc = write_product (self, &products[i], error);
    if (rc == 0)
        rc = file_write_atomic (buf_text (&path), self->configuration.data,
                                self->configuration.size, 0644, error);
    buf_free (&path);
    return rc;
}
