/* The resolver: own servers, non-blocking, retries, TCP on truncation, cache with TTL, many waiters on one question.
 * Names are never looked up through libc. Names are absolute: search domains and ndots of resolv.conf are not used. */
#ifndef NET_DNS_H
#define NET_DNS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/must.h"
#include "base/result.h"
#include "base/slice.h"
#include "net/addr.h"
#include "net/dns_msg.h"

enum {
    DNS_NAMES_MAX = 256,    /* cached or being asked for; a config names a few dozen hosts */
    DNS_QUESTIONS_MAX = 64, /* names asked for at a time */
    /* What main must add to the loop's and the timers' tables. */
    DNS_WATCHES = 2 * DNS_QUESTIONS_MAX,
    DNS_TIMERS = 3 * DNS_QUESTIONS_MAX,
};

struct dns_ask;
/* result is valid during the call only. fault.kind FAULT_NONE when there is at least one address; else FAULT_DNS with what:
 * "name does not exist", "name has no address", "no answer from DNS servers", "DNS server refused", "malformed DNS answer",
 * "not a valid host name"; or FAULT_LOCAL (descriptors, more than DNS_QUESTIONS_MAX names at a time), FAULT_NO_MEMORY.
 * Addresses of both families, interleaved by RFC 8305 (IPv6 first when the host has IPv6, last when it has not). */
typedef void dns_done_fn(struct dns_ask *ask, const struct dns_result *result, struct fault fault);

/* Zeroed before its first use. */
struct dns_ask {
    /* private */
    struct list node;
    dns_done_fn *done;
};

/* servers: from the config, or count 0 (or NULL) to use /etc/resolv.conf. That file and /etc/hosts are read at init and again when
 * they changed, looked at once per 5 s at most and only when a name must be asked for. Memory for the cache and questions is taken here.
 * The loop must be there. */
MUST_USE bool dns_init(const struct dns_servers *servers);
/* Other servers from now on, as dns_init takes them: for a reload of the config. The cache stays, running questions end as they began. */
void dns_use(const struct dns_servers *servers);
/* Other paths than /etc/resolv.conf and /etc/hosts, for tests; before dns_init. The texts are borrowed for ever. */
void dns_files(const char *resolv_conf, const char *hosts);

/* Resolves host (a name or literal, any case). May call done at once (cache, hosts, literal), before it returns: returns true then.
 * The caller owns ask until done or dns_cancel; no time limit of its own beyond the servers' retries: the caller has a deadline. */
bool dns_resolve(struct dns_ask *ask, struct slice host, dns_done_fn *done);
/* Harmless when not asking. The question itself goes on and fills the cache. */
void dns_cancel(struct dns_ask *ask);

struct dns_counts {
    uint32_t names, questions;        /* right now */
    uint64_t asked, hits, stale, failed; /* questions sent out, answers from the cache, of those stale ones, names not resolved */
};
struct dns_counts dns_counts(void);

#endif
