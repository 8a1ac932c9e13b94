/* Opens the gate over the fake world, lets time pass, checks at the end that nothing is left, and tortures: see flow.h.
 * FLOW=word limits to flows of that name; FLOW_TORTURE=none or all instead of a sample of the points.
 *
 * Each flow runs in a child process, so that a crash is one failure and not the end. After its clean run it is run again with the first, second, ...
 * fallible call of the system refused, once and from then on, and the same for the memory budget (faults.md L-06, L-07, style 8). Then only this counts: no
 * crash, nothing left behind, and a request that comes afterwards is served. */
#include "flow.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/timer.h"
#include "conf/conf.h"
#include "gate/gate.h"
#include "gate/xchg.h"
#include "net/conn.h"
#include "net/dial.h"
#include "net/dns.h"
#include "net/idle.h"
#include "net/listen.h"
#include "net/loop.h"
#include "net/tls.h"
#include "state/limits.h"
#include "state/usage.h"

#include "check.h"

enum { SPINS_MOST = 12, TURNS_MOST = 4000000, CONFIG_MAX = 16384 };

/* How a run of a flow is disturbed. In the first three all must come out alike. */
enum torture { CALM, SHORT, BYTES, CALL_ONCE, CALLS_FROM, MEMORY_ONCE, MEMORY_FROM, TORTURES };

static const char *const torture_name[TORTURES] = {"calm",
                                                   "calls of few bytes",
                                                   "calls of one byte",
                                                   "call fails once",
                                                   "calls fail from",
                                                   "memory fails once",
                                                   "memory fails from"};

/* Shared with the parent, which must know how far a child came that died. */
static struct progress {
    enum torture how;
    uint64_t nth, last_call, last_memory, points;
    unsigned passed, failed;
    bool finished, large;
} *progress;

static struct listener listener;
static struct conf *conf, *left[4]; /* left: snapshots that a reload replaced */
static unsigned nleft;
static uint64_t heap_calls_ready;
static bool spun;

static struct {
    void (*plan)(struct gate_plan *p);
    bool (*open)(void);
    void (*close)(void);
} beside;

void flow_beside(void (*plan)(struct gate_plan *p), bool (*open)(void), void (*close)(void))
{
    beside.plan = plan;
    beside.open = open;
    beside.close = close;
}

struct conf *flow_conf(void)
{
    return conf;
}

static bool muted; /* a disturbed run: what the flow itself expects does not count */

bool flow_expect(bool ok, const char *file, int line, const char *text)
{
    return muted || check_that(ok, file, line, text);
}

bool flow_expect_int(long long got, long long want, const char *file, int line, const char *text)
{
    if (muted || check_that(got == want, file, line, text))
        return true;
    printf("     got %lld, want %lld\n", got, want);
    return false;
}

bool flow_expect_slice(struct slice got, struct slice want, const char *file, int line, const char *text)
{
    return muted || check_slices(got, want, file, line, text);
}

/* ---- Opening ---- */

static const char *no_env(void *user, const char *name)
{
    (void)user;
    (void)name;
    return NULL;
}

static bool no_file(void *user, struct slice path, struct arena *a, struct slice *out)
{
    (void)user;
    (void)path;
    (void)a;
    (void)out;
    return false;
}

#define ALL_SURFACES                                                                                                   \
    "[{\"format\":\"openai\",\"surface\":\"chat-completions\"},{\"format\":\"openai\",\"surface\":\"responses\"},"     \
    "{\"format\":\"openai\",\"surface\":\"embeddings\"},{\"format\":\"openai\",\"surface\":\"speech\"},"               \
    "{\"format\":\"anthropic\",\"surface\":\"messages\"}]"
#define PROVIDER(n, models) PROVIDER_THAT(n, models, "")
#define PROVIDER_THAT(n, models, more)                                                                                 \
    "{" more "\"providerId\":\"p" n "\",\"baseUrl\":\"http://10.0.0." n "/v1\",\"supportedApiSurfaces\":" ALL_SURFACES ",\"models\":[" models "]}"
#define NAMED(n, host)                                                                                                 \
    "{\"providerId\":\"p" n "\",\"baseUrl\":\"http://" host "/v1\",\"supportedApiSurfaces\":" ALL_SURFACES ",\"models\":[{\"modelId\":\"m" n "\"}]}"
#define KEY(p, name) "{\"id\":\"aigpk_" p name "\",\"providerId\":\"p" p "\",\"name\":\"" name "\",\"value\":\"key-" p name "\"}"

static const char *gone; /* a key name: that key of p1 is left out */

static const char *key_members = ""; /* more of the access key */

void flow_key(const char *members)
{
    key_members = members;
}

static struct conf *load(const char *gateway, const char *router, const char *limits)
{
    static char text[CONFIG_MAX];
    static const struct conf_env env = {no_env, no_file, NULL};
    struct conf_error e = {0};
    struct conf *c;
    int n = snprintf(text, sizeof text,
                     "{\"listen\":\"10.1.1.1:8080\",\"admin\":{\"listen\":null},\"gateway\":{%s},\"limits\":{%s},"
                     "\"upstream\":{\"allowPrivate\":true,\"dns\":[\"10.0.0.53:53\"]},"
                     "\"providers\":[" PROVIDER("1", "{\"modelId\":\"m1\"},{\"modelId\":\"m1s\"}") "," PROVIDER_THAT("2", "{\"modelId\":\"m2\",\"usdPerMillionTokens\":{\"input\":100,\"output\":1000}}", "\"assistantPrefix\":\"trailing\",") ","
                     PROVIDER_THAT("3", "{\"modelId\":\"m3\"}", "\"assistantPrefix\":\"partial\",") "," PROVIDER("4", "{\"modelId\":\"m4\"}") "," NAMED("5", "five.internal") "," NAMED("6", "nowhere.internal") "," PROVIDER("9", "{\"modelId\":\"m9\"}") "],"
                     "\"providerKeys\":[%s%s" KEY("2", "a") "," KEY("3", "a") "," KEY("4", "a") "," KEY("5", "a") "," KEY("6", "a") "," KEY("9", "a") "],"
                     "\"accessKeyConfigurations\":[{\"id\":\"aigac_1\",\"name\":\"flow\",\"router\":{%s}}],"
                     "\"accessKeys\":[{\"id\":\"aigk_app\",\"name\":\"app\",\"token\":\"token-of-the-app\",\"accessKeyConfigurationId\":\"aigac_1\"%s}],"
                     "\"log\":{\"level\":\"info\",\"requests\":true}}",
                     gateway, limits, gone && *gone == 'a' ? "" : KEY("1", "a") ",", gone && *gone == 'b' ? "" : KEY("1", "b") ",", router, key_members);

    if (n >= (int)sizeof text)
        abort();
    c = conf_load(slice_make(text, (size_t)n), &env, &e);
    if (!c)
        printf("config: %u:%u: %s\n", e.line, e.column, e.text);
    return c;
}

static bool start(void)
{
    struct dns_servers servers = {.count = 1, .timeout_ms = 2000, .attempts = 2};
    struct gate_plan plan = gate_plan(conf);
    struct addr at;
    const char *why = "";

    if (beside.plan)
        beside.plan(&plan);
    (void)addr_parse(conf->dns[0].host, conf->dns[0].port, &servers.server[0]);
    memset(&gate, 0, sizeof gate);
    if (!timers_init(plan.timers) || !loop_init(plan.watches) || !mem_budget_init((size_t)conf->memory))
        return false;
    log_init(2, LOG_INFO);
    return conns_init(plan.conns) && tls_init(plan.conns) && dns_init(&servers) && dial_init(plan.dials, true) &&
           usage_init() && limits_init() && gate_open(conf, NULL, NULL, &plan, &why) && addr_parse(conf->listen.host, conf->listen.port, &at) &&
           listen_open(&listener, &at, gate_accept, &why) && (!beside.open || beside.open());
}

static void disturb(void)
{
    memset(fake.calls, 0, sizeof fake.calls);
    if (progress->how == SHORT || progress->how == BYTES) {
        fake.recv_most = progress->how == BYTES ? 1 : progress->large ? 4099 : 19;
        fake.send_most = progress->how == BYTES ? 1 : progress->large ? 5003 : 23;
        fake.stutter = true;
    }
    if (progress->how == CALL_ONCE || progress->how == CALLS_FROM) {
        fake.fail.nth = progress->nth;
        fake.fail.from_then_on = progress->how == CALLS_FROM;
    }
    if (progress->how == MEMORY_ONCE || progress->how == MEMORY_FROM)
        mem_fail_at(progress->nth, progress->how == MEMORY_FROM);
}

static void undisturb(void)
{
    fake.fail.nth = 0;
    mem_fail_at(0, false);
}

void flow_open_more(const char *gateway, const char *router, const char *limits)
{
    fake_reset();
    fake_file("/etc/hosts", "127.0.0.1 localhost\n10.0.0.5 other five.internal\n");
    spun = false;
    conf = load(gateway, router, limits);
    if (!conf || !start()) {
        printf("the gate does not start\n");
        exit(1);
    }
    heap_calls_ready = mem_heap_calls();
    disturb();
}

void flow_reload(const char *gateway, const char *router, const char *without)
{
    uint64_t before = mem_heap_calls();
    struct conf *old = conf;

    gone = without;
    conf = load(gateway, router, "\"maxConnections\":16,\"memory\":\"16MiB\"");
    gone = NULL;
    if (!conf || nleft == sizeof left / sizeof *left || !gate_apply(conf, NULL, NULL))
        abort();
    left[nleft++] = old;
    heap_calls_ready += mem_heap_calls() - before; /* a reload may take from the heap; what comes after may not */
}

unsigned flow_old_worlds(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < nleft; i++)
        n += left[i]->refs > 1;
    return n;
}

void flow_cut(void)
{
    gate_cut();
}

void flow_open(const char *gateway, const char *router)
{
    flow_open_more(gateway, router, "\"maxConnections\":16,\"memory\":\"16MiB\"");
}

/* ---- Time ---- */

void flow_settle(void)
{
    unsigned quiet = 0, spins = 0;

    for (unsigned turns = 0; quiet < 3 && !spun; turns++) {
        uint64_t activity = fake.activity, events = fake.events;
        bool moved = peers_play();

        loop_turn(0);
        if (fake.activity != activity || moved) {
            quiet = spins = 0;
        } else if (fake.events != events) { /* woken for nothing: once is fair, for ever is a burning CPU */
            quiet = 0;
            spins++;
        } else {
            quiet++;
            spins = 0;
        }
        if (spins > SPINS_MOST || turns > TURNS_MOST) {
            check_that(false, __FILE__, __LINE__, "the loop spins: an event that nobody consumes");
            spun = true;
        }
    }
}

/* When something happens next, at most by end_ms. */
static void skip_to_next(int64_t end_ms)
{
    int64_t due = peers_due_ms(), next = end_ms;
    int wait = timers_wait(fake.now_ms);

    if (due >= 0 && due < next)
        next = due;
    if (wait >= 0 && fake.now_ms + wait < next)
        next = fake.now_ms + wait;
    fake.now_ms = next > fake.now_ms ? next : fake.now_ms + 1;
}

void flow_pass(int64_t ms)
{
    int64_t end_ms = fake.now_ms + ms;

    flow_settle();
    while (fake.now_ms < end_ms && !spun) {
        skip_to_next(end_ms);
        flow_settle();
    }
}

bool flow_answer(struct client *c, struct answer *a, int64_t most_ms)
{
    int64_t end_ms = fake.now_ms + most_ms;

    for (;;) {
        struct slice rest;

        flow_settle();
        rest = slice_from(slice_make(c->peer.got.p, c->peer.got.n), c->read_off);
        (void)answer_read(rest, client_ended(c), a);
        if ((a->status && a->complete) || client_ended(c)) {
            c->read_off += a->length;
            return a->status != 0;
        }
        if (fake.now_ms >= end_ms || spun)
            return false;
        skip_to_next(end_ms);
    }
}

/* ---- Requests ---- */

void flow_ask_more(struct client *c, const char *path, const char *fields, const char *body)
{
    char head[1024];
    int n = snprintf(head, sizeof head,
                     "POST %s HTTP/1.1\r\nhost: gate\r\nauthorization: Bearer token-of-the-app\r\ncontent-type: application/json\r\n"
                     "%scontent-length: %zu\r\n\r\n",
                     path, fields, strlen(body));
    struct bytes all = {0};

    bytes_add(&all, head, (size_t)n);
    bytes_add(&all, body, strlen(body));
    client_send_n(c, all.p, all.n);
    bytes_drop(&all);
}

void flow_ask(struct client *c, const char *path, const char *body)
{
    flow_ask_more(c, path, "", body);
}

struct client *flow_talk(const char *path, const char *body, struct answer *a)
{
    struct client *c = client_open();

    flow_ask(c, path, body);
    (void)flow_answer(c, a, 600000);
    return c;
}

/* ---- What the log says ---- */

unsigned flow_log_lines(void)
{
    struct slice s;
    unsigned n = 0;
    ptrdiff_t at;

    log_flush();
    s = slice_make(fake.log.p, fake.log.n);
    while ((at = slice_find(s, SLICE("\"msg\":\"request\""))) >= 0) {
        n++;
        s = slice_from(s, (size_t)at + 1);
    }
    return n;
}

struct slice flow_log_last(void)
{
    struct slice s, last = {NULL, 0};

    log_flush();
    s = slice_make(fake.log.p, fake.log.n);
    while (s.n) {
        ptrdiff_t end = slice_find_char(s, '\n');
        struct slice line = slice_first(s, end < 0 ? s.n : (size_t)end);

        if (slice_find(line, SLICE("\"msg\":\"request\"")) >= 0)
            last = line;
        s = slice_from(s, line.n + 1);
    }
    return last;
}

void flow_drain(void)
{
    gate_drain();
}

unsigned flow_busy(void)
{
    return gate_busy();
}

size_t flow_mem_used(void)
{
    return mem_in_use();
}

/* ---- The end of a flow ---- */

static void ask_once_more(void)
{
    static const struct act fine[] = {READ, PLAIN("{\"choices\":[{\"index\":0}]}"), AGAIN, END};
    struct answer a = {0};
    struct client *c;

    provider_plays(9, fine);
    flow_pass(200); /* clients that left are noticed; a listener that paused is back */
    c = flow_talk(CHAT, "{\"model\":\"m9\"}", &a);
    CHECK_INT(a.status, 200);
    client_close(c);
}

/* Requests that left a final usage event, and those that nobody is billed for. */
static uint64_t requests_booked(void)
{
    const struct usage_totals *t = usage_totals();
    uint64_t n = 0;

    usage_fold();
    for (int i = 0; i <= USAGE_BUCKETS; i++)
        n += t->duration.count[i];
    for (int i = 0; i < 6; i++)
        n += t->local[i];
    return n;
}

/* Style 8, L-04: whatever happened, nothing stays. */
static void leak_check(void)
{
    peers_reset();
    flow_pass(5000); /* what waits a moment for the end of a framing, or lingers */
    idle_close_all();
    listen_close(&listener);
    if (beside.close)
        beside.close();
    flow_pass(120000); /* nothing may need so long, but a deadline must end it then */
    log_flush();
    CHECK_INT(fake_open_fds(), 0);
    CHECK_INT(conns_open(), 0);
    CHECK_INT(gate.open, 0);
    CHECK_INT(requests_booked(), gate.requests); /* each exactly once, whatever was made to fail (I-6) */
    CHECK_INT(pool_in_use(gate.xchg_pool), 0);
    CHECK_INT(pool_in_use(gate.up_pool), 0);
    CHECK_INT(dial_count(), 0);
    CHECK_INT(idle_count(), 0);
    CHECK_INT(timers_count(), 0);
    CHECK_INT(mem_in_use(), 0);
    CHECK_INT(beside.open ? 0 : mem_heap_calls() - heap_calls_ready, 0);
    if (fake.misuse)
        printf("misuse: %s\n", fake.misuse_what);
    CHECK_INT(fake.misuse, 0);
    if (fake_open_fds() || mem_in_use() || gate.open)
        exit(1); /* the next world would inherit it */
}

/* After it the next world can be opened. */
static void end_world(bool served)
{
    undisturb();
    if (served)
        ask_once_more();
    leak_check();
    CHECK_INT(flow_old_worlds(), 0);
    while (nleft)
        conf_put(left[--nleft]);
    gate_close();
    CHECK_INT(conf->refs, 1);
    conf_put(conf);
    conf = NULL;
    fake_reset();
}

static void run_once(const struct flow *f)
{
    muted = progress->how > BYTES;
    f->run(f->row);
    if (progress->how == CALM)
        progress->last_call = fake.calls[CALL_ANY];
    if (progress->how <= BYTES)
        CHECK_INT(fake.failed, 0);
    if (progress->how == CALL_ONCE || progress->how == CALLS_FROM)
        CHECK(fake.failed > 0);
    end_world(progress->how > BYTES);
}

bool flow_once(void (*run)(const void *row), const void *row)
{
    static struct progress alone;

    progress = &alone;
    check_failed = 0;
    run(row);
    end_world(true);
    return check_failed == 0;
}

void flow_fail(uint64_t call_nth, uint64_t memory_nth, bool from_then_on)
{
    memset(fake.calls, 0, sizeof fake.calls);
    fake.fail.nth = call_nth;
    fake.fail.from_then_on = from_then_on;
    mem_fail_at(memory_nth, from_then_on);
}

/* ---- Running ---- */

enum { MEMORY_POINTS = 60 };
enum effort { EFFORT_NONE, EFFORT_SOME, EFFORT_ALL };

/* The points of one kind of run, and how far they lie apart. */
static uint64_t points_of(const struct flow *f, enum torture how, enum effort effort, uint64_t *stride)
{
    uint64_t n = how >= MEMORY_ONCE ? MEMORY_POINTS : progress->last_call;

    *stride = 1;
    if (how == CALM)
        return 1;
    if (how <= BYTES)
        return !f->quick && (how == SHORT || !f->large);
    if (effort == EFFORT_SOME)
        *stride = n / (f->large ? 1 : 4) + 1;
    return effort == EFFORT_NONE || f->quick ? 0 : n;
}

/* From where progress stands: the calm run, then every point of every torture. */
static void run_all(const struct flow *f, enum effort effort)
{
    static char name[128];

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (; progress->how < TORTURES; progress->how++, progress->nth = 1) {
        uint64_t stride, last = points_of(f, progress->how, effort, &stride);

        for (; progress->nth <= last; progress->nth += stride) {
            snprintf(name, sizeof name, "%s, %s %llu", f->name, torture_name[progress->how], (unsigned long long)progress->nth);
            check_case(name);
            run_once(f);
            progress->points += progress->how > BYTES;
            progress->passed += check_passed;
            progress->failed += check_failed;
            check_passed = check_failed = 0;
        }
    }
    progress->finished = true;
}

static void run_flow(const struct flow *f, enum effort effort)
{
    *progress = (struct progress){.nth = 1, .large = f->large};
    for (int deaths = 0; !progress->finished && deaths < 20; deaths++) {
        int status = 0;
        pid_t child;

        fflush(stdout);
        child = fork();
        if (child == 0) {
            run_all(f, effort);
            fflush(stdout);
            _exit(0);
        }
        waitpid(child, &status, 0);
        if (progress->finished)
            break;
        printf("FAIL %s: %s %llu: the process died (%s %d)\n", f->name, torture_name[progress->how],
               (unsigned long long)progress->nth, WIFSIGNALED(status) ? "signal" : "exit",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        progress->failed++;
        if (progress->how == CALM)
            break; /* its calls were not counted */
        progress->nth++;
    }
}

static struct flow flows[4096];
static size_t nflows;

void flow_add(const char *name, void (*run)(const void *row), const void *row)
{
    if (nflows == sizeof flows / sizeof *flows)
        abort();
    flows[nflows++] = (struct flow){name, run, row, false, false};
}

void flow_add_quick(const char *name, void (*run)(const void *row), const void *row)
{
    flow_add(name, run, row);
    flows[nflows - 1].quick = true;
}

void flow_add_large(const char *name, void (*run)(const void *row), const void *row)
{
    flow_add(name, run, row);
    flows[nflows - 1].large = true;
}

int flow_main(void)
{
    const char *only = getenv("FLOW"), *torture = getenv("FLOW_TORTURE");
    unsigned passed = 0, failed = 0;
    uint64_t points = 0;

    progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED)
        return 1;
    for (size_t i = 0; i < nflows; i++) {
        if (only && !strstr(flows[i].name, only))
            continue;
        run_flow(&flows[i], !torture ? EFFORT_SOME : slice_eq(slice_str(torture), SLICE("all")) ? EFFORT_ALL : EFFORT_NONE);
        passed += progress->passed;
        failed += progress->failed;
        points += progress->points;
    }
    printf("points of torture: %llu\n", (unsigned long long)points);
    printf("%u passed, %u failed\n", passed, failed);
    return failed ? 1 : 0;
}
