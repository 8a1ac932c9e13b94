/* The ring of events, the sums by day, and what metrics count of both. Invariant: folded <= next, and next - folded never exceeds the
 * ring, because usage_new() folds before it would overwrite. */
#include "state/usage.h"

#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/sys.h"
#include "base/text.h"
#include "base/timer.h"
#include "llm/outcome.h"
#include "state/limits.h"

enum {
    DAY_MS = 86400000,
    BATCH_BYTES = 1 << 16,
    FORMAT = 1,
    SUM_SLOTS = USAGE_SUMS * 2,
    SUM_ID = 128,
    SUMS_OTHER = 16, /* places that only "other" may take */
};

static struct {
    struct usage_event *ring;
    uint64_t first, folded, stored, next; /* sequence numbers: oldest kept, first that is not folded, not stored, to come */
    struct usage_sum *sum;
    uint32_t nsums;
    uint16_t *slot;                       /* SUM_SLOTS places: index + 1 of the sum with that hash; 0: free */
    struct usage_series *series;
    uint32_t nseries;
    struct usage_sum *last_sum[USAGE_IDS]; /* requests come in runs of one key, one provider, one model */
    uint64_t summed;                      /* greatest number in any sum that was loaded */
    bool sums_dirty;
    struct usage_series *last_series;
    struct usage_totals total;
    char *batch;
    usage_send_fn *send;                  /* NULL: to the store */
    struct timer timer, sums_timer;
    uint64_t seed;
} u;

/* Up to 1 ms steps matter to nobody beyond a second; answers of models end within minutes. */
const uint32_t usage_bound_ms[USAGE_BUCKETS] = {5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000};

static void store_events(void);
static void store_sums(void);

static void on_timer(struct timer *t)
{
    (void)t;
    usage_fold();
    store_events();
}

static void on_sums_timer(struct timer *t)
{
    (void)t;
    store_sums();
}

bool usage_init(void)
{
    u.ring = mem_table(USAGE_EVENTS, sizeof *u.ring);
    u.sum = mem_table(USAGE_SUMS, sizeof *u.sum);
    u.slot = mem_table(SUM_SLOTS, sizeof *u.slot);
    u.series = mem_table(USAGE_SERIES, sizeof *u.series);
    u.batch = mem_table(1, BATCH_BYTES);
    timer_init(&u.timer, on_timer);
    timer_init(&u.sums_timer, on_sums_timer);
    if (!u.ring || !u.sum || !u.slot || !u.series || !u.batch || !sys_random(&u.seed, sizeof u.seed))
        return false;
    u.nsums = 0;
    u.nseries = 1; /* "other" */
    u.total = (struct usage_totals){0};
    memset(u.last_sum, 0, sizeof u.last_sum);
    u.last_series = NULL;
    u.summed = 0;
    u.sums_dirty = false;
    u.send = NULL;
    memcpy(u.series[0].name, "otherother", 10);
    u.series[0].provider_len = u.series[0].model_len = 5;
    clock_update();
    u.total.since_ms = clock_wall_ms() > 0 ? clock_wall_ms() : 0;
    /* Begins at the time, so that numbers are not used twice even where nothing is kept over a restart. */
    u.first = u.folded = u.stored = u.next = (uint64_t)(clock_wall_ms() > 0 ? clock_wall_ms() : 1) << 20;
    return true;
}

static struct usage_event *place(uint64_t seq)
{
    return &u.ring[seq % USAGE_EVENTS];
}

struct usage_event *usage_new(void)
{
    struct usage_event *e = place(u.next);

    if (u.next - u.stored >= USAGE_EVENTS / 2)
        on_timer(&u.timer);
    if (u.next - u.first == USAGE_EVENTS) {
        u.first++;
        u.total.overwritten++;
    }
    memset(e, 0, offsetof(struct usage_event, text));
    e->seq = u.next++;
    e->wall_ms = clock_wall_ms();
    if (!timer_armed(&u.timer))
        timer_arm(&u.timer, clock_ms() + USAGE_FOLD_MS);
    return e;
}

void usage_set_ids(struct usage_event *e, const struct slice id[USAGE_IDS])
{
    size_t at = 0;

    for (int i = 0; i < USAGE_IDS; i++) {
        size_t n = id[i].n < USAGE_TEXT - at ? id[i].n : USAGE_TEXT - at;

        n = n < UINT8_MAX ? n : UINT8_MAX;
        if (n)
            memcpy(e->text + at, id[i].p, n);
        e->id_len[i] = (uint8_t)n;
        at += n;
    }
}

struct slice usage_get_id(const struct usage_event *e, enum usage_id which)
{
    size_t at = 0;

    for (int i = 0; i < (int)which; i++)
        at += e->id_len[i];
    return slice_make(e->text + at, e->id_len[which]);
}

void usage_count_local(unsigned status)
{
    u.total.local[status / 100 < 6 ? status / 100 : 0]++;
}

/* ---- Money ---- */

static uint64_t add(uint64_t a, uint64_t b)
{
    return a + b < a ? UINT64_MAX : a + b;
}

static uint64_t times(uint64_t tokens, uint64_t price)
{
    uint64_t v;

    return __builtin_mul_overflow(tokens, price, &v) ? UINT64_MAX : v;
}

uint64_t usage_cost(const struct usage_event *e, const struct usage_price *p)
{
    uint64_t cached = (uint64_t)e->cache_read + e->cache_write;
    uint64_t fresh = e->input > cached ? e->input - cached : 0;

    return add(add(times(fresh, p->input), times(e->output, p->output)),
               add(times(e->cache_read, p->cache_read), times(e->cache_write, p->cache_write)));
}

struct slice usage_dollars(uint64_t pico, char out[24])
{
    uint64_t whole = pico / 1000000000000u, part = pico % 1000000000000u;
    uint32_t half[2] = {(uint32_t)(part / 1000000u), (uint32_t)(part % 1000000u)};
    char *to = out + 8; /* the whole part has eight digits at most */
    size_t n = 13;

    do
        *--to = (char)('0' + whole % 10);
    while (whole /= 10);
    memmove(out, to, (size_t)(out + 8 - to));
    to = out + (out + 8 - to);
    if (!part)
        return slice_make(out, (size_t)(to - out));
    for (int i = 1; i >= 0; i--)
        for (int k = 6; k > 0; k--, half[i] /= 10)
            to[6 * i + k] = (char)('0' + half[i] % 10);
    to[0] = '.';
    while (to[n - 1] == '0')
        n--;
    return slice_make(out, (size_t)(to - out) + n);
}

/* ---- Sums by day ---- */

static int32_t day_of(int64_t wall_ms)
{
    return wall_ms > 0 ? (int32_t)(wall_ms / DAY_MS) : 0; /* a clock before 1970 is wrong: its day is 0, not a negative one */
}

static uint32_t sum_home(int32_t day, unsigned by, struct slice name)
{
    return (uint32_t)(hash_bytes(name, u.seed ^ (uint64_t)(uint32_t)day << 8 ^ by) % SUM_SLOTS);
}

static bool sum_is(const struct usage_sum *s, int32_t day, unsigned by, struct slice name)
{
    return s->day == day && s->by == by && slice_eq(slice_make(s->name, s->name_len), name);
}

/* What a sum is called in the store. */
static struct slice sum_id(const struct usage_sum *s, char out[SUM_ID])
{
    return slice_make(out, (size_t)text_format(out, SUM_ID, "sum/%d/%u/%.*s", (int)s->day, (unsigned)s->by, (int)s->name_len, s->name));
}

/* All sums of the oldest day go, and the table is built anew. Rare: it takes a table full of days. False: no day is older than this one. */
static bool forget_older(int32_t day)
{
    int32_t oldest = day;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < u.nsums; i++)
        if (u.sum[i].day < oldest)
            oldest = u.sum[i].day;
    if (oldest == day)
        return false;
    memset(u.slot, 0, SUM_SLOTS * sizeof *u.slot);
    for (uint32_t i = 0; i < u.nsums; i++) {
        struct usage_sum *s = &u.sum[i];

        if (s->day == oldest) {
            char id[SUM_ID];
            struct store_change c = {.kind = STORE_COUNTERS, .op = STORE_DELETE, .id = sum_id(s, id)};

            (void)store_append(&c, 1);
            u.total.sums_lost++;
            continue;
        }
        u.sum[kept] = *s;
        for (uint32_t h = sum_home(s->day, s->by, slice_make(s->name, s->name_len));; h = (h + 1) % SUM_SLOTS)
            if (!u.slot[h]) {
                u.slot[h] = (uint16_t)++kept;
                break;
            }
    }
    memset(&u.sum[kept], 0, (u.nsums - kept) * sizeof *u.sum);
    u.nsums = kept;
    memset(u.last_sum, 0, sizeof u.last_sum);
    return true;
}

/* The slot of that sum, or the free one where it belongs. */
static uint16_t *sum_slot(int32_t day, unsigned by, struct slice name)
{
    uint32_t h = sum_home(day, by, name);

    while (u.slot[h] && !sum_is(&u.sum[u.slot[h] - 1], day, by, name))
        h = (h + 1) % SUM_SLOTS;
    return &u.slot[h];
}

/* NULL: there is no room for it, not even for "other". make false: it is not made, "other" stands for it. */
static struct usage_sum *sum_of(int32_t day, unsigned by, struct slice name, bool make)
{
    const struct slice other = SLICE("other");
    struct usage_sum **last = &u.last_sum[by], *s;
    uint16_t *slot;

    name = slice_first(name, sizeof u.sum->name);
    if (*last && sum_is(*last, day, by, name))
        return *last;
    slot = sum_slot(day, by, name);
    if (!*slot && u.nsums >= USAGE_SUMS - SUMS_OTHER) {
        if (forget_older(day))
            slot = sum_slot(day, by, name);
        else if (slice_eq(name, other) && u.nsums == USAGE_SUMS)
            return NULL;
        else
            make = slice_eq(name, other);
    }
    if (!*slot && !make)
        return sum_of(day, by, other, true);
    if (*slot)
        return *last = &u.sum[*slot - 1];
    s = *last = &u.sum[u.nsums];
    *slot = (uint16_t)++u.nsums;
    *s = (struct usage_sum){.day = day, .by = (uint8_t)by, .name_len = (uint8_t)name.n};
    if (name.n)
        memcpy(s->name, name.p, name.n);
    return s;
}

static void sum_add(const struct usage_event *e, enum usage_id by, struct slice name)
{
    struct usage_sum *s;

    if (!(e->flags & USAGE_FINAL) && !e->cost && !e->input && !e->output)
        return; /* an attempt that failed adds nothing */
    s = sum_of(day_of(e->wall_ms), by, name, by != USAGE_MODEL || e->outcome == OUTCOME_OK || e->output || !name.n);
    if (!s || e->seq <= s->seq)
        return; /* it was in the sum that the store kept */
    s->seq = e->seq;
    s->cost = add(s->cost, e->cost);
    s->input += e->input;
    s->output += e->output;
    s->requests += e->flags & USAGE_FINAL ? 1 : 0;
    s->errors += (e->flags & (USAGE_FINAL | USAGE_ERROR)) == (USAGE_FINAL | USAGE_ERROR);
    s->dirty = u.sums_dirty = true;
}

static void sum_up(const struct usage_event *e)
{
    struct slice provider = usage_get_id(e, USAGE_PROVIDER), model = usage_get_id(e, USAGE_MODEL);
    char name[2 * UINT8_MAX + 1];

    sum_add(e, USAGE_PROVIDER, provider);
    sum_add(e, USAGE_ACCESS_KEY, usage_get_id(e, USAGE_ACCESS_KEY));
    memcpy(name, provider.p, provider.n);
    name[provider.n] = ':';
    memcpy(name + provider.n + 1, model.p, model.n);
    sum_add(e, USAGE_MODEL, slice_make(name, e->attempt ? provider.n + 1 + model.n : 0));
}

/* ---- Metrics ---- */

static bool series_is(const struct usage_series *s, struct slice provider, struct slice model)
{
    return slice_eq(slice_make(s->name, s->provider_len), provider) &&
           slice_eq(slice_make(s->name + s->provider_len, s->model_len), model);
}

static struct usage_series *series_of(const struct usage_event *e)
{
    struct slice provider = slice_first(usage_get_id(e, USAGE_PROVIDER), 40);
    struct slice model = slice_first(usage_get_id(e, USAGE_MODEL), sizeof(u.series->name) - 40);
    struct usage_series *s = u.last_series;

    if (e->attempt == 0)
        model = slice_make(NULL, 0); /* what a client asked for in vain is its free text: no series of its own */
    if (s && series_is(s, provider, model))
        return s;
    for (uint32_t i = 0; i < u.nseries; i++) /* a provider that is called "other" too is part of the first */
        if (series_is(&u.series[i], provider, model))
            return u.last_series = &u.series[i];
    if (u.nseries == USAGE_SERIES)
        return &u.series[0];
    s = u.last_series = &u.series[u.nseries++];
    s->provider_len = (uint8_t)provider.n;
    s->model_len = (uint8_t)model.n;
    if (provider.n)
        memcpy(s->name, provider.p, provider.n);
    if (model.n)
        memcpy(s->name + provider.n, model.p, model.n);
    return s;
}

static void histogram_add(struct usage_histogram *h, uint32_t ms)
{
    int i = 0;

    while (i < USAGE_BUCKETS && ms > usage_bound_ms[i])
        i++;
    h->count[i]++;
    h->sum_ms += ms;
}

static void count(const struct usage_event *e)
{
    struct usage_series *s = series_of(e);

    u.total.events++;
    if (e->attempt)
        s->attempts[e->outcome & 15]++;
    s->input += e->input;
    s->output += e->output;
    s->cache_read += e->cache_read;
    s->reasoning += e->reasoning;
    s->cost = add(s->cost, e->cost);
    s->estimated += (e->flags & USAGE_ESTIMATED) != 0;
    s->unpriced += (e->flags & USAGE_UNPRICED) != 0;
    if (!(e->flags & USAGE_FINAL)) {
        s->failovers++;
        return;
    }
    s->requests[e->status < 400 ? USAGE_OK : e->status < 500 ? USAGE_CLIENT_ERROR : USAGE_SERVER_ERROR]++;
    histogram_add(&u.total.duration, e->duration_ms);
    if (e->first_byte_ms != UINT32_MAX)
        histogram_add(&u.total.first_byte, e->first_byte_ms);
}

void usage_fold(void)
{
    for (; u.folded < u.next; u.folded++) {
        const struct usage_event *e = place(u.folded);

        sum_up(e);
        count(e);
    }
    if (u.sums_dirty && store_is_durable() && !timer_armed(&u.sums_timer))
        timer_arm(&u.sums_timer, clock_ms() + USAGE_SUMS_MS);
}

/* ---- The store ---- */

/* An event as it is stored: what is in front of the text, then as much text as there is. */
static size_t stored_size(const struct usage_event *e)
{
    size_t n = offsetof(struct usage_event, text);

    for (int i = 0; i < USAGE_IDS; i++)
        n += e->id_len[i];
    return n;
}

static void store_events(void)
{
    while (u.stored < u.next && (u.send || store_is_durable())) {
        struct store_change c = {.kind = STORE_USAGE, .op = STORE_PUT, .id = SLICE("u")};
        size_t n = 1;
        uint64_t events = 0;

        u.batch[0] = FORMAT;
        for (; u.stored < u.next; u.stored++, events++) {
            const struct usage_event *e = place(u.stored);
            size_t size = stored_size(e);

            if (size > BATCH_BYTES - n)
                break;
            memcpy(u.batch + n, e, size);
            n += size;
        }
        c.value = slice_make(u.batch, n);
        if (!(u.send ? u.send(c.value) : store_append(&c, 1)))
            u.total.not_stored += events;
    }
    u.stored = u.next;
}

struct stored_sum {
    uint8_t format, pad[7];
    uint64_t cost, requests, errors, input, output, seq;
};

/* As many as one record takes; sums that were refused stay dirty, and go with the next event's. False: no more for now. */
static bool store_some_sums(uint32_t *i)
{
    struct store_change c[STORE_CHANGES_MAX];
    struct stored_sum v[STORE_CHANGES_MAX];
    uint32_t which[STORE_CHANGES_MAX];
    size_t n = 0;

    for (; *i < u.nsums && n < STORE_CHANGES_MAX; (*i)++) {
        const struct usage_sum *s = &u.sum[*i];

        if (!s->dirty)
            continue;
        v[n] = (struct stored_sum){.format = FORMAT, .cost = s->cost, .requests = s->requests, .errors = s->errors, .input = s->input,
                                   .output = s->output, .seq = s->seq};
        c[n] = (struct store_change){.kind = STORE_COUNTERS, .op = STORE_PUT, .id = sum_id(s, u.batch + n * SUM_ID),
                                     .value = slice_make((const char *)&v[n], sizeof v[n])};
        which[n++] = *i;
    }
    if (!n)
        return false;
    if (!store_append(c, n)) {
        u.sums_dirty = true;
        return false;
    }
    while (n)
        u.sum[which[--n]].dirty = false;
    return true;
}

static void store_sums(void)
{
    uint32_t i = 0;

    if (!u.sums_dirty || !store_is_durable())
        return;
    u.sums_dirty = false;
    while (store_some_sums(&i))
        ;
}

void usage_flush(void)
{
    usage_fold();
    store_events();
    store_sums();
    timer_disarm(&u.timer);
    timer_disarm(&u.sums_timer);
}

/* Events come in the order they were stored. A gap (a batch that was dropped, or a start without the store) begins the ring anew: a place in it
 * is found by its number alone. */
static void load_event(const struct usage_event *e, size_t size)
{
    if (e->seq != u.next) {
        if (e->seq < u.next && u.next != u.first)
            return; /* known already */
        u.first = u.next = e->seq;
    }
    if (u.next - u.first == USAGE_EVENTS)
        u.first++;
    memcpy(place(u.next), e, size);
    u.folded = u.stored = ++u.next;
    sum_up(e);
    limits_replay(e);
}

/* Each event of a batch. */
static void walk(struct slice s, void (*each)(const struct usage_event *e, size_t size))
{
    const size_t fixed = offsetof(struct usage_event, text);

    if (s.n < 1 || s.p[0] != FORMAT)
        return;
    for (s = slice_from(s, 1); s.n >= fixed;) {
        struct usage_event e;
        size_t size;

        memset(&e, 0, sizeof e);
        memcpy(&e, s.p, fixed);
        size = stored_size(&e);
        if (size > s.n || size > sizeof e)
            return;
        memcpy(&e, s.p, size);
        e.stop_reason[sizeof e.stop_reason - 1] = '\0';
        each(&e, size);
        s = slice_from(s, size);
    }
}

static void adopt(const struct usage_event *from, size_t size)
{
    struct usage_event *e = usage_new();
    uint64_t seq = e->seq;

    memcpy(e, from, size);
    e->seq = seq;
    limits_settle(usage_get_id(e, USAGE_ACCESS_KEY), &(struct limits_ticket){0}, 0, e->cost, seq);
}

void usage_adopt(struct slice batch)
{
    walk(batch, adopt);
}

void usage_divert(usage_send_fn *send)
{
    u.send = send;
}

/* "sum/DAY/BY/NAME" */
static void load_sum(struct slice id, struct slice value)
{
    struct stored_sum v;
    struct usage_sum *s;
    uint64_t day, by;
    ptrdiff_t slash = slice_find_char(id, '/');

    if (value.n != sizeof v || slash < 0 || !slice_u64(slice_first(id, (size_t)slash), &day) || day > INT32_MAX)
        return;
    id = slice_from(id, (size_t)slash + 1);
    slash = slice_find_char(id, '/');
    if (slash < 0 || !slice_u64(slice_first(id, (size_t)slash), &by) || by >= USAGE_IDS)
        return;
    memcpy(&v, value.p, sizeof v);
    if (v.format != FORMAT)
        return;
    s = sum_of((int32_t)day, (unsigned)by, slice_from(id, (size_t)slash + 1), true);
    if (!s)
        return;
    s->cost = v.cost;
    s->requests = v.requests;
    s->errors = v.errors;
    s->input = v.input;
    s->output = v.output;
    s->seq = v.seq;
    u.summed = v.seq > u.summed ? v.seq : u.summed;
}

bool usage_load(const struct store_change *c)
{
    if (c->kind == STORE_USAGE) {
        walk(c->value, load_event);
        return true;
    }
    if (c->kind != STORE_COUNTERS || !slice_starts(c->id, SLICE("sum/")))
        return false;
    load_sum(slice_from(c->id, 4), c->value);
    return true;
}

/* Where the last events before a kill were lost but not the sums with them, their numbers must not come again: they would be taken for
 * summed up already. */
uint32_t usage_loaded(void)
{
    if (u.next <= u.summed)
        u.first = u.folded = u.stored = u.next = u.summed + 1;
    return (uint32_t)(u.next - u.first);
}

/* ---- Readers ---- */

uint64_t usage_next_seq(void)
{
    return u.next;
}

const struct usage_event *usage_at(uint64_t seq)
{
    return seq >= u.first && seq < u.next ? place(seq) : NULL;
}

const struct usage_sum *usage_sum(uint32_t i)
{
    return i < u.nsums ? &u.sum[i] : NULL;
}

const struct usage_series *usage_series(uint32_t i)
{
    return i < u.nseries ? &u.series[i] : NULL;
}

const struct usage_totals *usage_totals(void)
{
    return &u.total;
}
