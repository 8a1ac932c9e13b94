/* Deadlines against a plain array: order, lazy re-arming, disarming from within callbacks, the budget. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/list.h"
#include "base/timer.h"
#include "check.h"

enum { MOST = 64, STEPS = 40000 };

struct clocked {
    struct timer t;
    int64_t due; /* the model: -1 not armed */
    unsigned fired;
};

static struct clocked item[MOST];
static int64_t now, last_due;
static bool in_order, only_due, was_armed;
static uint32_t seed = 2463534242u;

static uint32_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
}

static void on_fire(struct timer *t)
{
    struct clocked *c = container_of(t, struct clocked, t);

    only_due = only_due && c->due >= 0 && c->due <= now;
    was_armed = was_armed || timer_armed(t);
    in_order = in_order && c->due >= last_due;
    last_due = c->due;
    c->due = -1;
    c->fired++;
}

static void against_model(void)
{
    bool all_fired = true, wait_right = true;

    check_case("random arming, moving, disarming");
    CHECK(timers_init(MOST));
    in_order = only_due = true;
    for (int i = 0; i < MOST; i++) {
        timer_init(&item[i].t, on_fire);
        item[i].due = -1;
    }
    for (int step = 0; step < STEPS; step++) {
        struct clocked *c = &item[next_random() % MOST];
        int64_t nearest = -1;
        int wait;

        switch (next_random() % 8) {
        case 0:
            timer_disarm(&c->t);
            c->due = -1;
            break;
        case 1: /* time passes */
            now += next_random() % 40;
            last_due = -1;
            timers_run(now, MOST);
            for (int i = 0; i < MOST; i++)
                all_fired = all_fired && (item[i].due < 0 || item[i].due > now);
            break;
        default: /* later (the usual case) or earlier */
            c->due = now + next_random() % 200;
            timer_arm(&c->t, c->due);
            break;
        }
        for (int i = 0; i < MOST; i++)
            if (item[i].due >= 0 && (nearest < 0 || item[i].due < nearest))
                nearest = item[i].due;
        wait = timers_wait(now);
        /* Never later than the nearest one; earlier only as long as one was moved later and its old time has not passed. */
        wait_right = wait_right && (nearest < 0 ? wait == -1 : wait >= 0 && (nearest <= now ? wait == 0 : wait <= nearest - now));
        if (nearest > now && wait == 0) {
            timers_run(now, MOST);
            wait_right = wait_right && timers_wait(now) > 0; /* no spinning */
        }
    }
    CHECK(all_fired);
    CHECK(wait_right);
    CHECK(in_order);
    CHECK(only_due);
    CHECK(!was_armed);
    for (int i = 0; i < MOST; i++)
        timer_disarm(&item[i].t);
    CHECK_INT(timers_count(), 0);
    CHECK_INT(timers_wait(now), -1);
}

static struct timer a, b, c;
static char story[16];
static size_t told;

static void say(char ch)
{
    story[told++] = ch;
}

static void fire_a(struct timer *t)
{
    (void)t;
    say('a');
    timer_disarm(&b);      /* due at the same time: must not fire any more */
    timer_arm(&c, 1000);   /* already due: fires in the same run */
}

static void fire_b(struct timer *t)
{
    (void)t;
    say('b');
}

static void fire_c(struct timer *t)
{
    say('c');
    timer_arm(t, 5000); /* itself, later */
}

static void callbacks(void)
{
    check_case("disarming a neighbour and arming from within a callback");
    timer_init(&a, fire_a);
    timer_init(&b, fire_b);
    timer_init(&c, fire_c);
    timer_arm(&a, 1000);
    timer_arm(&b, 1000);
    CHECK_INT(timers_run(1000, 10), 2);
    CHECK_STR(slice_make(story, told), "ac");
    CHECK(!timer_armed(&a) && !timer_armed(&b) && timer_armed(&c));
    CHECK_INT(timers_count(), 1);
    CHECK_INT(timers_wait(1000), 4000);
    timer_disarm(&c);
    timer_disarm(&c); /* harmless */
    CHECK_INT(timers_count(), 0);
}

static void lazy(void)
{
    struct timer t;

    check_case("moved later: the old time passes without firing");
    told = 0;
    timer_init(&t, fire_b);
    timer_arm(&t, 100);
    for (int64_t at = 0; at < 10000; at += 50) {
        timer_arm(&t, at + 200);
        CHECK_INT(timers_run(at, 10), 0);
    }
    CHECK(timers_wait(9950) > 0 && timers_wait(9950) <= 200);
    CHECK_INT(timers_run(10150, 10), 1);
    check_case("moved earlier: fires earlier");
    timer_arm(&t, 20000);
    timer_arm(&t, 11000);
    CHECK_INT(timers_wait(10500), 500);
    CHECK_INT(timers_run(11000, 10), 1);
    CHECK_INT(timers_run(20000, 10), 0);
    CHECK_INT(told, 2);
    check_case("far away: the wait is capped, not overflowing");
    timer_arm(&t, INT64_MAX / 2);
    CHECK_INT(timers_wait(0), 3600000);
    timer_disarm(&t);
}

static void budget(void)
{
    check_case("a burst is spread by the budget");
    for (int i = 0; i < MOST; i++) {
        timer_init(&item[i].t, on_fire);
        item[i].fired = 0;
        item[i].due = now + 1;
        timer_arm(&item[i].t, now + 1);
    }
    now += 10;
    last_due = -1;
    CHECK_INT(timers_run(now, 10), 10);
    CHECK_INT(timers_wait(now), 0);
    CHECK_INT(timers_run(now, 1000), MOST - 10);
    for (int i = 0; i < MOST; i++)
        CHECK_INT(item[i].fired, 1);
}

static void overfull(void)
{
    int status = 0;
    pid_t child;

    check_case("more timers than were reserved is an invariant broken");
    child = fork();
    if (child == 0) {
        static struct timer many[MOST + 1];

        (void)!freopen("/dev/null", "w", stderr);
        for (int i = 0; i <= MOST; i++) {
            timer_init(&many[i], fire_b);
            timer_arm(&many[i], i);
        }
        _exit(0);
    }
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    against_model();
    callbacks();
    lazy();
    budget();
    overfull();
    return check_end();
}
