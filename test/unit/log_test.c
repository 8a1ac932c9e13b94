/* The log ring: a reader that stops costs lines, never time; and the date without libc. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"
#include "check.h"

static void times(void)
{
    static const struct {
        int64_t ms;
        const char *text;
    } row[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},  /* 400 divides 2000 */
        {951868800000, "2000-03-01T00:00:00.000Z"},
        {1709164799999, "2024-02-28T23:59:59.999Z"},
        {1709164800000, "2024-02-29T00:00:00.000Z"},
        {1709251200000, "2024-03-01T00:00:00.000Z"},
        {1735689599999, "2024-12-31T23:59:59.999Z"},
        {1735689600000, "2025-01-01T00:00:00.000Z"},
        {1740787200000, "2025-03-01T00:00:00.000Z"}, /* no 29th */
        {4107542400000, "2100-03-01T00:00:00.000Z"}, /* 100 divides 2100 */
        {4107542399000, "2100-02-28T23:59:59.000Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
    };
    char out[25], want[80];
    bool same = true;

    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        check_case(row[i].text);
        CHECK_STR(log_time(row[i].ms, out), row[i].text);
        CHECK_INT(out[24], 0);
    }
    check_case("every day of 160 years as gmtime has it");
    for (int64_t day = -3650; day < 55000; day++) {
        time_t s = (time_t)(day * 86400 + 45296);
        struct tm tm;

        gmtime_r(&s, &tm);
        snprintf(want, sizeof want, "%04d-%02d-%02dT%02d:%02d:%02d.789Z", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                 tm.tm_hour, tm.tm_min, tm.tm_sec);
        same = same && slice_eq(log_time((int64_t)s * 1000 + 789, out), slice_str(want));
    }
    CHECK(same);
}

static size_t drain(int fd, char *out, size_t cap)
{
    size_t n = 0;
    ssize_t got;

    while (n < cap && (got = read(fd, out + n, cap - n)) > 0)
        n += (size_t)got;
    return n;
}

static size_t count_lines(struct slice s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '\n';
    return n;
}

static void blocked_reader(void)
{
    static char text[2 << 20];
    int fd[2];
    uint64_t dropped = log_dropped(), kept;
    char line[128];
    struct slice got;
    bool whole = true;
    int last = -1;

    check_case("a reader that stopped: lines are dropped and counted, none is torn");
    CHECK(pipe2(fd, O_NONBLOCK) == 0);
    log_init(fd[1], LOG_INFO);
    for (int i = 0; i < 10000; i++) {
        int n = snprintf(line, sizeof line, "{\"i\":%d,\"pad\":\"%.60s\"}", i,
                         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");

        log_line(slice_make(line, (size_t)n));
    }
    dropped = log_dropped() - dropped;
    CHECK(dropped > 1000 && dropped < 10000);
    got = slice_make(text, drain(fd[0], text, sizeof text));
    for (int i = 0; i < 20; i++) { /* the reader is back */
        log_flush();
        got.n += drain(fd[0], text + got.n, sizeof text - got.n);
    }
    kept = count_lines(got);
    CHECK_INT(kept + dropped, 10000);
    for (size_t at = 0; at < got.n;) {
        size_t end = at + (size_t)slice_find_char(slice_from(got, at), '\n');
        int i = atoi(text + at + 5);

        whole = whole && text[at] == '{' && text[end - 1] == '}' && i > last;
        last = i;
        at = end + 1;
    }
    CHECK(whole);
    check_case("afterwards it works as before");
    log_line(SLICE("{\"after\":1}"));
    log_flush();
    got = slice_make(text, drain(fd[0], text, sizeof text));
    CHECK_STR(got, "{\"after\":1}\n");
    check_case("a reader that is gone does no harm");
    close(fd[0]);
    signal(SIGPIPE, SIG_IGN);
    log_line(SLICE("{}"));
    log_flush();
    close(fd[1]);
}

static void said(void)
{
    static char text[LOG_LINE_MAX * 4], huge[LOG_LINE_MAX * 2];
    int fd[2];
    struct slice got;
    uint64_t dropped = log_dropped();

    CHECK(pipe2(fd, O_NONBLOCK) == 0);
    log_init(fd[1], LOG_INFO);
    log_flush();
    (void)drain(fd[0], text, sizeof text); /* what the reader before did not take */
    check_case("one line, escaped");
    log_say(LOG_DEBUG, "below the level");
    log_say(LOG_WARN, "a \"quoted\" \\ %s", "line\nwith\x1b[31m and \x7f");
    log_flush();
    got = slice_make(text, drain(fd[0], text, sizeof text));
    CHECK_INT(count_lines(got), 1);
    CHECK(slice_find(got, SLICE("\"level\":\"warn\"")) > 0);
    CHECK(slice_find(got, SLICE("a \\\"quoted\\\" \\\\ line\\u000awith\\u001b[31m and \\u007f\"}\n")) > 0);
    CHECK(slice_find(got, SLICE("below")) < 0);
    check_case("a text too long is cut, a line too long is dropped");
    memset(huge, '\n', sizeof huge - 1);
    log_say(LOG_INFO, "%s", huge);
    log_flush();
    got = slice_make(text, drain(fd[0], text, sizeof text));
    CHECK(got.n > 1000 && got.n <= LOG_LINE_MAX);
    CHECK(count_lines(got) == 1 && got.p[got.n - 2] == '}');
    log_line(slice_make(huge, LOG_LINE_MAX));
    log_flush();
    CHECK_INT(drain(fd[0], text, sizeof text), 0);
    CHECK_INT(log_dropped(), dropped + 1);
    check_case("lines leave by themselves after a moment");
    log_line(SLICE("{}"));
    CHECK_INT(drain(fd[0], text, sizeof text), 0);
    timers_run(clock_ms() + LOG_FLUSH_MS, 10);
    CHECK_INT(drain(fd[0], text, sizeof text), 3);
    CHECK_INT(timers_count(), 0);
    check_case("or at once when many wait");
    memset(huge, 'x', 1000);
    for (int i = 0; i < LOG_FLUSH_AT / 1001; i++)
        log_line(slice_make(huge, 1000));
    CHECK_INT(drain(fd[0], text, sizeof text), 0);
    log_line(slice_make(huge, 1000));
    CHECK(drain(fd[0], text, sizeof text) > 0);
    log_flush();
    close(fd[0]);
    close(fd[1]);
}

static size_t file_text(const char *path, char *text, size_t cap)
{
    int fd = open(path, O_RDONLY);
    size_t n = drain(fd, text, cap);

    close(fd);
    return n;
}

static void files(void)
{
    static char text[LOG_RING * 2], huge[2001];
    char dir[] = "/tmp/weir-log-XXXXXX", a[64], b[64], link[64];
    struct stat st;
    uint64_t dropped;

    CHECK(mkdtemp(dir) != NULL);
    snprintf(a, sizeof a, "%s/a", dir);
    snprintf(b, sizeof b, "%s/b", dir);
    snprintf(link, sizeof link, "%s/link", dir);
    umask(0);
    check_case("a file is made for its owner only, and appended to");
    CHECK(log_use(slice_str(a)));
    log_line(SLICE("{\"n\":1}"));
    CHECK(log_use(slice_str(a)));
    log_line(SLICE("{\"n\":2}"));
    log_flush();
    CHECK_STR(slice_make(text, file_text(a, text, sizeof text)), "{\"n\":1}\n{\"n\":2}\n");
    CHECK(stat(a, &st) == 0 && (st.st_mode & 0777) == 0600);
    check_case("one that was moved away is let go, after what was for it");
    CHECK(rename(a, b) == 0);
    log_line(SLICE("{\"n\":3}"));
    CHECK(log_use(slice_str(a)));
    log_line(SLICE("{\"n\":4}"));
    log_flush();
    CHECK_STR(slice_make(text, file_text(b, text, sizeof text)), "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
    CHECK_STR(slice_make(text, file_text(a, text, sizeof text)), "{\"n\":4}\n");
    check_case("what can't be opened leaves all as it was: a symbolic link, a directory, a path that is missing or too long");
    CHECK(symlink(a, link) == 0);
    CHECK(!log_use(slice_str(link)) && errno == ELOOP);
    CHECK(!log_use(slice_str(dir)) && errno == EISDIR);
    CHECK(!log_use(SLICE("/nonexistent/weir.log")) && errno == ENOENT);
    memset(text, '/', LOG_PATH_MAX);
    CHECK(!log_use(slice_make(text, LOG_PATH_MAX)) && errno == ENAMETOOLONG);
    log_line(SLICE("{\"n\":5}"));
    log_flush();
    CHECK_STR(slice_make(text, file_text(a, text, sizeof text)), "{\"n\":4}\n{\"n\":5}\n");
    check_case("a pipe that nobody reads is refused instead of waited for");
    unlink(link);
    CHECK(mkfifo(link, 0600) == 0);
    CHECK(!log_use(slice_str(link)) && errno == ENXIO);
    check_case("a full disk: lines wait, then are dropped and counted; what waited goes to the next file whole");
    CHECK(log_use(SLICE("/dev/full")));
    memset(huge, 'x', sizeof huge - 1);
    dropped = log_dropped();
    for (int i = 0; i < 200; i++)
        log_line(slice_str(huge));
    log_flush();
    CHECK_INT(log_dropped() - dropped, 200 - LOG_RING / 2001);
    timers_run(clock_ms() + LOG_FLUSH_MS, 10);
    CHECK_INT(timers_count(), 1); /* not asked again so soon */
    CHECK(log_use(slice_str(a)));
    CHECK_INT(timers_count(), 1);
    log_flush();
    CHECK_INT(file_text(a, text, sizeof text), 16 + LOG_RING / 2001 * 2001);
    CHECK_INT(timers_count(), 0);
    check_case("an empty path: stderr again");
    CHECK(log_use(SLICE("")));
    unlink(a);
    unlink(b);
    unlink(link);
    rmdir(dir);
}

int main(void)
{
    clock_update();
    if (!timers_init(4))
        return 1;
    times();
    blocked_reader();
    said();
    files();
    return check_end();
}
