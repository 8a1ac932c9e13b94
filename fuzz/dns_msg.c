/* DNS answers, asked as their own question says so that recorded messages get past the first checks; and the texts of resolv.conf and hosts. */
#include "fuzz.h"
#include "net/dns_msg.h"

/* The question's name as text and its type; false when it is no plain name. */
static bool question(struct slice msg, char *name, size_t *n, uint16_t *type)
{
    size_t at = 12;

    for (*n = 0; at < msg.n && msg.p[at] != 0;) {
        size_t len = (unsigned char)msg.p[at];

        if (len > 63 || at + 1 + len >= msg.n || *n + len + 1 > 254)
            return false;
        memcpy(name + *n, msg.p + at + 1, len);
        *n += len;
        name[(*n)++] = '.';
        at += 1 + len;
    }
    if (*n == 0 || at + 3 > msg.n)
        return false;
    --*n;
    *type = (uint16_t)((unsigned char)msg.p[at + 1] << 8 | (unsigned char)msg.p[at + 2]);
    return true;
}

static void check_result(struct slice in, const struct dns_result *r)
{
    FUZZ_CHECK(r->count <= ADDRESSES_MAX);
    for (unsigned i = 0; i < r->count; i++) {
        const struct addr *a = &r->addr[i];

        FUZZ_CHECK(a->family == 4 || a->family == 6);
        FUZZ_CHECK(memmem(in.p, in.n, a->ip, a->family == 4 ? 4 : 16) != NULL); /* made up of nothing but the message */
        for (unsigned k = 0; k < i; k++)
            FUZZ_CHECK(!addr_eq(a, &r->addr[k]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = fuzz_slice(data, size);
    char *p = fuzz_copy(in), name[256];
    uint16_t id = size >= 2 ? (uint16_t)(data[0] << 8 | data[1]) : 0, types[] = {DNS_A, DNS_AAAA}, type = DNS_A;
    uint8_t query[DNS_QUERY_MAX];
    struct dns_result r;
    struct dns_servers servers;
    size_t n = 0;

    if (!question(in, name, &n, &type)) {
        memcpy(name, "a.b", 3);
        n = 3;
    }
    for (size_t i = 0; i < 2; i++) {
        enum dns_answer got = dns_read((const uint8_t *)p, in.n, id, slice_make(name, n), types[i], &r);
        size_t q = dns_query(id, slice_make(name, n), types[i], query);

        FUZZ_CHECK((got == DNS_OK) == (r.count > 0));
        FUZZ_CHECK((got != DNS_OK && got != DNS_EMPTY && got != DNS_NXDOMAIN) || types[i] == type); /* an answer to another question is none */
        FUZZ_CHECK(got != DNS_OK || q > 0);
        check_result(in, &r);
        FUZZ_CHECK(q == 0 || dns_read(query, q, id, slice_make(name, n), types[i], &r) == DNS_IGNORE);
        FUZZ_CHECK(q == 0 || dns_query_plain(query, q) < q);
    }
    dns_resolv_conf(slice_make(p, in.n), &servers);
    FUZZ_CHECK(servers.count >= 1 && servers.count <= DNS_SERVERS_MAX && servers.timeout_ms >= 1000 && servers.timeout_ms <= 30000 &&
               servers.attempts >= 1 && servers.attempts <= 5);
    dns_hosts(slice_make(p, in.n), SLICE("host.test"), &r);
    FUZZ_CHECK(r.count <= ADDRESSES_MAX);
    free(p);
    return 0;
}
