/* SPDX-License-Identifier: MIT */
/*
 * A YAML file to a struct, by a table of options, and back.
 *
 * libyaml gives events and this file takes one shape of them: a single document that is a
 * mapping of scalars to scalars or to flat lists of scalars.  Anchors, aliases, tags, nesting
 * and further documents are refused at the event that starts them, so a hostile file can ask
 * for no more than its own size.  Values are staged and put into the struct at the very end:
 * all or nothing.
 */
#include "base/conf.h"

#include "base/err.h"
#include "base/file.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

// What a message shows of a key, in bytes with its NUL.
#define SHOWN_SIZE 64

// The longest list, so that a file of commas does not become a million pointers.
#define LIST_MAX ((size_t) 4096)

struct loader {
    const char *path;
    char *directory; // that of path, for relative paths in it
    const struct option_row *table;
    size_t rows;
    struct arena *arena;
    union option_value *values;   // staged, one a row
    size_t *lines;                // on which a row was set, 0 if it was not
    const struct option_row *row; // whose value is being read, or NULL
    litedfs_error_t *error;
    yaml_parser_t parser;
};

static size_t
count_rows (const struct option_row *table)
{
    size_t count = 0;
    while (table[count].key)
        count++;
    return count;
}

static size_t
line_of (const yaml_event_t *event)
{
    return event->start_mark.line + 1;
}

// Put FILE:LINE: KEY: before what the error says; returns its number.  The error must not be
// NULL.
static int
locate (struct loader *self, size_t line, const char *key, size_t key_size)
{
    char shown[SHOWN_SIZE];

    if (!key)
        return err_prefix (self->error, "%s:%zu", self->path, line);
    text_escape (key, key_size, shown, sizeof shown);
    return err_prefix (self->error, "%s:%zu: %s", self->path, line, shown);
}

// Refuse what is on a line: a key, or the value of the row that is being read.
static int
refuse (struct loader *self, size_t line, const char *what)
{
    const char *key = self->row ? self->row->key : NULL;

    err_set (self->error, LITEDFS_CONFIG, "%s", what);
    return locate (self, line, key, key ? strlen (key) : 0);
}

// The key that somebody may have meant, or NULL.
static const char *
nearest_key (struct loader *self, const char *key)
{
    const char **candidates =
        arena_alloc_array (self->arena, 2 * self->rows, sizeof *candidates);
    if (!candidates)
        return NULL;
    for (size_t i = 0; i < self->rows; i++)
        if (!self->table[i].obsolete) {
            candidates[2 * i] = self->table[i].key;
            candidates[2 * i + 1] = self->table[i].alias;
        }
    return text_nearest (key, candidates, 2 * self->rows);
}

static const struct option_row *
find_row (const struct option_row *table, const char *key, size_t size)
{
    for (; table->key; table++) {
        if (strlen (table->key) == size && memcmp (table->key, key, size) == 0)
            return table;
        if (table->alias && strlen (table->alias) == size &&
            memcmp (table->alias, key, size) == 0)
            return table;
    }
    return NULL;
}

// Read the next event, which the caller deletes.
static int
next_event (struct loader *self, yaml_event_t *event)
{
    if (yaml_parser_parse (&self->parser, event))
        return 0;
    memset (event, 0, sizeof *event); // deleting it does nothing

    const yaml_parser_t *parser = &self->parser;
    if (parser->error == YAML_MEMORY_ERROR)
        return err_set (self->error, LITEDFS_MEMORY, "%s: no memory", self->path);
    if (parser->error == YAML_READER_ERROR) {
        // The reader is ahead of the parser; it knows only a byte offset.
        const unsigned char *text = parser->input.string.start;
        size_t line = 1;
        for (size_t i = 0; i < parser->problem_offset && text + i < parser->input.string.end;
             i++)
            line += text[i] == '\n';
        err_set (self->error, LITEDFS_CONFIG, "this is not text in UTF-8: %s", parser->problem);
        return locate (self, line, NULL, 0);
    }
    err_set (self->error, LITEDFS_CONFIG, "this is not YAML: %s",
             parser->problem ? parser->problem : "it cannot be read");
    return locate (self, parser->problem_mark.line + 1, NULL, 0);
}

// Refuse what a scalar may have besides its text.
static int
check_scalar (struct loader *self, const yaml_event_t *event)
{
    if (event->type == YAML_ALIAS_EVENT)
        return refuse (self, line_of (event), "aliases (*name) are not used here");
    if (event->type != YAML_SCALAR_EVENT)
        return refuse (self, line_of (event),
                       "a text or number belongs here, not a mapping or a list");
    if (event->data.scalar.anchor)
        return refuse (self, line_of (event), "anchors (&name) are not used here");
    if (event->data.scalar.tag)
        return refuse (self, line_of (event), "tags (!name) are not used here");
    if (event->data.scalar.length > OPTION_VALUE_MAX)
        return refuse (self, line_of (event), "the value is longer than 64 KiB");
    if (memchr (event->data.scalar.value, 0, event->data.scalar.length))
        return refuse (self, line_of (event), "the text holds a NUL character");
    return 0;
}

// The text of a scalar; that of a YAML null is empty.
static const char *
scalar_text (const yaml_event_t *event)
{
    const char *text = (const char *) event->data.scalar.value;
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return plain && (strcmp (text, "~") == 0 || strcasecmp (text, "null") == 0) ? "" : text;
}

static bool
is_textual (const struct option_row *row)
{
    return row->type == OPTION_STRING || row->type == OPTION_PATH || row->type == OPTION_LIST ||
           row->type == OPTION_LEVEL;
}

// Read a value that is one scalar.
static int
take_scalar (struct loader *self, const struct option_row *row, const yaml_event_t *event)
{
    union option_value *value = &self->values[row - self->table];
    int rc = check_scalar (self, event);
    if (rc < 0)
        return rc;

    const char *text = scalar_text (event);
    bool quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (quoted && !is_textual (row))
        rc = err_set (self->error, LITEDFS_CONFIG,
                      "it is text in quotes; write it without them");
    else if (row->type == OPTION_LIST)
        rc = option_read (row, &text, text[0] ? 1 : 0, self->directory, self->arena, value,
                          self->error);
    else
        rc = option_read (row, &text, 1, self->directory, self->arena, value, self->error);
    return rc < 0 ? locate (self, line_of (event), row->key, strlen (row->key)) : 0;
}

// Collect the scalars up to the end of a list.
static int
collect (struct loader *self, const char **texts, size_t *count)
{
    for (;;) {
        yaml_event_t event;
        int rc = next_event (self, &event);
        bool end = rc == 0 && event.type == YAML_SEQUENCE_END_EVENT;
        if (rc == 0 && !end)
            rc = check_scalar (self, &event);
        if (rc == 0 && !end && *count == LIST_MAX)
            rc = refuse (self, line_of (&event), "the list is too long");
        if (rc == 0 && !end) {
            const char *text = scalar_text (&event);
            texts[*count] = arena_copy (self->arena, text, strlen (text));
            if (!texts[(*count)++])
                rc = err_set (self->error, LITEDFS_MEMORY, "%s: no memory", self->path);
        }
        yaml_event_delete (&event);
        if (rc < 0 || end)
            return rc;
    }
}

// Read a value that is a list, whose start is event.
static int
take_list (struct loader *self, const struct option_row *row, const yaml_event_t *event)
{
    if (event->data.sequence_start.anchor || event->data.sequence_start.tag)
        return refuse (self, line_of (event), "anchors and tags are not used here");
    if (row->type != OPTION_LIST)
        return refuse (self, line_of (event), "it is a list; one value belongs here");

    const char **texts = malloc (LIST_MAX * sizeof *texts);
    if (!texts)
        return err_set (self->error, LITEDFS_MEMORY, "%s: no memory", self->path);
    size_t count = 0;
    int rc = collect (self, texts, &count);
    if (rc == 0) {
        rc = option_read (row, texts, count, self->directory, self->arena,
                          &self->values[row - self->table], self->error);
        if (rc < 0)
            rc = locate (self, line_of (event), row->key, strlen (row->key));
    }
    free (texts);
    return rc;
}

// Find the row of a key that was not given yet.
static int
take_key (struct loader *self, const yaml_event_t *event, const struct option_row **out)
{
    int rc = check_scalar (self, event);
    if (rc < 0)
        return rc;

    const char *key = (const char *) event->data.scalar.value;
    size_t size = event->data.scalar.length;
    const struct option_row *row = find_row (self->table, key, size);
    if (!row) {
        const char *near = nearest_key (self, key);
        err_set (self->error, LITEDFS_CONFIG, "there is no such key%s%s%s",
                 near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        return locate (self, line_of (event), key, size);
    }

    size_t *line = &self->lines[row - self->table];
    if (*line) {
        const char *other = strcmp (row->key, key) == 0 ? row->alias : row->key;
        err_set (self->error, LITEDFS_CONFIG, "line %zu has set it already%s%s%s", *line,
                 other ? "; another name for it is '" : "", other ? other : "",
                 other ? "'" : "");
        return locate (self, line_of (event), key, size);
    }
    *line = line_of (event);
    *out = row;
    return 0;
}

// Read a key's value.
static int
take_value (struct loader *self, const struct option_row *row)
{
    yaml_event_t event;
    int rc = next_event (self, &event);

    self->row = row;
    if (rc == 0) {
        if (event.type == YAML_SEQUENCE_START_EVENT)
            rc = take_list (self, row, &event);
        else if (event.type == YAML_MAPPING_START_EVENT)
            rc = refuse (self, line_of (&event), "it is a mapping; one value belongs here");
        else
            rc = take_scalar (self, row, &event);
    }
    self->row = NULL;
    yaml_event_delete (&event);
    return rc;
}

// Read keys and values up to the mapping's end.
static int
take_mapping (struct loader *self)
{
    for (;;) {
        yaml_event_t event;
        const struct option_row *row = NULL;
        int rc = next_event (self, &event);
        bool end = rc == 0 && event.type == YAML_MAPPING_END_EVENT;

        if (rc == 0 && !end)
            rc = take_key (self, &event, &row);
        yaml_event_delete (&event);
        if (rc == 0 && !end)
            rc = take_value (self, row);
        if (rc < 0 || end)
            return rc;
    }
}

// Expect one event of this type; `otherwise` is what is wrong with another.
static int
expect (struct loader *self, yaml_event_type_t type, const char *otherwise)
{
    yaml_event_t event;
    int rc = next_event (self, &event);

    if (rc == 0 && event.type != type)
        rc = refuse (self, line_of (&event), otherwise);
    else if (rc == 0 && type == YAML_MAPPING_START_EVENT &&
             (event.data.mapping_start.anchor || event.data.mapping_start.tag))
        rc = refuse (self, line_of (&event), "anchors and tags are not used here");
    yaml_event_delete (&event);
    return rc;
}

static int
take_stream (struct loader *self)
{
    static const char no_mapping[] = "the file must be a mapping of lines `key: value`";
    int rc = expect (self, YAML_STREAM_START_EVENT, "this is not YAML");

    if (rc == 0)
        rc = expect (self, YAML_DOCUMENT_START_EVENT, "the file is empty; -g writes one");
    if (rc == 0)
        rc = expect (self, YAML_MAPPING_START_EVENT, no_mapping);
    if (rc == 0)
        rc = take_mapping (self);
    if (rc == 0)
        rc = expect (self, YAML_DOCUMENT_END_EVENT, no_mapping);
    if (rc == 0)
        rc = expect (self, YAML_STREAM_END_EVENT, "a second document begins here; one is used");
    return rc;
}

// What a row without a default has.
static const char *
missing_default (const struct option_row *row)
{
    switch (row->type) {
    case OPTION_BOOL:
        return "false";
    case OPTION_INT:
    case OPTION_SIZE:
    case OPTION_SECONDS:
        return "0";
    case OPTION_LEVEL:
        return "NOSET";
    default:
        return "";
    }
}

// Give every row its default.
static int
stage_defaults (struct loader *self)
{
    for (size_t i = 0; i < self->rows; i++) {
        const struct option_row *row = &self->table[i];
        struct option_row any = *row;

        // A missing default is outside the range of what must be given: no fault of the
        // table's.
        if (!row->default_text)
            any.min = any.max = 0;
        const char *text = row->default_text ? row->default_text : missing_default (row);
        int rc = option_read_line (&any, text, self->directory, self->arena, &self->values[i],
                                   self->error);
        if (rc < 0)
            return err_prefix (self->error, "default of %s", row->key);
    }
    return 0;
}

static int
stage (struct loader *self, const struct option_row *table, struct arena *arena)
{
    self->table = table;
    self->rows = count_rows (table);
    self->arena = arena;
    self->values = arena_alloc_array (arena, self->rows, sizeof *self->values);
    self->lines = arena_alloc_array (arena, self->rows, sizeof *self->lines);
    if (!self->values || !self->lines)
        return err_set (self->error, LITEDFS_MEMORY, "configuration: no memory");
    return stage_defaults (self);
}

static void
put_all (const struct loader *self, void *out)
{
    for (size_t i = 0; i < self->rows; i++)
        option_put (&self->table[i], out, &self->values[i]);
}

int
conf_defaults (const struct option_row *table, void *out, struct arena *arena,
               litedfs_error_t *error)
{
    litedfs_error_t unwanted;
    struct loader loader = {.error = error ? error : &unwanted};

    int rc = stage (&loader, table, arena);
    if (rc == 0)
        put_all (&loader, out);
    return rc;
}

// The directory of a path, which the caller frees; NULL without memory.
static char *
directory_of (const char *path)
{
    const char *slash = strrchr (path, '/');
    if (!slash)
        return strdup (".");
    return slash == path ? strdup ("/") : strndup (path, (size_t) (slash - path));
}

int
conf_load_text (const char *path, struct slice text, const struct option_row *table, void *out,
                struct arena *arena, litedfs_error_t *error)
{
    static const char mark[] = "\xef\xbb\xbf"; // of byte order, as Windows writes it
    litedfs_error_t unwanted;
    struct loader loader = {.path = path, .error = error ? error : &unwanted};

    if (text.size > CONF_FILE_MAX)
        return err_set (error, LITEDFS_CONFIG, "%s: it is larger than 1 MiB", path);
    if (text.size >= sizeof mark - 1 && memcmp (text.data, mark, sizeof mark - 1) == 0)
        text = slice_of ((const char *) text.data + sizeof mark - 1,
                         text.size - (sizeof mark - 1));
    loader.directory = directory_of (path);
    if (!loader.directory || !yaml_parser_initialize (&loader.parser)) {
        free (loader.directory);
        return err_set (error, LITEDFS_MEMORY, "%s: no memory", path);
    }
    // Set, it is not guessed, and UTF-16 is refused.
    yaml_parser_set_encoding (&loader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string (&loader.parser, text.size ? text.data : (const void *) "",
                                  text.size);

    int rc = stage (&loader, table, arena);
    if (rc == 0)
        rc = take_stream (&loader);
    if (rc == 0)
        put_all (&loader, out);
    yaml_parser_delete (&loader.parser);
    free (loader.directory);
    return rc;
}

int
conf_load (const char *path, const struct option_row *table, void *out, struct arena *arena,
           litedfs_error_t *error)
{
    struct buf text = {0};
    litedfs_error_t why;

    int rc = file_read_all (path, CONF_FILE_MAX, &text, &why);
    if (rc == LITEDFS_MEMORY) {
        if (error)
            *error = why;
    } else if (rc < 0)
        rc = err_set (error, LITEDFS_CONFIG, "configuration: %s", why.text);
    else
        rc = conf_load_text (path, buf_slice (&text), table, out, arena, error);
    buf_free (&text);
    return rc;
}

int
conf_set (const struct option_row *table, void *values, const char *key, const char *text,
          struct arena *arena, litedfs_error_t *error)
{
    litedfs_error_t unwanted;
    litedfs_error_t *told = error ? error : &unwanted;
    union option_value value;

    const struct option_row *row = find_row (table, key, strlen (key));
    if (!row)
        return err_set (error, LITEDFS_CONFIG, "%s: there is no such key", key);
    int rc = option_read_line (row, text, ".", arena, &value, told);
    if (rc < 0)
        return err_prefix (told, "%s", key);
    option_put (row, values, &value);
    return 0;
}

// Append `key: value`; returns its width in bytes.
static size_t
write_pair (const struct option_row *row, const void *values, struct buf *out)
{
    union option_value value = option_get (row, values);
    size_t start = out->size;

    buf_printf (out, "%s: ", row->key);
    option_print (row, &value, out);
    return out->size - start;
}

void
conf_write (const struct option_row *table, const void *values, struct buf *out)
{
    struct buf scratch = {0};
    size_t widest = 0;

    for (const struct option_row *row = table; row->key; row++) {
        size_t width = row->obsolete ? 0 : write_pair (row, values, &scratch);
        widest = width > widest ? width : widest;
    }
    out->failed |= scratch.failed;
    buf_free (&scratch);

    for (const struct option_row *row = table; row->key; row++) {
        if (row->obsolete)
            continue;
        size_t width = write_pair (row, values, out);
        if (row->help) {
            buf_printf (out, "%*s  # ", (int) (widest - width), "");
            if (row->type == OPTION_SIZE) {
                int64_t bytes = option_get (row, values).number;
                buf_printf (out, "%" PRId64 " = ", bytes);
                option_print_size (bytes, out);
                buf_printf (out, ", ");
            }
            buf_printf (out, "%s", row->help);
        }
        buf_printf (out, "\n");
    }
}

size_t
conf_reload (const struct option_row *table, void *current, const void *loaded,
             struct buf *not_taken)
{
    size_t changed = 0;
    size_t refused = 0;

    for (const struct option_row *row = table; row->key; row++) {
        union option_value old = option_get (row, current);
        union option_value new = option_get (row, loaded);
        bool equal = option_equal (row, &old, &new);

        // An equal text is taken too, so that the arena of an earlier reload may go.
        if (row->reloadable) {
            option_put (row, current, &new);
            changed += !equal;
        } else if (!equal)
            buf_printf (not_taken, "%s%s", refused++ ? ", " : "", row->key);
    }
    return changed;
}

void
conf_table_print (const struct option_row *table, FILE *out)
{
    for (const struct option_row *row = table; row->key; row++) {
        struct buf allowed = {0};
        if (row->obsolete)
            continue;
        option_print_allowed (row, &allowed);
        fprintf (out, "%s\t%s\t%s\n", row->key, row->default_text ? row->default_text : "",
                 buf_text (&allowed));
        buf_free (&allowed);
    }
}
