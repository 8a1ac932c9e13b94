/* The resolver. A name is a cache entry with its waiters; a question is one name being asked for, with two halves (A and
 * AAAA) that go to the servers side by side, each over a fresh socket per try, so that port and id are both new (RFC 5452).
 *
 * It is not a general resolver: no search domains, no mDNS, no DNSSEC; a recursive server does the walking.
 *
 * Servers down (L-35): an answer that ran out at most an hour ago serves again, at once when the servers failed in the last
 * seconds, else after 500 ms without news, so that a dead server never eats the connect deadline of a known host.
 *
 * Invariants: a name with a question is never evicted; waiters are in a list only while their name has a question (or is
 * about to); done functions are called with no pointer into the tables held across the call. */
#include "net/dns.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/sys.h"
#include "base/text.h"
#include "base/timer.h"
#include "net/loop.h"

enum {
    TRY_MS = 2000,             /* longest wait for one server, whatever resolv.conf says: a client is waiting */
    FAMILY_DELAY_MS = 50,      /* RFC 8305 3: IPv4 is there, how long to wait for IPv6 */
    STALE_AFTER_MS = 500,      /* no answer by then: an old one will do (RFC 8767 5 allows up to 1.8 s) */
    STALE_HOLD_MS = 5000,      /* servers failed: not asked again for this name for so long */
    STALE_MAX_MS = 3600000,
    TTL_MIN_S = 1,
    TTL_MAX_S = 3600,
    PARTIAL_TTL_MAX_S = 30,    /* one family only, the other unknown */
    NEGATIVE_TTL_MIN_S = 5,
    NEGATIVE_TTL_MAX_S = 60,   /* a name that was just created should work soon */
    FILES_MS = 5000,           /* how often the files' times are looked at */
    HOSTS_BYTES_MAX = 65536,   /* what comes behind in a hosts file is not seen */
    CONF_BYTES_MAX = 8192,
    DATAGRAMS_PER_WAKE = 16,   /* a flood of forgeries does not hold the loop */
};

struct question;

/* One family's way to an answer. */
struct half {
    struct question *q;
    struct watch watch;
    struct timer timer;         /* of this try */
    struct addr server;
    unsigned server_index;
    struct dns_result result;
    struct fault fault;         /* of the last try that failed */
    enum dns_answer verdict;    /* valid when over: DNS_OK, DNS_NXDOMAIN, DNS_EMPTY, or DNS_SERVER with fault */
    char *stream;               /* answer over TCP, from the budget once its length is known */
    size_t stream_size, stream_n;
    uint8_t length[2];
    int fd;
    uint16_t type, id, stream_len;
    uint8_t tries, first;       /* tries so far; the server of the first */
    bool over, tcp, sent, plain;
};

struct question {
    struct name *name;          /* NULL: free */
    struct half half[2];        /* A, AAAA */
    struct timer soon;          /* waited long enough: for the other family, or before the stale answer goes out */
    bool starting;              /* inside dns_resolve: that call finishes it */
};

struct name {
    struct list lru;            /* front: used last */
    struct list waiters;
    struct question *question;  /* NULL: not being asked for */
    struct dns_result result;
    enum dns_answer verdict;
    bool known;                 /* result or verdict are worth something until stale_until */
    bool stale_now;             /* the running question is late: serve the old answer at once */
    int64_t fresh_until_ms, stale_until_ms, retry_ms;
    size_t n;
    char text[HOST_MAX + 1];
};

static struct {
    struct name *name;
    uint32_t tag[DNS_NAMES_MAX]; /* hash of the name, beside the table so that a look-up reads 1 KB; 0: free */
    struct list lru;
    struct question *question;
    struct dns_servers servers;
    unsigned good;               /* index of the server that answered last: asked first */
    bool from_config, has_v6;
    const char *conf_path, *hosts_path;
    int64_t files_due_ms, conf_mtime, hosts_mtime;
    char *hosts;
    size_t hosts_n;
    uint64_t seed;
    struct dns_counts counts;
} dns = {.conf_path = "/etc/resolv.conf", .hosts_path = "/etc/hosts"};

static void half_try(struct half *h);
static void question_check(struct question *q);

/* ---- The files. ---- */

/* Up to cap bytes; -1 when it can't be read. */
static ssize_t read_file(const char *path, char *out, size_t cap)
{
    int fd = sys_open_read(path);
    size_t n = 0;
    ssize_t got = 0;

    if (fd == -1)
        return -1;
    while (n < cap && (got = sys_read(fd, out + n, cap - n)) > 0)
        n += (size_t)got;
    sys_close(fd);
    return got < 0 ? -1 : (ssize_t)n;
}

/* Interface names become indexes without libc, which would open a socket and ask the kernel. */
static uint32_t zone_index(const char *zone)
{
    char path[64], text[16];
    uint64_t index;

    text_format(path, sizeof path, "/sys/class/net/%s/ifindex", zone);
    ssize_t n = read_file(path, text, sizeof text);
    return n > 0 && slice_u64(slice_trim(slice_make(text, (size_t)n)), &index) && index <= UINT32_MAX ? (uint32_t)index : 0;
}

static void set_servers(const struct dns_servers *servers)
{
    dns.servers = *servers;
    dns.good = 0;
    for (unsigned i = 0; i < servers->count; i++)
        if (servers->zone[i][0])
            dns.servers.server[i].scope = zone_index(servers->zone[i]);
}

static void load_conf(void)
{
    struct dns_servers servers;
    char text[CONF_BYTES_MAX];
    ssize_t n = read_file(dns.conf_path, text, sizeof text);

    if (n < 0 && errno != ENOENT && dns.servers.count)
        return; /* out of descriptors, say: the old ones are better than a guess */
    dns_resolv_conf(slice_make(text, n < 0 ? 0 : (size_t)n), &servers);
    set_servers(&servers);
}

static void load_hosts(void)
{
    ssize_t n = read_file(dns.hosts_path, dns.hosts, HOSTS_BYTES_MAX);

    if (n < 0 && errno != ENOENT)
        return;
    dns.hosts_n = n < 0 ? 0 : (size_t)n;
    while (dns.hosts_n == HOSTS_BYTES_MAX && n > 0 && dns.hosts[n - 1] != '\n')
        n--; /* no half line */
    if (dns.hosts_n == HOSTS_BYTES_MAX)
        dns.hosts_n = (size_t)n;
    /* What was learnt before may now be overruled. */
    for (unsigned i = 0; i < DNS_NAMES_MAX; i++)
        dns.name[i].fresh_until_ms = 0;
}

/* A route for a global address, without sending anything: connecting a datagram socket only looks it up. */
static bool have_v6(void)
{
    static const uint8_t any_global[16] = {0x26, [15] = 1};
    struct addr a = addr_make(6, any_global, 53);
    struct sockaddr_storage ss;
    socklen_t n = addr_to_sockaddr(&a, &ss);
    int fd = sys_socket(AF_INET6, SOCK_DGRAM);
    bool ok = fd != -1 && sys_connect(fd, (struct sockaddr *)&ss, n) == 0;

    if (fd != -1)
        sys_close(fd);
    return ok;
}

static void look_at_files(void)
{
    if (clock_ms() < dns.files_due_ms)
        return;
    dns.files_due_ms = clock_ms() + FILES_MS;
    dns.has_v6 = have_v6();
    int64_t mtime = sys_file_mtime_ms(dns.hosts_path);
    if (mtime != dns.hosts_mtime)
        load_hosts();
    dns.hosts_mtime = mtime;
    if (dns.from_config)
        return;
    mtime = sys_file_mtime_ms(dns.conf_path);
    if (mtime != dns.conf_mtime)
        load_conf();
    dns.conf_mtime = mtime;
}

void dns_files(const char *resolv_conf, const char *hosts)
{
    dns.conf_path = resolv_conf;
    dns.hosts_path = hosts;
}

/* ---- Names. ---- */

static struct name *name_find(struct slice text, uint32_t tag)
{
    for (unsigned i = 0; i < DNS_NAMES_MAX; i++)
        if (dns.tag[i] == tag && slice_eq(slice_make(dns.name[i].text, dns.name[i].n), text))
            return &dns.name[i];
    return NULL;
}

/* The slot of the name that was not used for longest and is not being asked for. There is one: fewer questions than names. */
static struct name *name_add(struct slice text, uint32_t tag)
{
    for (struct list *at = dns.lru.prev; at != &dns.lru; at = at->prev) {
        struct name *name = container_of(at, struct name, lru);

        if (name->question || !list_empty(&name->waiters))
            continue;
        dns.counts.names += dns.tag[name - dns.name] == 0;
        dns.tag[name - dns.name] = tag;
        memcpy(name->text, text.p, text.n);
        name->text[text.n] = '\0';
        name->n = text.n;
        name->known = name->stale_now = false;
        name->fresh_until_ms = name->stale_until_ms = name->retry_ms = 0;
        return name;
    }
    return NULL;
}

static bool stale_usable(const struct name *name)
{
    return name->known && name->verdict == DNS_OK && clock_ms() < name->stale_until_ms;
}

static struct fault fault_of(enum dns_answer verdict)
{
    if (verdict == DNS_OK)
        return fault_make(FAULT_NONE, 0, "");
    return fault_make(FAULT_DNS, 0, verdict == DNS_NXDOMAIN ? "name does not exist" : "name has no address");
}

/* Gives everyone waiting the same news. The result is a copy: a done function may resolve other names and so change the table. */
static void name_deliver(struct name *name, const struct dns_result *result, struct fault fault)
{
    struct dns_result copy = *result;
    struct list waiting;

    if (list_empty(&name->waiters))
        return;
    waiting = name->waiters;
    waiting.next->prev = waiting.prev->next = &waiting;
    list_init(&name->waiters);
    if (fault.kind != FAULT_NONE)
        dns.counts.failed++;
    for (struct list *n; (n = list_pop_front(&waiting));) {
        struct dns_ask *ask = container_of(n, struct dns_ask, node);

        ask->done(ask, &copy, fault);
    }
}

static void name_learn(struct name *name, enum dns_answer verdict, const struct dns_result *result, uint32_t low_s, uint32_t high_s)
{
    uint32_t ttl_s = result->ttl_s < low_s ? low_s : result->ttl_s > high_s ? high_s : result->ttl_s;

    name->result = *result;
    name->verdict = verdict;
    name->known = true;
    name->fresh_until_ms = clock_ms() + (int64_t)ttl_s * 1000;
    name->stale_until_ms = name->fresh_until_ms + STALE_MAX_MS;
    name->retry_ms = 0;
}

/* ---- One half: tries, sockets. ---- */

static void half_close(struct half *h)
{
    timer_disarm(&h->timer);
    loop_unwatch(&h->watch);
    if (h->fd != -1)
        sys_close(h->fd);
    h->fd = -1;
    if (h->stream)
        mem_give(h->stream, h->stream_size);
    h->stream = NULL;
    h->stream_n = h->stream_len = 0;
    h->sent = false;
}

static void half_over(struct half *h, enum dns_answer verdict)
{
    half_close(h);
    h->verdict = verdict;
    h->over = true;
    if (verdict != DNS_SERVER)
        dns.good = h->server_index;
    else
        h->result.count = 0;
    question_check(h->q);
}

static void half_failed(struct half *h, enum fault_kind kind, int sys, const char *what)
{
    h->fault = fault_make(kind, sys, what);
    half_try(h);
}

/* What an answer means for this half. */
static void half_answer(struct half *h, enum dns_answer verdict)
{
    switch (verdict) {
    case DNS_OK:
    case DNS_NXDOMAIN:
    case DNS_EMPTY:
        half_over(h, verdict);
        return;
    case DNS_TRUNCATED:
        if (h->tcp)
            break; /* over TCP there is no reason for it */
        h->tcp = true;
        h->tries--; /* the same server, and not a new try */
        half_try(h);
        return;
    case DNS_OLD:
        if (h->plain) {
            half_failed(h, FAULT_DNS, 0, "DNS server refused");
            return;
        }
        h->plain = true;
        h->tries--;
        half_try(h);
        return;
    case DNS_SERVER:
        half_failed(h, FAULT_DNS, 0, "DNS server refused");
        return;
    case DNS_MALFORMED:
    case DNS_IGNORE:
        break;
    }
    half_failed(h, FAULT_DNS, 0, "malformed DNS answer");
}

static struct slice half_name(const struct half *h)
{
    return slice_make(h->q->name->text, h->q->name->n);
}

static void on_datagram(struct half *h)
{
    struct sockaddr_storage from;
    struct addr peer;

    for (int left = DATAGRAMS_PER_WAKE; left > 0; left--) {
        uint8_t *msg = (uint8_t *)loop_scratch();
        ssize_t n = sys_recvfrom(h->fd, msg, READ_MAX, &from);

        if (n == -1) {
            if (errno != EAGAIN && errno != EWOULDBLOCK)
                half_failed(h, FAULT_DNS, errno, "DNS server refused"); /* ICMP: nobody listens there */
            return;
        }
        /* The socket is connected, so the kernel has looked already; a forged source would have to get past it too. */
        if (!addr_from_sockaddr(&from, &peer) || peer.port != h->server.port || memcmp(peer.ip, h->server.ip, 16) != 0)
            continue;
        enum dns_answer v = dns_read(msg, (size_t)n, h->id, half_name(h), h->type, &h->result);
        if (v == DNS_IGNORE)
            continue; /* spoofed, or late: the right one may still come */
        half_answer(h, v);
        return;
    }
}

/* Two bytes of length, then the message. False: over, one way or the other. */
static bool read_stream(struct half *h)
{
    ssize_t n;

    if (h->stream_n < 2)
        n = sys_recv(h->fd, h->length + h->stream_n, 2 - h->stream_n);
    else
        n = sys_recv(h->fd, h->stream + h->stream_n - 2, (size_t)h->stream_len + 2 - h->stream_n);
    if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return false;
    if (n <= 0) {
        half_failed(h, FAULT_DNS, n ? errno : 0, "DNS server refused");
        return false;
    }
    h->stream_n += (size_t)n;
    if (h->stream_n == 2) {
        h->stream_len = (uint16_t)(h->length[0] << 8 | h->length[1]);
        h->stream_size = h->stream_len;
        h->stream = h->stream_len ? mem_take(&h->stream_size) : NULL;
        if (!h->stream) {
            half_failed(h, h->stream_len ? FAULT_NO_MEMORY : FAULT_DNS, 0, h->stream_len ? "no memory for a DNS answer" : "malformed DNS answer");
            return false;
        }
    }
    if (h->stream_n < 2 || h->stream_n < (size_t)h->stream_len + 2)
        return true;
    half_answer(h, dns_read((uint8_t *)h->stream, h->stream_len, h->id, half_name(h), h->type, &h->result));
    return false;
}

static size_t half_query(const struct half *h, uint8_t *out)
{
    size_t n = dns_query(h->id, half_name(h), h->type, out);

    return h->plain ? dns_query_plain(out, n) : n;
}

static void on_stream(struct half *h)
{
    if (!h->sent) {
        uint8_t query[2 + DNS_QUERY_MAX];
        size_t n = half_query(h, query + 2);
        int err = sys_socket_error(h->fd);

        query[0] = (uint8_t)(n >> 8);
        query[1] = (uint8_t)n;
        /* A new connection has room for 300 bytes: a short send is as good as a broken one. */
        if (err || sys_send(h->fd, query, n + 2) != (ssize_t)n + 2 || !loop_want(&h->watch, SYS_IN)) {
            half_failed(h, FAULT_DNS, err ? err : errno, "DNS server refused");
            return;
        }
        h->sent = true;
        return;
    }
    while (read_stream(h)) {
    }
}

static void on_ready(struct watch *w, unsigned events)
{
    struct half *h = container_of(w, struct half, watch);

    (void)events; /* reading tells more than the bits do */
    if (h->tcp)
        on_stream(h);
    else
        on_datagram(h);
}

static void on_try_time(struct timer *t)
{
    half_failed(container_of(t, struct half, timer), FAULT_DNS, ETIMEDOUT, "no answer from DNS servers");
}

static bool is_local(int err)
{
    return err == EMFILE || err == ENFILE || err == ENOMEM || err == ENOBUFS;
}

/* One try at h->server: a fresh socket, hence a port that the kernel picks at random, and a random id. 0, or an errno. */
static int half_send(struct half *h)
{
    struct sockaddr_storage ss;
    uint8_t query[DNS_QUERY_MAX];
    socklen_t ss_len = addr_to_sockaddr(&h->server, &ss);

    h->fd = sys_socket(ss.ss_family, h->tcp ? SOCK_STREAM : SOCK_DGRAM);
    if (h->fd == -1)
        return errno;
    if (!sys_random(&h->id, sizeof h->id))
        return ENOMEM;
    if (sys_connect(h->fd, (struct sockaddr *)&ss, ss_len) == -1 && (!h->tcp || errno != EINPROGRESS))
        return errno;
    if (!h->tcp) {
        size_t n = half_query(h, query);

        if (sys_send(h->fd, query, n) == -1)
            return errno;
    }
    if (!loop_watch(&h->watch, h->fd, h->tcp ? SYS_OUT : SYS_IN, on_ready))
        return errno;
    unsigned wait_ms = dns.servers.timeout_ms < TRY_MS ? dns.servers.timeout_ms : TRY_MS;
    timer_arm(&h->timer, clock_ms() + wait_ms);
    return 0;
}

/* The next try, on the next server, until all had their turns. */
static void half_try(struct half *h)
{
    const struct dns_servers *s = &dns.servers;

    for (;;) {
        bool again = h->tcp || h->plain; /* half_answer wants the same server once more */

        half_close(h);
        if (again && h->fault.kind != FAULT_NONE)
            h->tcp = h->plain = again = false; /* ... but that failed */
        if (h->tries >= s->count * s->attempts)
            break;
        if (!again) {
            h->server_index = (h->first + h->tries) % s->count;
            h->server = s->server[h->server_index];
        }
        h->tries++;
        h->fault = fault_make(FAULT_NONE, 0, "");
        int err = half_send(h);
        if (err == 0)
            return;
        if (is_local(err)) {
            h->fault = fault_make(err == ENOMEM || err == ENOBUFS ? FAULT_NO_MEMORY : FAULT_LOCAL, err, "no descriptor or memory for a DNS question");
            break;
        }
        h->fault = fault_make(FAULT_DNS, err, err == ECONNREFUSED ? "DNS server refused" : "no answer from DNS servers");
    }
    half_over(h, DNS_SERVER);
}

/* ---- A question. ---- */

static void question_free(struct question *q)
{
    for (int i = 0; i < 2; i++)
        half_close(&q->half[i]);
    timer_disarm(&q->soon);
    q->name->question = NULL;
    q->name->stale_now = false;
    q->name = NULL;
    dns.counts.questions--;
}

/* RFC 8305 4: families take turns. Without a route for IPv6 its addresses come last, where they cost nothing. */
static void interleave(const struct dns_result *v4, const struct dns_result *v6, struct dns_result *out)
{
    unsigned i4 = 0, i6 = 0;
    bool six = dns.has_v6;

    out->count = 0;
    while (out->count < ADDRESSES_MAX && (i4 < v4->count || i6 < v6->count)) {
        if ((six && i6 < v6->count) || i4 == v4->count)
            out->addr[out->count++] = v6->addr[i6++];
        else
            out->addr[out->count++] = v4->addr[i4++];
        six = dns.has_v6 && !six;
    }
}

static void question_answered(struct question *q, bool partial)
{
    struct name *name = q->name;
    const struct half *a = &q->half[0], *aaaa = &q->half[1];
    struct dns_result both = {.ttl_s = UINT32_MAX};

    interleave(&a->result, &aaaa->result, &both);
    for (int i = 0; i < 2; i++)
        if (q->half[i].result.count && q->half[i].result.ttl_s < both.ttl_s)
            both.ttl_s = q->half[i].result.ttl_s;
    name_learn(name, DNS_OK, &both, TTL_MIN_S, partial ? PARTIAL_TTL_MAX_S : TTL_MAX_S);
    question_free(q);
    name_deliver(name, &both, fault_of(DNS_OK));
}

/* Nobody could say anything: the old answer if there is one. */
static void question_failed(struct question *q, struct fault fault)
{
    struct name *name = q->name;

    question_free(q);
    if (stale_usable(name)) {
        name->retry_ms = clock_ms() + STALE_HOLD_MS;
        dns.counts.stale++;
        name_deliver(name, &name->result, fault_of(DNS_OK));
        return;
    }
    static const struct dns_result nothing;
    name_deliver(name, &nothing, fault);
}

/* Called whenever a half is over. */
static void question_check(struct question *q)
{
    const struct half *a = &q->half[0], *aaaa = &q->half[1];

    if (q->starting)
        return;
    if (a->over && aaaa->over) {
        if (a->result.count || aaaa->result.count) {
            question_answered(q, a->verdict == DNS_SERVER || aaaa->verdict == DNS_SERVER);
        } else if (a->verdict == DNS_NXDOMAIN || aaaa->verdict == DNS_NXDOMAIN || (a->verdict == DNS_EMPTY && aaaa->verdict == DNS_EMPTY)) {
            struct name *name = q->name;
            struct dns_result none = {.ttl_s = a->verdict == DNS_SERVER ? aaaa->result.ttl_s : a->result.ttl_s};
            enum dns_answer verdict = a->verdict == DNS_EMPTY && aaaa->verdict == DNS_EMPTY ? DNS_EMPTY : DNS_NXDOMAIN;

            name_learn(name, verdict, &none, NEGATIVE_TTL_MIN_S, NEGATIVE_TTL_MAX_S);
            question_free(q);
            name_deliver(name, &none, fault_of(verdict));
        } else {
            question_failed(q, a->verdict == DNS_SERVER ? a->fault : aaaa->fault);
        }
        return;
    }
    /* IPv4 has come: IPv6 gets a moment more. The other way round we wait, because an answer of IPv6 alone would be kept for its
     * whole TTL and fail on hosts where IPv6 does not really work. */
    if (a->over && a->verdict == DNS_OK)
        timer_arm(&q->soon, clock_ms() + FAMILY_DELAY_MS);
}

static void on_soon(struct timer *t)
{
    struct question *q = container_of(t, struct question, soon);
    struct name *name = q->name;

    if (q->half[0].over && q->half[0].verdict == DNS_OK) {
        q->half[1].result.count = 0;
        question_answered(q, true);
        return;
    }
    if (!stale_usable(name))
        return;
    name->stale_now = true; /* the question goes on, for those who come later */
    dns.counts.stale++;
    name_deliver(name, &name->result, fault_of(DNS_OK));
}

static struct question *question_start(struct name *name)
{
    struct question *q = NULL;

    for (unsigned i = 0; i < DNS_QUESTIONS_MAX && !q; i++)
        if (!dns.question[i].name)
            q = &dns.question[i];
    if (!q)
        return NULL;
    memset(q, 0, sizeof *q);
    q->name = name;
    name->question = q;
    q->starting = true;
    timer_init(&q->soon, on_soon);
    dns.counts.questions++;
    dns.counts.asked++;
    for (int i = 0; i < 2; i++) {
        struct half *h = &q->half[i];

        h->q = q;
        h->fd = -1;
        h->type = i ? DNS_AAAA : DNS_A;
        h->first = (uint8_t)dns.good;
        timer_init(&h->timer, on_try_time);
        half_try(h);
    }
    q->starting = false;
    if (stale_usable(name))
        timer_arm(&q->soon, clock_ms() + STALE_AFTER_MS);
    return q;
}

/* ---- The interface. ---- */

void dns_use(const struct dns_servers *servers)
{
    dns.from_config = servers && servers->count > 0;
    if (dns.from_config)
        set_servers(servers);
    if (dns.servers.timeout_ms == 0)
        dns.servers.timeout_ms = TRY_MS;
    if (dns.servers.attempts == 0 || dns.servers.attempts > 5)
        dns.servers.attempts = 2;
    dns.conf_mtime = -2;
    dns.files_due_ms = 0;
    look_at_files();
}

bool dns_init(const struct dns_servers *servers)
{
    memset(&dns.counts, 0, sizeof dns.counts);
    memset(dns.tag, 0, sizeof dns.tag);
    dns.name = mem_table(DNS_NAMES_MAX, sizeof *dns.name);
    dns.question = mem_table(DNS_QUESTIONS_MAX, sizeof *dns.question);
    dns.hosts = mem_table(1, HOSTS_BYTES_MAX);
    if (!dns.name || !dns.question || !dns.hosts || !sys_random(&dns.seed, sizeof dns.seed))
        return false;
    list_init(&dns.lru);
    for (unsigned i = 0; i < DNS_NAMES_MAX; i++) {
        list_init(&dns.name[i].waiters);
        list_push_back(&dns.lru, &dns.name[i].lru);
    }
    memset(&dns.servers, 0, sizeof dns.servers);
    dns.hosts_n = 0;
    dns.hosts_mtime = -2; /* no file's time, not even of a missing one */
    dns_use(servers);
    return true;
}

/* Names that need nobody. */
static bool answer_alone(struct slice host, struct dns_result *out)
{
    static const uint8_t v4[4] = {127, 0, 0, 1}, v6[16] = {[15] = 1};

    if (addr_parse(host, 0, &out->addr[0])) {
        out->count = 1;
        return true;
    }
    /* RFC 6761 6.3. IPv4 first: most local model servers listen on nothing else. */
    if (slice_eq(host, SLICE("localhost")) || slice_ends(host, SLICE(".localhost"))) {
        out->addr[0] = addr_make(4, v4, 0);
        out->addr[1] = addr_make(6, v6, 0);
        out->count = 2;
        return true;
    }
    return false;
}

/* From what we know, without asking: fresh, or old when asking has just been seen to fail. */
static bool answer_known(const struct name *name, struct dns_result *out, struct fault *fault)
{
    bool fresh = name->known && clock_ms() < name->fresh_until_ms;

    if (!fresh && !(stale_usable(name) && (name->stale_now || clock_ms() < name->retry_ms)))
        return false;
    dns.counts.hits++;
    dns.counts.stale += !fresh;
    *out = name->result;
    *fault = fault_of(name->verdict);
    return true;
}

/* Starts asking for a name that nobody is asking for. False: *out and *fault say what to tell the caller now. */
static bool ask_for(struct name *name, struct dns_result *out, struct fault *fault)
{
    struct slice text = slice_make(name->text, name->n);

    look_at_files();
    dns_hosts(slice_make(dns.hosts, dns.hosts_n), text, out);
    if (out->count) {
        name_learn(name, DNS_OK, out, FILES_MS / 1000, FILES_MS / 1000);
        name->stale_until_ms = 0; /* a line that was taken out is gone */
        *fault = fault_of(DNS_OK);
        return false;
    }
    if (question_start(name))
        return true;
    *fault = fault_make(FAULT_LOCAL, 0, "too many names are being resolved");
    if (stale_usable(name)) {
        *out = name->result;
        *fault = fault_of(DNS_OK);
    }
    return false;
}

bool dns_resolve(struct dns_ask *ask, struct slice host, dns_done_fn *done)
{
    struct dns_result out = {.count = 0};
    struct fault fault = fault_make(FAULT_NONE, 0, "");
    char lower[HOST_MAX + 1];
    uint8_t query[DNS_QUERY_MAX];

    must(!list_linked(&ask->node));
    ask->done = done;
    if (host.n > 0 && host.p[host.n - 1] == '.')
        host.n--;
    struct slice text = slice_make(lower, host.n <= HOST_MAX ? host.n : 0);
    for (size_t i = 0; i < text.n; i++)
        lower[i] = ascii_lower(host.p[i]);
    if (answer_alone(text, &out)) {
        done(ask, &out, fault);
        return true;
    }
    if (slice_ends(text, SLICE(".")) || !dns_query(0, text, DNS_A, query)) {
        done(ask, &out, fault_make(FAULT_DNS, 0, "not a valid host name"));
        return true;
    }
    uint32_t tag = (uint32_t)hash_bytes(text, dns.seed) | 1;
    struct name *name = name_find(text, tag);
    if (!name)
        name = name_add(text, tag);
    must(name != NULL);
    list_remove(&name->lru);
    list_push_front(&dns.lru, &name->lru);
    if (answer_known(name, &out, &fault) || (!name->question && !ask_for(name, &out, &fault))) {
        done(ask, &out, fault);
        return true;
    }
    list_push_back(&name->waiters, &ask->node);
    if (!name->question->half[0].over || !name->question->half[1].over)
        return false;
    question_check(name->question); /* all servers failed on the spot: this calls done */
    return true;
}

void dns_cancel(struct dns_ask *ask)
{
    list_remove(&ask->node);
}

struct dns_counts dns_counts(void)
{
    return dns.counts;
}
