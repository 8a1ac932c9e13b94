/* See limits.h. Entries lie in one array in order of their first use, found through a hash with chains, and keep their place until they are forgotten; a
 * ticket names place and life, so that a late settlement never hits a key that came after. */
#include "state/limits.h"

#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/sys.h"
#include "base/text.h"
#include "base/timer.h"
#include "state/usage.h"

enum {
    DAY_MS = 86400000,
    MINUTE_MS = 60000,  /* levels are counted in 1/60000: a limit of n per minute then refills n of them in each millisecond */
    NAME = 40,          /* ids made here have some 30 characters; a longer one is named by its hash */
    PROBES = 64,        /* entries looked at for one that makes room */
    FORMAT = 1,
    BATCHES = 16,       /* records in one go, each of STORE_CHANGES_MAX keys; the rest goes with the next timer */
    STORE_ID = NAME + 8,
};

struct entry {
    uint64_t total, day_cost;  /* pico-dollars */
    uint64_t held;             /* for requests under way */
    uint64_t seq;              /* of the last event counted in */
    uint64_t requests, tokens; /* levels of the buckets: what was taken and has not run off */
    int64_t at_ms;             /* clock_ms() of the levels */
    int32_t day;
    uint32_t next, dirty_next; /* place + 1; 0: the last */
    uint32_t life;             /* odd while in use */
    bool dirty;
    uint8_t name_len;
    char name[NAME];
};

static struct {
    struct entry *entry;
    uint32_t *chain;
    uint32_t count, free;      /* entries ever used; chain of forgotten ones, through next */
    uint32_t used, hand;
    uint32_t dirty;            /* chain through dirty_next */
    uint64_t seed, evicted;
    struct timer timer;
} l;

static void store_some(struct timer *t);

bool limits_init(void)
{
    l.entry = mem_table(LIMITS_KEYS, sizeof *l.entry);
    l.chain = mem_table(LIMITS_KEYS, sizeof *l.chain);
    l.count = l.free = l.used = l.hand = l.dirty = 0;
    l.evicted = 0;
    timer_init(&l.timer, store_some);
    return l.entry && l.chain && sys_random(&l.seed, sizeof l.seed);
}

/* ---- Finding ---- */

/* What a key is called here; out is used for long ids only. */
static struct slice name_of(struct slice id, char out[NAME])
{
    uint8_t hash[32];
    char hex[65];

    if (id.n <= NAME)
        return id;
    sha256(id, hash);
    sha256_hex(hash, hex);
    out[0] = '#';
    memcpy(out + 1, hex, NAME - 1);
    return slice_make(out, NAME);
}

static uint32_t *chain_of(struct slice name)
{
    return &l.chain[hash_bytes(name, l.seed) % LIMITS_KEYS];
}

static struct slice entry_name(const struct entry *e)
{
    return slice_make(e->name, e->name_len);
}

static struct entry *find(struct slice name)
{
    for (uint32_t i = *chain_of(name); i; i = l.entry[i - 1].next)
        if (slice_eq(entry_name(&l.entry[i - 1]), name))
            return &l.entry[i - 1];
    return NULL;
}

static struct slice store_id(const struct entry *e, char out[STORE_ID])
{
    return slice_make(out, (size_t)text_format(out, STORE_ID, "lim/%.*s", (int)e->name_len, e->name));
}

static void remove_entry(struct entry *e)
{
    uint32_t place = (uint32_t)(e - l.entry) + 1, *at = chain_of(entry_name(e));
    char id[STORE_ID];
    struct store_change c = {.kind = STORE_COUNTERS, .op = STORE_DELETE, .id = store_id(e, id)};

    while (*at != place)
        at = &l.entry[*at - 1].next;
    *at = e->next;
    e->next = l.free;
    l.free = place;
    e->life++;
    e->name_len = 0;
    l.used--;
    (void)store_append(&c, 1);
}

/* Only ever needed where keys come and go by the hundred thousand without being deleted. */
static void make_room(void)
{
    struct entry *quiet = NULL;

    for (int i = 0; i < PROBES; i++, l.hand = (l.hand + 1) % LIMITS_KEYS)
        if (!quiet || l.entry[l.hand].at_ms < quiet->at_ms)
            quiet = &l.entry[l.hand];
    remove_entry(quiet);
    l.evicted++;
}

/* Never NULL. */
static struct entry *entry_of(struct slice name)
{
    struct entry *e = find(name);
    uint32_t *chain, place;

    if (e)
        return e;
    if (!l.free && l.count == LIMITS_KEYS)
        make_room();
    place = l.free ? l.free : ++l.count;
    e = &l.entry[place - 1];
    if (l.free)
        l.free = e->next;
    chain = chain_of(name);
    /* An entry that was forgotten while dirty is still in that chain: it goes on with it. */
    *e = (struct entry){.at_ms = clock_ms(), .life = e->life + 1, .next = *chain, .dirty = e->dirty, .dirty_next = e->dirty_next,
                        .name_len = (uint8_t)name.n};
    *chain = place;
    if (name.n)
        memcpy(e->name, name.p, name.n);
    l.used++;
    return e;
}

static void touch(struct entry *e)
{
    if (!store_is_durable())
        return;
    if (!e->dirty) {
        e->dirty = true;
        e->dirty_next = l.dirty;
        l.dirty = (uint32_t)(e - l.entry) + 1;
    }
    if (!timer_armed(&l.timer))
        timer_arm(&l.timer, clock_ms() + LIMITS_STORE_MS);
}

/* ---- Counting ---- */

static uint64_t add(uint64_t a, uint64_t b)
{
    return a + b < a ? UINT64_MAX : a + b;
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t times(uint64_t a, uint64_t b)
{
    uint64_t v;

    return __builtin_mul_overflow(a, b, &v) ? UINT64_MAX : v;
}

static int32_t day_of(int64_t wall_ms)
{
    return wall_ms > 0 ? (int32_t)(wall_ms / DAY_MS) : 0;
}

/* Brings an entry to this moment. A bucket that has no limit holds nothing: when a limit comes, it begins with all of it. */
static void refresh(struct entry *e, const struct key_limits *k)
{
    int64_t now = clock_ms();
    uint64_t passed = now > e->at_ms ? (uint64_t)(now - e->at_ms) : 0;
    int32_t today = day_of(clock_wall_ms());

    e->requests = k->requests_per_minute ? less(e->requests, times(passed, k->requests_per_minute)) : 0; /* never more than a minute's */
    e->tokens = less(smaller(e->tokens, k->tokens_per_minute * MINUTE_MS * LIMITS_DEBT_MAX), times(passed, k->tokens_per_minute));
    e->at_ms = now;
    if (e->day != today) { /* also when the clock was set back: a day that will be long past must not count for the present one */
        e->day = today;
        e->day_cost = 0;
    }
}

static struct limits_bucket look(uint64_t limit, uint64_t level)
{
    uint64_t cap = limit * MINUTE_MS;

    return limit ? (struct limits_bucket){limit, less(cap, level) / MINUTE_MS, (int64_t)((level + limit - 1) / limit)} : (struct limits_bucket){0};
}

/* Milliseconds until a bucket has room for `want` items; 0: it has. */
static int64_t wait_for(uint64_t limit, uint64_t level, uint64_t want)
{
    uint64_t cap = limit * MINUTE_MS, need;

    if (!limit)
        return 0;
    need = less(level + smaller(want, limit) * MINUTE_MS, cap);
    return (int64_t)((need + limit - 1) / limit);
}

enum limits_verdict limits_take(struct slice id, const struct key_limits *k, uint64_t tokens, struct limits_ticket *ticket, struct limits_state *state)
{
    char name[NAME];
    struct entry *e = entry_of(name_of(id, name));
    int64_t requests_ms, tokens_ms;

    *ticket = (struct limits_ticket){0};
    refresh(e, k);
    state->requests = look(k->requests_per_minute, e->requests);
    state->tokens = look(k->tokens_per_minute, e->tokens);
    state->wait_ms = -1;
    if (k->budget_total && e->total / 1000000 >= k->budget_total)
        return LIMITS_TOTAL;
    state->wait_ms = DAY_MS - (clock_wall_ms() > 0 ? clock_wall_ms() % DAY_MS : 0);
    if (k->budget_per_day && e->day_cost / 1000000 >= k->budget_per_day)
        return LIMITS_DAY;
    requests_ms = wait_for(k->requests_per_minute, e->requests, 1);
    tokens_ms = wait_for(k->tokens_per_minute, e->tokens, tokens);
    state->wait_ms = requests_ms > tokens_ms ? requests_ms : tokens_ms;
    if (state->wait_ms)
        return requests_ms >= tokens_ms ? LIMITS_REQUESTS : LIMITS_TOKENS;
    ticket->place = (uint32_t)(e - l.entry) + 1;
    ticket->life = e->life;
    ticket->counts_tokens = k->tokens_per_minute > 0;
    ticket->tokens = smaller(tokens, k->tokens_per_minute);
    e->requests += k->requests_per_minute ? MINUTE_MS : 0;
    e->tokens += ticket->tokens * MINUTE_MS;
    touch(e);
    return LIMITS_OK;
}

/* Cost of a time: into the total, and into the day's if it is that day or begins it. */
static void spend(struct entry *e, uint64_t cost, int32_t day)
{
    e->total = add(e->total, cost);
    if (day > e->day) {
        e->day = day;
        e->day_cost = 0;
    }
    if (day == e->day)
        e->day_cost = add(e->day_cost, cost);
}

static struct entry *ticket_entry(const struct limits_ticket *t)
{
    return t->place && l.entry[t->place - 1].life == t->life ? &l.entry[t->place - 1] : NULL;
}

bool limits_hold(struct limits_ticket *t, const struct key_limits *k, uint64_t cost)
{
    struct entry *e = ticket_entry(t);

    if (!e || !(k->budget_per_day || k->budget_total))
        return true;
    if (e->held && ((k->budget_total && add(add(e->total, e->held), cost) / 1000000 > k->budget_total) ||
                    (k->budget_per_day && add(add(e->day_cost, e->held), cost) / 1000000 > k->budget_per_day)))
        return false;
    cost = smaller(cost, UINT64_MAX / 2 - smaller(e->held, UINT64_MAX / 2));
    t->cost = cost;
    e->held += cost;
    return true;
}

void limits_settle(struct slice id, const struct limits_ticket *t, uint64_t tokens, uint64_t cost, uint64_t seq)
{
    char name[NAME];
    struct entry *e = ticket_entry(t);
    int32_t today = day_of(clock_wall_ms());

    if (!e) {
        if (t->place || !cost)
            return; /* forgotten meanwhile; or a key without limits that has spent nothing */
        e = entry_of(name_of(id, name));
        e->at_ms = clock_ms();
    }
    e->held -= t->cost;
    if (t->counts_tokens)
        e->tokens = less(add(e->tokens, times(tokens, MINUTE_MS)), t->tokens * MINUTE_MS);
    if (e->day != today) {
        e->day = today;
        e->day_cost = 0;
    }
    spend(e, cost, today);
    e->seq = seq > e->seq ? seq : e->seq;
    touch(e);
}

void limits_forget(struct slice id)
{
    char name[NAME];
    struct entry *e = find(name_of(id, name));

    if (e)
        remove_entry(e);
}

uint64_t limits_spent(struct slice id, uint64_t *day)
{
    char name[NAME];
    const struct entry *e = find(name_of(id, name));

    *day = e && e->day == day_of(clock_wall_ms()) ? e->day_cost : 0;
    return e ? e->total : 0;
}

uint32_t limits_keys(uint64_t *evicted)
{
    *evicted = l.evicted;
    return l.used;
}

/* ---- The store ---- */

struct stored {
    uint8_t format, pad[3];
    int32_t day;
    int64_t wall_ms; /* of the levels */
    uint64_t total, day_cost, seq, requests, tokens;
};

/* One record's worth off the dirty chain. False: no more for now. */
static bool store_batch(void)
{
    struct store_change c[STORE_CHANGES_MAX];
    struct stored v[STORE_CHANGES_MAX];
    char id[STORE_CHANGES_MAX][STORE_ID];
    uint32_t rest = l.dirty;
    size_t n = 0;

    for (; rest && n < STORE_CHANGES_MAX; rest = l.entry[rest - 1].dirty_next) {
        const struct entry *e = &l.entry[rest - 1];

        if (!(e->life & 1))
            continue;
        v[n] = (struct stored){.format = FORMAT, .day = e->day, .wall_ms = clock_wall_ms() - (clock_ms() - e->at_ms), .total = e->total,
                               .day_cost = e->day_cost, .seq = e->seq, .requests = e->requests, .tokens = e->tokens};
        c[n] = (struct store_change){.kind = STORE_COUNTERS, .op = STORE_PUT, .id = store_id(e, id[n]),
                                     .value = slice_make((const char *)&v[n], sizeof v[n])};
        n++;
    }
    if (n && !store_append(c, n))
        return false;
    while (l.dirty != rest) {
        struct entry *e = &l.entry[l.dirty - 1];

        l.dirty = e->dirty_next;
        e->dirty = false;
    }
    return rest != 0;
}

static void store_some(struct timer *t)
{
    int left = BATCHES;

    while (left-- > 0 && store_batch())
        ;
    if (l.dirty)
        timer_arm(t, clock_ms() + LIMITS_STORE_MS / 10);
}

void limits_flush(void)
{
    while (store_batch())
        ;
    timer_disarm(&l.timer);
}

bool limits_load(const struct store_change *c)
{
    struct stored v;
    struct entry *e;
    struct slice name = slice_from(c->id, 4);
    int64_t ago;

    if (c->kind != STORE_COUNTERS || !slice_starts(c->id, SLICE("lim/")))
        return false;
    if (c->value.n != sizeof v || name.n > NAME)
        return true;
    memcpy(&v, c->value.p, sizeof v);
    if (v.format != FORMAT)
        return true;
    e = entry_of(name);
    ago = clock_wall_ms() - v.wall_ms;
    e->at_ms = clock_ms() - (ago > 0 ? ago < DAY_MS ? ago : DAY_MS : 0);
    e->day = v.day;
    e->total = v.total;
    e->day_cost = v.day_cost;
    e->seq = v.seq;
    e->requests = v.requests;
    e->tokens = v.tokens;
    return true;
}

void limits_replay(const struct usage_event *u)
{
    struct slice id = usage_get_id(u, USAGE_ACCESS_KEY);
    int64_t ago = clock_wall_ms() - u->wall_ms;
    bool recent = ago >= 0 && ago < MINUTE_MS;
    char name[NAME];
    struct entry *e = find(name_of(id, name));

    if (!u->cost && !recent)
        return;
    if (!e)
        e = entry_of(name_of(id, name));
    if (u->seq <= e->seq)
        return;
    e->seq = u->seq;
    spend(e, u->cost, day_of(u->wall_ms));
    if (recent && u->attempt) { /* what was refused took nothing */
        e->at_ms = clock_ms() - ago > e->at_ms ? clock_ms() - ago : e->at_ms;
        e->requests = add(e->requests, u->flags & USAGE_FINAL ? MINUTE_MS : 0);
        e->tokens = add(e->tokens, ((uint64_t)u->input + u->output) * MINUTE_MS);
    }
}
