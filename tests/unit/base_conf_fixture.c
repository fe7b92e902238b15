/* SPDX-License-Identifier: MIT */
#include "base_conf_fixture.h"

const struct option_row table[] = {
    {.key = "log_level",
     .type = OPTION_LEVEL,
     PLACE (log_level),
     .default_text = "INFO",
     .reloadable = true,
     .help = "NOSET, DEBUG, INFO, WARNING, ERROR, CRITICAL"},
    {.key = "log_path", .type = OPTION_PATH, PLACE (log_path), .min = 1, .max = 4096},
    {.key = "http_host",
     .type = OPTION_STRING,
     PLACE (http_host),
     .default_text = "0.0.0.0",
     .help = "http host"},
    {.key = "http_port",
     .type = OPTION_INT,
     PLACE (http_port),
     .default_text = "9000",
     .min = 1,
     .max = 65535,
     .help = "http port"},
    {.key = "name_http_host",
     .alias = "manager_http_host",
     .type = OPTION_STRING,
     PLACE (name_host),
     .default_text = "127.0.0.1"},
    {.key = "block_size",
     .type = OPTION_SIZE,
     PLACE (block_size),
     .default_text = "64M",
     .min = 65536,
     .max = (int64_t) 1 << 32,
     .help = "file block size"},
    {.key = "interval",
     .type = OPTION_SECONDS,
     PLACE (interval),
     .default_text = "1",
     .min = 0,
     .max = 60,
     .reloadable = true},
    {.key = "sync", .type = OPTION_BOOL, PLACE (sync), .default_text = "true"},
    {.key = "allow", .type = OPTION_LIST, PLACE (allow), .reloadable = true},
    {.key = "old_key", .type = OPTION_STRING, PLACE (old), .obsolete = true},
    {.key = NULL},
};

struct arena arena;
struct settings settings;
litedfs_error_t error;

void
conf_teardown (void)
{
    arena_free (&arena);
}

int
load_bytes (const void *text, size_t size)
{
    return conf_load_text ("/etc/litedfs/c.yml", slice_of (text, size), table, &settings,
                           &arena, &error);
}

int
load (const char *text)
{
    return load_bytes (text, strlen (text));
}

void
check_refused (const char *text, const char *expected)
{
    static const char place[] = "/etc/litedfs/c.yml:";
    struct settings before;
    memset (&settings, 0x5a, sizeof settings);
    memcpy (&before, &settings, sizeof before);
    ck_assert_msg (load (text) == LITEDFS_CONFIG, "%s", text);
    ck_assert_int_eq (error.number, LITEDFS_CONFIG);
    ck_assert_int_eq (strncmp (error.text, place, strlen (place)), 0);
    ck_assert_str_eq (error.text + strlen (place), expected);
    ck_assert_mem_eq (&settings, &before, sizeof before);
}
