/* The one-pass check of RFC 8259: a state machine over bytes that can stop and go on anywhere. It allocates
 * nothing, does not recurse and looks at no byte more than a few times. The inside of strings, which is
 * nearly all of a request, is skipped by json/simd.c; what that leaves is looked at here byte by byte.
 *
 * It does not look for duplicate keys and keeps no values: it says where the top-level members are.
 *
 * Invariants: a fault is found at the first byte that no valid document could have there, whatever the
 * feeds were; c->at is only valid between feeds, inside one the position in json_check_feed is the state. */
#include "json/scan.h"

#include <string.h>

#include "json/simd.h"
#include "json/utf8.h"

/* What the next byte is expected to be, or is inside of. */
enum at {
    AT_VALUE,          /* a value */
    AT_FIRST_ELEMENT,  /* a value or ']' */
    AT_FIRST_KEY,      /* a key or '}' */
    AT_KEY,            /* a key, after a comma */
    AT_COLON,
    AT_NEXT,           /* a comma or the closing bracket; at depth 0 nothing but space */
    AT_IN_KEY,
    AT_IN_STRING,
    AT_IN_NUMBER,
    AT_IN_LITERAL,
    AT_BAD,
};

/* Where inside a string. */
enum str {
    STR_PLAIN,
    STR_ESCAPE,        /* after a backslash */
    STR_HEX,           /* hex_left digits of \u missing; code holds those seen */
    STR_LOW_BACKSLASH, /* the first half of a surrogate pair is over: its second one must follow */
    STR_LOW_U,
    STR_MORE,          /* `more` continuation bytes missing, the next one within more_min..more_max */
    STR_OVER,
};

/* ---- Strings. ---- */

static bool str_hex(struct json_check *c, uint8_t b)
{
    unsigned digit = (unsigned)b - '0', code;

    if (digit > 9) {
        digit = (b | 0x20u) - 'a';
        if (digit > 5) {
            c->why = "\\u needs four hexadecimal digits";
            return false;
        }
        digit += 10;
    }
    code = (unsigned)c->code << 4 | digit;
    c->code = (uint16_t)code;
    c->hex_left--;
    /* The first two digits tell which half of a pair it is: d8..db the first, dc..df the second. */
    if ((c->low_half && c->hex_left == 3 && digit != 0xd) ||
        (c->hex_left == 2 && c->low_half != ((code & 0xfc) == 0xdc))) {
        c->why = "\\u escape of half a surrogate pair";
        return false;
    }
    if (c->hex_left == 0) {
        bool high_half = (code & 0xfc00) == 0xd800;

        c->low_half = high_half;
        c->str = high_half ? STR_LOW_BACKSLASH : STR_PLAIN;
    }
    return true;
}

static bool str_plain(struct json_check *c, uint8_t b)
{
    if (b < 0x20) {
        c->why = "control character in a string";
        return false;
    }
    if (b == '\\') {
        c->str = STR_ESCAPE;
    } else if (b >= 0x80) {
        c->more = (uint8_t)utf8_lead(b, &c->more_min, &c->more_max);
        c->str = STR_MORE;
        if (!c->more) {
            c->why = "invalid UTF-8";
            return false;
        }
    }
    return true;
}

static bool is_simple_escape(uint8_t b)
{
    switch (b) {
    case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
        return true;
    default:
        return false;
    }
}

/* One byte, with everything in the state: the slow way, for the ends of feeds and for faults. */
static bool str_byte(struct json_check *c, uint8_t b)
{
    switch ((enum str)c->str) {
    case STR_PLAIN:
        return str_plain(c, b);
    case STR_ESCAPE:
        if (b == 'u') {
            c->str = STR_HEX;
            c->hex_left = 4;
            c->code = 0;
            return true;
        }
        c->str = STR_PLAIN;
        if (!is_simple_escape(b))
            c->why = "unknown escape in a string";
        return !c->why;
    case STR_HEX:
        return str_hex(c, b);
    case STR_LOW_BACKSLASH:
        c->str = STR_LOW_U;
        if (b != '\\')
            c->why = "\\u escape of half a surrogate pair";
        return !c->why;
    case STR_LOW_U:
        c->str = STR_HEX;
        c->hex_left = 4;
        c->code = 0;
        if (b != 'u')
            c->why = "\\u escape of half a surrogate pair";
        return !c->why;
    case STR_MORE:
        if (b < c->more_min || b > c->more_max)
            c->why = "invalid UTF-8";
        c->more_min = 0x80;
        c->more_max = 0xbf;
        if (--c->more == 0)
            c->str = STR_PLAIN;
        return !c->why;
    case STR_OVER:
        break;
    }
    return false;
}

/* Length of the escape or the non-ASCII character at p when it is whole and right, else 0. */
static inline size_t whole_unit(const uint8_t *p, const uint8_t *end)
{
    size_t n = (size_t)(end - p), wrong;
    uint32_t code;

    if (n < 2)
        return 0;
    if (*p == '\\')
        return is_simple_escape(p[1]) ? 2 : unicode_escape(p, n, &code);
    return *p >= 0x80 ? utf8_length(p, n, &wrong) : 0;
}

/* Goes on inside a string: past its closing quote with c->str STR_OVER, to the faulty byte with c->why set,
 * or to the end. */
static inline const uint8_t *in_string(struct json_check *c, const struct json_simd *simd, const uint8_t *p,
                                       const uint8_t *end)
{
    size_t n;

    for (;;) {
        if (c->str == STR_PLAIN) {
            p += json_short_run(p, end);
            if (p < end && *p != '"' && (*p < 0x80 || simd->utf8))
                p += simd->content(p, (size_t)(end - p));
            if (p < end && *p == '"') {
                c->str = STR_OVER;
                return p + 1;
            }
            if (p < end && (n = whole_unit(p, end)) != 0) {
                do
                    p += n;
                while (p < end && (n = whole_unit(p, end)) != 0);
                continue;
            }
        }
        if (p == end || !str_byte(c, *p))
            return p;
        p++;
    }
}

/* Behind the closing quote of a string that begins at p and ends within a few bytes with nothing odd in it; NULL for any other. */
static inline const uint8_t *short_string(const uint8_t *p, const uint8_t *end)
{
    size_t n = json_short_run(p, end);

    return end - p >= 16 && n < 16 && p[n] == '"' ? p + n + 1 : NULL;
}

/* ---- Numbers and literals. ---- */

enum num {
    NUM_OVER, /* not a state: no way on in the table */
    NUM_MINUS,
    NUM_ZERO,
    NUM_INT,
    NUM_POINT,
    NUM_FRACTION,
    NUM_E,
    NUM_E_SIGN,
    NUM_EXPONENT,
};

static const uint8_t num_class[256] = {
    ['0'] = 1, ['1'] = 2, ['2'] = 2, ['3'] = 2, ['4'] = 2, ['5'] = 2, ['6'] = 2, ['7'] = 2,
    ['8'] = 2, ['9'] = 2, ['.'] = 3, ['e'] = 4, ['E'] = 4, ['+'] = 5, ['-'] = 5,
};

static const uint8_t num_next[][6] = {
    /*                other 0             1..9          .          e E    + -  */
    [NUM_MINUS]    = {0,    NUM_ZERO,     NUM_INT,      0,         0,     0},
    [NUM_ZERO]     = {0,    0,            0,            NUM_POINT, NUM_E, 0},
    [NUM_INT]      = {0,    NUM_INT,      NUM_INT,      NUM_POINT, NUM_E, 0},
    [NUM_POINT]    = {0,    NUM_FRACTION, NUM_FRACTION, 0,         0,     0},
    [NUM_FRACTION] = {0,    NUM_FRACTION, NUM_FRACTION, 0,         NUM_E, 0},
    [NUM_E]        = {0,    NUM_EXPONENT, NUM_EXPONENT, 0,         0,     NUM_E_SIGN},
    [NUM_E_SIGN]   = {0,    NUM_EXPONENT, NUM_EXPONENT, 0,         0,     0},
    [NUM_EXPONENT] = {0,    NUM_EXPONENT, NUM_EXPONENT, 0,         0,     0},
};

static const bool num_repeats[] = {[NUM_INT] = true, [NUM_FRACTION] = true, [NUM_EXPONENT] = true};
static const bool num_may_end[] = {
    [NUM_ZERO] = true, [NUM_INT] = true, [NUM_FRACTION] = true, [NUM_EXPONENT] = true};

/* As in_string: to the first byte that is not the number's, or to a fault, or to the end. */
static inline const uint8_t *in_number(struct json_check *c, const uint8_t *p, const uint8_t *end)
{
    unsigned num = c->num;

    for (; p < end; p++) {
        unsigned next;

        if (num_repeats[num]) {
            while (p < end && (uint8_t)(*p - '0') <= 9)
                p++;
            if (p == end)
                break;
        }
        next = num_next[num][num_class[*p]];
        if (next == NUM_OVER) {
            if (!num_may_end[num])
                c->why = "malformed number";
            break;
        }
        num = next;
    }
    c->num = (uint8_t)num;
    return p;
}

static inline const uint8_t *in_literal(struct json_check *c, const uint8_t *p, const uint8_t *end)
{
    for (; p < end && *c->literal; p++, c->literal++)
        if (*p != (uint8_t)*c->literal) {
            c->why = "unknown literal";
            break;
        }
    return p;
}

/* ---- Structure. ---- */

void json_check_init(struct json_check *c, struct json_member *member, uint32_t cap)
{
    *c = (struct json_check){.member = member, .member_cap = member ? cap : 0, .at = AT_VALUE};
}

/* Pretty-printed text is half blanks, most of them in runs. */
static inline const uint8_t *skip_space(const uint8_t *p, const uint8_t *end)
{
    while (p < end && *p <= ' ') {
        if (*p != ' ' && *p != '\n' && *p != '\r' && *p != '\t')
            break;
        p++;
        while (end - p >= 8 && memcmp(p, "        ", 8) == 0)
            p += 8;
    }
    return p;
}

static inline bool push(struct json_check *c, bool object)
{
    if (c->depth == JSON_DEPTH_MAX) {
        c->why = "nested too deeply";
        return false;
    }
    c->depth++;
    c->stack = c->stack << 1 | object;
    return true;
}

static inline void value_begins(struct json_check *c, uint64_t off, enum json_type type)
{
    c->tokens++;
    if (c->depth == 0) {
        c->top_type = (uint8_t)type;
    } else if (c->depth == 1) {
        c->now.val_off = (uint32_t)off;
        c->now.type = (uint8_t)type;
    }
}

static inline void value_over(struct json_check *c, uint64_t off)
{
    if (c->depth != 1 || c->top_type != JSON_OBJECT)
        return;
    c->now.val_len = (uint32_t)off - c->now.val_off;
    if (c->members < c->member_cap)
        c->member[c->members] = c->now;
    c->members++;
}

/* Takes the first bytes of a number or literal and says where the next ones belong. */
static inline enum at scalar_begins(struct json_check *c, uint64_t off, uint8_t b)
{
    switch (b) {
    case 't':
        value_begins(c, off, JSON_TRUE);
        c->literal = "rue";
        return AT_IN_LITERAL;
    case 'f':
        value_begins(c, off, JSON_FALSE);
        c->literal = "alse";
        return AT_IN_LITERAL;
    case 'n':
        value_begins(c, off, JSON_NULL);
        c->literal = "ull";
        return AT_IN_LITERAL;
    default:
        if (b != '-' && (b < '0' || b > '9')) {
            c->why = "expected a value";
            return AT_BAD;
        }
        value_begins(c, off, JSON_NUMBER);
        c->num = b == '-' ? NUM_MINUS : b == '0' ? NUM_ZERO : NUM_INT;
        return AT_IN_NUMBER;
    }
}

enum parse json_check_feed(struct json_check *c, const char *text, size_t n)
{
    const struct json_simd *simd = json_simd_now();
    const uint8_t *start = (const uint8_t *)text, *p = start, *end, *from;
    enum at at = (enum at)c->at;

#define OFF(q) (c->consumed + (uint64_t)((q) - start))
#define NEED(state)                                                                                \
    do {                                                                                           \
        if (p == end) {                                                                            \
            at = (state);                                                                          \
            goto parked;                                                                           \
        }                                                                                          \
    } while (0)

    if (at == AT_BAD)
        return PARSE_BAD;
    if (n == 0)
        return PARSE_MORE; /* text may be NULL, to which not even 0 may be added */
    end = start + n;
    if (c->member_cap && c->consumed + n > UINT32_MAX) {
        c->why = "longer than offsets of members can say";
        goto bad;
    }
    switch (at) {
    case AT_VALUE: goto value;
    case AT_FIRST_ELEMENT: goto first_element;
    case AT_FIRST_KEY: goto first_key;
    case AT_KEY: goto key;
    case AT_COLON: goto colon;
    case AT_NEXT: goto next;
    case AT_IN_KEY: goto in_key;
    case AT_IN_STRING: goto in_string;
    case AT_IN_NUMBER: goto in_number;
    case AT_IN_LITERAL: goto in_literal;
    case AT_BAD: goto bad;
    }

first_element:
    p = skip_space(p, end);
    NEED(AT_FIRST_ELEMENT);
    if (*p == ']')
        goto close;
value:
    p = skip_space(p, end);
    NEED(AT_VALUE);
    switch (*p) {
    case '"':
        value_begins(c, OFF(p), JSON_STRING);
        p++;
        from = short_string(p, end);
        if (from) {
            p = from;
            goto over;
        }
        c->str = STR_PLAIN;
        goto in_string;
    case '{':
        value_begins(c, OFF(p), JSON_OBJECT);
        if (!push(c, true))
            goto bad;
        p++;
        goto first_key;
    case '[':
        value_begins(c, OFF(p), JSON_ARRAY);
        if (!push(c, false))
            goto bad;
        p++;
        goto first_element;
    default:
        at = scalar_begins(c, OFF(p), *p);
        if (at == AT_BAD)
            goto bad;
        p++;
        if (at == AT_IN_NUMBER)
            goto in_number;
        goto in_literal;
    }

in_string:
    p = in_string(c, simd, p, end);
    if (c->why)
        goto bad;
    if (c->str != STR_OVER)
        NEED(AT_IN_STRING);
    goto over;

in_number:
    p = in_number(c, p, end);
    if (c->why)
        goto bad;
    NEED(AT_IN_NUMBER);
    goto over;

in_literal:
    p = in_literal(c, p, end);
    if (c->why)
        goto bad;
    if (*c->literal)
        NEED(AT_IN_LITERAL);
over:
    value_over(c, OFF(p));
next:
    p = skip_space(p, end);
    NEED(AT_NEXT);
    if (c->depth == 0) {
        c->why = "more after the end of the document";
        goto bad;
    }
    if (*p == ',') {
        p++;
        if (c->stack & 1)
            goto key;
        goto value;
    }
    if (*p != (c->stack & 1 ? '}' : ']')) {
        c->why = c->stack & 1 ? "expected , or }" : "expected , or ]";
        goto bad;
    }
close:
    p++;
    c->depth--;
    c->stack >>= 1;
    goto over;

first_key:
    p = skip_space(p, end);
    NEED(AT_FIRST_KEY);
    if (*p == '}')
        goto close;
key:
    p = skip_space(p, end);
    NEED(AT_KEY);
    if (*p != '"') {
        c->why = "expected a key";
        goto bad;
    }
    p++;
    c->tokens++;
    if (c->depth == 1) {
        c->now.key_off = (uint32_t)OFF(p);
        c->now.key_escaped = false;
    }
    from = short_string(p, end);
    if (from) {
        p = from;
        goto key_over;
    }
    c->str = STR_PLAIN;
in_key:
    from = p;
    p = in_string(c, simd, p, end);
    if (c->depth == 1 && memchr(from, '\\', (size_t)(p - from)))
        c->now.key_escaped = true;
    if (c->why)
        goto bad;
    if (c->str != STR_OVER)
        NEED(AT_IN_KEY);
key_over:
    if (c->depth == 1)
        c->now.key_len = (uint32_t)OFF(p) - 1 - c->now.key_off;
colon:
    p = skip_space(p, end);
    NEED(AT_COLON);
    if (*p != ':') {
        c->why = "expected a colon";
        goto bad;
    }
    p++;
    goto value;

parked:
    c->consumed += n;
    c->at = (uint8_t)at;
    return PARSE_MORE;

bad:
    c->bad_at = c->consumed = OFF(p);
    c->at = AT_BAD;
    return PARSE_BAD;
#undef OFF
#undef NEED
}

enum parse json_check_end(struct json_check *c)
{
    if (c->at == AT_BAD)
        return PARSE_BAD;
    if (c->depth == 0 && (c->at == AT_NEXT || (c->at == AT_IN_NUMBER && num_may_end[c->num])))
        return PARSE_DONE;
    c->why = "the document ends too early";
    c->bad_at = c->consumed;
    c->at = AT_BAD;
    return PARSE_BAD;
}

bool json_valid(struct slice text, uint64_t *bad_at, const char **why)
{
    struct json_check c;

    json_check_init(&c, NULL, 0);
    json_check_feed(&c, text.p, text.n);
    if (json_check_end(&c) == PARSE_DONE)
        return true;
    if (bad_at)
        *bad_at = c.bad_at;
    if (why)
        *why = c.why;
    return false;
}
