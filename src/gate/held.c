/* The bytes of one answer as far as they were not handed on: raw head, then decoded body, contiguous. They stand in the loop's scratch while
 * `view` is set, which lasts one wake-up at most, else in the block `held`. */
#include "gate/held.h"

#include "gate/resume.h"
#include "net/loop.h"

enum {
    READ_ROOM = 4096, /* least room behind held bytes for the next read */
};

char *held_region(const struct upstream *up, size_t *len)
{
    *len = up->view ? up->view_len : up->held.len;
    return up->view ? up->view : up->held.p;
}

struct slice held_body(const struct upstream *up)
{
    size_t len;
    char *p = held_region(up, &len);

    return p ? slice_make(p + up->head_len, len - up->head_len) : slice_make(NULL, 0);
}

void held_forget_parsed(struct upstream *up)
{
    if (gate.parsed_for == up)
        gate.parsed_for = NULL;
}

bool held_retain(struct upstream *up)
{
    if (!up->view)
        return true;
    held_forget_parsed(up); /* the bytes move */
    up->chunk_head = 0;
    if (up->view_len && !block_add(&up->held, up->view, up->view_len))
        return false;
    up->view = NULL;
    up->view_len = 0;
    return true;
}

void held_consume(struct upstream *up, size_t n)
{
    size_t len, gone = up->head_len + n;
    char *p = held_region(up, &len);

    must(gone <= len);
    held_forget_parsed(up);
    up->chunk_head = 0;
    up->head_len = 0;
    up->scanned = up->scanned > n ? up->scanned - n : 0;
    up->event_at = up->event_at > n ? up->event_at - n : 0;
    up->scan_at = up->scan_at > n ? up->scan_at - n : 0;
    if (up->view) {
        up->view += gone;
        up->view_len -= gone;
    } else if (gone == len) {
        block_drop(&up->held);
    } else {
        memmove(p, p + gone, len - gone);
        up->held.len -= gone;
    }
}

struct slice held_chunk(const struct upstream *up)
{
    return up->view && up->chunk_head ? slice_make(up->view - up->chunk_head, up->chunk_head + up->view_len + 2) : slice_make(NULL, 0);
}

const struct http_response *held_head(struct upstream *up)
{
    size_t len, seen = 0;
    char *p;
    struct http_bad bad;

    if (gate.parsed_for != up) {
        p = held_region(up, &len);
        must(http_response_parse(&gate.response, p, up->head_len, &seen, false, &bad) == PARSE_DONE);
        gate.parsed_for = up;
    }
    return &gate.response;
}


/* Decodes n fresh bytes behind the region's len bytes; they stand there undecoded. */
enum io held_decode(struct upstream *up, size_t n, struct fault *f)
{
    size_t len, used, out;
    char *p = held_region(up, &len);
    enum parse parse;

    if (up->body_done) {
        if (n)
            up->poolable = false; /* bytes behind a complete answer belong to nobody */
        return IO_DONE;
    }
    if (up->view && !len && http_body_one_chunk(&up->body, p, n, &used, &out)) { /* nothing is moved: the view is */
        up->view = p + used;
        up->view_len = out;
        up->chunk_head = (uint8_t)used;
        return IO_DONE;
    }
    parse = http_body_decode(&up->body, p + len, n, &used, &out);
    if (up->view)
        up->view_len += out;
    else
        up->held.len += out;
    if (parse == PARSE_DONE) {
        up->body_done = true;
        if (used < n)
            up->poolable = false;
    } else if (parse == PARSE_BAD) {
        up->poolable = false;
        *f = fault_make(FAULT_PROTOCOL, 0, up->body.why);
        return IO_FAILED;
    }
    return IO_DONE;
}

/* One read to where the region grows. *got fresh bytes stand behind its len. */
enum io held_read(struct upstream *up, size_t *got, struct fault *f)
{
    char *to;
    size_t cap = READ_MAX;
    enum io io;

    *got = 0;
    if (!(up->events & (SYS_IN | SYS_GONE)))
        return IO_PARKED;
    if (!held_retain(up)) { /* a second read in one wake-up: the scratch is about to be written again */
        *f = fault_make(FAULT_NO_MEMORY, 0, "the memory budget is spent");
        return IO_FAILED;
    }
    if (up->held.len) {
        if (!block_room(&up->held, READ_ROOM)) {
            *f = fault_make(FAULT_NO_MEMORY, 0, "the memory budget is spent");
            return IO_FAILED;
        }
        held_forget_parsed(up); /* the block may have moved */
        to = up->held.p + up->held.len;
        cap = up->held.cap - up->held.len;
        cap = cap < READ_MAX ? cap : READ_MAX;
    } else {
        up->view = to = loop_scratch();
        up->view_len = 0;
        up->chunk_head = 0;
    }
    io = conn_read(up->conn, to, cap, got, f);
    up->events &= ~(unsigned)SYS_IN;
    if (io == IO_DONE && *got == 0) {
        *f = fault_make(FAULT_CLOSED, 0, "the provider closed the connection");
        io = IO_FAILED;
    }
    if (io == IO_DONE && (up->events & SYS_GONE))
        up->events |= SYS_IN; /* the end is still to be read */
    if (io != IO_DONE && up->view && !up->view_len)
        up->view = NULL;
    if (io == IO_DONE)
        up->answered_byte = true;
    return io;
}

enum io held_take(struct upstream *up, struct fault *f)
{
    size_t got;
    enum io io;

    if (up->body_done)
        return IO_DONE;
    io = held_read(up, &got, f);
    if (io == IO_DONE)
        return held_decode(up, got, f);
    if (io == IO_FAILED && f->kind == FAULT_CLOSED && f->sys == 0 && http_body_may_end(&up->body)) {
        up->body_done = true;
        up->poolable = false;
        return IO_DONE;
    }
    return io;
}

/* The chunk that only weir asked for: usage behind the finish reason, with no choices. Others carry usage on a chunk of their own anyway. */
static bool usage_only(struct slice raw)
{
    return slice_find(raw, SLICE("\"usage\"")) >= 0 &&
           (slice_find(raw, SLICE("\"choices\":[]")) >= 0 || slice_find(raw, SLICE("\"choices\": []")) >= 0);
}

/* Takes the event that ends at scan_at out of the body. */
static void cut_event(struct upstream *up)
{
    size_t len;
    char *body = held_region(up, &len) + up->head_len;

    len -= up->head_len;
    memmove(body + up->event_at, body + up->scan_at, len - up->scan_at);
    up->chunk_head = 0;
    if (up->view)
        up->view_len -= up->scan_at - up->event_at;
    else
        up->held.len -= up->scan_at - up->event_at;
    up->scanned = up->scan_at = up->event_at;
}

enum held_seen held_scan(struct upstream *up, bool committed, struct slice *error)
{
    struct slice body = held_body(up);
    struct arena scratch;

    if (committed && !up->x->resume && up->chunk_head && up->scan_at == 0 && !up->tail_flowed && sse_scan_idle(&up->scan) && llm_stream_alone(&up->llm, body)) {
        up->event_at = 0;
        up->scanned = up->scan_at = body.n;
        return HELD_MORE;
    }
    while (up->scan_at < body.n) {
        size_t n = sse_scan_event(&up->scan, body.p + up->scan_at, body.n - up->scan_at);
        struct slice raw;
        unsigned sign;

        if (n == 0) {
            up->scan_at = body.n;
            break;
        }
        up->scan_at += n;
        up->event_at = up->scanned;
        raw = slice_make(body.p + up->scanned, up->scan_at - up->scanned);
        up->scanned = up->scan_at;
        gate_scratch(&scratch);
        if (up->tail_flowed) /* its beginning is with the client already: what stands here is the rest */
            sign = llm_stream_piece(&up->llm, raw, true, &scratch);
        else
            sign = llm_stream_event(&up->llm, raw, committed, &scratch, error);
        up->tail_flowed = false;
        if (committed && up->x->resume && !(sign & LLM_ERROR))
            resume_note(up->x, raw, false);
        if (up->x->usage_options.n && (up->llm.seen & LLM_FINISH) && usage_only(raw)) {
            cut_event(up);
            body = held_body(up);
            continue;
        }
        if (sign & LLM_ERROR)
            return HELD_ERROR;
        if ((sign & LLM_BROKEN) && !committed)
            return HELD_ERROR; /* *error is empty: not an error object, but nothing to build on */
        if ((sign & LLM_END) && slice_find(raw, SLICE("[DONE]")) >= 0)
            return HELD_LAST;
        if (!committed && (sign & (LLM_CONTENT | LLM_FINISH)))
            return HELD_COMMIT;
    }
    return HELD_MORE;
}
