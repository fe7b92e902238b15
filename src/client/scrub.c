/* SPDX-License-Identifier: MIT */
/*
 * Scrubs by hand: every data node is asked itself, one after the other.
 */
#include "client/session.h"

#include "base/err.h"

/* Ask one node; it answers at once. */
static int
ask_node (litedfs_t *session, const struct wire_endpoint *endpoint, bool begin,
          litedfs_scrub_t *out, litedfs_error_t *error)
{
    const struct block_verify_request request = {.node = endpoint->node, .all = begin};
    struct block_verify_reply reply;
    struct peer *peer;

    int rc = session_peer (session, endpoint, &peer, error);
    if (rc == 0)
        rc = session_connect (session, peer, error);
    if (rc == 0)
        rc = dealer_call (peer->dealer, &message_types[MESSAGE_block_verify], &request, NULL,
                          &reply, NULL, session->request_timeout_ms, session->cancel_fd, error);
    if (rc < 0)
        return err_prefix (error, "scrub");
    out->nodes++;
    out->running += reply.running;
    out->blocks += reply.blocks;
    out->bytes += reply.bytes;
    out->damaged += reply.damaged;
    return 0;
}

int
litedfs_scrub (litedfs_t *session, bool begin, litedfs_scrub_t *out, litedfs_error_t *error)
{
    struct node_list_request request = {0};
    litedfs_error_t trouble;
    int rc = 0, failed = 0;

    *out = (litedfs_scrub_t){0};
    do {
        struct node_list_reply page;
        struct dealer_reply *reply = NULL;
        rc = session_call (session, MESSAGE_node_list, &request, &page, &reply, error);
        if (rc < 0)
            break;
        for (size_t i = 0; i < page.nodes_count && rc == 0; i++) {
            if (!page.nodes[i].online)
                continue;
            rc = ask_node (session, &page.nodes[i], begin, out, &trouble);
            if (rc < 0 && rc != LITEDFS_CANCELLED && failed == 0 && error)
                *error = trouble; // the others are asked all the same
            failed = rc < 0 && failed == 0 ? rc : failed;
            rc = rc == LITEDFS_CANCELLED ? rc : 0;
        }
        request.cursor = page.cursor;
        dealer_reply_destroy (&reply);
    } while (rc == 0 && request.cursor);
    return rc < 0 ? rc : failed;
}
