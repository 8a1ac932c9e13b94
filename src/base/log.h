/* The log: one JSON object per line, written without ever blocking the loop. Lines gather in a ring and leave together; when the
 * reader is slow or gone they are dropped and counted, never waited for (faults.md L-32, L-33). */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/must.h"
#include "base/slice.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum {
    LOG_LINE_MAX = 4096,   /* one line with its newline */
    LOG_RING = 1 << 18,
    LOG_FLUSH_MS = 50,     /* a line waits this long at most for others to leave with it */
    LOG_FLUSH_AT = 1 << 15,/* ring bytes that make it leave at once */
    LOG_RETRY_MS = 1000,   /* after a write that failed: a full disk is not asked for every line */
    LOG_PATH_MAX = 4096
};

/* fd: where lines go (2 for stderr). Needs timers. Lines below level are not made. */
void log_init(int fd, enum log_level level);
void log_set_level(enum log_level level);
/* From now on lines go to the end of this file, which is made (0600) when missing and opened anew each time, so that a file that was
 * moved away is let go; an empty path: to stderr. Never through a symbolic link. False with errno: all stays as it was.
 * A write that fails (full disk, I/O error) is said once on stderr and tried again every LOG_RETRY_MS; what does not fit into the ring
 * meanwhile is dropped and counted. */
MUST_USE bool log_use(struct slice path);
bool log_wants(enum log_level level);
/* {"time":...,"level":...,"msg":text}: text is formatted, then escaped and cut to fit. For start-up and rare events. */
__attribute__((format(printf, 2, 3))) void log_say(enum log_level level, const char *format, ...);
/* A finished JSON object without its newline (LOG_LINE_MAX - 1 bytes at most). */
void log_line(struct slice object);
void log_flush(void);       /* as much as goes without blocking */
uint64_t log_dropped(void);
/* "2026-11-21T21:40:34.123Z" of an epoch time; out needs 25 bytes. */
struct slice log_time(int64_t wall_ms, char out[25]);
const char *log_level_name(enum log_level level);

#endif
