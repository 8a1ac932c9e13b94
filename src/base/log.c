/* The log ring: see log.h. Invariant: [out.from, out.to) of the ring are whole lines, but for the first, which a short write may
 * have begun. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "base/sys.h"
#include "base/text.h"
#include "base/timer.h"

static struct {
    int fd;
    enum log_level level;
    size_t from, to;
    uint64_t dropped;
    struct timer flush;
    bool ready;
    bool file;    /* fd is a file of ours, to be closed */
    bool torn;    /* the first line of the ring has begun to leave */
    bool failing; /* the last write failed for another reason than a reader that is behind */
} out = {.fd = 2, .level = LOG_INFO};

static char ring[LOG_RING]; /* apart from the struct: only zeros cost nothing in the binary */

static void on_flush(struct timer *t)
{
    (void)t;
    log_flush();
}

void log_init(int fd, enum log_level level)
{
    out.fd = fd;
    out.level = level;
    /* A terminal is left alone: its flags are shared with the shell, and it is as good as never full. */
    if (sys_is_pipe(fd))
        (void)sys_set_nonblocking(fd);
    if (!out.ready)
        timer_init(&out.flush, on_flush);
    out.ready = true;
}

void log_set_level(enum log_level level)
{
    out.level = level;
}

/* What a line has left in the old place can't be continued in the new one. */
static void drop_torn(void)
{
    ptrdiff_t n = slice_find_char(slice_make(ring + out.from, out.to - out.from), '\n');

    if (out.torn && n >= 0) {
        out.from += (size_t)n + 1;
        out.dropped++;
    }
    out.torn = false;
}

bool log_use(struct slice path)
{
    char name[LOG_PATH_MAX];
    int fd = 2;

    if (path.n >= sizeof name) {
        errno = ENAMETOOLONG;
        return false;
    }
    if (path.n) {
        memcpy(name, path.p, path.n);
        name[path.n] = '\0';
        if ((fd = sys_open_append(name)) == -1)
            return false;
    }
    log_flush();
    drop_torn();
    if (out.file)
        sys_close(out.fd);
    out.fd = fd;
    out.file = path.n > 0;
    out.failing = false;
    return true;
}

bool log_wants(enum log_level level)
{
    return level >= out.level;
}

const char *log_level_name(enum log_level level)
{
    static const char *const name[] = {"debug", "info", "warn", "error"};

    return name[level];
}

struct slice log_time(int64_t wall_ms, char text[25])
{
    /* Civil date from days since 1970 (proleptic Gregorian), so that no libc time zone code is linked. */
    int64_t ms = wall_ms % 86400000, day = wall_ms / 86400000;
    int64_t z, era, doe, yoe, doy, mp, y, m, d;

    if (ms < 0) {
        ms += 86400000;
        day--;
    }
    z = day + 719468;
    era = (z >= 0 ? z : z - 146096) / 146097;
    doe = z - era * 146097;
    yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    mp = (5 * doy + 2) / 153;
    d = doy - (153 * mp + 2) / 5 + 1;
    m = mp < 10 ? mp + 3 : mp - 9;
    y = yoe + era * 400 + (m <= 2);
    /* Written by hand: snprintf costs more than the rest of a request's log line. */
    {
        const int64_t part[7] = {y, m, d, ms / 3600000, ms / 60000 % 60, ms / 1000 % 60, ms % 1000};
        static const uint8_t width[7] = {4, 2, 2, 2, 2, 2, 3};
        static const char after[7] = {'-', '-', 'T', ':', ':', '.', 'Z'};
        char *p = text;

        for (int i = 0; i < 7; i++) {
            int64_t v = part[i];

            for (int k = width[i] - 1; k >= 0; k--, v /= 10)
                p[k] = (char)('0' + v % 10);
            p += width[i];
            *p++ = after[i];
        }
        *p = '\0';
        return slice_make(text, (size_t)(p - text));
    }
}

void log_flush(void)
{
    if (out.ready)
        timer_disarm(&out.flush);
    while (out.from < out.to) {
        ssize_t n = sys_write(out.fd, ring + out.from, out.to - out.from);

        if (n <= 0) {
            if (out.file && errno != EAGAIN && !out.failing) /* once, until it works again */
                text_print(TEXT_ERR, "weir: log.file can't be written (%s); lines wait, and are dropped when too many do\n", strerror(errno));
            out.failing = out.file && errno != EAGAIN;
            break;
        }
        out.failing = false;
        out.from += (size_t)n;
        out.torn = ring[out.from - 1] != '\n';
    }
    if (out.from == out.to)
        out.from = out.to = 0;
    else if (out.ready)
        timer_arm(&out.flush, clock_ms() + (out.failing ? LOG_RETRY_MS : LOG_FLUSH_MS));
}

void log_line(struct slice object)
{
    if (object.n + 1 > LOG_RING - out.to && out.from > 0) {
        memmove(ring, ring + out.from, out.to - out.from);
        out.to -= out.from;
        out.from = 0;
    }
    if (object.n + 1 > LOG_RING - out.to || object.n >= LOG_LINE_MAX) {
        out.dropped++;
        return;
    }
    memcpy(ring + out.to, object.p, object.n);
    out.to += object.n;
    ring[out.to++] = '\n';
    if (!out.ready || (out.to - out.from >= LOG_FLUSH_AT && !out.failing))
        log_flush();
    else if (!timer_armed(&out.flush))
        timer_arm(&out.flush, clock_ms() + LOG_FLUSH_MS);
}

/* Enough JSON escaping for our own texts; bytes >= 0x80 are kept only as valid UTF-8 would be by the caller. */
static size_t escape(const char *in, char *to, size_t cap)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;

    for (; *in && n + 8 < cap; in++) {
        unsigned char c = (unsigned char)*in;

        if (c == '"' || c == '\\') {
            to[n++] = '\\';
            to[n++] = (char)c;
        } else if (c < 0x20 || c >= 0x7F) {
            memcpy(to + n, "\\u00", 4);
            to[n + 4] = hex[c >> 4];
            to[n + 5] = hex[c & 15];
            n += 6;
        } else {
            to[n++] = (char)c;
        }
    }
    return n;
}

void log_say(enum log_level level, const char *format, ...)
{
    char text[1024], line[LOG_LINE_MAX], when[25];
    va_list ap;
    int n;

    if (!log_wants(level))
        return;
    va_start(ap, format);
    text_vformat(text, sizeof text, format, ap);
    va_end(ap);
    log_time(clock_wall_ms(), when);
    n = text_format(line, 128, "{\"time\":\"%s\",\"level\":\"%s\",\"msg\":\"", when, log_level_name(level));
    n += (int)escape(text, line + n, sizeof line - (size_t)n - 4);
    line[n++] = '"';
    line[n++] = '}';
    log_line(slice_make(line, (size_t)n));
}

uint64_t log_dropped(void)
{
    return out.dropped;
}
