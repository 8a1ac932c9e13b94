/* DNS messages (RFC 1035, 3596, 6891): build a query, read an answer; the texts of resolv.conf and hosts.
 * The one pure file in net besides addr. */
#ifndef NET_DNS_MSG_H
#define NET_DNS_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/result.h"
#include "base/slice.h"
#include "net/addr.h"

enum {
    DNS_A = 1,
    DNS_AAAA = 28,
    DNS_MSG_MAX = 4096,      /* a UDP answer; we advertise 1232, some servers do not listen */
    DNS_QUERY_MAX = 300,
    DNS_CHAIN_MAX = 16,      /* CNAMEs followed */
    DNS_RECORDS_MAX = 128,   /* of an answer section that are looked at; keeps the worst message below 1 ms */
    DNS_SERVERS_MAX = 3,     /* as libc */
    DNS_ZONE_MAX = 16,       /* an interface name with its NUL */
};

/* Query for one type with EDNS0 (1232 bytes), recursion desired. 0: not a valid name (labels 1..63 of letters, digits, '-' and
 * '_', total 253; one trailing dot is allowed). */
size_t dns_query(uint16_t id, struct slice name, uint16_t type, uint8_t out[DNS_QUERY_MAX]);
/* The same query without its EDNS0 record, for servers older than it; returns the new length. */
size_t dns_query_plain(uint8_t *query, size_t n);

enum dns_answer {
    DNS_OK,        /* addresses found */
    DNS_NXDOMAIN,
    DNS_EMPTY,     /* the name is there, without this type */
    DNS_TRUNCATED, /* ask again over TCP */
    DNS_SERVER,    /* SERVFAIL, REFUSED...: ask another server */
    DNS_OLD,       /* FORMERR or NOTIMP: ask the same server without EDNS0, then another */
    DNS_IGNORE,    /* not an answer to this query: spoofed or stale; keep waiting */
    DNS_MALFORMED, /* the right id and question, broken behind */
};
struct dns_result {
    struct addr addr[ADDRESSES_MAX]; /* port 0; none twice */
    unsigned count;
    uint32_t ttl_s;                  /* smallest along the CNAME chain; negative answers: SOA minimum or 0 */
};
/* Follows CNAMEs inside the message, in any order (at most 16, loops refused). id, name and type must match what was asked.
 * *out is always set; count > 0 exactly with DNS_OK. Bounded work. */
enum dns_answer dns_read(const uint8_t *msg, size_t n, uint16_t id, struct slice name, uint16_t type, struct dns_result *out);

struct dns_servers {
    struct addr server[DNS_SERVERS_MAX];
    char zone[DNS_SERVERS_MAX][DNS_ZONE_MAX]; /* interface name behind '%', to be turned into scope; "" when none or a number */
    unsigned count;
    unsigned timeout_ms, attempts; /* options timeout: (1 to 30 s, else 5), attempts: (1 to 5, else 2) */
};
/* resolv.conf. No usable server named: 127.0.0.1, as libc does. search, domain and ndots are ignored: providers' names are absolute. */
void dns_resolv_conf(struct slice text, struct dns_servers *out);
/* Addresses of a name in a hosts file, all families, in order; count 0 when it is not there. */
void dns_hosts(struct slice text, struct slice name, struct dns_result *out);

#endif
