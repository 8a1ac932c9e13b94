/* DEFLATE bit by bit, the way the RFC tells it: small, not fast. Its input is what we compiled in ourselves, and it is bounded all
 * the same. */
#include "admin/inflate.h"

#include <stdint.h>
#include <string.h>

enum { BITS_MAX = 15, LENGTHS = 288, DISTANCES = 32 };

struct stream {
    const unsigned char *in;
    size_t in_len, at;
    uint32_t bits;
    unsigned nbits;
    unsigned char *out;
    size_t out_len, made;
    bool bad; /* input ended, or makes no sense; sticky */
};

/* A canonical code: how many symbols have each length, and the symbols in order of their codes. */
struct code {
    uint16_t count[BITS_MAX + 1], symbol[LENGTHS];
};

static unsigned take(struct stream *s, unsigned n)
{
    unsigned v;

    while (s->nbits < n) {
        if (s->at == s->in_len) {
            s->bad = true;
            return 0;
        }
        s->bits |= (uint32_t)s->in[s->at++] << s->nbits;
        s->nbits += 8;
    }
    v = s->bits & ((1u << n) - 1);
    s->bits >>= n;
    s->nbits -= n;
    return v;
}

static void make(struct code *c, const uint8_t *length, unsigned n)
{
    uint16_t next[BITS_MAX + 2] = {0};

    memset(c->count, 0, sizeof c->count);
    for (unsigned i = 0; i < n; i++)
        c->count[length[i]]++;
    c->count[0] = 0;
    for (unsigned i = 1; i <= BITS_MAX; i++)
        next[i + 1] = (uint16_t)(next[i] + c->count[i]);
    for (unsigned i = 0; i < n; i++)
        if (length[i])
            c->symbol[next[length[i]]++] = (uint16_t)i;
}

static unsigned decode(struct stream *s, const struct code *c)
{
    unsigned word = 0, first = 0, index = 0;

    for (unsigned n = 1; n <= BITS_MAX && !s->bad; n++) {
        word |= take(s, 1);
        if (word < first)
            break; /* more codes than there is room for */
        if (word < first + c->count[n])
            return c->symbol[(index + word - first) % LENGTHS];
        index += c->count[n];
        first = (first + c->count[n]) << 1;
        word <<= 1;
    }
    s->bad = true;
    return 0;
}

static void put(struct stream *s, unsigned char byte)
{
    if (s->made == s->out_len)
        s->bad = true;
    else
        s->out[s->made++] = byte;
}

/* RFC 1951, 3.2.5. */
static void block(struct stream *s, const struct code *length, const struct code *distance)
{
    static const uint16_t base[29] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                      31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
    static const uint8_t extra[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};

    while (!s->bad) {
        unsigned sym = decode(s, length), n, far;

        if (sym == 256)
            return;
        if (sym < 256) {
            if (!s->bad)
                put(s, (unsigned char)sym);
            continue;
        }
        if (sym > 285)
            break;
        n = base[sym - 257] + take(s, extra[sym - 257]);
        sym = decode(s, distance);
        if (sym > 29)
            break;
        /* Distances double every second symbol: 1 2 3 4, 5 7, 9 13, 17 25, ... */
        far = sym < 4 ? sym + 1 : ((2 + (sym & 1)) << (sym / 2 - 1)) + 1 + take(s, sym / 2 - 1);
        if (far > s->made)
            break;
        while (n-- && !s->bad)
            put(s, s->out[s->made - far]);
    }
    s->bad = true;
}

/* RFC 1951, 3.2.7. */
static bool codes(struct stream *s, struct code *length, struct code *distance)
{
    static const uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    uint8_t of[LENGTHS + DISTANCES] = {0};
    unsigned nlength = take(s, 5) + 257, ndistance = take(s, 5) + 1, n = take(s, 4) + 4, i = 0;

    for (unsigned k = 0; k < n; k++)
        of[order[k]] = (uint8_t)take(s, 3);
    make(length, of, 19);
    memset(of, 0, sizeof of);
    while (i < nlength + ndistance && !s->bad) {
        unsigned sym = decode(s, length), again = 1, value = sym;

        if (sym >= 16) {
            if (sym == 16 && !i)
                return false;
            value = sym == 16 ? of[i - 1] : 0;
            again = sym == 16 ? 3 + take(s, 2) : sym == 17 ? 3 + take(s, 3) : 11 + take(s, 7);
        }
        if (i + again > nlength + ndistance)
            return false;
        while (again--)
            of[i++] = (uint8_t)value;
    }
    if (s->bad || nlength > 286 || ndistance > 30)
        return false;
    make(length, of, nlength);
    make(distance, of + nlength, ndistance);
    return true;
}

static bool fixed_codes(struct code *length, struct code *distance)
{
    uint8_t of[LENGTHS];

    for (unsigned i = 0; i < LENGTHS; i++)
        of[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    make(length, of, LENGTHS);
    memset(of, 5, 30);
    make(distance, of, 30);
    return true;
}

static void stored(struct stream *s)
{
    unsigned n, check;

    s->bits = 0;
    s->nbits = 0;
    n = take(s, 16);
    check = take(s, 16);
    if ((n ^ check) != 0xffff)
        s->bad = true;
    while (n-- && !s->bad)
        put(s, (unsigned char)take(s, 8));
}

bool inflate(const unsigned char *in, size_t in_len, unsigned char *out, size_t out_len)
{
    struct stream s = {.in = in, .in_len = in_len, .out = out, .out_len = out_len};
    struct code length, distance;
    bool last = false;

    while (!last && !s.bad) {
        unsigned type;

        last = take(&s, 1);
        type = take(&s, 2);
        if (type == 0)
            stored(&s);
        else if (type == 3 || !(type == 1 ? fixed_codes(&length, &distance) : codes(&s, &length, &distance)))
            return false;
        else
            block(&s, &length, &distance);
    }
    return !s.bad && s.made == out_len;
}
