/* Body framing. The chunked decoder is a state machine over single framing bytes; payload is moved in runs. It
 * takes RFC 9112 7.1 by its grammar and nothing beside it: no white space around the size, no bare CR or LF,
 * no empty extension. Each of those has been read in two ways by two servers (H-25...H-30).
 *
 * Invariants: `left` never exceeds CHUNK_MAX; a byte is counted as framing or as payload, once; after PARSE_BAD or
 * PARSE_DONE the state does not change any more. */
#include "http/body.h"

#include <string.h>

#include "http/bytes.h"

enum state {
    ST_SIZE,       /* first or next digit of a chunk size, or what ends it */
    ST_EXT_START,  /* first byte of an extension name, after ';' */
    ST_EXT_NAME,   /* more of it, '=', ';' or CR */
    ST_EXT_EQUALS, /* first byte of the value: quote or token */
    ST_EXT_VALUE,  /* more of the token, ';' or CR */
    ST_EXT_QUOTED, /* inside the quoted string */
    ST_EXT_ESCAPE, /* the byte behind a backslash */
    ST_EXT_CLOSED, /* behind the closing quote: ';' or CR */
    ST_SIZE_LF,
    ST_DATA,
    ST_DATA_CR,
    ST_DATA_LF,
    ST_TRAILER,       /* start of a trailer line: name, or CR of the last line */
    ST_TRAILER_NAME,  /* more of it, or ':' */
    ST_TRAILER_VALUE, /* up to CR */
    ST_TRAILER_LF,
    ST_LAST_LF,
    ST_DONE,
    ST_BAD,
};

/* No sum of a size and anything else can overflow. */
#define CHUNK_MAX (UINT64_MAX >> 1)

void http_body_init(struct http_body *b, enum http_framing framing, uint64_t length)
{
    *b = (struct http_body){.framing = framing, .left = framing == HTTP_LENGTH ? length : 0};
    if (framing == HTTP_NO_BODY || (framing == HTTP_LENGTH && length == 0))
        b->state = ST_DONE;
    else
        b->state = framing == HTTP_CHUNKED ? ST_SIZE : ST_DATA;
}

static enum state bad(struct http_body *b, const char *why)
{
    b->why = why;
    return ST_BAD;
}

static unsigned hex_value(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c | 0x20) - 'a' + 10;
}

static enum state size_digit(struct http_body *b, char c)
{
    if (b->digits == 16 || b->left > CHUNK_MAX >> 4)
        return bad(b, "chunk size is too large");
    b->digits++;
    b->left = b->left << 4 | hex_value(c);
    return ST_SIZE;
}

/* The size line is complete. What frames the whole chunk is counted now (its digits, two CRLF, or with an extension
 * that has counted its own bytes, ';' and what is left of them), so that the verdict does not depend on where
 * input was split. */
static enum state size_done(struct http_body *b)
{
    b->framed += b->digits + 4u;
    b->carried = b->left > CHUNK_MAX - b->carried ? CHUNK_MAX : b->carried + b->left;
    b->digits = 0;
    if (b->left == 0)
        return ST_TRAILER;
    if (b->framed > HTTP_FRAMING_FREE && b->framed / 8 > b->carried)
        return bad(b, "chunks are mostly framing");
    return ST_DATA;
}

static enum state ext_or_end(struct http_body *b, char c, enum state in, const char *why)
{
    if (c == '\r')
        return ST_SIZE_LF;
    if (c == ';')
        return ST_EXT_START;
    if (in == ST_EXT_CLOSED)
        return bad(b, why);
    if (c == '=' && in == ST_EXT_NAME)
        return ST_EXT_EQUALS;
    return http_is(c, HTTP_C_TOKEN) ? in : bad(b, why);
}

/* One byte of a chunk extension. */
static enum state ext_byte(struct http_body *b, char c)
{
    static const char why[] = "malformed chunk extension";

    if (++b->ext_len > HTTP_CHUNK_EXT_MAX)
        return bad(b, "chunk extensions are too long");
    b->framed++;
    switch ((enum state)b->state) {
    case ST_EXT_START:
        return http_is(c, HTTP_C_TOKEN) ? ST_EXT_NAME : bad(b, why);
    case ST_EXT_EQUALS:
        return c == '"' ? ST_EXT_QUOTED : http_is(c, HTTP_C_TOKEN) ? ST_EXT_VALUE : bad(b, why);
    case ST_EXT_QUOTED:
        if (c == '"')
            return ST_EXT_CLOSED;
        if (c == '\\')
            return ST_EXT_ESCAPE;
        return http_is(c, HTTP_C_VALUE) ? ST_EXT_QUOTED : bad(b, why);
    case ST_EXT_ESCAPE:
        return http_is(c, HTTP_C_VALUE) ? ST_EXT_QUOTED : bad(b, why);
    case ST_EXT_NAME:
    case ST_EXT_VALUE:
    case ST_EXT_CLOSED:
        return ext_or_end(b, c, (enum state)b->state, why);
    case ST_SIZE:
    case ST_SIZE_LF:
    case ST_DATA:
    case ST_DATA_CR:
    case ST_DATA_LF:
    case ST_TRAILER:
    case ST_TRAILER_NAME:
    case ST_TRAILER_VALUE:
    case ST_TRAILER_LF:
    case ST_LAST_LF:
    case ST_DONE:
    case ST_BAD:
        break;
    }
    return bad(b, why);
}

/* One byte of a trailer line. */
static enum state trailer_byte(struct http_body *b, char c)
{
    if (++b->trailer_len > HTTP_TRAILER_MAX)
        return bad(b, "trailers are too long");
    if (b->state == ST_TRAILER_VALUE) {
        if (c == '\r')
            return ST_TRAILER_LF;
        return http_is(c, HTTP_C_VALUE) ? ST_TRAILER_VALUE : bad(b, "a byte that may not be in a trailer");
    }
    if (http_is(c, HTTP_C_TOKEN))
        return ST_TRAILER_NAME;
    if (c == ':' && b->state == ST_TRAILER_NAME)
        return ST_TRAILER_VALUE;
    return bad(b, "malformed trailer");
}

/* One byte that is not payload. */
static enum state framing_byte(struct http_body *b, char c)
{
    switch ((enum state)b->state) {
    case ST_SIZE:
        if (http_is(c, HTTP_C_HEX))
            return size_digit(b, c);
        if (b->digits && c == '\r')
            return ST_SIZE_LF;
        if (b->digits && c == ';')
            return ST_EXT_START;
        return bad(b, "malformed chunk size");
    case ST_EXT_START:
    case ST_EXT_NAME:
    case ST_EXT_EQUALS:
    case ST_EXT_VALUE:
    case ST_EXT_QUOTED:
    case ST_EXT_ESCAPE:
    case ST_EXT_CLOSED:
        return ext_byte(b, c);
    case ST_SIZE_LF:
        return c == '\n' ? size_done(b) : bad(b, "bare CR in a chunk size line");
    case ST_DATA_CR:
        return c == '\r' ? ST_DATA_LF : bad(b, "chunk is longer than its size");
    case ST_DATA_LF:
        return c == '\n' ? ST_SIZE : bad(b, "bare CR behind a chunk");
    case ST_TRAILER:
        return c == '\r' ? ST_LAST_LF : trailer_byte(b, c);
    case ST_TRAILER_NAME:
    case ST_TRAILER_VALUE:
        return trailer_byte(b, c);
    case ST_TRAILER_LF:
        return c == '\n' ? ST_TRAILER : bad(b, "bare CR in a trailer");
    case ST_LAST_LF:
        return c == '\n' ? ST_DONE : bad(b, "bare CR behind the last chunk");
    case ST_DATA:
    case ST_DONE:
    case ST_BAD:
        break;
    }
    return bad(b, "malformed chunk");
}

/* memmove towards lower addresses, by blocks in rising order: a block is loaded before anything is stored over it.
 * Chunks are small, and the call alone costs more than moving one. */
static void move_down(char *to, const char *from, size_t n)
{
    if (n >= 1024) {
        memmove(to, from, n);
        return;
    }
    for (; n >= 16; n -= 16, to += 16, from += 16) {
        char block[16];

        memcpy(block, from, 16);
        memcpy(to, block, 16);
    }
    while (n--)
        *to++ = *from++;
}

/* What nearly every read of a stream brings: a chunk whose size line, payload and CRLF are all here, at p. Returns its length and sets
 * *head, *payload; 0 when it is anything else, which the state machine then takes byte by byte. */
static inline size_t whole_chunk(const char *p, size_t n, size_t *head, size_t *payload)
{
    size_t size = 0, at = 0;

    while (at < n && at < 7 && http_is(p[at], HTTP_C_HEX))
        size = size << 4 | hex_value(p[at++]);
    if (size == 0 || at + size + 4 > n || p[at] != '\r' || p[at + 1] != '\n' || p[at + 2 + size] != '\r' || p[at + 3 + size] != '\n')
        return 0;
    *head = at + 2;
    *payload = size;
    return at + size + 4;
}

/* Counts such a chunk. False, and nothing is counted: the state machine has to say why that is bad. */
static inline bool count_chunk(struct http_body *b, size_t whole, size_t payload)
{
    uint64_t framed = b->framed + (whole - payload);
    uint64_t carried = payload > CHUNK_MAX - b->carried ? CHUNK_MAX : b->carried + payload;

    if (framed > HTTP_FRAMING_FREE && framed / 8 > carried)
        return false;
    b->framed = framed;
    b->carried = carried;
    return true;
}

static enum parse decode_chunked(struct http_body *b, char *p, size_t n, size_t *used, size_t *out)
{
    size_t from = 0, to = 0;

    while (from < n && b->state < ST_DONE) {
        size_t head, payload, whole;

        if (b->state == ST_SIZE && b->digits == 0 && (whole = whole_chunk(p + from, n - from, &head, &payload)) > 0 &&
            count_chunk(b, whole, payload)) {
            move_down(p + to, p + from + head, payload);
            from += whole;
            to += payload;
        } else if (b->state == ST_DATA) {
            size_t run = b->left < n - from ? (size_t)b->left : n - from;

            if (to != from)
                move_down(p + to, p + from, run);
            from += run;
            to += run;
            b->left -= run;
            if (b->left == 0)
                b->state = ST_DATA_CR;
        } else {
            b->state = (uint8_t)framing_byte(b, p[from]);
            from++;
        }
    }
    *used = from;
    *out = to;
    return b->state == ST_DONE ? PARSE_DONE : b->state == ST_BAD ? PARSE_BAD : PARSE_MORE;
}

bool http_body_one_chunk(struct http_body *b, const char *p, size_t n, size_t *head, size_t *payload)
{
    return b->framing == HTTP_CHUNKED && b->state == ST_SIZE && b->digits == 0 && whole_chunk(p, n, head, payload) == n && n > 0 &&
           count_chunk(b, n, *payload);
}

enum parse http_body_decode(struct http_body *b, char *p, size_t n, size_t *used, size_t *out)
{
    size_t run = n;

    *used = *out = 0;
    if (b->state == ST_DONE)
        return PARSE_DONE;
    if (b->state == ST_BAD)
        return PARSE_BAD;
    if (b->framing == HTTP_CHUNKED)
        return decode_chunked(b, p, n, used, out);
    if (b->framing == HTTP_LENGTH) {
        if (run > b->left)
            run = (size_t)b->left;
        b->left -= run;
        if (b->left == 0)
            b->state = ST_DONE;
    }
    *used = *out = run;
    return b->state == ST_DONE ? PARSE_DONE : PARSE_MORE;
}

bool http_body_may_end(const struct http_body *b)
{
    return b->state == ST_DONE || b->framing == HTTP_UNTIL_CLOSE;
}
