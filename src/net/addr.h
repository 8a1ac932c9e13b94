/* Socket addresses: literals, comparison, text, and which of them are private. Pure. */
#ifndef NET_ADDR_H
#define NET_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/slice.h"

struct addr {
    uint8_t family;  /* 4 or 6; 0: none */
    uint8_t ip[16];  /* network order; IPv4 in the first four, the rest zero */
    uint16_t port;
    uint32_t scope;  /* IPv6 zone index, 0 for none */
};

enum { ADDR_TEXT_MAX = 64 };

/* "127.0.0.1", "::1" (no brackets, no zone). Strict: four decimal parts without leading zeros, so that no two readers
 * of one text can disagree. "::ffff:1.2.3.4" becomes IPv4. False: not a literal, *out is untouched. */
bool addr_parse(struct slice text, uint16_t port, struct addr *out);
/* Length for connect and bind; 0 for family 0. */
socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *out);
bool addr_from_sockaddr(const struct sockaddr_storage *ss, struct addr *out); /* v4-mapped IPv6 becomes IPv4 */
/* An address from the bytes of an A (family 4) or AAAA (family 6) record; v4-mapped becomes IPv4. */
struct addr addr_make(uint8_t family, const uint8_t *ip, uint16_t port);
bool addr_eq(const struct addr *a, const struct addr *b); /* port and scope included */
/* "1.2.3.4:80", "[::1]:80", "[fe80::1%2]:80"; IPv6 as RFC 5952 writes it. The text lives in out. */
struct slice addr_text(const struct addr *a, char out[ADDR_TEXT_MAX]);
/* Loopback, RFC 1918, link-local (metadata services live there), ULA, unspecified, multicast, carrier NAT, the other
 * special-purpose blocks, and IPv6 forms that carry such an IPv4 address inside (mapped, compatible, NAT64, 6to4). */
bool addr_is_private(const struct addr *a);
bool addr_is_loopback(const struct addr *a); /* 127/8, ::1 */

#endif
