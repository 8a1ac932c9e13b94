/* Two rings: bytes, in which each line lies in one piece, and places, numbered on and on. A line's number is its place for ever, so readers
 * keep a number and nothing else. */
#include "gate/recent.h"

#include "base/mem.h"

struct place {
    uint32_t at, n;
};

static struct {
    char *bytes;
    struct place *place; /* of line number k: place[k % RECENT_LINES] */
    uint64_t newest, oldest; /* numbers; oldest > newest: none */
    uint32_t end;            /* where the newest ends */
} recent = {.oldest = 1};

bool recent_open(void)
{
    if (!recent.bytes)
        recent.bytes = mem_table(1, RECENT_BYTES);
    if (!recent.place)
        recent.place = mem_table(RECENT_LINES, sizeof *recent.place);
    return recent_wanted();
}

bool recent_wanted(void)
{
    return recent.bytes && recent.place;
}

/* Old lines lie in front of the new one's place in the order of their numbers, so those in the way are the oldest. */
static void make_room(uint32_t at, uint32_t n)
{
    while (recent.oldest <= recent.newest) {
        const struct place *p = &recent.place[recent.oldest % RECENT_LINES];

        if (recent.newest - recent.oldest + 1 < RECENT_LINES && (p->at >= at + n || p->at + p->n <= at))
            return;
        recent.oldest++;
    }
}

void recent_put(struct slice line)
{
    uint32_t at = recent.end, n = (uint32_t)line.n;

    if (!recent_wanted() || !line.n || line.n > RECENT_BYTES)
        return;
    if (n > RECENT_BYTES - at) {
        /* What is left at the end stays empty; the lines in it are the oldest and go with it. */
        make_room(at, RECENT_BYTES - at);
        at = 0;
    }
    make_room(at, n);
    memcpy(recent.bytes + at, line.p, n);
    recent.place[++recent.newest % RECENT_LINES] = (struct place){at, n};
    recent.end = at + n;
}

uint64_t recent_count(void)
{
    return recent.newest;
}

struct slice recent_line(uint64_t number)
{
    const struct place *p = &recent.place[number % RECENT_LINES];

    if (number < recent.oldest || number > recent.newest)
        return slice_make(NULL, 0);
    return slice_make(recent.bytes + p->at, p->n);
}
