/* SPDX-License-Identifier: MIT */
/*
 * The replica chain of litedfs-architecture(7), small enough to try everything: one block of CHUNKS
 * chunks, nodes 1 to 3, the client that writes it, and FAULTS faults at any moments.  A fault is the
 * death of a node (it may come back, without what was not durable), a node that stands still (and may
 * go on, with what waits for it), a disk that fails, a message that is lost, doubled or overtaken.
 *
 * Time.  A tick comes when nothing else can happen.  Every running member then counts the silence of
 * whom it waits for and asks again; PATIENCE silent ticks end a part.  SLOW ticks, more than that, may
 * pass while a last sync lasts: slowness is no fault.
 *
 * What is checked:
 *
 *   commit     who is named as a holder has every byte, durably
 *   healthy    a node without a fault of its own is named, if the first node had none either
 *   given up   the client gives a block up only if its first node had a fault
 *   ends       every run ends: there is no state without a way on but the end (spin's invalid end
 *              states), and no way round in a circle (-DNP, with no progress label: every circle)
 *
 * Each of these macros breaks a rule of the chain, and then the check must fail:
 *
 *   COMMITS_EARLY    the client names who has written all, durable or not
 *   SAYS_EARLY       a node says durable before its sync has ended
 *   RELAY_HOLDS      a node whose disk failed counts as a holder
 *   TAKES_GAPS       a chunk beyond the next one is taken
 *   LETS_GO_EARLY    a chunk is let go when the next node has it, whoever comes after
 *   JUDGES_SLOWNESS  a node that answers, but does not advance, counts as silent
 *   NO_ASKING        what was lost is not asked for again
 *   NO_LINK          nobody links round a silent node
 *   RELAY_AGAIN      a relay that restarted is taken for what it was
 */

#ifndef NODE_FAULTS
#define NODE_FAULTS 1
#endif
#ifndef MESSAGE_FAULTS
#define MESSAGE_FAULTS 1
#endif
#ifndef CHUNKS
#define CHUNKS 2
#endif
#define PATIENCE (MESSAGE_FAULTS + 2)

/* What a copy is; from DURABLE on it is final.  Of whom nothing is known: UNKNOWN. */
#define UNKNOWN 0
#define RECEIVING 1
#define SYNCING 2
#define DURABLE 3
#define FAILED 4
#define RELAY 5
#define FINAL(s) ((s) >= DURABLE)

/* ---- the members ------------------------------------------------------------------------------------- */

#define AT(i, j) ((i) * 4 + (j))
#define RUNS(i) (up[i] && !stopped[i])

bool up[4], stopped[4];
bool hurt[4];     // had a fault
bool held[4];     // is on its disk, finished, with all bytes
bool hole[4];     // a chunk is missing before one that was taken
byte state[4];    // of the own copy
byte got[4];      // chunks taken
byte let_go[4];   // chunks that are kept no more
byte hop[4];      // whom it serves, or 0
byte sent[4];     // the last chunk that the hop was sent
byte silent[4];   // ticks since the hop was heard
bool told[16];    // AT (i, j): i has chunks from j and tells it how far it is; j = 0 is the client
byte seen[16];    // AT (i, j): the state of j, as i knows it
byte seen_at[16]; // AT (i, j): and its chunks

byte client_sent, client_acked, client_silent;
bool ended;
byte node_faults = NODE_FAULTS;
byte message_faults = MESSAGE_FAULTS;

/* ---- messages ---------------------------------------------------------------------------------------- */

#define WAY(i, j) ((i) + (j) - 3) // between 1 and 2, 1 and 3, 2 and 3

/* A chunk's number; AFTER_ALL asks, of who has acked all, how far the block is. */
#define AFTER_ALL (CHUNKS + 1)
chan to_first = [CHUNKS] of {byte};
chan chunk[3] = [CHUNKS] of {byte};

/* Of the sender: state, chunks; the same of who comes next; whether there was a gap.  Each says all, so one
 * that was not heard when the next is said is not heard any more, but for its gap. */
chan ack[3] = [1] of {byte, byte, byte, byte, bool};

/* Chunks that everybody has, whether all are final, the holders as bits, whether there was a gap. */
chan reply = [1] of {byte, bool, byte, bool};

/* A chunk and an ack that were held up on the way: of which channel, 3 being to_first; 4: none. */
byte late_way = 4, late_k;
byte late_ack_way = 4, late_s, late_o, late_ns, late_no;
bool late_gap;

/* Registers of one step; 0 between steps. */
hidden byte k, h, m, n, s, o, ns, no;
hidden byte gap, all;

/* ---- a node ------------------------------------------------------------------------------------------ */

#ifdef LETS_GO_EARLY
#define COUNTS(i, j) ((j) == hop[i])
#else
#define COUNTS(i, j) (seen[AT (i, j)] != UNKNOWN)
#endif

/* m: chunks that node i has, and all after it that may have them yet. */
inline everybody (i)
{
    m = got[i];
    n = i + 1;
    do
    :: n <= 3 ->
        if
        :: !FINAL (seen[AT (i, n)]) && COUNTS (i, n) && seen_at[AT (i, n)] < m -> m = seen_at[AT (i, n)]
        :: else
        fi;
        n++
    :: else -> break
    od
}

inline let_go_of (i)
{
    everybody (i);
    if
    :: m > let_go[i] -> let_go[i] = m
    :: else
    fi
}

inline forward (i)
{
    do
    :: hop[i] != 0 && sent[i] < got[i] && (!up[hop[i]] || len (chunk[WAY (i, hop[i])]) < CHUNKS) ->
        sent[i]++;
        if
        :: up[hop[i]] -> chunk[WAY (i, hop[i])]!sent[i]
        :: else
        fi
    :: else -> break
    od
}

inline pass_over (i, j)
{
    seen[AT (i, j)] = FAILED;
    seen_at[AT (i, j)] = 0
}

/* Serve who comes after the hop; who lacks what was let go is passed over. */
inline link (i)
{
    silent[i] = 0;
    do
    :: hop[i] == 3 -> hop[i] = 0; break
    :: else ->
        hop[i]++;
        if
        :: !FINAL (seen[AT (i, hop[i])]) && seen_at[AT (i, hop[i])] < let_go[i] ->
            pass_over (i, hop[i])
        :: !FINAL (seen[AT (i, hop[i])]) && seen_at[AT (i, hop[i])] >= let_go[i] ->
            sent[i] = seen_at[AT (i, hop[i])];
            break
        :: else
        fi
    od;
    forward (i)
}

/* m: holders as bits; all: whether everybody is final, as node 1 knows. */
inline holders ()
{
    m = 0;
    all = true;
    n = 1;
    do
    :: n <= 3 ->
        s = (n == 1 -> state[1] : seen[AT (1, n)]);
        all = all && (FINAL (s) || (s == UNKNOWN && FINAL (state[1]) && hop[1] == 0));
        if
        :: s == DURABLE -> m = m | (1 << n)
#ifdef COMMITS_EARLY
        :: s == SYNCING -> m = m | (1 << n)
#endif
#ifdef RELAY_HOLDS
        :: s == RELAY -> m = m | (1 << n)
#endif
        :: else
        fi;
        n++
    :: else -> break
    od
}

/* Tell whoever sent us chunks how far we are. */
inline tell (i, is_gap)
{
    if
    :: i == 1 && told[AT (1, 0)] ->
        everybody (1);
        o = m;
        holders ();
        gap = false;
        if
        :: len (reply) > 0 -> reply?_, _, _, gap
        :: else
        fi;
        gap = gap || is_gap;
        reply!o, all, m, gap
    :: else
    fi;
    h = 1;
    do
    :: h < i ->
        if
        :: told[AT (i, h)] && up[h] ->
            gap = is_gap;
            if
            :: len (ack[WAY (h, i)]) > 0 ->
                ack[WAY (h, i)]?_, o, _, _, gap;
                gap = is_gap || (gap && o == got[i])
            :: else
            fi;
            ack[WAY (h, i)]!state[i], got[i], (i == 2 -> seen[AT (2, 3)] : UNKNOWN),
                            (i == 2 -> seen_at[AT (2, 3)] : 0), gap
        :: else
        fi;
        h++
    :: else -> break
    od;
    h = 0; m = 0; n = 0; s = 0; o = 0; all = false; gap = false
}

/* The first chunk says who follows. */
inline begin (i)
{
    state[i] = RECEIVING;
    hop[i] = (i < 3 -> i + 1 : 0);
    n = i + 1;
    do
    :: n <= 3 -> seen[AT (i, n)] = RECEIVING; n++
    :: else -> break
    od;
    n = 0
}

#ifdef TAKES_GAPS
#define NEXT(i) (k > got[i] && k <= CHUNKS)
#else
#define NEXT(i) (k == got[i] + 1 && k <= CHUNKS)
#endif
#define GAP(i) ((k > got[i] && got[i] < CHUNKS) || state[i] == UNKNOWN)

/* Chunk k came from `from`. */
inline take (i, from)
{
    told[AT (i, from)] = true;
    if
    :: state[i] != FAILED && state[i] != DURABLE && NEXT (i) ->
        hole[i] = hole[i] || k != got[i] + 1;
        got[i] = k;
        if
        :: state[i] == UNKNOWN -> begin (i)
        :: else
        fi;
        if
#ifdef SAYS_EARLY
        :: k == CHUNKS && state[i] == RECEIVING -> state[i] = DURABLE
#else
        :: k == CHUNKS && state[i] == RECEIVING -> state[i] = SYNCING
#endif
        :: else
        fi;
        forward (i);
        let_go_of (i);
        tell (i, false)
    :: !NEXT (i) && GAP (i) && state[i] != FAILED -> tell (i, true)
    :: else -> tell (i, false)
    fi;
    k = 0
}

inline synced (i)
{
    held[i] = !hole[i];
    state[i] = DURABLE;
    tell (i, false)
}

/* A disk fails: who has nobody to pass chunks on to has no part any more. */
inline disk_fails (i)
{
    state[i] = (hop[i] != 0 -> RELAY : FAILED);
    let_go_of (i);
    tell (i, false)
}

/* What j says of itself and of who comes after it is never less than it was; but for a gap. */
inline learn (i, j)
{
    o = (o > got[i] -> got[i] : o);
    seen_at[AT (i, j)] = (o > seen_at[AT (i, j)] -> o : seen_at[AT (i, j)]);
    sent[i] = (o > sent[i] -> o : sent[i]);
#ifdef JUDGES_SLOWNESS
    silent[i] = (s > seen[AT (i, j)] -> 0 : silent[i]);
#endif
    seen[AT (i, j)] = (s > seen[AT (i, j)] -> s : seen[AT (i, j)]);
    if
    :: j == 2 && ns != UNKNOWN && !FINAL (seen[AT (i, 3)]) ->
        no = (no > got[i] -> got[i] : no);
        seen_at[AT (i, 3)] = (no > seen_at[AT (i, 3)] -> no : seen_at[AT (i, 3)]);
        seen_at[AT (i, 3)] = (ns == FAILED -> 0 : seen_at[AT (i, 3)]);
        seen[AT (i, 3)] = (ns > seen[AT (i, 3)] -> ns : seen[AT (i, 3)])
    :: else
    fi
}

#ifdef RELAY_AGAIN
#define CANNOT_GO_ON(i, j) (o < let_go[i])
#else
#define CANNOT_GO_ON(i, j) (o < let_go[i] || seen[AT (i, j)] == RELAY)
#endif

/* An ack of j: s, o; of who comes after it ns, no. */
inline hear (i, j)
{
    if
    :: hop[i] == j ->
#ifndef JUDGES_SLOWNESS
        silent[i] = 0;
#endif
        if
        :: s == FAILED || (gap && CANNOT_GO_ON (i, j)) ->
            pass_over (i, j);
            link (i)
        :: s != FAILED && gap && !CANNOT_GO_ON (i, j) && !FINAL (seen[AT (i, j)]) ->
            sent[i] = o;
            seen_at[AT (i, j)] = o;
            forward (i)
        :: else ->
            learn (i, j);
            if
            :: j == 2 && FINAL (s) && ns == UNKNOWN && !FINAL (seen[AT (i, 3)]) -> link (i)
            :: else -> forward (i)
            fi
        fi;
        let_go_of (i);
        tell (i, false)
    :: else
    fi;
    s = 0; o = 0; ns = 0; no = 0; gap = false; m = 0; n = 0
}

/* The hop has something to say yet; so has one that does not even take what is there for it. */
#define OPEN(i, j) (!FINAL (seen[AT (i, j)]))
#define LACKS(i, j) ((OPEN (i, j) || seen[AT (i, j)] == RELAY) && got[i] > seen_at[AT (i, j)])
#define OWES(i) (hop[i] != 0 && (LACKS (i, hop[i]) || \
    (got[i] == CHUNKS && (OPEN (i, hop[i]) || (hop[i] == 2 && OPEN (i, 3))))))

/* The hop of i is silent; and who is not final says so. */
inline node_tick (i)
{
#ifndef NO_ASKING
    if
    :: i > 1 && RUNS (i) && state[i] != UNKNOWN -> tell (i, false)
    :: else
    fi;
#endif
    if
    :: RUNS (i) && OWES (i) ->
        silent[i]++;
        if
        :: silent[i] >= PATIENCE ->
#ifdef NO_LINK
            silent[i] = PATIENCE
#else
            pass_over (i, hop[i]);
            link (i);
            let_go_of (i);
            tell (i, false)
#endif
#ifndef NO_ASKING
        :: silent[i] < PATIENCE && up[hop[i]] && len (chunk[WAY (i, hop[i])]) < CHUNKS ->
            chunk[WAY (i, hop[i])]!(LACKS (i, hop[i]) -> seen_at[AT (i, hop[i])] + 1 : AFTER_ALL)
#endif
        :: else
        fi
    :: else
    fi
}

/* When the first node is hurt nothing is asked of the others any more. */
inline hurts (i)
{
    hurt[i] = true;
    hurt[2] = hurt[1] || hurt[2];
    hurt[3] = hurt[1] || hurt[3]
}

/* What was not durable is forgotten, and what is under way to it is gone. */
inline die (i)
{
    up[i] = false;
    stopped[i] = false;
    state[i] = (held[i] -> DURABLE : UNKNOWN);
    got[i] = (held[i] -> CHUNKS : 0);
    hole[i] = false;
    let_go[i] = 0;
    hop[i] = 0;
    sent[i] = 0;
    silent[i] = 0;
    n = 0;
    do
    :: n <= 3 ->
        told[AT (i, n)] = false;
        seen[AT (i, n)] = UNKNOWN;
        seen_at[AT (i, n)] = 0;
        n++
    :: else -> break
    od;
    n = 0;
    do
    :: i == 1 && len (to_first) > 0 -> to_first?_
    :: i == 1 && len (ack[0]) > 0 -> ack[0]?_, _, _, _, _
    :: i == 1 && len (ack[1]) > 0 -> ack[1]?_, _, _, _, _
    :: i == 2 && len (ack[2]) > 0 -> ack[2]?_, _, _, _, _
    :: i == 2 && len (chunk[0]) > 0 -> chunk[0]?_
    :: i == 3 && len (chunk[1]) > 0 -> chunk[1]?_
    :: i == 3 && len (chunk[2]) > 0 -> chunk[2]?_
    :: else -> break
    od
}

/* ---- the client -------------------------------------------------------------------------------------- */

inline client_goes_on ()
{
    do
    :: client_sent < CHUNKS && (!up[1] || len (to_first) < CHUNKS) ->
        client_sent++;
        if
        :: up[1] -> to_first!client_sent
        :: else
        fi
    :: else -> break
    od
}

#define NAMED(i) ((m & (1 << (i))) != 0)

inline commit ()
{
    assert (m != 0);
    assert (!NAMED (1) || held[1]);
    assert (!NAMED (2) || held[2]);
    assert (!NAMED (3) || held[3]);
    assert (hurt[1] || ((hurt[2] || NAMED (2)) && (hurt[3] || NAMED (3)) && NAMED (1)));
    ended = true
}

inline give_up ()
{
    assert (hurt[1]);
    ended = true
}

#ifdef COMMITS_EARLY
#define IS_OVER (all || o == CHUNKS)
#else
#define IS_OVER all
#endif

inline client_hears ()
{
    client_silent = 0;
    if
    :: IS_OVER && m != 0 -> commit ()
    :: IS_OVER && m == 0 -> give_up ()
    :: !IS_OVER && gap -> client_sent = o; client_acked = o; client_goes_on ()
    :: else ->
        client_acked = (o > client_acked -> o : client_acked);
        client_goes_on ()
    fi;
    o = 0; all = false; m = 0; gap = false
}

inline client_tick ()
{
    client_silent++;
    if
    :: client_silent >= PATIENCE -> give_up ()
    :: client_silent < PATIENCE && up[1] && client_acked == client_sent && len (to_first) < CHUNKS ->
        to_first!AFTER_ALL
    :: client_silent < PATIENCE && up[1] && client_acked < client_sent ->
        k = client_acked + 1;
        do
        :: k <= client_sent && len (to_first) < CHUNKS -> to_first!k; k++
        :: else -> break
        od;
        k = 0
    :: else
    fi
}

inline tick ()
{
    client_tick ();
    node_tick (1);
    node_tick (2);
    node_tick (3)
}

/* ---- everything that can happen ---------------------------------------------------------------------- */

#define SYNCS(i) (RUNS (i) && state[i] == SYNCING)
#ifdef SAYS_EARLY
#undef SYNCS
#define SYNCS(i) (RUNS (i) && state[i] == DURABLE && !held[i])
#endif
#define SYNCING_SOMEWHERE (SYNCS (1) || SYNCS (2) || SYNCS (3))

#define QUIET(i, channel) (!RUNS (i) || len (channel) == 0)
#define QUIET_EVERYWHERE \
    (len (reply) == 0 && QUIET (1, to_first) && QUIET (1, ack[0]) && QUIET (1, ack[1]) && \
     QUIET (2, chunk[0]) && QUIET (2, ack[2]) && QUIET (3, chunk[1]) && QUIET (3, chunk[2]))

#define ON(condition) :: d_step { !ended && (condition) ->
#define NEXT_OF(i, channel) RUNS (i) && len (channel) > 0
#define NODE_FAULT(condition) ON (node_faults > 0 && (condition)) node_faults--;
#define MESSAGE_FAULT(condition) ON (message_faults > 0 && (condition)) message_faults--;
#define END ; skip }

#define FAULTS_OF(i) \
    NODE_FAULT (up[i]) hurts (i); die (i) END \
    NODE_FAULT (RUNS (i)) hurts (i); stopped[i] = true END \
    NODE_FAULT (RUNS (i) && (state[i] == RECEIVING || state[i] == SYNCING)) \
        hurts (i); disk_fails (i) END \
    ON (!up[i]) up[i] = true END \
    ON (stopped[i]) stopped[i] = false END

/* Lost, doubled and late, late.  An ack that is heard after later ones may cost its sender its part. */
#define CHUNK_FAULTS(way, channel) \
    MESSAGE_FAULT (len (channel) > 0) channel?_ END \
    MESSAGE_FAULT (len (channel) > 0 && late_way == 4) channel?<late_k>; late_way = way END \
    MESSAGE_FAULT (len (channel) > 0 && late_way == 4) channel?late_k; late_way = way END
#define ACK_FAULTS(way, i, channel) \
    MESSAGE_FAULT (len (channel) > 0) channel?_, _, _, _, _ END \
    MESSAGE_FAULT (len (channel) > 0 && late_ack_way == 4) hurts (i); \
        channel?<late_s, late_o, late_ns, late_no, late_gap>; late_ack_way = way END \
    MESSAGE_FAULT (len (channel) > 0 && late_ack_way == 4) hurts (i); \
        channel?late_s, late_o, late_ns, late_no, late_gap; late_ack_way = way END
#define LATE(way, i, what) ON (late_way == way && RUNS (i)) \
    k = late_k; late_k = 0; late_way = 4; what END
#define LATE_ACK(way, i, what) ON (late_ack_way == way && RUNS (i)) \
    s = late_s; o = late_o; ns = late_ns; no = late_no; gap = late_gap; \
    late_s = 0; late_o = 0; late_ns = 0; late_no = 0; late_gap = false; late_ack_way = 4; what END

init
{
    d_step {
        up[1] = true;
        up[2] = true;
        up[3] = true;
        client_goes_on ();
        skip
    }
    do
    ON (len (reply) > 0) reply?o, all, m, gap; client_hears () END
    ON (NEXT_OF (1, to_first)) to_first?k; take (1, 0) END
    ON (NEXT_OF (2, chunk[0])) chunk[0]?k; take (2, 1) END
    ON (NEXT_OF (3, chunk[1])) chunk[1]?k; take (3, 1) END
    ON (NEXT_OF (3, chunk[2])) chunk[2]?k; take (3, 2) END
    ON (NEXT_OF (1, ack[0])) ack[0]?s, o, ns, no, gap; hear (1, 2) END
    ON (NEXT_OF (1, ack[1])) ack[1]?s, o, ns, no, gap; hear (1, 3) END
    ON (NEXT_OF (2, ack[2])) ack[2]?s, o, ns, no, gap; hear (2, 3) END
    ON (SYNCS (1)) synced (1) END
    ON (SYNCS (2)) synced (2) END
    ON (SYNCS (3)) synced (3) END
    FAULTS_OF (1)
    FAULTS_OF (2)
    FAULTS_OF (3)
    CHUNK_FAULTS (3, to_first)
    CHUNK_FAULTS (0, chunk[0])
    CHUNK_FAULTS (1, chunk[1])
    CHUNK_FAULTS (2, chunk[2])
    ACK_FAULTS (0, 2, ack[0])
    ACK_FAULTS (1, 3, ack[1])
    ACK_FAULTS (2, 3, ack[2])
    LATE (0, 2, take (2, 1))
    LATE (1, 3, take (3, 1))
    LATE (2, 3, take (3, 2))
    LATE (3, 1, take (1, 0))
    LATE_ACK (0, 1, hear (1, 2))
    LATE_ACK (1, 1, hear (1, 3))
    LATE_ACK (2, 2, hear (2, 3))
    ON (QUIET_EVERYWHERE && !SYNCING_SOMEWHERE) tick () END
    :: !ended && QUIET_EVERYWHERE && SYNCING_SOMEWHERE ->
progress_of_a_sync:
        d_step { tick (); skip }
    :: ended -> break
    od
}
