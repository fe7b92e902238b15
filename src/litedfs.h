/* SPDX-License-Identifier: MIT */
#ifndef LITEDFS_H
#define LITEDFS_H

/*
 * liblitedfs: files and directories of a LiteDFS cluster, for C programs.
 *
 * The model.  A session (litedfs_t) talks to one name node, which keeps the tree, and to the data
 * nodes, which keep the bytes.  Calls block until they have their answer, retry by themselves
 * through a restart of a node, and return 0 or a negative number; the text for people is in the
 * litedfs_error_t that the caller passes (NULL if it wants none).  A failed call changes nothing
 * (but for parents that an upload has made: they stay), with one exception that says so:
 * LITEDFS_TIMEOUT means that the outcome is unknown.
 *
 * Caveats.  A session belongs to one thread at a time; open one a thread.  litedfs_cancel alone may
 * be called from anywhere, a signal handler included.  Remote paths are absolute UTF-8, 1 to 4096
 * bytes, names of 1 to 255 bytes.  Times are milliseconds since 1970.  What a call returns in a
 * struct is the caller's and is freed with the function that the struct names.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Error numbers.  litedfs_error_word gives the stable word for one. */
enum litedfs_error_number {
    LITEDFS_OK = 0,
    LITEDFS_FAILED = -1,
    LITEDFS_USAGE = -2,
    LITEDFS_INVALID = -3,
    LITEDFS_UNSUPPORTED = -4,
    LITEDFS_UNSUPPORTED_VERSION = -5,
    LITEDFS_NOT_FOUND = -6,
    LITEDFS_EXISTS = -7,
    LITEDFS_NOT_DIRECTORY = -8,
    LITEDFS_IS_DIRECTORY = -9,
    LITEDFS_LOCKED = -10,
    LITEDFS_LEASE_LOST = -11,
    LITEDFS_NO_SPACE = -12,
    LITEDFS_NO_NODE = -13,
    LITEDFS_UNREACHABLE = -14,
    LITEDFS_TIMEOUT = -15,
    LITEDFS_REFUSED = -16,
    LITEDFS_REGISTER_FIRST = -17,
    LITEDFS_NODE_EXISTS = -18,
    LITEDFS_WRONG_CLUSTER = -19,
    LITEDFS_WRONG_NODE = -20,
    LITEDFS_BUSY = -21,
    LITEDFS_GAP = -22,
    LITEDFS_STALE = -23,
    LITEDFS_ID_REUSED = -24,
    LITEDFS_CORRUPT = -25,
    LITEDFS_IO = -26,
    LITEDFS_CANCELLED = -27,
    LITEDFS_DIFFERENT = -28,
    LITEDFS_CONFIG = -29,
    LITEDFS_MEMORY = -30,
    LITEDFS_LAYOUT = -31,
    LITEDFS_IN_USE = -32,
    LITEDFS_NODE_REMOVED = -33,
    LITEDFS_UNHEALTHY = -34
};

/* What went wrong: a number above and one line for people, without a newline. */
typedef struct {
    int number;
    char text[1024];
} litedfs_error_t;

/* The stable word for an error number, such as "not_found"; and the exit status that litedfs(1) has
 * for it.  Never NULL; unknown numbers count as LITEDFS_FAILED. */
const char *litedfs_error_word (int number);
int litedfs_error_exit_status (int number);

/* The version of the library, such as "0.1.0". */
const char *litedfs_version (void);

/* ---- sessions --------------------------------------------------------------------------------- */

typedef struct litedfs litedfs_t;

/* Options of a session; NULL or zeroes take the defaults. */
typedef struct {
    int64_t connect_timeout_ms; // how long the first contact may take; default 5000
    int64_t request_timeout_ms; // how long a request goes on retrying; default 60000
} litedfs_options_t;

/* Open a session.  address is HOST:PORT, the name node's HTTP address, or tcp://HOST:PORT, its message
 * port; an IPv6 host stands in brackets.  Blocks until the name node has answered, at most
 * connect_timeout_ms.  *out is the caller's, to be closed.  LITEDFS_UNREACHABLE names the address that
 * was tried; LITEDFS_REFUSED says what to set; LITEDFS_INVALID for an address of another form. */
int litedfs_open (litedfs_t **out, const char *address, const litedfs_options_t *options,
                  litedfs_error_t *error);

/* Close a session and set *session to NULL; NULL is allowed.  Keeps errno. */
void litedfs_close (litedfs_t **session);

/* Make the call that is under way, and every later one, end soon with LITEDFS_CANCELLED; an upload
 * gives up its lease first.  May be called from another thread or a signal handler. */
void litedfs_cancel (litedfs_t *session);

/* ---- the tree ----------------------------------------------------------------------------------- */

typedef enum {
    LITEDFS_DIRECTORY = 0,
    LITEDFS_FILE = 1,
} litedfs_kind_t;

#define LITEDFS_ID_SIZE 37 // a UUID as text, with its end

/* A file, or a directory with the totals of everything below it. */
typedef struct {
    litedfs_kind_t kind;
    char *name;               // last part of the path
    char id[LITEDFS_ID_SIZE]; // of a file; "" for a directory
    uint64_t size;            // of a file; for a directory the bytes of all files below it
    uint32_t replica;         // copies wanted; 0 for a directory
    uint64_t ctime_ms;
    uint64_t mtime_ms;
    uint64_t files; // of a directory, everything below it
    uint64_t directories;
} litedfs_entry_t;

/* What to list.  limit 0 lists all. */
typedef struct {
    uint64_t offset;
    uint64_t limit;
    bool files_only;
    bool directories_only;
} litedfs_list_options_t;

typedef struct {
    litedfs_entry_t *entries;
    size_t count;
    uint64_t total; // entries that an unlimited list would have had
} litedfs_list_t;

/* Directories first, then files, each by name.  Free *out with litedfs_list_free. */
int litedfs_list (litedfs_t *session, const char *path, const litedfs_list_options_t *options,
                  litedfs_list_t *out, litedfs_error_t *error);
void litedfs_list_free (litedfs_list_t *list);

/* About one path.  Free *out with litedfs_entry_free. */
int litedfs_stat (litedfs_t *session, const char *path, litedfs_entry_t *out,
                  litedfs_error_t *error);
void litedfs_entry_free (litedfs_entry_t *entry);

/* Make a directory and its missing parents; an existing one is no error. */
int litedfs_make_directory (litedfs_t *session, const char *path, litedfs_error_t *error);

/* Delete, with everything below a directory; move into an existing directory; give another name.  The
 * kind says what the path must be: LITEDFS_NOT_DIRECTORY or LITEDFS_IS_DIRECTORY if it is the other. */
int litedfs_delete (litedfs_t *session, litedfs_kind_t kind, const char *path,
                    litedfs_error_t *error);
int litedfs_move (litedfs_t *session, litedfs_kind_t kind, const char *source,
                  const char *target, litedfs_error_t *error);
int litedfs_rename (litedfs_t *session, litedfs_kind_t kind, const char *path, const char *name,
                    litedfs_error_t *error);

/* ---- files ----------------------------------------------------------------------------------------- */

typedef struct {
    uint64_t id;
    uint64_t size;
    uint32_t crc32;
    uint32_t *nodes; // numbers of the nodes that hold it
    size_t node_count;
} litedfs_block_t;

typedef struct {
    char *path;
    char id[LITEDFS_ID_SIZE];
    uint64_t size;
    uint32_t replica;         // copies wanted
    uint32_t current_replica; // copies that every block has at least
    char checksum[32];        // "crc32:" and eight hexadecimal digits, of the whole file
    uint64_t ctime_ms;
    uint64_t mtime_ms;
    uint64_t block_size;
    litedfs_block_t *blocks;
    size_t block_count;
} litedfs_file_t;

/* About one file, blocks included.  Free *out with litedfs_file_free. */
int litedfs_file_info (litedfs_t *session, const char *path, litedfs_file_t *out,
                       litedfs_error_t *error);
void litedfs_file_free (litedfs_file_t *file);

/* Called from time to time during a transfer, in the caller's thread; total is UINT64_MAX when the
 * size is not known. */
typedef void (litedfs_progress_fn) (void *arg, uint64_t done, uint64_t total);

/* Called when a transfer goes on in spite of a data node that fails, or that has a block no more or not as
 * it was: one line for people, without a newline, in the caller's thread.  Each thing is told once. */
typedef void (litedfs_warning_fn) (void *arg, const char *text);

typedef struct {
    uint32_t replica; // copies wanted, 1 to 64; 0 means 1
    uint32_t ttl_s;   // of the write lock, 1 to 86400; 0 means 60
    bool replace;     // swap an existing file, atomically, when all is written
    bool stream;      // read even a regular file from where it stands
    litedfs_progress_fn *progress;
    void *progress_arg;
    litedfs_warning_fn *warning;
    void *warning_arg;
} litedfs_upload_options_t;

/* Write a file from an open descriptor: a regular file from its start, anything else until it ends (the
 * block in flight is then spooled to an unlinked file in $TMPDIR).  Missing parents are made.  The file
 * is visible, whole and durable when this returns 0, and not at all otherwise.  LITEDFS_EXISTS without
 * `replace`, LITEDFS_LOCKED while somebody else writes it, LITEDFS_NO_NODE with each node's reason. */
int litedfs_upload (litedfs_t *session, int fd, const char *path,
                    const litedfs_upload_options_t *options, litedfs_error_t *error);

/* Compare a regular local file with a remote one by size and every block's CRC-32, without reading the
 * remote bytes.  0 when equal, LITEDFS_DIFFERENT when not.  id (LITEDFS_ID_SIZE bytes, or NULL) receives
 * the remote file's id. */
int litedfs_compare (litedfs_t *session, int fd, const char *path, char *id,
                     litedfs_error_t *error);

/* Change the wanted number of copies; with id, only if the path still names that file (NULL: any). */
int litedfs_set_replica (litedfs_t *session, const char *path, uint32_t replica, const char *id,
                         litedfs_error_t *error);

typedef struct {
    bool stream; // write in order, and from where it stands, even to a regular file
    litedfs_progress_fn *progress;
    void *progress_arg;
    litedfs_warning_fn *warning;
    void *warning_arg;
} litedfs_download_options_t;

/* Read a whole file into an open descriptor: a regular file is written from its start, in any order, and
 * cut to the size; anything else gets the bytes in order.  Every byte was checked when this returns 0.
 * When no node could give a block whole: the error of the last one that was asked, node and block named in
 * the text (LITEDFS_CORRUPT, LITEDFS_UNREACHABLE, LITEDFS_IO, LITEDFS_BUSY, ...). */
int litedfs_download (litedfs_t *session, const char *path, int fd,
                      const litedfs_download_options_t *options, litedfs_error_t *error);

/* ---- locks and the cluster ------------------------------------------------------------------------ */

typedef struct {
    char *path;
    char id[LITEDFS_ID_SIZE];
    uint64_t ttl_s;
    uint64_t remaining_s;
    uint32_t replica;
} litedfs_lock_t;

typedef struct {
    litedfs_lock_t *locks;
    size_t count;
} litedfs_locks_t;

/* The files that are being written now.  Free *out with litedfs_locks_free. */
int litedfs_locks (litedfs_t *session, litedfs_locks_t *out, litedfs_error_t *error);
void litedfs_locks_free (litedfs_locks_t *locks);

/* What is wanted of a data node. */
typedef enum { LITEDFS_SERVE, LITEDFS_DRAIN } litedfs_duty_t;

typedef struct {
    uint32_t id;
    char node_id[LITEDFS_ID_SIZE];
    char *host;
    uint32_t http_port;
    char *version;
    char *zone;
    bool online;
    uint64_t storage_total;
    uint64_t storage_used;
    uint64_t storage_free;
    bool storage_full;
    uint64_t blocks;
    uint64_t last_heartbeat_ms; // when it was heard last
    litedfs_duty_t duty;
    uint64_t maintenance_until_ms; // 0: it is not in maintenance
    bool drained;                  // everything that it had is elsewhere, it may go
    bool surveyed;                 // it drains, and its blocks were looked at; of these
    uint64_t blocks_left;          // are on it yet,
    uint64_t bytes_left;
    uint64_t blocks_sole; // nobody else has,
    uint64_t bytes_sole;
    uint64_t blocks_stuck; // more copies are wanted than there are nodes that serve
    uint64_t quarantined;  // of its blocks: nobody owns them
    uint64_t quarantined_bytes;
    uint64_t quarantined_since_ms; // when the oldest of them was first seen; 0: there is none
} litedfs_node_t;

typedef struct {
    char id[LITEDFS_ID_SIZE];
    char *version;
    uint64_t block_size;
    uint64_t files;
    uint64_t directories;
    uint64_t bytes;
    litedfs_node_t *nodes; // by number
    size_t node_count;
    size_t online_count;
} litedfs_cluster_t;

/* About the cluster and its data nodes.  Free *out with litedfs_cluster_free. */
int litedfs_cluster (litedfs_t *session, litedfs_cluster_t *out, litedfs_error_t *error);
void litedfs_cluster_free (litedfs_cluster_t *cluster);

/* What is moved between data nodes so that they are about equally full. */
typedef enum {
    LITEDFS_BALANCE_KEEP,
    LITEDFS_BALANCE_ON,
    LITEDFS_BALANCE_OFF
} litedfs_balance_set_t;

typedef struct {
    uint32_t from;
    uint32_t to;
    uint64_t bytes; // that are to move and are not under way
    bool stuck; // no block was found that may go: others have its copies, or it is too large
} litedfs_balance_move_t;

typedef struct {
    bool enabled;
    uint32_t
        threshold; // points by which uses may differ, in percent of what a node holds; 0: never on
    uint64_t copies;               // under way
    uint64_t bytes;                // theirs
    litedfs_balance_move_t *moves; // the fullest nodes first
    size_t move_count;
} litedfs_balance_t;

/* Switch balance on or off (the cluster remembers it), or leave it as it is; *out is how it is then, and what
 * is, or would be, to move.  Free it with litedfs_balance_free. */
int litedfs_balance (litedfs_t *session, litedfs_balance_set_t set, litedfs_balance_t *out,
                     litedfs_error_t *error);
void litedfs_balance_free (litedfs_balance_t *balance);

/* A data node drains from now on: it gets no new blocks, and those that it has are copied to others, which
 * litedfs_cluster shows; or, drain false, it serves again.  LITEDFS_NOT_FOUND. */
int litedfs_node_drain (litedfs_t *session, uint32_t node, bool drain, litedfs_error_t *error);

/* For so many seconds (up to LITEDFS_MAINTENANCE_MAX_S; 0 ends it) the node may be away and nobody copies
 * its blocks; it gets no new ones.  *until_ms is when that ends, since 1970.  LITEDFS_NOT_FOUND. */
#define LITEDFS_MAINTENANCE_MAX_S 2592000
int litedfs_node_maintenance (litedfs_t *session, uint32_t node, uint64_t seconds,
                              uint64_t *until_ms, litedfs_error_t *error);

/* A data node that drains is none of the cluster any more, for ever.  LITEDFS_REFUSED if it has blocks that
 * nobody else has, LITEDFS_BUSY while that is being found out or uploads are under way to it; with force
 * neither matters.  LITEDFS_INVALID if it does not drain, LITEDFS_NOT_FOUND. */
int litedfs_node_remove (litedfs_t *session, uint32_t node, bool force, litedfs_error_t *error);

/* ---- how the blocks are ---------------------------------------------------------------------------- */

/* The states that a block, or a copy of one, can be in.  The first two are healthy. */
#define LITEDFS_STATES 7

/* Blocks in one state, the files whose worst state it is, and their bytes. */
typedef struct {
    const char *
        state; // "healthy", "over_replicated", "under_replicated", "away", "missing", "corrupt"
               // or "orphaned"
    uint64_t files;
    uint64_t blocks; // of the last two states: copies
    uint64_t bytes;
    uint64_t since_ms; // 0: not known
} litedfs_tally_t;

/* A file that is not healthy. */
typedef struct {
    const char *state; // the worst of its blocks
    char *path;
    char id[LITEDFS_ID_SIZE];
    uint32_t replica; // copies wanted
    uint32_t copies;  // copies that can be read now, of the block that has the fewest
    uint64_t blocks;  // that are concerned
    uint64_t bytes;
    uint64_t since_ms; // 0: not known
} litedfs_concern_t;

typedef struct {
    litedfs_tally_t tallies[LITEDFS_STATES]; // from the best to the worst
    bool healthy;                            // every block is, and nobody is waited for
    bool settling; // the name node has just started and waits for data nodes
    litedfs_concern_t *concerns;
    size_t concern_count;
} litedfs_check_t;

/* Look at all blocks of all files, and with `files` list the files that are not healthy.  Takes many short
 * requests.  Free *out with litedfs_check_free. */
int litedfs_check (litedfs_t *session, bool files, litedfs_check_t *out,
                   litedfs_error_t *error);
void litedfs_check_free (litedfs_check_t *check);

/* How far data nodes are that verify all that they hold. */
typedef struct {
    uint64_t nodes;   // that were asked,
    uint64_t running; // and how many of them are not done
    uint64_t blocks;  // verified so far
    uint64_t bytes;   // theirs
    uint64_t damaged; // of these: were damaged, and will be replaced
} litedfs_scrub_t;

/* Ask every data node that is online how far it is, and with `begin` tell it to begin now.  What they find
 * the name node hears.  If one cannot be asked, the others are, and the error is its. */
int litedfs_scrub (litedfs_t *session, bool begin, litedfs_scrub_t *out,
                   litedfs_error_t *error);

/* A node that is said to hold a block. */
typedef struct {
    uint32_t node;
    const char *standing; // "live", "away", "excused", "leaving", "claimed", "denied" or "gone"
    uint64_t left_ms;     // of one that is away: how long it is waited for
} litedfs_holder_t;

/* A copy under way. */
typedef struct {
    uint32_t source;
    uint32_t target;
    uint64_t left_ms; // until it is given up
} litedfs_transfer_t;

/* A block that is not where it should be. */
typedef struct {
    uint64_t index;
    uint64_t id;
    uint64_t size;
    const char *awaits; // what it waits for, as in litedfs-protocol(7)
    uint64_t left_ms;   // for how long, if that is known; else 0
    litedfs_holder_t *holders;
    size_t holder_count;
    litedfs_transfer_t *copies;
    size_t copy_count;
    uint64_t offline;  // of the nodes without a copy: how many are offline,
    uint64_t full;     // have no room,
    uint64_t busy;     // have enough to do
    uint64_t failures; // copies that came to nothing
} litedfs_stray_t;

typedef struct {
    char *path;
    char id[LITEDFS_ID_SIZE];
    uint32_t replica;        // copies wanted
    uint32_t copies;         // copies that can be read now, of the block that has the fewest
    uint64_t count;          // blocks that it has
    litedfs_stray_t *blocks; // those that have not as many copies as are wanted
    size_t block_count;
} litedfs_why_t;

/* Why a file is not where it should be, and what is under way.  Free *out with litedfs_why_free. */
int litedfs_why (litedfs_t *session, const char *path, litedfs_why_t *out,
                 litedfs_error_t *error);
void litedfs_why_free (litedfs_why_t *why);

/* What there is to repair; a moment old. */
typedef struct {
    bool counted;         // else there is at least as much
    uint64_t missing;     // blocks that nobody has
    uint64_t last;        // of which one copy is left
    uint64_t few;         // that have more than one copy, but fewer than wanted
    uint64_t move;        // that have enough, but some of them on nodes that drain
    uint64_t surplus;     // that have too many
    uint64_t bytes;       // that copies of them will take
    uint64_t copies;      // under way,
    uint64_t copying;     // and their bytes
    uint64_t rate;        // bytes a second of late
    uint64_t settling_ms; // how long the name node, which has just started, still waits; 0: not
    uint32_t *awaited;    // for these nodes
    size_t awaited_count;
} litedfs_repair_t;

/* About repair.  Free *out with litedfs_repair_free. */
int litedfs_repair (litedfs_t *session, litedfs_repair_t *out, litedfs_error_t *error);
void litedfs_repair_free (litedfs_repair_t *repair);

#ifdef __cplusplus
}
#endif

#endif
